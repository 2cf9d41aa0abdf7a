"""A peer for benchmarks/join.py, in a process of its own: a donor that fills a map, or a newcomer.

``python -m benchmarks.join_peer donor URL COUNT`` prints ``ready`` once the relay has all.
``python -m benchmarks.join_peer newcomer URL COUNT`` prints the seconds from the connection's
begin to the map's readiness. Both print their peak memory in MiB at the end: the donor once its
standard input is closed.
"""

from __future__ import annotations

import resource
import sys
from time import perf_counter
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol

from distmap import DistributedMap, connect

VALUE = "x" * 58  # 60 bytes of JSON
AT_ONCE = 2000


class Donor(Protocol):
    """Fills the map, and serves until its input is closed."""

    def __init__(self, shared: DistributedMap, count: int) -> None:
        self._shared = shared
        self._count = count
        shared.on("ready", lambda shared: self._fill(0))

    def _fill(self, start: int) -> None:
        end = min(start + AT_ONCE, self._count)
        for at in range(start, end):
            taken = self._shared.set(f"key-{at}", VALUE)
        if end == self._count:
            taken.addCallback(lambda _: self._warm())
        else:
            taken.addCallback(lambda _: self._fill(end))

    def _warm(self) -> None:
        """Waits until the sums are up to date, as the first digest would have made them."""
        if self._shared._replica.fold(AT_ONCE):
            print("ready", flush=True)
        else:
            reactor.callLater(0, self._warm)  # type: ignore[attr-defined]

    def connectionLost(self, reason: Any = None) -> None:
        _end()


def _joined(shared: DistributedMap, count: int, began: float) -> None:
    seconds = perf_counter() - began
    if len(shared) != count:
        print(f"{len(shared)} entries instead of {count}", file=sys.stderr)
    print(f"{seconds:.4f}", flush=True)
    _end()


def _end() -> None:
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", flush=True)
    reactor.stop()  # type: ignore[attr-defined]


def main() -> None:
    role, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    began = perf_counter()
    shared = DistributedMap(connect(reactor, url), "/join")
    if role == "donor":
        stdio.StandardIO(Donor(shared, count))
    else:
        shared.on("ready", lambda shared: _joined(shared, count, began))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
