"""Prints what it takes a page to keep a copy of a large map in IndexedDB, as a Markdown table.

Run it from the root of the repository: ``python -m benchmarks.copies [ENTRIES [RUNS]]``, 100,000
entries and 3 runs if not told. The page is in Chromium, without a window, and gets the map from a
peer in Python. It saves all of it, writes one entry, and is loaded again: then it begins with its
copy.
"""

from __future__ import annotations

import json
import sys
from statistics import median

from benchmarks.processes import JS, Process, cleanup, end_on_signals
from benchmarks.systems import DISTMAP, Stage

ENTRIES = 100_000
RUNS = 3
LIMIT_SECONDS = 120.0
ROWS = {
    "the first save, s": (0, "save_seconds"),
    "one write after that, ms": (0, "write_ms"),
    "loading it, s": (1, "load_seconds"),
    "the longest turn of the first visit, ms": (0, "longest_ms"),
    "the longest turn of the second, ms": (1, "longest_ms"),
}
"""What is measured: in which visit, and by which name."""


def visits(entries: int) -> list[dict[str, float]]:
    """Fills a map, and opens it in a page twice."""
    with cleanup():
        stage = Stage(DISTMAP)
        stage.replicas().ask("fill", LIMIT_SECONDS, count=entries)
        page = Process("node", str(JS / "copies.mjs"), stage.url.replace("ws:", "http:") + "/")
        found = [json.loads(page.line(LIMIT_SECONDS)) for _ in range(2)]
    if [found[0]["entries"], found[1]["loaded"]] != [entries, entries]:
        raise SystemExit(f"not the map that was to be saved: {found}")
    return found


def main(args: list[str]) -> None:
    entries, runs = (*map(int, args), *(ENTRIES, RUNS)[len(args) :])
    end_on_signals()
    all_ = [visits(entries) for _ in range(runs)]
    print(f"| a copy of {entries:,} entries | median of {runs} | least | greatest |")
    print("|---|---:|---:|---:|")
    for title, (visit, name) in ROWS.items():
        found = [each[visit][name] for each in all_]
        print(f"| {title} | {median(found):.3g} | {min(found):.3g} | {max(found):.3g} |")


if __name__ == "__main__":
    main(sys.argv[1:])
