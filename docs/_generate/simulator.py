"""Tells the planted bugs of the simulator from tests.simulation.

``PYTHONPATH=. python docs/_generate/simulator.py`` writes their tables in docs/simulator.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

from tests.simulation.bugs import BUGS
from tests.simulation.bugs_of_node import NODE_BUGS
from tests.simulation.planting import Bug

PAGE = Path(__file__).resolve().parent.parent / "simulator.md"
TABLES: dict[str, Mapping[str, Bug]] = {
    "planted bugs": BUGS,
    "planted bugs in JavaScript": NODE_BUGS,
}


def table(bugs: Mapping[str, Bug]) -> str:
    """Planted bugs as a Markdown table."""
    lines = ["| Planted bug | What is wrong then | Only with |", "|---|---|---|"]
    for name, bug in bugs.items():
        wrong = " ".join(inspect.cleandoc(bug.build.__doc__ or "").split())
        among = ", ".join(f"`{kind}`" for kind in sorted(bug.among))
        lines.append(f"| `{name}` | {wrong} | {among} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the tables of today in it."""
    for what, bugs in TABLES.items():
        begin = f"<!-- begin: {what}, made by docs/_generate/simulator.py -->"
        end = f"<!-- end: {what} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n\n{table(bugs)}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
