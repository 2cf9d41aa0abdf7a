"""Prints the longest turn of the reactor with a large map, as a Markdown table.

Run it from the root of the repository: ``python -m benchmarks.turns [ENTRIES]``, 1,000,000 if not
told. A relay and its peers share one process and a clock in memory, so each turn is of one of them.
The time is the processor's; what of it is the garbage collector's, and in which call it was, stands
beside it. Tests hold the entries that a turn works on (tests/test_turns.py).
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from distmap import DistributedMap
from distmap.testing import START_SECONDS, Network
from tests.support.quick_clock import QuickClock
from tests.support.rejoin import fill

ENTRIES = 1_000_000
LIMIT_SECONDS = 600.0


class Turn(NamedTuple):
    """One call of the clock."""

    ms: float
    gc_ms: float
    name: str


class Watch:
    """Runs a network turn by turn, and remembers the longest ones."""

    def __init__(self) -> None:
        self.clock = QuickClock(START_SECONDS)
        self.network = Network(self.clock)
        self._gc_seconds = 0.0
        self._gc_began = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: object) -> None:
        if phase == "start":
            self._gc_began = time.process_time()
        else:
            self._gc_seconds += time.process_time() - self._gc_began

    def until(self, done: Callable[[], bool]) -> list[Turn]:
        """Runs until something holds; returns the longest turn, and that without the collector."""
        longest = lean = Turn(0.0, 0.0, "")
        end = self.clock.seconds() + LIMIT_SECONDS
        while not done() and self.clock.seconds() < end:
            self._gc_seconds = 0.0
            began = time.process_time()
            if not self.clock.step():
                self.clock.rightNow += 0.01
                continue
            ms = (time.process_time() - began) * 1000
            turn = Turn(ms, self._gc_seconds * 1000, self.clock.called)
            longest = max(longest, turn)
            lean = max(lean, turn, key=lambda each: each.ms - each.gc_ms)
        return [longest, lean]

    def close(self) -> None:
        """Ends the network."""
        gc.callbacks.remove(self._collected)
        self.network.close()


def _is_ready(*maps: DistributedMap) -> Callable[[], bool]:
    return lambda: all(each.status == "ready" for each in maps)


def join(watch: Watch, count: int) -> list[Turn]:
    """A newcomer joins."""
    mine = watch.network.open()
    watch.until(_is_ready(mine))
    fill([mine], count)
    return watch.until(_is_ready(watch.network.open()))


def bring(watch: Watch, count: int) -> list[Turn]:
    """A peer comes back to an empty map, and brings everything."""
    mine, newcomer = watch.network.open(), watch.network.open()
    watch.until(_is_ready(mine, newcomer))
    watch.network.cut(newcomer.connection)
    fill([newcomer], count)
    return watch.until(lambda: len(mine) == count)


def outbox(watch: Watch, count: int) -> list[Turn]:
    """Everything was written offline."""
    mine, theirs = watch.network.open(), watch.network.open()
    watch.until(_is_ready(mine, theirs))
    watch.network.cut(mine.connection)
    for at in range(count):
        mine[f"key-{at}"] = "x" * 58
    return watch.until(lambda: len(theirs) == count and not len(mine._seat.peer.outbox))


def rejoin(watch: Watch, count: int) -> list[Turn]:
    """A peer comes back, and 10 entries have changed; nothing was hashed before."""
    return _come_back(watch, count, 10)


def rejoin_more(watch: Watch, count: int) -> list[Turn]:
    """The same with 1,000."""
    return _come_back(watch, count, 1000)


def compare(watch: Watch, count: int) -> list[Turn]:
    """The same with one entry in a hundred."""
    return _come_back(watch, count, count // 100)


def _come_back(watch: Watch, count: int, changed: int) -> list[Turn]:
    mine, newcomer = watch.network.open(), watch.network.open()
    watch.until(_is_ready(mine, newcomer))
    watch.network.cut(newcomer.connection)
    fill([mine, newcomer], count)
    for at in range(0, count, count // changed):
        mine._replica.set(f"key-{at}", "y" * 58)
    watch.until(lambda: newcomer.status != "ready")
    return watch.until(_is_ready(newcomer))


def absence(watch: Watch, count: int) -> list[Turn]:
    """Everything was written in a long absence: it is set aside, and offered again."""
    home, away = watch.network.open(), watch.network.open()
    watch.until(_is_ready(home, away))
    home["kept"] = 0
    watch.until(lambda: "kept" in away)
    watch.network.cut(away.connection)
    watch.until(lambda: away.status != "ready")
    for at in range(count):
        away[f"key-{at}"] = "x" * 58
    for each in (home, away):
        each._replica.retention_ms = 1000
    watch.clock.rightNow += 5
    home._replica.floor_ms = home._replica.clock.latest_ms() - 1000
    return watch.until(lambda: len(home) == len(away) == count + 1)


def correct(watch: Watch, count: int) -> list[Turn]:
    """Half of the entries were written by a clock an hour ahead, which is then corrected."""
    mine, theirs = watch.network.open(), watch.network.open()
    watch.until(_is_ready(mine, theirs))
    fill([mine, theirs], count // 2)
    watch.network.cut(mine.connection)
    watch.until(lambda: mine.status != "ready")
    mine._replica.clock.offset_ms += 3_600_000
    for at in range(count // 2):
        mine[f"own-{at}"] = "x" * 58
    return watch.until(lambda: len(theirs) == count)


def main(count: int) -> None:
    print(f"| {count:,} entries | longest turn, ms | of it the collector | in |")
    print("|---|---|---|---|")
    for case in (join, bring, outbox, rejoin, rejoin_more, compare, absence, correct):
        watch = Watch()
        longest, lean = case(watch, count)
        for turn, what in ((longest, "longest"), (lean, "longest without the collector")):
            title = f"{case.__doc__} ({what})"
            print(f"| {title} | {turn.ms:.1f} | {turn.gc_ms:.1f} | {turn.name} |", flush=True)
        watch.close()
        gc.collect()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
