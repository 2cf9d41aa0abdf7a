"""End to end with real clients: entries applied per second, and how late they are."""

from __future__ import annotations

from functools import partial
from statistics import quantiles

from benchmarks.frame import Aim, Case, Metric, Row, Values
from benchmarks.systems import MAPS, WS, Stage, System

APPLIED = Metric("applied_per_second", "entries applied/s")
AT_ONCE = 20
COUNTS = {1: 10_000, 20: 3_000}
QUICK = 4  # times less
RATE = 100.0
LATENCIES = 300
WARM = 50  # that come before and do not count


def apply(system: System, replicas: int, count: int, at_once: int) -> Values:
    """One writer sets keys; counted is until the last replica's program was told of the last."""
    stage = Stage(system)
    writer, readers = stage.replicas(), stage.replicas(replicas)
    readers.ask("take", count=count)
    cpu = stage.server.cpu_seconds
    writer.tell("write", count=count, at_once=at_once)
    ended = readers.answer()["ended"]
    seconds = ended - writer.answer()["began"]
    applied = count * replicas
    return {
        "applied_per_second": applied / seconds,
        "server_us": (stage.server.cpu_seconds - cpu) / applied * 1e6,
    }


def applied(quick: bool) -> Row:
    """1 writer and 1 or 20 replicas."""
    cases = [
        Case(
            f"{replicas}, {at_once} at once" if at_once > 1 else f"{replicas}",
            system.name,
            partial(apply, system, replicas, COUNTS[replicas] // (QUICK if quick else 1), at_once),
        )
        for replicas, at_once in ((1, 1), (20, 1), (20, AT_ONCE))
        for system in MAPS
    ]
    aims = [
        Aim(
            f"20 replicas: at least {factor} times {other}",
            APPLIED.name,
            ("20", "distmap"),
            ("20", other),
            factor,
        )
        for other, factor in (("Yjs", 5), ("TinyBase", 10))
    ]
    metrics = [APPLIED, Metric("server_us", "server's CPU, µs an entry")]
    return Row("applied", "replicas", metrics, cases, aims)


def age(system: System, count: int) -> Values:
    """One writer sets 100 values a second that tell the time; a replica's program reads them."""
    stage = Stage(system)
    writer, reader = stage.replicas(), stage.replicas()
    reader.ask("listen", count=WARM + count)
    writer.tell("pace", rate=RATE, count=WARM + count)
    ages_ms = sorted(reader.answer()["ages_ms"][WARM:])
    cuts = quantiles(ages_ms, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


def latency(quick: bool) -> Row:
    """From set() to the event at another peer, under 100 writes a second."""
    count = LATENCIES // (QUICK if quick else 1)
    cases = [Case("100/s", system.name, partial(age, system, count)) for system in (WS, *MAPS)]
    aims = [
        Aim(
            "p50: at most twice bare ws",
            "p50_ms",
            ("100/s", "distmap"),
            ("100/s", "ws"),
            2,
            at_most=True,
        ),
        Aim(
            "p99: no worse than Yjs",
            "p99_ms",
            ("100/s", "distmap"),
            ("100/s", "Yjs"),
            1,
            at_most=True,
        ),
    ]
    return Row(
        "latency", "writes", [Metric("p50_ms", "p50, ms"), Metric("p99_ms", "p99, ms")], cases, aims
    )
