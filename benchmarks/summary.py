"""The table in the README: a few of the numbers of docs/performance.md, side by side.

``python -m benchmarks.summary`` puts it there, and so does ``python -m benchmarks --docs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks.processes import ROOT
from benchmarks.table import line, paste

PAGE: Final = ROOT / "docs" / "performance.md"
README: Final = ROOT / "README.md"
NAME: Final = "measured"
DISTMAP: Final = "distmap"


class Figure(NamedTuple):
    """A line of the table.

    Attributes:
        text: what was measured.
        row: of the page.
        size: in its first column.
        column: of its numbers, the first is 0.
        better: for what the best one is chosen, ``most`` or ``least``.
    """

    text: str
    row: str
    size: str
    column: int
    better: str


FIGURES: Final = (
    Figure("values delivered a second, by 1 writer to 1,000 readers", "fanout", "1,000", 0, "most"),
    Figure("from a write to the other's handler, ms, p99", "latency", "100/s", 1, "least"),
    Figure("entries that 20 replicas apply a second", "applied", "20", 0, "most"),
    Figure("a newcomer gets 10,000 keys, s", "join", "10,000", 0, "least"),
    Figure("a newcomer gets 100,000 keys, s", "join", "100,000", 0, "least"),
    Figure("and has then used at most, MiB", "join", "100,000", 1, "least"),
)
SYSTEMS: Final = (
    *(DISTMAP, f"{DISTMAP} (JavaScript)"),
    *("Yjs", "Hocuspocus", "TinyBase", "pycrdt", "ws"),
)


def medians(page: str, row: str) -> dict[tuple[str, str], list[str]]:
    """The medians in the table of a row, by size and system.

    Raises:
        ValueError: the page has no such table.
    """
    _, begin, rest = page.partition(f"<!-- begin: {row} -->\n")
    if not begin:
        raise ValueError(f"no row {row}")
    found: dict[tuple[str, str], list[str]] = {}
    size = ""
    for text in rest.lstrip("\n").splitlines()[2:]:
        if not text.startswith("|"):
            break
        first, system, *numbers = [cell.strip() for cell in text.strip("|").split("|")]
        size = first or size
        found[size, system] = [number.partition(" (")[0] for number in numbers]
    return found


def table(page: str) -> str:
    """The table, of the numbers on a page.

    Raises:
        ValueError: the page lacks one that distmap must have.
    """
    return "\n".join(_lines(page)) + "\n"


def _lines(page: str) -> Iterator[str]:
    yield line(["", *SYSTEMS])
    yield "|---|" + "---:|" * len(SYSTEMS)
    for figure in FIGURES:
        of_row = medians(page, figure.row)
        cells = [_cell(of_row.get((figure.size, system)), figure.column) for system in SYSTEMS]
        if not cells[0]:
            raise ValueError(f"{figure.row} has no number of {DISTMAP} for {figure.size}")
        best = _best(cells, figure.better)
        yield line([figure.text, *(f"**{cell}**" if cell == best else cell for cell in cells)])


def _cell(numbers: list[str] | None, column: int) -> str:
    """The number, or nothing if it was not measured."""
    text = numbers[column] if numbers else ""
    return text if text[:1].isdigit() else ""


def _best(cells: list[str], better: str) -> str:
    choose = max if better == "most" else min
    return choose(filter(None, cells), key=lambda cell: float(cell.replace(",", "")))


def main() -> None:
    """Puts the table into the README."""
    paste(README, NAME, table(PAGE.read_text("utf-8")))


if __name__ == "__main__":
    main()
