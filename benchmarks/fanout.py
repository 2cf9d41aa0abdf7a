"""Fan-out: what one writer sends reaches all readers; and how that grows with the value."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from benchmarks.fanout_load import Load
from benchmarks.frame import Aim, Case, Metric, Plot, Row, Values
from benchmarks.processes import Failed, Process, free_port, node_server, relay
from benchmarks.sockets import allow_sockets

DELIVERIES = Metric("deliveries_per_second", "deliveries/s")
METRICS = [
    DELIVERIES,
    Metric("server_us", "server's CPU, µs a delivery"),
    Metric("load_share", "load clients' CPU share"),
]
SERVERS: dict[str, Callable[[int], Process]] = {
    "distmap": relay,
    "ws": partial(node_server, "ws"),
}
GATHER = 20
VALUE_BYTES = 60
SECONDS = 1.2
QUICK_SECONDS = 0.7


def name_of(system: str, gather: int) -> str:
    """A system and how its writer sends, as the table tells it."""
    return f"{system}, {gather} values a message" if gather > 1 else system


def run(system: str, readers: int, gather: int, value_bytes: int, seconds: float) -> Values:
    """Measures one server once."""
    allow_sockets(readers)
    port = free_port()
    server = SERVERS[system](port)
    load = Load(system, port, server.pid, readers, gather, value_bytes, seconds)
    client = Process(sys.executable, "-m", "benchmarks.fanout_load", json.dumps(asdict(load)))
    found: Values = client.answer(100)
    if "failed" in found:
        raise Failed(str(found["failed"]))
    if not found["deliveries_per_second"]:
        raise Failed("nothing was delivered")
    return found


def fanout(quick: bool) -> Row:
    """One writer, and 1 to 1,000 readers."""
    seconds = QUICK_SECONDS if quick else SECONDS
    cases = [
        Case(
            f"{readers:,}",
            name_of(system, gather),
            partial(run, system, readers, gather, VALUE_BYTES, seconds),
            readers,
        )
        for readers in (1, 10, 100, 1000)
        for gather in (1, GATHER)
        for system in SERVERS
    ]
    gathered = name_of("distmap", GATHER)
    bounds = [("1", "distmap", 0.5), ("100", "distmap", 12), ("1,000", "distmap", 25)]
    bounds += [("1", gathered, 5), ("100", gathered, 30)]
    aims = [
        Aim(
            f"readers: {readers}; {system}: at least {factor:g} times bare ws",
            DELIVERIES.name,
            (readers, system),
            (readers, "ws"),
            factor,
        )
        for readers, system, factor in bounds
    ]
    plot = Plot("cost-readers", "Deliveries a second", "readers", DELIVERIES)
    return Row("fanout", "readers", METRICS, cases, aims, [plot])


def sizes(quick: bool) -> Row:
    """100 readers, and values of 60 bytes to 60 KB."""
    seconds = QUICK_SECONDS if quick else SECONDS
    cases = [
        Case(f"{size:,} B", system, partial(run, system, 100, 1, size, seconds), size)
        for size in (60, 600, 6_000, 60_000)
        for system in SERVERS
    ]
    plot = Plot("cost-sizes", "Deliveries a second, 100 readers", "bytes of a value", DELIVERIES)
    return Row("sizes", "value", METRICS, cases, [], [plot])
