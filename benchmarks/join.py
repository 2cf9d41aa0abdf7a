"""A newcomer joins a map that has many keys."""

from __future__ import annotations

from functools import partial

from benchmarks.frame import Aim, Case, Metric, Plot, Row, Values
from benchmarks.systems import DISTMAP, MAPS, Stage, System

SECONDS = Metric("seconds", "s from the connection's begin until it has all")
COUNTS = (1_000, 10_000, 100_000)
QUICK_COUNTS = (1_000, 10_000)
LIMIT_SECONDS = 60.0
PER_SECOND = 5000  # keys, at the very least, in filling and in joining


def join(system: System, count: int) -> Values:
    """Starts a server, a donor with so many entries, and a newcomer."""
    stage = Stage(system)
    donor = stage.replicas()
    limit_seconds = LIMIT_SECONDS + count / PER_SECOND
    donor.ask("fill", limit_seconds, count=count)
    found: Values = stage.peer().ask("join", limit_seconds, url=stage.url, count=count)
    return found


def joins(quick: bool) -> Row:
    """1,000 to 100,000 keys."""
    counts = QUICK_COUNTS if quick else COUNTS
    cases = [
        Case(f"{count:,}", system.name, partial(join, system, count), count)
        for count in counts
        for system in MAPS
    ]
    aims = [
        Aim(
            f"{count:,} keys: at most half of Yjs's time",
            SECONDS.name,
            (f"{count:,}", "distmap"),
            (f"{count:,}", "Yjs"),
            0.5,
            at_most=True,
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
