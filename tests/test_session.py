"""A session: one message a turn, and owners that are told what happens to their streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from msgspec import Raw
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from distmap.errors import LocalProtocolError, StreamError
from distmap.frames import MESSAGE_BYTES, Limits, encode_json
from distmap.session import PROTOCOL_ERROR
from distmap.states import MuxStream, State
from tests.support.sessions import Pair


class Owner:
    """Notes what it is told, and may do something about it."""

    def __init__(self, act: Callable[[str], None] | None = None) -> None:
        self.heard: list[Any] = []
        self._act = act

    def _note(self, what: str, *detail: Any) -> None:
        self.heard.append((what, *detail) if detail else what)
        if self._act is not None:
            self._act(what)

    def stream_data(self, payload: Raw) -> None:
        self._note("data", bytes(payload))

    def stream_ended(self) -> None:
        self._note("ended")

    def stream_paused(self, paused: bool) -> None:
        self._note("paused" if paused else "resumed")

    def stream_closed(self, error: StreamError | None) -> None:
        self._note("closed", *([] if error is None else [str(error), error.code]))


def void(result: object) -> None:
    """For a lambda that returns nothing."""


class SessionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair(self.opened)
        self.here, self.there = self.pair.here, self.pair.there
        self.owner = Owner()
        self.streams: list[MuxStream] = []
        self.owners: list[Owner] = []
        self.addCleanup(self.nothing_left)

    def nothing_left(self) -> None:
        self.pair.lose()
        self.assertEqual(self.pair.calls(), [])

    def opened(self, stream: MuxStream) -> Owner | None:
        self.streams.append(stream)
        self.owners.append(Owner())
        return self.owners[-1]

    def open(self, **options: Any) -> MuxStream:
        """A stream that is open at both sides."""
        stream = self.here.open("m", self.owner, **options)
        self.pair.settle()
        return stream


class FlushTests(SessionTestCase):
    def test_what_is_written_in_one_turn_leaves_together(self) -> None:
        wire = self.pair.wires[0]
        first = self.here.open("a", self.owner)
        for n in range(5):
            self.here.send(first, b"%d" % n)
        second = self.here.open("b", self.owner)
        self.here.pause(second, True)
        self.here.close_stream(second)
        self.assertEqual(wire.sent, [])
        self.pair.turn()
        (message,) = wire.sent
        events = [json.loads(line)[1] for line in message.splitlines()]
        self.assertEqual(events, ["new", *["data"] * 5, "new", "pause", "close"])
        self.pair.turn()
        self.assertEqual((len(wire.sent), self.pair.calls()), (1, []))

    def test_messages_are_bounded(self) -> None:
        stream = self.open()
        size = 100_000
        for _ in range(10):
            self.here.send(stream, b'"%b"' % (b"x" * size))
        self.pair.turn()
        messages = self.pair.wires[0].sent
        self.assertEqual(len(messages), 4)
        self.assertLess(max(map(len, messages)), MESSAGE_BYTES + size + 100)
        self.pair.settle()
        self.assertEqual(len(self.owners[0].heard), 10)

    def test_at_once(self) -> None:
        stream = self.open()
        self.here.send(stream, b"1")
        self.here.flush()
        self.assertEqual(len(self.pair.wires[0].sent), 1)
        self.here.flush()
        self.here.send(stream, b"2")
        self.assertEqual(len(self.pair.wires[0].sent), 1)
        self.pair.turn()
        self.assertEqual(len(self.pair.wires[0].sent), 2)
        self.assertEqual(self.pair.calls(), [])

    def test_an_answer_of_the_mux_itself_leaves_too(self) -> None:
        stream = self.open()
        self.here.end(stream)
        self.pair.turn()
        (message,) = self.pair.wires[0].take()
        self.there.receive(message)
        self.pair.turn()
        self.assertIn(b'"end"', self.pair.wires[1].sent[0])

    def test_what_was_written_in_a_handler(self) -> None:
        stream = self.open()

        def answer(what: str) -> None:
            if what == "data":
                self.there.send(self.streams[0], b'"answer"')

        self.owners[0]._act = answer
        for _ in range(3):
            self.here.send(stream, b"1")
        before = self.pair.wires[1].messages
        self.pair.settle()
        self.assertEqual(self.owner.heard, [("data", b'"answer"')] * 3)
        self.assertEqual(self.pair.wires[1].messages - before, 1)


class StreamTests(SessionTestCase):
    def test_data_both_ways_in_order(self) -> None:
        stream = self.open()
        for n in range(3):
            self.here.send(stream, b"%d" % n)
            self.there.send(self.streams[0], b"%d" % -n)
        self.pair.settle()
        self.assertEqual(self.owners[0].heard, [("data", b"%d" % n) for n in range(3)])
        self.assertEqual(self.owner.heard, [("data", b"%d" % -n) for n in range(3)])

    def test_data_that_came_together(self) -> None:
        told: list[list[bytes]] = []
        self.owner.stream_data = lambda *payloads: told.append(  # type: ignore[method-assign]
            [bytes(each) for each in payloads]
        )
        first, second = self.open(together=True), self.open()
        for stream, text in ((0, b"1"), (0, b"2"), (1, b"3"), (1, b"4"), (0, b"5")):
            self.there.send(self.streams[stream], text)
        self.there.end(self.streams[0])
        self.pair.settle()
        self.assertEqual(told, [[b"1", b"2"], [b"3"], [b"4"], [b"5"]])
        self.assertEqual(self.owner.heard, ["ended", "closed"])
        self.assertNotIn(first, self.here._together)
        self.here.close_stream(second)

    def test_ending(self) -> None:
        stream = self.open(half_open=True)
        self.here.end(stream)
        self.pair.settle()
        self.assertEqual((self.owner.heard, self.owners[0].heard), ([], ["ended"]))
        self.there.end(self.streams[0])
        self.pair.settle()
        self.assertEqual(self.owner.heard, ["ended", "closed"])
        self.assertEqual(self.owners[0].heard, ["ended", "closed"])

    def test_pausing(self) -> None:
        stream = self.open()
        self.here.pause(stream, True)
        self.here.pause(stream, True)
        self.pair.settle()
        self.here.pause(stream, False)
        self.pair.settle()
        self.assertEqual(self.owners[0].heard, ["paused", "resumed"])

    def test_errors(self) -> None:
        stream = self.open()
        self.here.error(stream, "no space", "full")
        self.here.error(stream, "again", "full")
        self.pair.settle()
        self.assertEqual(self.owner.heard, ["closed"])
        self.assertEqual(self.owners[0].heard, [("closed", "no space", "full")])
        self.assertIsInstance(self.streams[0].fault, StreamError)

    def test_closing(self) -> None:
        stream = self.open()
        self.here.close_stream(stream)
        self.here.close_stream(stream)
        self.assertEqual(self.owner.heard, ["closed"], "at once")
        self.pair.settle()
        self.assertEqual(self.owners[0].heard, ["closed"])
        self.assertIsNone(stream.owner)

    def test_misuse(self) -> None:
        stream = self.open()
        self.here.close_stream(stream)
        for call in (lambda: self.here.send(stream, b"1"), lambda: self.here.end(stream)):
            with self.assertRaises(LocalProtocolError):
                call()
        self.here.pause(stream, True)

    def test_nobody_takes_streams(self) -> None:
        for opened in (None, lambda stream: None):
            self.there._opened = opened
            self.owner.heard.clear()
            self.open()
            ((what, message, code),) = self.owner.heard
            self.assertEqual((what, code), ("closed", "no-listener"))
            self.assertIn("nobody", message)

    def test_frames_for_streams_that_are_gone(self) -> None:
        self.open()
        events: list[Any] = []
        observer = cast(ILogObserver, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.there.receive(b'["gone","data",1]\n')
        self.there.receive(b'["gone","close"]\n')
        self.assertEqual([(e["id"], e["event"]) for e in events if "id" in e], [("gone", "data")])
        self.assertEqual(self.pair.wires[1].closed, [])


class ReentrancyTests(SessionTestCase):
    """Handlers that act on their stream while they are told of it."""

    def receive(self, *frames: list[Any]) -> None:
        self.there.receive(b"".join(encode_json(frame) + b"\n" for frame in frames))

    def test_closing_on_data(self) -> None:
        stream = self.open()
        self.owners[0]._act = lambda what: self.there.close_stream(self.streams[0])
        for _ in range(3):
            self.here.send(stream, b"1")
        self.pair.settle()
        self.assertEqual(self.owners[0].heard, [("data", b"1"), "closed"])
        self.assertEqual(self.owner.heard, ["closed"])

    def test_closing_what_the_other_side_closed_in_the_same_message(self) -> None:
        stream = self.open()
        self.owners[0]._act = lambda what: self.there.error(self.streams[0], "m", "c")
        self.receive([stream.id, "data", 1], [stream.id, "pause"], [stream.id, "close"])
        self.assertEqual(self.owners[0].heard, [("data", b"1"), "paused", "closed"])

    def test_closing_another_stream(self) -> None:
        for _ in range(2):
            self.open()
        one, two = self.streams
        self.owners[0]._act = lambda what: self.there.close_stream(two)
        self.receive([one.id, "data", 1], [two.id, "data", 2])
        self.assertEqual(self.owners[0].heard, [("data", b"1")])
        self.assertEqual(self.owners[1].heard, ["closed"])

    def test_closing_while_it_is_opened(self) -> None:
        def opened(stream: MuxStream) -> Owner:
            owner = Owner()
            self.owners.append(owner)
            stream.owner = owner  # so that it is told at once
            self.there.close_stream(stream)
            return owner

        self.there._opened = opened
        self.open()
        self.assertEqual(self.owners[0].heard, ["closed"])
        self.assertEqual(self.owner.heard, ["closed"])

    def test_opened_and_closed_in_one_message(self) -> None:
        options = {"meta": 1, "opts": {"writable": True, "readable": True}}
        self.receive(["a", "new", options], ["a", "data", 1], ["a", "close"])
        self.assertEqual(self.owners[0].heard, [("data", b"1"), "closed"])
        self.there._opened = None
        self.receive(["a", "new", options], ["a", "close"])

    def test_opening_in_a_handler(self) -> None:
        stream = self.open()
        more = Owner()
        self.owner._act = lambda what: void(self.here.open("more", more))
        self.there.close_stream(self.streams[0])
        self.pair.settle()
        self.assertEqual(len(self.streams), 2)
        self.assertIs(stream.state, State.CLOSED)

    def test_opening_in_answer_to_what_came_before_a_fault(self) -> None:
        stream, other = self.open(), Owner()
        self.owner._act = lambda what: void(what == "data" and self.here.open("n", other))
        self.here.receive(b'["%b","data",1]\njunk\n' % stream.id.encode())
        self.assertFalse(self.here.alive)
        self.assertEqual((self.owner.heard[0], other.heard), (("data", b"1"), ["closed"]))

    def test_what_is_nested_too_deeply_to_look_at_costs_no_other_stream_anything(self) -> None:
        one, two = self.open(), self.here.open("n", Owner())
        deep = b"[" * 5000 + b"]" * 5000
        frames = b'["%b","data",%b]\n["%b","data",1]\n'
        self.here.receive(frames % (one.id.encode(), deep, two.id.encode()))
        self.assertEqual(self.owner.heard, [("data", deep)])
        self.assertEqual(two.owner.heard, [("data", b"1")])

    def test_the_connection_is_lost_in_a_handler(self) -> None:
        stream, _ = self.open(), self.open()
        self.owners[0]._act = lambda what: self.there.lost() if what != "closed" else None
        self.receive([stream.id, "data", 1], [stream.id, "data", 2], [stream.id, "pause"])
        self.assertEqual(self.owners[0].heard, [("data", b"1"), "closed"])
        self.assertEqual(self.owners[1].heard, ["closed"])


class LostTests(SessionTestCase):
    def test_all_owners_are_told(self) -> None:
        stream = self.open()
        self.open()
        alive: list[bool] = []
        self.owner._act = lambda what: alive.append(self.here.alive)
        self.here.send(stream, b"1")
        self.here.lost()
        self.assertEqual(self.owner.heard, ["closed", "closed"])
        self.assertEqual(alive, [False, False])
        self.assertEqual(self.pair.calls(), [])
        self.here.lost()
        self.assertEqual(len(self.owner.heard), 2)

    def test_nothing_is_sent_any_more(self) -> None:
        stream = self.open()
        self.here.lost()
        for call in (
            lambda: self.here.send(stream, b"1"),
            lambda: self.here.open("m", self.owner),
            lambda: self.here.end(stream),
        ):
            with self.assertRaises(LocalProtocolError):
                call()
        self.here.close_stream(stream)
        self.here.error(stream, "m", "c")
        self.here.pause(stream, True)
        self.here.flush()
        self.here.receive(b'["a","new",{"meta":1,"opts":{"writable":true,"readable":true}}]\n')
        self.assertEqual((self.pair.wires[0].sent, self.pair.calls()), ([], []))

    def test_what_owners_do_about_it_is_too_late(self) -> None:
        for _ in range(2):
            self.open()
        owner = self.owners[0]
        owner._act = lambda what: self.there.close_stream(self.streams[1])
        self.there.lost()
        self.assertEqual([each.heard for each in self.owners], [["closed"], ["closed"]])


class FailureTests(SessionTestCase):
    def test_the_connection_is_closed(self) -> None:
        stream = self.open()
        self.there.send(self.streams[0], b'"before"')
        self.there.receive(encode_json([stream.id, "data", 1]) + b'\njunk\n["x","data",1]\n')
        wire = self.pair.wires[1]
        ((code, reason),) = wire.closed
        self.assertEqual(code, PROTOCOL_ERROR)
        self.assertIn("malformed", reason)
        # What came before was valid.
        self.assertEqual(self.owners[0].heard, [("data", b"1"), "closed"])
        self.assertEqual(len(wire.sent), 1, "what was written before leaves before")
        self.assertFalse(self.there.alive)
        self.there.receive(b"more junk\n")
        self.there.lost()
        self.assertEqual((len(wire.closed), len(self.owners[0].heard)), (1, 2))

    def test_what_the_other_side_refuses_is_an_error_of_the_stream(self) -> None:
        self.pair = Pair(self.opened, Limits(streams=0))
        self.pair.here.open("m", self.owner)
        self.pair.settle()
        self.assertEqual(self.owner.heard[0][2], "limit")
