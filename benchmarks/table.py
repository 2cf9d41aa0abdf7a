"""The results as Markdown, and how they get into the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame import Result, Row, Verdict


def number(value: float) -> str:
    """A number with three significant digits, and commas.

    >>> [number(each) for each in (0.01234, 1.5, 12.34, 1234567)]
    ['0.0123', '1.50', '12.3', '1,230,000']
    """
    power = int(f"{value:.2e}".partition("e")[2])
    return f"{round(value, 2 - power):,.{max(2 - power, 0)}f}" if value else "0"


def of_row(row: Row, results: list[Result], verdicts: list[Verdict]) -> str:
    """The table of a row, and that of its aims."""
    return "\n".join([*_numbers(row, results), *_aims(verdicts)]) + "\n"


def _numbers(row: Row, results: list[Result]) -> Iterator[str]:
    titles = [row.size, "system", *(metric.title for metric in row.metrics)]
    yield line(titles)
    yield "|" + "---|" * 2 + "---:|" * len(row.metrics)
    before = None
    for result in sorted(results, key=lambda each: _order(row, each.case.what)):
        what = result.case.what
        cells = [what if what != before else "", result.case.system]
        before = what
        if result.failed is not None or not result.runs:
            cells += [result.failed or "not run", *[""] * (len(row.metrics) - 1)]
        else:
            cells += [_cell(result.all_of(metric.name)) for metric in row.metrics]
        yield line(cells)


def _order(row: Row, what: str) -> int:
    return [case.what for case in row.cases].index(what)


def _cell(found: list[float]) -> str:
    if not found:
        return ""
    ordered = sorted(found)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    if ordered[0] == ordered[-1]:
        return number(median)
    return f"{number(median)} ({number(ordered[0])} to {number(ordered[-1])})"


def _aims(verdicts: list[Verdict]) -> Iterator[str]:
    if not verdicts:
        return
    yield ""
    yield line(["aim", "found", ""])
    yield "|---|---:|---|"
    for verdict in verdicts:
        found = "" if verdict.ratio is None else number(verdict.ratio)
        held = {True: "met", False: "missed", None: "not measured"}[verdict.held]
        yield line([verdict.aim.text, found, held])


def line(cells: list[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def paste(document: Path, name: str, text: str) -> None:
    """Puts a text between the markers of that name.

    Raises:
        ValueError: the document has no such markers.
    """
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    whole = document.read_text("utf-8")
    before, found, rest = whole.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{document.name} has no markers for {name}")
    document.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", "utf-8")
