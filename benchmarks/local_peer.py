"""What writes to one copy of a map cost: ``python -m benchmarks.local_peer URL WHAT COUNT``.

Times are of the processor, and of the calls only: what leaves for the relay between them is not
in them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from benchmarks.driver import VALUE
from benchmarks.processes import rss_bytes
from benchmarks.sockets import entry
from distmap import DistributedMap, connect
from distmap.clock import HybridClock
from distmap.entries import decode_entry
from distmap.lww import Replica

AT_ONCE = 1000
LIMIT_SECONDS = 170


def chunks(count: int) -> Iterator[list[str]]:
    """The keys, as fresh strings: some at a time, so that making them is not measured."""
    for start in range(0, count, AT_ONCE):
        yield [f"key-{at:07}" for at in range(start, min(start + AT_ONCE, count))]


class Cost:
    """Adds up what one way to write costs."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seconds = self._gc_seconds = self._gc_began = 0.0
        self._inside = False
        gc.collect()
        gc.callbacks.append(self._collects)
        self._before = rss_bytes(os.getpid())

    def add(self, call: Callable[[], None]) -> None:
        """Calls it, and measures that."""
        self._inside = True
        began = process_time()
        call()
        self._seconds += process_time() - began
        self._inside = False

    def _collects(self, phase: str, details: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = process_time()
        elif self._inside:
            self._gc_seconds += process_time() - self._gc_began

    def found(self) -> dict[str, float]:
        """Microseconds and bytes for each entry."""
        grown = rss_bytes(os.getpid()) - self._before
        return {
            "us": self._seconds / self._count * 1e6,
            "gc_us": self._gc_seconds / self._count * 1e6,
            "bytes": grown / self._count,
        }


def of_dict(count: int, encode: Callable[[Any], Any]) -> dict[str, float]:
    """The measure of all things: a dict of tuples, and the encoding of the value."""
    plain: dict[str, Any] = {}
    cost = Cost(count)

    def assign(keys: list[str]) -> None:
        for key in keys:
            plain[key] = (1700000000000, 0, "writer000001", encode(VALUE))

    for keys in chunks(count):
        cost.add(lambda keys=keys: assign(keys))  # type: ignore[misc]
    return cost.found()


def of_merge(count: int) -> dict[str, float]:
    """Entries of another writer, from their text."""
    replica = Replica(HybridClock(lambda: 1_700_000_000_000.0, "writer000002"))
    cost = Cost(count)

    def merge(texts: list[bytes]) -> None:
        for text in texts:
            replica.merge(*decode_entry(text))

    for keys in chunks(count):
        texts = [entry(key, 0, VALUE).encode() for key in keys]
        cost.add(lambda texts=texts: merge(texts))  # type: ignore[misc]
    assert replica.live == count
    return cost.found()


async def of_set(url: str, count: int) -> dict[str, float]:
    """set() on a map with a connection; the relay takes each chunk before the next begins."""
    shared = DistributedMap(connect(reactor, url), "/local")
    await shared.ready()
    cost = Cost(count)
    taken: list[Deferred[None]] = []

    def write(keys: list[str]) -> None:
        for key in keys:
            taken.append(shared.set(key, VALUE))

    for keys in chunks(count):
        cost.add(lambda keys=keys: write(keys))  # type: ignore[misc]
        await taken[-1]
        taken.clear()
        await deferLater(reactor, 0)
    return cost.found()


async def main(url: str, what: str, count: int) -> None:
    if what == "set":
        found = await of_set(url, count)
    elif what == "merge":
        found = of_merge(count)
    else:
        found = of_dict(count, json.dumps if what == "json" else msgspec.json.encode)
    print(json.dumps(found), flush=True)
    reactor.stop()


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    done = Deferred.fromCoroutine(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    if not done.called:
        reactor.run()
