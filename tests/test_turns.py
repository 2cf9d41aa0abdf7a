"""How much one turn of the reactor does: a bound that does not depend on how large the map is.

Counted are the entries that are encoded, decoded, hashed and placed, one call of the clock at a
time; seconds are measured by ``python -m benchmarks.turns``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from distmap import DistributedMap, lww, outbox, peer, sync_donor
from distmap.testing import START_SECONDS, Network
from tests.support.memory import NetworkTestCase
from tests.support.quick_clock import QuickClock
from tests.support.rejoin import fill

SMALL, LARGE = 5_000, 100_000
BOUND = 2_500
"""Entries a turn, of each kind of work. What comes in one turn is a message of 256 KiB at most, of
which an entry has, or counts as, over 110 bytes."""
WINDOW_BOUND = 10_000
"""An outbox that goes online encodes its window, 1 MiB, in one turn."""


class TurnsTest(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = QuickClock(START_SECONDS)
        self.network = Network(self.clock)
        self.work: Counter[str] = Counter()
        for module in (sync_donor, outbox, peer):
            self.count(module, "encode_entry")
        self.count(sync_donor, "decode_entries", size=lambda texts, _: len(texts))
        self.count(sync_donor, "make_columns", size=lambda keys, _: len(keys))
        self.count(sync_donor, "read_columns", size=lambda columns, _: len(columns.keys))
        self.count(lww, "entry_hash")
        self.count(lww.Replica, "_place")
        self.count(lww.Replica, "merge_many", size=lambda _, items: len(items))

    def count(self, owner: object, name: str, size: Callable[..., int] = lambda *args: 1) -> None:
        """Counts the calls of a function, or the entries that it is given."""
        call: Callable[..., Any] = getattr(owner, name)

        def counting(*args: Any) -> Any:
            self.work[name] += size(*args)
            return call(*args)

        self.patch(owner, name, counting)

    def settle(self, until: Callable[[], bool], seconds: float = 20.0) -> Counter[str]:
        """Runs turn by turn until something holds.

        Returns:
            The most entries that one turn worked on, for each kind of work.
        """
        self.work.clear()
        most: Counter[str] = Counter()
        end = self.clock.seconds() + seconds
        while not until():
            self.assertLess(self.clock.seconds(), end)
            while self.clock.step():
                most |= self.work
                self.work.clear()
            self.clock.rightNow += 0.01
        return most

    def ready(self, *maps: DistributedMap) -> Callable[[], bool]:
        return lambda: all(each.status == "ready" for each in maps)

    def open_ready(self, maps: int) -> list[DistributedMap]:
        """So many new maps of one URI."""
        opened = [self.network.open(f"/{len(self.network._connectors)}")]
        opened += [self.network.open(opened[0].uri) for _ in range(maps - 1)]
        self.settle(self.ready(*opened))
        return opened

    def bounded(self, run: Callable[[int], Counter[str]], **most: int) -> None:
        """The bounds hold at both sizes."""
        for count in (SMALL, LARGE):
            turns = run(count)
            self.assertGreater(turns["_place"] + turns["merge_many"], 0)
            for kind, entries in turns.items():
                self.assertLessEqual(entries, most.get(kind, BOUND), (kind, count))

    # -- what is done with a large map ------------------------------------------------------------

    def join(self, count: int) -> Counter[str]:
        (mine,) = self.open_ready(1)
        fill([mine], count)
        newcomer = self.network.open(mine.uri)
        turns = self.settle(self.ready(newcomer))
        self.assertEqual(len(newcomer), count)
        return turns

    def bring(self, count: int) -> Counter[str]:
        donor, third, newcomer = self.open_ready(3)
        self.network.cut(newcomer.connection)
        fill([newcomer], count)
        turns = self.settle(lambda: len(third) == count)
        self.assertEqual(len(donor), count)
        return turns

    def go_online(self, count: int) -> Counter[str]:
        mine, theirs = self.open_ready(2)
        self.network.cut(mine.connection)
        for at in range(count):
            mine[f"key-{at}"] = "x" * 58
        turns = self.settle(lambda: len(theirs) == count)
        self.assertEqual(dict(mine), dict(theirs))
        return turns

    def come_back(self, count: int) -> Counter[str]:
        donor, newcomer = self.open_ready(2)
        self.network.cut(newcomer.connection)
        fill([donor, newcomer], count)
        for at in range(0, count, 10):
            donor._replica.set(f"key-{at}", "y")
            newcomer._replica.set(f"only-{at}", "z")
        self.settle(lambda: newcomer.status == "offline")
        turns = self.settle(self.ready(newcomer))
        self.assertEqual(donor.digest(), newcomer.digest())
        return turns

    # -- how much of it in one turn ---------------------------------------------------------------

    def test_join(self) -> None:
        """The donor sends all that it has, and the newcomer takes it."""
        self.bounded(self.join)

    def test_a_newcomer_that_brings_everything(self) -> None:
        """It hands over all that it has, and the donor tells a third one."""
        self.bounded(self.bring)

    def test_writes_made_offline(self) -> None:
        """A large outbox goes online, and another map takes what comes."""
        self.bounded(self.go_online, encode_entry=WINDOW_BOUND)

    def test_a_rejoin(self) -> None:
        """Both sides hash all that they have, some in each turn, and find what differs."""
        self.bounded(self.come_back)
