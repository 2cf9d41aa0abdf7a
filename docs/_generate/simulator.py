"""Tells the planted bugs of the simulator from tests.simulation.bugs.

``PYTHONPATH=. python docs/_generate/simulator.py`` writes their table in docs/simulator.md.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from tests.simulation.bugs import BUGS

PAGE = Path(__file__).resolve().parent.parent / "simulator.md"
BEGIN = "<!-- begin: planted bugs, made by docs/_generate/simulator.py -->"
END = "<!-- end: planted bugs -->"


def table() -> str:
    """The planted bugs as a Markdown table."""
    lines = ["| Planted bug | What is wrong then | Only with |", "|---|---|---|"]
    for name, bug in BUGS.items():
        wrong = " ".join(inspect.cleandoc(bug.build.__doc__ or "").split())
        among = ", ".join(f"`{kind}`" for kind in sorted(bug.among))
        lines.append(f"| `{name}` | {wrong} | {among} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table of today in it."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
