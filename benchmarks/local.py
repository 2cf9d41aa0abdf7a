"""What a write and a merge cost in one copy of a map, beside a plain dict."""

from __future__ import annotations

import json
import sys
from functools import partial

from benchmarks.frame import Aim, Case, Metric, Row, Values
from benchmarks.processes import Process, free_port, relay

COUNT = 1_000_000
QUICK_COUNT = 50_000
SECONDS = 170
MICROSECONDS = Metric("us", "µs of the processor an entry")
WAYS = {
    "set": "set()",
    "merge": "merge of an entry's text",
    "json": "dict, and json.dumps",
    "msgspec": "dict, and msgspec.json.encode",
}


def run(what: str, count: int) -> Values:
    """Measures one way to write."""
    port = free_port()
    if what == "set":
        relay(port)
    url = f"ws://127.0.0.1:{port}"
    peer = Process(sys.executable, "-m", "benchmarks.local_peer", url, what, str(count))
    found: Values = json.loads(peer.line(SECONDS))
    return found


def local(quick: bool) -> Row:
    """1,000,000 entries of 60 bytes."""
    count = QUICK_COUNT if quick else COUNT
    size = f"{count:,}"
    cases = [Case(size, name, partial(run, what, count)) for what, name in WAYS.items()]
    aims = [
        Aim(
            f"set(): under 3 times the assignment to a {WAYS[other]}",
            MICROSECONDS.name,
            (size, WAYS["set"]),
            (size, WAYS[other]),
            3,
            at_most=True,
        )
        for other in ("json", "msgspec")
    ]
    metrics = [
        MICROSECONDS,
        Metric("gc_us", "of these, the garbage collector's"),
        Metric("bytes", "bytes an entry"),
    ]
    return Row("local", "entries", metrics, cases, aims)
