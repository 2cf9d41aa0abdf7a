"""Prints what a plain ``set()`` costs if the sums of hashes are made later, and if at each write.

Run it from the root of the repository: ``python -m benchmarks.tree [ENTRIES]``. The tree is kept up
lazily: a write notes its key, and the keys are hashed when two replicas are compared. The other way
hashes at each write. The two are run in turns, in a replica alone, with the processor's time.
"""

from __future__ import annotations

import statistics
import sys
import time

from distmap.clock import HybridClock
from distmap.lww import Replica

ENTRIES = 100_000
ROUNDS = 5
VALUE = "x" * 58


def seconds(keys: list[str], *, lazy: bool) -> tuple[float, float]:
    """What writing all keys costs, and what bringing the sums up to date costs afterwards."""
    replica = Replica(HybridClock(lambda: time.time() * 1000, "writer000001"))
    began = time.process_time()
    if lazy:
        for key in keys:
            replica.set(key, VALUE)
    else:
        for key in keys:
            replica.set(key, VALUE)
            replica.fold(1)
    written = time.process_time()
    replica.digest()
    return written - began, time.process_time() - written


def main(count: int) -> None:
    keys = [f"key-{at}" for at in range(count)]
    written: dict[bool, list[float]] = {True: [], False: []}
    folded: list[float] = []
    for _ in range(ROUNDS):
        for lazy in (True, False):
            cost, after = seconds(keys, lazy=lazy)
            written[lazy].append(cost / count * 1e6)
            if lazy:
                folded.append(after / count * 1e6)
    later, at_once = (statistics.median(written[lazy]) for lazy in (True, False))
    print(
        f"{count:,} entries of 58 characters, median of {ROUNDS} rounds, µs of the processor each"
    )
    print(f"set(), sums made later:         {later:.2f}")
    print(f"set(), sums made at each write: {at_once:.2f}, {at_once / later:.1f} times as much")
    print(f"the sums alone, made later:     {statistics.median(folded):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
