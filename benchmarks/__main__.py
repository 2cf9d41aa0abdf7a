"""Measures distmap beside its rivals: ``python -m benchmarks`` from the root of the repository.

All servers and peers are processes of their own, on loopback. ``make bench`` runs all of it and
puts the tables and plots into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    fanout,
    install,
    join,
    local,
    machine,
    many,
    plot,
    replicas,
    summary,
    table,
    writers,
)
from benchmarks.frame import Result, Row, Verdict, judge, measure
from benchmarks.processes import cleanup, end_on_signals
from benchmarks.summary import PAGE

ROWS: dict[str, Callable[[bool], Row]] = {
    "fanout": fanout.fanout,
    "sizes": fanout.sizes,
    "applied": replicas.applied,
    "latency": replicas.latency,
    "join": join.joins,
    "local": local.local,
    "connections": many.connections,
    "maps": many.maps,
    "restart": many.restart,
    "writers": writers.writers,
}
MORE: dict[str, Callable[[bool], Row]] = {"million": join.million}
"""Rows that are run only if they are asked for."""

RUNS = 5


def arguments(args: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*ROWS, *MORE], help="a row; may come again"
    )
    parser.add_argument("--system", action="append", help="a system, as the table names it")
    parser.add_argument("--size", action="append", help="a size, as the first column names it")
    parser.add_argument("--runs", type=int, help=f"how often ({RUNS}; with --quick, once)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all runs to a file")
    parser.add_argument("--docs", action="store_true", help="puts the results into docs/")
    options = parser.parse_args(args)
    if options.runs is not None and options.runs < 1:
        parser.error("--runs is 1 or more")
    if options.docs and (options.system or options.size):
        parser.error("--docs puts whole rows into docs/: it goes with no --system and no --size")
    return options


def chosen(row: Row, systems: list[str] | None, sizes: list[str] | None) -> Row:
    """The row with those cases only that were asked for."""
    cases = [
        case
        for case in row.cases
        if (not systems or case.system in systems) and (not sizes or case.what in sizes)
    ]
    return Row(row.name, row.size, row.metrics, cases, row.aims, row.plots)


def as_json(row: Row, results: list[Result], verdicts: list[Verdict]) -> dict[str, Any]:
    """All that was found of a row."""
    return {
        "cases": [
            {
                row.size: result.case.what,
                "system": result.case.system,
                "runs": result.runs,
                "failed": result.failed,
            }
            for result in results
        ],
        "aims": [
            {"aim": verdict.aim.text, "ratio": verdict.ratio, "met": verdict.held}
            for verdict in verdicts
        ],
    }


def main(args: list[str]) -> None:
    options = arguments(args)
    runs = options.runs or (1 if options.quick else RUNS)
    end_on_signals()
    began = time.monotonic()
    rows = [(ROWS | MORE)[name](options.quick) for name in options.only or ROWS]
    rows = [chosen(row, options.system, options.size) for row in rows]
    systems = {case.system for row in rows for case in row.cases}
    missing = install.install(systems)
    facts, rivals = machine.facts(), install.versions(missing)
    said = machine.text(facts, rivals)
    when = machine.runs_text(runs, time.strftime("%Y-%m-%d"))
    everything: dict[str, Any] = {"machine": facts, "rivals": rivals, "runs": runs, "rows": {}}
    print(said)
    with cleanup():
        for row in rows:
            results = measure(row, runs, missing)
            verdicts = judge(row, results)
            text = f"{table.of_row(row, results, verdicts)}\n{when}"
            print(f"## {row.name}\n\n{text}", flush=True)
            everything["rows"][row.name] = as_json(row, results, verdicts)
            if options.json is not None:
                options.json.write_text(json.dumps(everything, indent=1), "utf-8")
            if options.docs:
                table.paste(PAGE, row.name, text)
                plot.draw(row, results, PAGE.parent)
    if options.docs:
        if not options.only:
            table.paste(PAGE, "machine", said)
        summary.main()
    print(f"{time.monotonic() - began:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
