"""A newcomer joins a map that has many keys."""

from __future__ import annotations

from functools import partial

from benchmarks.frame import Aim, Case, Metric, Plot, Row, Values
from benchmarks.systems import DISTMAP, DISTMAP_JS, MAPS, Stage, System, start_peer

SECONDS = Metric("seconds", "s from the connection's begin until it has all")
COUNTS = (1_000, 10_000, 100_000)
QUICK_COUNTS = (1_000, 10_000)
LIMIT_SECONDS = 60.0
PER_SECOND = 5000  # keys, at the very least, in filling and in joining
MIXED = f"{DISTMAP_JS.name}, from Python"
"""A newcomer in JavaScript, as a browser has it, to a donor in Python."""


def join(system: System, count: int, newcomer: System | None = None) -> Values:
    """Starts a server, a donor with so many entries, and a newcomer, of the same system if none is
    told.
    """
    stage = Stage(system)
    donor = stage.replicas()
    limit_seconds = LIMIT_SECONDS + count / PER_SECOND
    donor.ask("fill", limit_seconds, count=count)
    found: Values = start_peer(newcomer or system).ask(
        "join", limit_seconds, url=stage.url, count=count
    )
    return found


def _cases(count: int) -> list[Case]:
    runs = {system.name: partial(join, system, count) for system in MAPS}
    runs[MIXED] = partial(join, DISTMAP, count, DISTMAP_JS)
    return [Case(f"{count:,}", name, run, count) for name, run in runs.items()]


def joins(quick: bool) -> Row:
    """1,000 to 100,000 keys."""
    counts = QUICK_COUNTS if quick else COUNTS
    cases = [case for count in counts for case in _cases(count)]
    aims = [
        Aim(
            f"{name}, {count:,} keys: at most {words}",
            SECONDS.name,
            (f"{count:,}", name),
            (f"{count:,}", "Yjs"),
            factor,
            at_most=True,
        )
        for name, words, factor in (
            (DISTMAP.name, "half of Yjs's time", 0.5),
            (DISTMAP_JS.name, "Yjs's time", 1.0),
        )
        for count in (10_000, 100_000)
    ]
    metrics = [SECONDS, Metric("peak_mib", "newcomer's peak memory, MiB")]
    plot = Plot("cost-keys", "Seconds of a join", "keys", SECONDS)
    return Row("join", "keys", metrics, cases, aims, [plot])


def million(quick: bool) -> Row:
    """A join of 1,000,000 keys; not among the rows that all are run."""
    case = Case("1,000,000", DISTMAP.name, partial(join, DISTMAP, 1_000_000))
    metrics = [SECONDS, Metric("peak_mib", "newcomer's peak memory, MiB")]
    return Row("million", "keys", metrics, [case])
