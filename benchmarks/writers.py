"""Many writers of one map."""

from __future__ import annotations

import sys
import time
from functools import partial

from benchmarks.frame import Aim, Case, Metric, Row, Values
from benchmarks.processes import Failed, Process
from benchmarks.systems import DISTMAP, Stage

PEERS = 50
REAL = 2
RATE = 200
SECONDS = 5
QUICK_SECONDS = 2
EQUAL_SECONDS = 20.0


def run(seconds: int) -> Values:
    """50 peers write 200 times a second each: 48 raw ones, and 2 real ones that are compared."""
    stage = Stage(DISTMAP)
    real = [stage.replicas() for _ in range(REAL)]
    port, pid = stage.url.rpartition(":")[2], str(stage.server.pid)
    arguments = [port, pid, str(PEERS - REAL), str(RATE), str(seconds)]
    load = Process(sys.executable, "-m", "benchmarks.writers_load", *arguments)
    load.line()
    cpu = [peer.cpu_seconds for peer in real]
    for peer in real:
        peer.tell("pace", rate=RATE, count=RATE * seconds)
    found: Values = load.answer()
    for peer in real:
        peer.answer()
    used = [peer.cpu_seconds - before for peer, before in zip(real, cpu, strict=True)]
    found["peer_share"] = max(used) / (seconds + found["drain_seconds"])
    found["equal_seconds"] = _equal(real)
    return found


def _equal(real: list[Process]) -> float:
    """Waits until the real peers have the same; returns the seconds that took."""
    began = time.monotonic()
    while time.monotonic() < began + EQUAL_SECONDS:
        digests = [tuple(peer.ask("digest")["digest"]) for peer in real]
        if len(set(digests)) == 1:
            return time.monotonic() - began
        time.sleep(0.05)
    raise Failed("not equal at the end")


def writers(quick: bool) -> Row:
    """50 peers, 10,000 writes a second in all."""
    metrics = [
        Metric("server_share", "relay's CPU share"),
        Metric("peer_share", "a real peer's CPU share"),
        Metric("load_share", "load clients' CPU share"),
        Metric("behind_first_ms", "ms behind, first third"),
        Metric("behind_last_ms", "last third"),
        Metric("drain_seconds", "s until all had come"),
        Metric("equal_seconds", "s until the real peers were equal"),
    ]
    case = Case(
        f"{PEERS}, {RATE}/s each", DISTMAP.name, partial(run, QUICK_SECONDS if quick else SECONDS)
    )
    aim = Aim(
        "no queue grows: in the last third not 500 ms behind",
        "behind_last_ms",
        (case.what, case.system),
        None,
        500,
        at_most=True,
    )
    return Row("writers", "peers", metrics, [case], [aim])
