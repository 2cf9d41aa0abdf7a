"""What a rejoin costs: bytes at the relay, and entries in one turn of the reactor."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distmap import DistributedMap, sync_donor
from distmap.lww import Replica
from distmap.ranges import RangeTree
from tests.support.memory import NetworkTestCase
from tests.support.rejoin import fill, measure


class BytesTest(SynchronousTestCase):
    """Counted: all bytes between the relay and the peer that rejoins, both ways together."""

    def test_nothing_changed(self) -> None:
        for count in (0, 1000):
            with self.subTest(count):
                cost = measure(count, 0)
                self.assertLess(cost.sync, 512)
                self.assertLess(cost.everything, 1024)

    def test_10_changed_of_100000(self) -> None:
        cost = measure(100_000, 10)
        self.assertLess(cost.everything, 16 * 1024)

    def test_1000_changed_of_1000(self) -> None:
        """Where all differs, the sums and hashes add little to the entries, each sent once."""
        cost = measure(1000, 1000)
        entry = len(b'{"event":"set","key":"key-123","value":"","stamp":[1700000000000,0,""]},')
        self.assertLess(cost.everything, 1000 * (entry + 58 + 12) * 2)


class TurnsTest(NetworkTestCase):
    """What a turn handles is bounded, whatever the map's size: the four chunks that a newcomer may
    begin with, the keys they are taken from, and a thousand keys that are hashed. Counted: merges,
    encodings, hashings and keys listed.
    """

    COUNT = 50_000
    MOST = 5000

    def setUp(self) -> None:
        super().setUp()
        self.handled = self.most = self.turns = 0
        for owner, name in (
            (Replica, "merge"),
            (Replica, "merge_many"),
            (sync_donor, "encode_entry"),
            (RangeTree, "put"),
            (RangeTree, "keys"),
        ):
            self.patch(owner, name, self._counted(getattr(owner, name)))
        clock: Any = self.network.clock
        call_later = clock.callLater

        def in_a_turn(seconds: float, call: Any, *args: Any, **kw: Any) -> Any:
            return call_later(seconds, self._turn, call, *args, **kw)

        self.patch(clock, "callLater", in_a_turn)

    def _counted(self, call: Any) -> Any:
        def counted(*args: Any, **kw: Any) -> Any:
            result = call(*args, **kw)
            self.handled += len(result) if isinstance(result, list) else 1
            return result

        return counted

    def _turn(self, call: Any, *args: Any, **kw: Any) -> None:
        self.handled = 0
        call(*args, **kw)
        self.most = max(self.most, self.handled)
        self.turns += 1

    def check(self, maps: list[DistributedMap], count: int) -> None:
        self.turns = self.most = 0
        self.network.settle(5)
        for each in maps:
            self.assertEqual((each.status, len(each)), ("ready", count))
        self.assertLess(self.most, self.MOST)
        self.assertGreater(self.turns, self.COUNT / self.MOST)

    def test_a_newcomer(self) -> None:
        (mine,) = self.open(1)
        fill([mine], self.COUNT)
        self.check([mine, self.network.open("/fruits")], self.COUNT)

    def test_a_newcomer_that_brings_all(self) -> None:
        (mine,) = self.open(1)
        late = self.network.open("/fruits")
        fill([late], self.COUNT)
        self.check([mine, late], self.COUNT)

    def test_two_halves(self) -> None:
        (mine,) = self.open(1)
        late = self.network.open("/fruits")
        fill([late, mine], self.COUNT)
        for at in range(0, self.COUNT, 2):
            (mine, late)[at % 4 // 2]._replica._remove(f"key-{at}")
        self.check([mine, late], self.COUNT)
