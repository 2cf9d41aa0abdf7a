"""distmap.writes: each Deferred of a write fires once, with the write or a later one."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.errors import MapClosed
from distmap.lww import Update
from distmap.writes import Faint, Writes


def update(key: str, ms: int) -> Update:
    return Update(key, Entry(Stamp(ms, 0, "me"), b"1", None), None)


class Told:
    """A waiter that keeps what it is told."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def callback(self, result: Any, /) -> None:
        self.results.append(result)

    errback = callback


class WritesTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.writes = Writes()

    def add(self, key: str, ms: int, result: Any = None) -> Any:
        deferred: Deferred[Any] = Deferred()
        self.writes.add(update(key, ms), deferred, result)
        return deferred

    def test_taken(self) -> None:
        first, second = self.add("a", 1, "one"), self.add("a", 2, "two")
        third, other = self.add("a", 3), self.add("b", 1)
        self.writes.taken([("a", Stamp(2, 0, "me")), ("unknown", Stamp(9, 0, "me"))])
        self.assertEqual(self.successResultOf(first), "one")
        self.assertEqual(self.successResultOf(second), "two")
        self.assertNoResult(third)
        self.assertEqual(len(self.writes), 2)
        self.assertNoResult(other)
        self.writes.taken([("a", Stamp(3, 0, "me")), ("b", Stamp(1, 0, "me"))])
        self.assertIsNone(self.successResultOf(third))
        self.assertIsNone(self.successResultOf(other))

    def test_restamped(self) -> None:
        early = self.add("a", 100)
        self.writes.restamped([update("a", 5), update("unknown", 5)])
        self.writes.taken([("a", Stamp(5, 0, "me"))])
        self.successResultOf(early)

    def test_a_faint_waiter(self) -> None:
        """It is told as long as somebody refers to it, and then makes room."""
        kept, asked, dropped = Told(), Told(), Told()
        links = [Faint(each) for each in (kept, asked, dropped)]
        links[1].keep()
        results = asked.results
        for link in links:
            self.writes.add(update("a", 1), link, "yes")
        del asked, dropped
        gc.collect()
        self.assertEqual([each.is_gone for each in links], [False, False, True])
        self.writes.add(update("a", 2), links[0], "more")
        self.assertEqual(len(self.writes._waiting["a"]), 3)
        self.writes.taken([("a", Stamp(1, 0, "me"))])
        self.assertEqual((kept.results, results), (["yes"], ["yes"]))
        self.writes.fail(error := MapClosed("it is closed"))
        self.assertEqual((kept.results, results), (["yes", error], ["yes"]))
        links[2].callback(None)
        links[2].errback(error)

    def test_failed(self) -> None:
        one, two = self.add("a", 1), self.add("b", 1)
        self.writes.fail(MapClosed("it is closed"), "a")
        self.failureResultOf(one, MapClosed)
        self.assertNoResult(two)
        self.writes.fail(MapClosed("it is closed"))
        self.failureResultOf(two, MapClosed)
        self.assertEqual(len(self.writes), 0)
        self.writes.fail(MapClosed("it is closed"))
        self.writes.taken([("a", Stamp(9, 0, "me"))])
