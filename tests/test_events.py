"""Events whose handlers can do no harm."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distmap.errors import InvalidValue
from distmap.events import Emitter


class EmitterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.emitter = Emitter("set", "delete")
        self.seen: list[Any] = []

    def test_handlers_are_called_in_the_order_they_were_added(self) -> None:
        for name in "abc":
            self.emitter.on("set", lambda *args, name=name: self.seen.append((name, args)))
        self.emitter.emit("set", 1, "k")
        self.assertEqual(self.seen, [(name, (1, "k")) for name in "abc"])
        self.emitter.emit("delete", 1)
        self.assertEqual(len(self.seen), 3)

    def test_one_that_raises_is_logged_and_stops_nothing(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError("in a handler")

        self.emitter.on("set", fail)
        self.emitter.on("set", lambda: self.seen.append(1))
        self.emitter.emit("set")
        self.emitter.emit("set")
        self.assertEqual(self.seen, [1, 1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_what_is_no_mistake_of_a_handler_passes(self) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        self.emitter.on("set", stop)
        with self.assertRaises(KeyboardInterrupt):
            self.emitter.emit("set")

    def test_taking_a_handler_back(self) -> None:
        remove = self.emitter.on("set", self.seen.append)
        self.assertTrue(self.emitter.has("set"))
        self.assertFalse(self.emitter.has("delete"))
        remove()
        self.assertFalse(self.emitter.has("set"))
        remove()
        self.emitter.on("set", self.seen.append)
        self.emitter.off("set", self.seen.append)
        self.emitter.off("set", self.seen.append)
        self.emitter.off("delete", print)
        self.emitter.emit("set", 1)
        self.assertEqual(self.seen, [])

    def test_one_handler_twice(self) -> None:
        remove = self.emitter.on("set", self.seen.append)
        self.emitter.on("set", self.seen.append)
        self.emitter.emit("set", 1)
        self.assertEqual(self.seen, [1, 1])
        remove()
        self.emitter.emit("set", 2)
        self.assertEqual(self.seen, [1, 1, 2])

    def test_handlers_that_come_and_go_while_it_is_told(self) -> None:
        def first() -> None:
            self.seen.append("first")
            self.emitter.off("set", first)
            self.emitter.on("set", lambda: self.seen.append("new"))

        self.emitter.on("set", first)
        self.emitter.on("set", lambda: self.seen.append("second"))
        self.emitter.emit("set")
        self.assertEqual(self.seen, ["first", "second"], "a new one hears what comes next")
        self.emitter.emit("set")
        self.assertEqual(self.seen, ["first", "second", "second", "new"])

    def test_an_event_told_within_its_handler(self) -> None:
        def again(depth: int) -> None:
            self.seen.append(depth)
            if depth:
                self.emitter.emit("set", depth - 1)

        self.emitter.on("set", again)
        self.emitter.emit("set", 3)
        self.assertEqual(self.seen, [3, 2, 1, 0])

    def test_there_is_no_such_event(self) -> None:
        for call in (self.emitter.on, self.emitter.off):
            with self.assertRaisesRegex(InvalidValue, "'nope'.*set, delete"):
                call("nope", print)
