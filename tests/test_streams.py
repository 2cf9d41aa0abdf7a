"""Streams of one's own: events, what is written before they are open, producers and consumers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from distmap.errors import (
    ConnectionClosed,
    ConnectionLost,
    InvalidType,
    InvalidValue,
    LocalProtocolError,
    StreamError,
)
from distmap.states import MuxStream
from distmap.streams import MAX_PAYLOAD_BYTES, Stream
from tests.support.sessions import Pair


@implementer(IPushProducer)
class Pusher:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def stopProducing(self) -> None:
        self.asked.append("stop")


@implementer(IPullProducer)
class Counter:
    """Writes one number each time it is asked."""

    def __init__(self, consumer: Stream, last: int | None = None) -> None:
        self.count = 0
        self.stopped = 0
        self._consumer = consumer
        self._last = last

    def resumeProducing(self) -> None:
        if self.count == self._last:
            self._consumer.unregisterProducer()
        else:
            self.count += 1
            self._consumer.write(self.count)

    def stopProducing(self) -> None:
        self.stopped += 1


class StreamTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair(self.opened)
        self.on_open: Callable[[Stream], None] = lambda stream: None
        self.theirs: list[Stream] = []
        self.events: list[Any] = []
        self.addCleanup(self.nothing_left)

    def nothing_left(self) -> None:
        self.pair.lose()
        self.assertEqual(self.pair.calls(), [])

    def opened(self, stream: MuxStream) -> Stream:
        """What a connection does with a stream that the other side opens."""
        theirs = Stream(self.pair.clock, stream.meta)
        theirs.attach(self.pair.there, stream)
        self.theirs.append(theirs)
        self.on_open(theirs)
        return theirs

    def note(self, stream: Stream) -> Stream:
        """Notes its events."""
        for name in ("data", "end", "drain", "error", "close"):
            stream.on(name, lambda *args, name=name: self.events.append((name, *args)))
        return stream

    def stream(self, meta: Any = "m", **options: Any) -> Stream:
        """One that is not open yet, with its events noted."""
        return self.note(Stream(self.pair.clock, meta, **options))

    def open(self, **options: Any) -> tuple[Stream, Stream]:
        """One that is open, and its other end."""
        stream = self.stream(**options)
        stream.attach(self.pair.here)
        self.pair.settle()
        return stream, self.theirs[-1]

    def took(self) -> list[Any]:
        """The events since the last call."""
        events, self.events = self.events, []
        return events

    def heard(self, stream: Stream) -> list[Any]:
        """Collects the data that a stream gets from now on."""
        values: list[Any] = []
        stream.on("data", values.append)
        return values

    def refused(self, *calls: Callable[[], Any]) -> None:
        for call in calls:
            with self.assertRaises(LocalProtocolError):
                call()


class EventTests(StreamTestCase):
    def test_values_go_both_ways(self) -> None:
        mine, theirs = self.open(meta={"k": [1]})
        self.assertEqual(theirs.meta, {"k": [1]})
        self.assertEqual(mine.id, theirs.id)
        values = self.heard(theirs)
        sent: list[Any] = [1, 1.5, "ü", None, True, [1, [2]], {"a": {"b": []}}]
        for value in sent:
            mine.write(value)
        mine.write((1, 2))
        theirs.write("answer")
        self.pair.settle()
        self.assertEqual(values, [*sent, [1, 2]])
        self.assertEqual(self.took(), [("data", "answer")])

    def test_the_end_closes_both(self) -> None:
        mine, theirs = self.open()
        theirs.write(1)
        theirs.end()
        self.pair.settle()
        self.assertEqual(self.took(), [("data", 1), ("end",), ("close",)])
        self.assertEqual(self.successResultOf(mine.when_closed()), None)
        self.assertEqual(self.successResultOf(theirs.when_closed()), None)

    def test_half_open(self) -> None:
        mine, theirs = self.open(half_open=True)
        values = self.heard(theirs)
        theirs.end()
        self.pair.settle()
        self.assertEqual(self.took(), [("end",)])
        mine.write(1)
        mine.end()
        self.pair.settle()
        self.assertEqual((values, self.took()), ([1], [("close",)]))
        self.successResultOf(theirs.when_closed())

    def test_an_error_of_the_other_side(self) -> None:
        mine, theirs = self.open()
        waiting = mine.when_closed()
        theirs.error("no space", "full")
        self.pair.settle()
        (what, error), closed = self.took()
        self.assertEqual(
            (what, str(error), error.code, closed), ("error", "no space", "full", ("close",))
        )
        self.assertIsInstance(error, StreamError)
        self.assertIs(self.failureResultOf(waiting, StreamError).value, error)
        self.assertIs(self.failureResultOf(mine.when_closed(), StreamError).value, error)
        self.successResultOf(theirs.when_closed())

    def test_a_bare_error_has_a_code(self) -> None:
        mine, theirs = self.open()
        theirs.error("no space")
        self.pair.settle()
        self.assertEqual(self.failureResultOf(mine.when_closed()).value.code, "error")

    def test_the_connection_is_lost(self) -> None:
        mine, theirs = self.open()
        waiting = [each.when_closed() for each in (mine, theirs)]
        self.pair.lose()
        (what, error), closed = self.took()
        self.assertEqual((what, closed), ("error", ("close",)))
        self.assertIsInstance(error, ConnectionLost)
        for each in waiting:
            self.failureResultOf(each, ConnectionLost)
        self.refused(lambda: mine.write(1))

    def test_closing(self) -> None:
        mine, theirs = self.open()
        waiting = mine.when_closed()
        self.successResultOf(mine.close())
        self.successResultOf(waiting)
        self.assertEqual(self.took(), [("close",)])
        self.successResultOf(mine.close())
        self.pair.settle()
        self.successResultOf(theirs.when_closed())
        self.assertEqual(self.took(), [])

    def test_closing_comes_before_what_is_under_way(self) -> None:
        mine, theirs = self.open()
        theirs.write(1)
        mine.close()
        self.pair.settle()
        self.assertEqual(self.took(), [("close",)])

    def test_who_waits_no_longer_for_the_close(self) -> None:
        mine, _ = self.open()
        waiting: Deferred[None] = mine.when_closed()
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        other = mine.when_closed()
        mine.close()
        self.successResultOf(other)

    def test_data_that_nobody_wants_is_dropped(self) -> None:
        mine, theirs = self.open()
        mine.write(1)
        self.pair.settle()
        values = self.heard(theirs)
        mine.write(2)
        self.pair.settle()
        self.assertEqual(values, [2])

    def test_malformed_data_ends_the_stream(self) -> None:
        mine, theirs = self.open()
        self.pair.here.receive(b'["%b","data",1e999]\n' % mine.id.encode())
        (what, error), closed = self.took()
        self.assertEqual((what, error.code, closed), ("error", "protocol", ("close",)))
        self.pair.settle()
        self.assertEqual(self.failureResultOf(theirs.when_closed()).value.code, "protocol")

    def test_drain(self) -> None:
        mine, theirs = self.open()
        theirs.pauseProducing()
        self.pair.settle()
        self.assertEqual((mine.paused, self.took()), (True, []))
        mine.write("goes all the same")
        theirs.resumeProducing()
        self.pair.settle()
        self.assertEqual((mine.paused, self.took()), (False, [("drain",)]))

    def test_a_handler_taken_back(self) -> None:
        mine, theirs = self.open()
        values: list[Any] = []
        remove = mine.on("data", values.append)
        remove()
        theirs.write(1)
        self.pair.settle()
        self.assertEqual(values, [])
        with self.assertRaises(InvalidValue):
            mine.on("nope", print)


class ReentrancyTests(StreamTestCase):
    """Handlers that end what they are told of."""

    def test_closing_on_data(self) -> None:
        mine, theirs = self.open()
        mine.on("data", lambda value: mine.close())
        theirs.write(1)
        theirs.write(2)
        self.pair.settle()
        self.assertEqual(self.took(), [("data", 1), ("close",)])
        self.successResultOf(theirs.when_closed())

    def test_closing_on_drain(self) -> None:
        mine, theirs = self.open()
        producer = Pusher()
        mine.registerProducer(producer, True)
        mine.on("drain", mine.close)
        theirs.pauseProducing()
        self.pair.settle()
        theirs.resumeProducing()
        self.pair.settle()
        self.assertEqual(producer.asked, ["pause", "stop"])

    def test_closing_on_end_and_on_close(self) -> None:
        mine, theirs = self.open(half_open=True)
        mine.on("end", mine.close)
        mine.on("close", mine.close)
        theirs.end()
        self.pair.settle()
        self.assertEqual(self.took(), [("end",), ("close",)])
        self.successResultOf(theirs.when_closed())

    def test_writing_when_it_is_closed(self) -> None:
        mine, theirs = self.open()
        mine.on("close", lambda: mine.write(1))
        theirs.close()
        self.pair.settle()
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)

    def test_closing_while_it_is_opened(self) -> None:
        for close in (Stream.close, Stream.end, Stream.error):
            with self.subTest(close.__name__):
                args = ["m"] if close is Stream.error else []
                self.on_open = lambda stream: void(close(self.note(stream), *args))  # noqa: B023
                mine = Stream(self.pair.clock, "m")
                producer = Pusher()
                mine.registerProducer(producer, True)
                mine.attach(self.pair.here)
                self.pair.settle()
                self.assertEqual(self.took(), [("close",)])
                self.successResultOf(self.theirs[-1].when_closed())
                self.assertEqual(producer.asked, ["pause", "resume", "stop"])

    def test_opened_and_closed_in_one_message(self) -> None:
        self.on_open = self.note_it
        mine = Stream(self.pair.clock, "m")
        mine.attach(self.pair.here)
        mine.write(1)
        mine.close()
        self.pair.settle()
        self.assertEqual(self.took(), [("data", 1), ("close",)])

    def note_it(self, stream: Stream) -> None:
        self.note(stream)

    def test_the_connection_is_lost_in_a_handler(self) -> None:
        mine, theirs = self.open()
        mine.on("data", lambda value: self.pair.lose())
        theirs.write(1)
        theirs.write(2)
        self.pair.settle()
        self.assertEqual([each[0] for each in self.took()], ["data", "error", "close"])

    def test_a_handler_that_raises(self) -> None:
        mine, theirs = self.open()
        for name in ("data", "end", "error", "close"):
            mine.on(name, lambda *args: 1 / 0)
        theirs.write(1)
        theirs.error("m")
        self.pair.settle()
        self.assertEqual([each[0] for each in self.took()], ["data", "error", "close"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)


def void(result: object) -> None:
    """For a lambda that returns nothing."""


class EarlyTests(StreamTestCase):
    """What is done before there is a connection."""

    def test_it_is_kept(self) -> None:
        mine = self.stream()
        self.assertEqual((mine.id, mine.paused), ("", False))
        values: list[Any] = []
        self.on_open = lambda stream: void(stream.on("data", values.append))
        mine.write(1)
        mine.write([2])
        mine.pauseProducing()
        mine.resumeProducing()
        mine.attach(self.pair.here)
        self.pair.settle()
        mine.write(3)
        self.pair.settle()
        self.assertEqual(values, [1, [2], 3])
        self.assertEqual(self.took(), [])

    def test_the_other_side_is_asked_to_wait(self) -> None:
        mine = self.stream()
        mine.pauseProducing()
        mine.attach(self.pair.here)
        self.pair.settle()
        self.assertTrue(self.theirs[0].paused)

    def test_a_value_is_taken_as_it_is_now(self) -> None:
        mine = self.stream()
        values: list[Any] = []
        self.on_open = lambda stream: void(stream.on("data", values.append))
        value = [1]
        mine.write(value)
        value.append(2)
        mine.attach(self.pair.here)
        self.pair.settle()
        self.assertEqual(values, [[1]])

    def test_the_end(self) -> None:
        mine = self.stream()
        values: list[Any] = []
        self.on_open = lambda stream: void(stream.on("data", values.append))
        mine.write(1)
        mine.end()
        mine.pauseProducing()
        self.assertEqual(self.took(), [])
        mine.attach(self.pair.here)
        self.assertEqual(self.took(), [("close",)])
        self.pair.settle()
        self.assertEqual(values, [1])
        self.successResultOf(self.theirs[0].when_closed())

    def test_an_error(self) -> None:
        mine = self.stream()
        mine.error("m", "c")
        mine.attach(self.pair.here)
        self.pair.settle()
        self.assertEqual(self.failureResultOf(self.theirs[0].when_closed()).value.code, "c")
        self.assertEqual(self.took(), [("close",)])

    def test_misuse_is_told_at_the_call(self) -> None:
        ended, failed, reader = self.stream(), self.stream(), self.stream(writable=False)
        half = self.stream(half_open=True)
        ended.end()
        failed.error("m")
        half.end()
        for each in (ended, failed, reader, half):
            self.refused(lambda: each.write(1), each.end)  # noqa: B023
        self.refused(lambda: ended.error("m"), lambda: failed.error("m"))
        for each in (ended, failed, reader, half):
            each.attach(self.pair.here)
        self.pair.settle()
        self.assertEqual(len(self.theirs), 4)

    def test_it_is_closed_before_it_is_open(self) -> None:
        mine = self.stream()
        mine.write(1)
        waiting = mine.when_closed()
        self.successResultOf(mine.close())
        self.successResultOf(waiting)
        self.refused(lambda: mine.write(2), mine.end, lambda: mine.error("m"))
        mine.attach(self.pair.here)
        mine.abandon(ConnectionClosed("closed"))
        mine.close()
        self.pair.settle()
        self.assertEqual((self.theirs, self.took()), ([], [("close",)]))

    def test_the_connection_will_not_come(self) -> None:
        mine = self.stream()
        mine.write(1)
        error = ConnectionClosed("the connection was closed")
        mine.abandon(error)
        mine.abandon(error)
        self.assertEqual(self.took(), [("error", error), ("close",)])
        self.assertIs(self.failureResultOf(mine.when_closed()).value, error)
        self.refused(lambda: mine.write(1))

    def test_one_that_is_open_is_not_abandoned(self) -> None:
        mine, _ = self.open()
        mine.abandon(ConnectionClosed("closed"))
        self.assertEqual(self.took(), [])

    def test_the_connection_ends_just_then(self) -> None:
        self.pair.here.lost()
        mine = self.stream()
        mine.write(1)
        mine.attach(self.pair.here)
        self.failureResultOf(mine.when_closed(), ConnectionLost)
        self.assertEqual([each[0] for each in self.took()], ["error", "close"])

    def test_metas_that_are_no_json(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for meta in (object(), {1, 2}.__iter__(), "\ud800", deep):
            with self.assertRaises(InvalidValue):
                self.stream(meta)

    def test_nobody_could_send(self) -> None:
        self.refused(lambda: self.stream(writable=False, readable=False))


class MisuseTests(StreamTestCase):
    def test_values_that_are_no_json(self) -> None:
        for mine in (self.stream(), self.open()[0]):
            for value, error in (
                *((object(), InvalidType), (float("nan"), InvalidValue), (2**53, InvalidValue)),
                *(("\ud800", InvalidValue), ("x" * MAX_PAYLOAD_BYTES, InvalidValue)),
            ):
                with self.assertRaises(error):
                    mine.write(value)
            mine.write("x" * (MAX_PAYLOAD_BYTES - 2))

    def test_the_longest_value_passes(self) -> None:
        mine, theirs = self.open()
        values = self.heard(theirs)
        mine.write("x" * (MAX_PAYLOAD_BYTES - 2))
        self.pair.settle()
        self.assertEqual(len(values[0]), MAX_PAYLOAD_BYTES - 2)

    def test_what_is_not_open_to_this_side(self) -> None:
        reader, writer = self.open(writable=False)
        self.refused(lambda: reader.write(1), reader.end)
        writer.write(1)
        self.pair.settle()
        self.assertEqual(self.took(), [("data", 1)])

    def test_what_has_ended(self) -> None:
        mine, _ = self.open(half_open=True)
        mine.end()
        self.refused(lambda: mine.write(1), mine.end)
        mine.close()
        self.refused(lambda: mine.write(1), mine.end, lambda: mine.error("m"))
        mine.pauseProducing()
        mine.resumeProducing()
        mine.stopProducing()


class PushProducerTests(StreamTestCase):
    """A stream as the consumer of a push producer."""

    def register(self, stream: Stream) -> Pusher:
        producer = Pusher()
        stream.registerProducer(producer, True)
        return producer

    def test_interfaces(self) -> None:
        stream = self.stream()
        for interface in (IConsumer, IPushProducer):
            verifyClass(interface, Stream)
            verifyObject(interface, stream)

    def test_it_is_paused_and_resumed(self) -> None:
        mine, theirs = self.open()
        producer = self.register(mine)
        self.assertEqual(producer.asked, [])
        theirs.pauseProducing()
        self.pair.settle()
        self.assertEqual(producer.asked, ["pause"])
        theirs.resumeProducing()
        self.pair.settle()
        self.assertEqual(producer.asked, ["pause", "resume"])
        mine.close()
        self.assertEqual(producer.asked, ["pause", "resume", "stop"])

    def test_it_is_held_until_the_stream_is_open(self) -> None:
        mine = self.stream()
        producer = self.register(mine)
        self.assertEqual(producer.asked, ["pause"])
        mine.attach(self.pair.here)
        self.assertEqual(producer.asked, ["pause", "resume"])
        self.assertEqual(self.took(), [])

    def test_registered_while_the_other_side_wants_no_more(self) -> None:
        mine, theirs = self.open()
        theirs.pauseProducing()
        self.pair.settle()
        self.assertEqual(self.register(mine).asked, ["pause"])

    def test_the_network_is_slow(self) -> None:
        mine, theirs = self.open()
        producer = self.register(mine)
        drained: list[bool] = []
        mine.on("drain", lambda: drained.append(mine.paused))
        for _ in range(2):  # the transport may tell it at each write
            self.pair.here.congest(True)
        self.assertTrue(mine.paused)
        self.assertEqual(producer.asked, ["pause"])
        self.assertEqual(self.register(self.open()[0]).asked, ["pause"])
        # What the other side asks for meanwhile changes nothing until both let it go on.
        theirs.pauseProducing()
        self.pair.settle()
        self.pair.here.congest(False)
        self.assertTrue(mine.paused)
        self.pair.here.congest(True)
        theirs.resumeProducing()
        self.pair.settle()
        self.assertEqual((producer.asked, drained), (["pause"], []))
        self.pair.here.congest(False)
        self.assertEqual((producer.asked, drained), (["pause", "resume"], [False]))

    def test_it_is_stopped_when_the_stream_ends(self) -> None:
        for how in ("close", "error", "lost", "abandon"):
            mine, theirs = (self.stream(), None) if how == "abandon" else self.open()
            producer = self.register(mine)
            if theirs is None:
                mine.abandon(ConnectionClosed("closed"))
            elif how == "lost":
                self.pair.lose()
            else:
                theirs.close() if how == "close" else theirs.error("m")
                self.pair.settle()
            self.assertEqual(producer.asked[-1], "stop", how)
            mine.unregisterProducer()
            self.setUp()

    def test_registered_after_the_close(self) -> None:
        mine, _ = self.open()
        mine.close()
        for _ in range(2):
            self.assertEqual(self.register(mine).asked, ["stop"])
        mine.unregisterProducer()

    def test_one_at_a_time(self) -> None:
        mine, theirs = self.open()
        first = self.register(mine)
        with self.assertRaises(RuntimeError):
            self.register(mine)
        mine.unregisterProducer()
        mine.unregisterProducer()
        second = self.register(mine)
        theirs.pauseProducing()
        self.pair.settle()
        self.assertEqual((first.asked, second.asked), ([], ["pause"]))

    def test_one_that_raises_is_forgotten(self) -> None:
        for name in ("pauseProducing", "resumeProducing", "stopProducing"):
            with self.subTest(name):
                mine, theirs = self.open()
                producer = self.register(mine)
                setattr(producer, name, lambda: 1 / 0)
                theirs.pauseProducing()
                self.pair.settle()
                theirs.resumeProducing()
                self.pair.settle()
                mine.close()
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                self.assertIn(("close",), self.took())

    def test_a_pipe_from_one_stream_to_another(self) -> None:
        source, far_source = self.open()
        sink, far_sink = self.open()
        sink.registerProducer(source, True)
        source.on("data", sink.write)
        values = self.heard(far_sink)
        far_sink.pauseProducing()
        self.pair.settle()
        self.assertTrue(far_source.paused, "the pause goes up the pipe")
        far_sink.resumeProducing()
        self.pair.settle()
        self.assertFalse(far_source.paused)
        far_source.write(1)
        self.pair.settle()
        self.assertEqual(values, [1])
        far_sink.close()
        self.pair.settle()
        self.successResultOf(far_source.when_closed())


class PullProducerTests(StreamTestCase):
    def test_it_writes_once_a_turn(self) -> None:
        mine, theirs = self.open()
        values = self.heard(theirs)
        producer = Counter(mine, last=5)
        verifyObject(IPullProducer, producer)
        mine.registerProducer(producer, False)
        self.assertEqual(producer.count, 1)
        self.pair.turn()
        self.assertEqual(producer.count, 2)
        self.pair.settle()
        self.assertEqual(values, [1, 2, 3, 4, 5])
        self.assertEqual(self.pair.calls(), [])

    def test_it_is_held_until_the_stream_is_open(self) -> None:
        mine = self.stream()
        producer = Counter(mine, last=3)
        mine.registerProducer(producer, False)
        self.pair.turn()
        self.assertEqual(producer.count, 0)
        mine.attach(self.pair.here)
        self.pair.settle()
        self.assertEqual(producer.count, 3)

    def test_it_is_held_while_the_other_side_wants_no_more(self) -> None:
        mine, theirs = self.open()
        producer = Counter(mine)
        mine.registerProducer(producer, False)
        theirs.pauseProducing()
        for _ in range(5):
            self.pair.turn()
            for message in self.pair.wires[1].take():
                self.pair.here.receive(message)
        count = producer.count
        self.assertLess(count, 5)
        self.pair.turn()
        self.assertEqual((producer.count, self.pair.calls()), (count, []))
        theirs.resumeProducing()
        theirs.pauseProducing()
        theirs.resumeProducing()
        self.pair.turn()
        for message in self.pair.wires[1].take():
            self.pair.here.receive(message)
        before = producer.count
        self.assertGreater(before, count)
        self.pair.turn()
        self.assertEqual(producer.count, before + 1, "still once a turn")

    def test_it_is_stopped_when_the_stream_ends(self) -> None:
        mine, _ = self.open()
        producer = Counter(mine)
        mine.registerProducer(producer, False)
        mine.close()
        self.pair.settle()
        self.assertEqual((producer.count, producer.stopped), (1, 1))

    def test_it_is_forgotten_and_another_comes(self) -> None:
        mine, theirs = self.open()
        values = self.heard(theirs)
        mine.registerProducer(Counter(mine), False)
        mine.unregisterProducer()
        mine.unregisterProducer()
        self.pair.settle()
        mine.registerProducer(Counter(mine, last=2), False)
        self.pair.settle()
        self.assertEqual(values, [1, 1, 2])

    def test_one_after_the_other(self) -> None:
        mine, theirs = self.open()
        values = self.heard(theirs)
        second = Counter(mine, last=3)

        class First(Counter):
            def resumeProducing(self) -> None:
                mine.write("first")
                mine.unregisterProducer()
                mine.registerProducer(second, False)

        mine.registerProducer(First(mine), False)
        self.assertEqual(len([call for call in self.pair.calls() if call.func == mine._pull]), 1)
        self.pair.settle()
        self.assertEqual(values, ["first", 1, 2, 3])

    def test_one_that_raises_is_forgotten(self) -> None:
        mine, _ = self.open()
        producer = Counter(mine)
        producer.resumeProducing = lambda: void(1 / 0)  # type: ignore[method-assign]
        mine.registerProducer(producer, False)
        self.pair.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.pair.calls(), [])


class ProducerTests(StreamTestCase):
    """A stream as a producer itself."""

    def test_it_asks_the_other_side(self) -> None:
        mine, theirs = self.open()
        mine.pauseProducing()
        self.pair.settle()
        self.assertTrue(theirs.paused)
        mine.resumeProducing()
        self.pair.settle()
        self.assertFalse(theirs.paused)
        mine.stopProducing()
        self.pair.settle()
        self.successResultOf(theirs.when_closed())
        self.assertEqual(self.took(), [("close",)])

    def test_the_frames_are_those_of_the_protocol(self) -> None:
        mine, _ = self.open()
        mine.write({"a": 1})
        mine.pauseProducing()
        mine.end()
        self.pair.turn()
        (message,) = self.pair.wires[0].take()
        self.assertEqual(
            [json.loads(line)[1:] for line in message.splitlines()],
            [["data", {"a": 1}], ["pause"], ["end"], ["close"]],
        )
