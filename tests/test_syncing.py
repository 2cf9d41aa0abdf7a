"""distmap.syncing: donors that die, stall or lie are replaced; large maps come in chunks."""

from __future__ import annotations

from typing import Any

from distmap import DistributedMap
from distmap.switchboard import OPEN
from distmap.syncing import STALL_SECONDS, Serving
from tests.support.memory import NetworkTestCase


class SyncingTest(NetworkTestCase):
    def fill(self, shared: DistributedMap, count: int, size: int = 60) -> None:
        for at in range(count):
            shared[f"key{at}"] = "x" * size
        self.network.settle()

    def serving(self, shared: DistributedMap) -> set[Serving]:
        return shared._seat._syncs.serving

    def test_large_map_in_chunks(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 5000, 100)
        newcomer = self.network.open("/fruits")
        largest = 0
        attempt_received = newcomer.connection.attempt_received

        def measured(message: bytes) -> None:
            nonlocal largest
            largest = max(largest, len(message))
            attempt_received(message)

        self.patch(newcomer.connection, "attempt_received", measured)
        self.network.settle()
        self.assertEqual(dict(newcomer), dict(mine))
        self.assertLess(largest, 300_000)
        self.assertEqual((newcomer.synced, self.serving(mine)), ("peer", set()))

    def test_donor_dies_midway(self) -> None:
        one, two = self.open(2)
        self.fill(one, 3000)
        newcomer = self.network.open("/fruits")
        while not len(newcomer):
            self._step()
        (donor,) = [each for each in (one, two) if self.serving(each)]
        self.assertLess(len(newcomer), 3000)
        self.network.cut(donor.connection)
        self.network.settle(12)
        self.assertEqual((newcomer.synced, len(newcomer)), ("peer", 3000))
        self.assertEqual(dict(one), dict(two))

    def _step(self) -> None:
        """Runs one call of the clock: settle() would leave no midway."""
        clock: Any = self.network.clock
        call = clock.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)

    def test_silent_donor_is_replaced(self) -> None:
        one, two = self.open(2)
        self.fill(one, 10)
        silence = self.patch(Serving, "_step", _say_nothing)
        newcomer = self.network.open("/fruits")
        self.network.settle(STALL_SECONDS - 1)
        self.assertEqual(newcomer.status, "syncing")
        self.assertEqual(len(self.serving(one)) + len(self.serving(two)), 1)
        first = one if self.serving(one) else two
        silence.restore()
        self.network.settle(2)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
        self.assertEqual(dict(newcomer), dict(one))
        self.assertEqual(self.serving(first), set())

    def test_all_donors_silent(self) -> None:
        """Nobody can keep a newcomer from becoming ready."""
        maps = self.open(5)
        self.fill(maps[0], 10)
        self.patch(Serving, "_step", _say_nothing)
        newcomer = self.network.open("/fruits")
        self.network.settle(3 * STALL_SECONDS + 1)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))

    def test_only_donor_leaves_before_it_answers(self) -> None:
        (mine,) = self.open(1)
        newcomer = self.network.open("/fruits")
        self.patch(mine._seat, "serve", lambda client: mine.close())
        self.network.settle()
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))

    def test_lying_donor_is_replaced(self) -> None:
        one, two = self.open(2)
        self.fill(one, 200)

        def lie(serving: Any) -> None:
            if serving._inbox:
                serving._inbox.clear()
                serving._send([b'{"event":"sums","id":77,"sums":[]}'])

        original = Serving._step

        def step(serving: Any) -> None:
            lie(serving) if serving._party is one._seat._syncs else original(serving)

        self.patch(Serving, "_step", step)
        newcomers = [self.network.open("/fruits") for _ in range(4)]
        self.network.settle()
        for newcomer in newcomers:
            self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
            self.assertEqual(dict(newcomer), dict(two))

    def test_a_crowd_of_newcomers(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 300)
        crowd = [self.network.open("/fruits") for _ in range(60)]
        self.network.settle(1)
        for each in crowd:
            self.assertEqual((each.status, each.synced, len(each)), ("ready", "peer", 300))

    def test_writes_during_the_sync(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 2000)
        newcomer = self.network.open("/fruits")
        at = 0
        while newcomer.status != "ready":
            self._step()
            at += 1
            if at % 7 == 0:
                mine[f"key{at}"] = at
                newcomer[f"mine{at}"] = at
            if at % 11 == 0:
                mine.delete(f"key{at + 1}")
        self.network.settle()
        self.assertEqual(dict(newcomer), dict(mine))

    def test_the_text_that_opens_a_joined_stream(self) -> None:
        self.assertEqual(OPEN, b'"[stream-server]:open"')


def _say_nothing(serving: Any) -> None:
    serving._inbox.clear()
