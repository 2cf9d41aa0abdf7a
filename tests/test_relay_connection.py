"""distmap.relay_connection: the queue of a peer that does not read, with a transport by hand."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distmap.endings import ends_any, ends_stream
from distmap.errors import ConnectionLost
from distmap.frames import MESSAGE_BYTES
from distmap.relay_connection import RelayConnection
from distmap.relay_server import RelayOptions, RelayServer

STALL_SECONDS = 10
QUEUE_BYTES = 5000
BUFFER_BYTES = 1000


class FakeTransport:
    """Buffers like Twisted's: over a bound it pauses its producer, at each write anew."""

    def __init__(self) -> None:
        self.producer: Any = None
        self.buffer = b""
        self.sent = b""
        self.pauses = 0

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > BUFFER_BYTES:
            self.pauses += 1
            self.producer.pauseProducing()

    def drain(self) -> None:
        """The peer takes all that is buffered."""
        self.sent += self.buffer
        full, self.buffer = len(self.buffer) > BUFFER_BYTES, b""
        if full:
            self.producer.resumeProducing()

    def drain_all(self) -> None:
        """The peer takes everything there is."""
        while self.buffer:
            self.drain()


class FakeSocket:
    """Notes how it was closed."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.closed: tuple[int, str] | None = None
        self.aborted = False

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.aborted = True


class Peer:
    """One connection of a relay, seen from outside."""

    def __init__(self, test: RelayConnectionTest, name: str) -> None:
        self.socket = FakeSocket()
        self.transport = self.socket.transport
        self.connection: RelayConnection = test.server.accept(self.socket, name)
        self.connection.socket_opened()

    def send(self, *line: Any) -> None:
        """The peer sends a mux frame."""
        self.connection.socket_received(json.dumps(line).encode() + b"\n")

    def open(self, stream_id: str, route: str) -> None:
        """The peer opens a stream with a bare route."""
        options = {"writable": True, "readable": True}
        self.send(stream_id, "new", {"meta": route, "opts": options})

    @property
    def lines(self) -> list[Any]:
        """What it has taken, as mux frames."""
        return [json.loads(line) for line in self.transport.sent.splitlines()]

    @property
    def payloads(self) -> list[Any]:
        return [line[2] for line in self.lines if line[1] == "data"]


def waiting(connection: RelayConnection) -> list[bytes]:
    """What waits in its queue."""
    return list(connection._queue.frames) if connection._queue else []


class RelayConnectionTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        options = RelayOptions(queue_bytes=QUEUE_BYTES, stall_seconds=STALL_SECONDS)
        self.server = RelayServer(self.clock, bytes, options)
        self.reader, self.writer = self.peer("reader"), self.peer("writer")
        self.addCleanup(self.close)

    def peer(self, name: str) -> Peer:
        return Peer(self, name)

    def close(self) -> None:
        for connection in list(self.server.connections):
            connection.socket_closed(ConnectionLost("closed"))
        self.clock.advance(1)  # leaves are told a little later
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.server.core.links, set())

    def turn(self) -> None:
        self.clock.advance(0)

    def join(self, *peers: Peer) -> None:
        for peer in peers:
            peer.open("c", "/chat/channel")
        self.turn()

    def write(self, count: int, size: int = 100, start: int = 0) -> None:
        """The writer sends so many numbered payloads, each in a turn of its own."""
        for at in range(start, start + count):
            self.writer.send("c", "data", [at, "x" * size])
            self.turn()

    def numbers(self, peer: Peer) -> list[int]:
        return [payload[0] for payload in peer.payloads]


class Queue(RelayConnectionTest):
    def test_what_queued_comes_whole_and_in_order(self) -> None:
        self.join(self.reader, self.writer)
        self.write(20)
        connection = self.reader.connection
        self.assertTrue(connection.paused)
        self.assertGreater(connection.queued_bytes, 0)
        self.assertLess(len(self.reader.transport.buffer), BUFFER_BYTES + 200)
        # It takes some, so that the buffer is filled from the queue and full again; more comes.
        self.reader.transport.drain()
        self.assertTrue(connection.paused)
        self.write(5, start=20)
        self.reader.transport.drain_all()
        self.assertEqual(self.numbers(self.reader), list(range(25)))
        self.assertEqual((connection.queued_bytes, len(waiting(connection))), (0, 0))
        self.assertFalse(connection.paused)

    def test_bytes_are_counted(self) -> None:
        self.join(self.reader, self.writer)
        connection = self.reader.connection
        for start in range(0, 60, 3):
            self.write(3, start=start)
            self.assertEqual(connection.queued_bytes, sum(map(len, waiting(connection))))
            if start % 2:
                self.reader.transport.drain()
                self.assertEqual(connection.queued_bytes, sum(map(len, waiting(connection))))
        self.reader.transport.drain_all()
        self.assertEqual(self.numbers(self.reader), list(range(60)))

    def test_written_while_the_queue_is_sent(self) -> None:
        """What is written in the middle of a resume goes behind what queued."""
        connection, transport = self.reader.connection, self.reader.transport
        connection.pauseProducing()
        for at in range(3):
            connection.write([b"%d" % at])
        write = transport.write

        def writes_more(data: bytes) -> None:
            if data == b"0":
                connection.write([b"3"])
            write(data)

        self.patch(transport, "write", writes_more)
        connection.resumeProducing()
        self.assertEqual(transport.buffer, b"0123")

    def test_frames_of_a_turn_are_one_write(self) -> None:
        writes: list[bytes] = []
        self.patch(self.reader.transport, "write", writes.append)
        self.reader.connection.write([b"1"])
        self.reader.connection.write([b"2", b"3", b"4"])
        large = b"x" * MESSAGE_BYTES
        self.reader.connection.write([large, b"5"])
        self.assertEqual(writes, [b"1", b"234", large, b"5"])

    def test_frames_that_queue_stay_apart(self) -> None:
        connection = self.reader.connection
        connection.pauseProducing()
        connection.write([b"1", b"2"])
        self.assertEqual(waiting(connection), [b"1", b"2"])

    def test_a_frame_that_fills_the_socket_is_the_last(self) -> None:
        connection = self.reader.connection
        frames = [b"x" * MESSAGE_BYTES, b"y", b"z"]
        connection.write(frames)
        self.assertEqual(self.reader.transport.buffer, frames[0])
        self.assertEqual(waiting(connection), frames[1:])

    def test_a_slow_reader_holds_up_nobody(self) -> None:
        other = self.peer("other")
        self.join(self.reader, self.writer, other)
        for start in range(0, 200, 5):
            self.write(5, start=start)
            other.transport.drain()
        self.assertEqual(self.numbers(other), list(range(200)))

    def test_peers_of_a_joined_stream_are_asked_to_wait(self) -> None:
        self.reader.open("server", "/x/proxy/server/s")
        self.turn()
        self.writer.open("p", "/x/proxy/client/s/1")
        self.turn()
        self.reader.open("p", "/x/proxy/server/s/client/1/1")
        self.turn()
        for at in range(12):
            self.writer.send("p", "data", [at, "x" * 100])
            self.turn()
        self.writer.transport.drain_all()
        self.assertEqual(
            [line for line in self.writer.lines if line[1] == "pause"], [["p", "pause"]]
        )
        self.reader.transport.drain_all()
        self.turn()
        self.writer.transport.drain_all()
        self.assertEqual(self.writer.lines[-1], ["p", "resume"])
        self.assertEqual([payload[0] for payload in self.reader.payloads[2:]], list(range(12)))


class Slow(RelayConnectionTest):
    def cut(self, peer: Peer | None = None) -> list[Any]:
        """What the peer was told of its streams."""
        return [line for line in (peer or self.reader).lines if line[1] == "error"]

    def test_too_much_is_queued(self) -> None:
        self.join(self.reader, self.writer)
        self.write(100)
        connection = self.reader.connection
        held = connection.queued_bytes + len(self.reader.transport.buffer)
        self.assertLess(held, QUEUE_BYTES)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)
        self.reader.transport.drain_all()
        numbers = self.numbers(self.reader)
        self.assertEqual(numbers, list(range(len(numbers))))  # nothing after a gap
        (error,) = self.cut()
        self.assertEqual((error[0], error[2]["code"]), ("c", "slow"))
        self.assertFalse(self.reader.socket.aborted)
        # And it may come back.
        self.reader.open("c.1", "/chat/channel")
        self.turn()
        self.write(3, start=200)
        self.reader.transport.drain_all()
        self.assertEqual(self.numbers(self.reader)[-3:], [200, 201, 202])

    def test_stands_still_for_too_long(self) -> None:
        self.join(self.reader, self.writer)
        self.write(15)
        self.clock.advance(STALL_SECONDS - 0.1)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 2)
        self.clock.advance(0.2)
        self.turn()
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)
        self.reader.transport.drain_all()
        self.assertEqual(len(self.cut()), 1)

    def test_stands_still_after_it_moved(self) -> None:
        """It took a part of the queue, and then no more: nothing else has to come to notice."""
        self.join(self.reader, self.writer)
        self.write(30)
        self.clock.advance(STALL_SECONDS - 1)
        self.reader.transport.drain()
        self.assertTrue(self.reader.connection._queue)
        self.clock.advance(STALL_SECONDS - 1)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 2)
        self.clock.advance(1.1)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)

    def test_moves_slowly(self) -> None:
        """As long as it takes something now and then, it stays."""
        self.join(self.reader, self.writer)
        for start in range(0, 80, 8):
            self.write(8, start=start)
            self.clock.advance(STALL_SECONDS - 1)
            self.reader.transport.drain()
        self.reader.transport.drain_all()
        self.assertEqual(self.numbers(self.reader), list(range(80)))

    def test_does_not_take_the_word_of_it(self) -> None:
        """The notice must not be thrown away with what queues after it."""
        self.join(self.reader, self.writer)
        self.write(15)
        self.clock.advance(STALL_SECONDS)
        self.turn()
        self.assertFalse(self.reader.socket.aborted)
        self.clock.advance(STALL_SECONDS)
        self.assertTrue(self.reader.socket.aborted)

    def test_rejoins_without_reading(self) -> None:
        """A second cut would throw the first notice away: it is dropped instead."""
        self.join(self.reader, self.writer)
        self.write(100)
        self.reader.open("again", "/chat/channel")
        self.turn()
        self.assertFalse(self.reader.socket.aborted)
        self.write(100)
        self.assertTrue(self.reader.socket.aborted)

    def test_cut_again_after_it_had_read(self) -> None:
        self.join(self.reader, self.writer)
        for at in range(3):
            self.write(100)
            self.reader.transport.drain_all()
            self.assertEqual(len(self.cut()), at + 1)
            self.reader.open(f"again{at}", "/chat/channel")
            self.turn()
            self.reader.transport.drain_all()
        self.assertFalse(self.reader.socket.aborted)

    def test_would_not_hear_of_another_end(self) -> None:
        """The queue holds the end of another stream, which nobody would repeat."""
        self.join(self.reader, self.writer)
        self.write(10)
        self.assertTrue(self.reader.connection.paused)
        self.reader.open("nowhere", "/no-such-route")
        self.turn()
        self.write(100)
        self.assertTrue(self.reader.socket.aborted)

    def test_has_no_streams(self) -> None:
        """Somebody who only asks for what it cannot have, and does not read the answers."""
        for at in range(100):
            self.reader.open(f"s{at}", "/no-such-route")
            self.turn()
        self.assertTrue(self.reader.socket.aborted)
        self.assertLess(self.reader.connection.queued_bytes, QUEUE_BYTES + 500)

    def test_what_ends_a_stream(self) -> None:
        ends = [b'["a","end"]\n', b'["a","data",1]\n["b\\"","error",{"message":""}]\n']
        ends += [b"\x81\x0b" + ends[0], b"\x81\x7f" + bytes(8) + b'["","close"]\n']
        others = [b'["a","data",["x","close"]]\n', b'["[","data",["","end"]]\n', b'["a","pause"]\n']
        others += [b"\x81\x0b" + others[0], b'["a","data",{"b":"[\\"c\\",\\"end\\"]"}]\n']
        self.assertEqual([ends_stream(each) for each in ends], [True] * len(ends))
        self.assertEqual([ends_stream(each) for each in others], [False] * len(others))
        known: dict[bytes, bool] = {}
        self.assertFalse(ends_any(others, known))
        self.assertEqual(known, dict.fromkeys(others, False))
        self.assertFalse(ends_any([b"a", b"b"], {b"a": False, b"b": False}))
        self.assertTrue(ends_any([*others, ends[0]], known))
        self.assertTrue(ends_any([b"a", b"b"], {b"a": False, b"b": True}), "looked at once")


class Closing(RelayConnectionTest):
    def test_nothing_is_written_once_it_closes(self) -> None:
        self.join(self.reader, self.writer)
        self.write(12)
        before = self.reader.transport.buffer
        self.reader.connection.close(1012, "going")
        self.assertEqual(self.reader.socket.closed, (1012, "going"))
        self.write(100)
        self.reader.transport.drain()
        self.write(5)
        self.assertEqual(self.reader.transport.sent, before)
        self.assertEqual(self.reader.connection.queued_bytes, 0)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)

    def test_nothing_is_taken_once_it_closes(self) -> None:
        self.join(self.reader, self.writer)
        self.reader.connection.socket_closing()
        self.reader.send("c", "data", "late")
        self.reader.open("d", "/chat/channel")
        self.turn()
        self.writer.transport.drain_all()
        self.assertEqual(self.writer.payloads, [])
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)

    def test_counts_until_the_socket_is_gone(self) -> None:
        self.reader.connection.socket_closing()
        self.assertEqual(len(self.server.connections), 2)
        self.reader.connection.socket_closed(ConnectionLost("closed"))
        self.assertEqual(len(self.server.connections), 1)

    def test_protocol_error(self) -> None:
        self.join(self.reader, self.writer)
        self.reader.connection.socket_received(b"no frame\n")
        assert self.reader.socket.closed is not None
        self.assertEqual(self.reader.socket.closed[0], 1002)
        self.write(1)
        self.assertEqual(len(self.server.core.hub.channels["/chat"].members), 1)

    def test_one_that_never_opened(self) -> None:
        connection = self.server.accept(FakeSocket(), "nobody")
        connection.socket_closed(ConnectionLost("closed"))
        connection.write([b"x"])
        self.assertEqual(len(self.server.connections), 2)

    def test_opened_while_the_relay_stops(self) -> None:
        self.server.stop()
        late = self.peer("late")
        assert late.socket.closed is not None
        self.assertEqual(late.socket.closed[0], 1012)
        self.assertEqual(self.server.core.links, set())

    def test_a_pause_is_told_once(self) -> None:
        """Twisted pauses at each write to a full buffer."""
        told: list[bool] = []
        self.patch(self.server.core, "congest", lambda link, on: told.append(on))
        link = self.reader.connection.link
        assert link is not None
        self.reader.connection.pauseProducing()
        link.congested = True
        self.reader.connection.pauseProducing()
        self.reader.connection.resumeProducing()
        self.assertEqual(told, [True, False])


class Drain(RelayConnectionTest):
    """What was acknowledged has left before the close frame, also to who reads slowly."""

    def setUp(self) -> None:
        super().setUp()
        self.join(self.reader, self.writer)

    def test_what_came_in_this_turn(self) -> None:
        meta = {"route": "/u/channel", "version": [1, 0]}
        for peer in (self.reader, self.writer):
            options = {"writable": True, "readable": True}
            peer.send("u", "new", {"meta": meta, "opts": options})
        self.turn()
        self.writer.send("u", "data", {"event": "set"})
        self.server.stop()
        for peer in (self.reader, self.writer):
            self.assertIsNotNone(peer.socket.closed)
            peer.transport.drain_all()
        self.assertEqual(self.reader.payloads[-1], {"event": "set"})
        self.assertEqual(self.writer.payloads[-1][:2], ["ack", 1])

    def test_slow_reader(self) -> None:
        self.write(20)
        self.server.stop()
        self.assertIsNotNone(self.writer.socket.closed, "nothing waits for it")
        while self.reader.connection.paused:
            self.assertIsNone(self.reader.socket.closed)
            self.reader.transport.drain()
        assert self.reader.socket.closed is not None
        code, reason = self.reader.socket.closed
        self.assertEqual(code, 1012)
        self.assertRegex(reason, r"; retry_ms=[0-9]+\Z")
        self.reader.transport.drain_all()
        self.assertEqual(self.numbers(self.reader), list(range(20)))

    def test_what_comes_now_is_not_acknowledged(self) -> None:
        self.write(20)
        self.server.stop()
        self.reader.send("c", "data", "too late")
        self.reader.transport.drain_all()
        self.turn()
        self.assertEqual([each for each in self.reader.payloads if each[0] == "ack"], [])
        self.assertIsNotNone(self.reader.socket.closed)

    def test_slow_reader_that_takes_nothing(self) -> None:
        self.write(20)
        stopped = self.server.stop()
        self.clock.advance(RelayOptions().grace_seconds)
        self.assertTrue(self.reader.socket.aborted)
        self.assertIsNone(self.reader.socket.closed)
        self.assertNoResult(stopped)
        self.close()
        self.successResultOf(stopped)

    def test_told_to_stop_again(self) -> None:
        self.write(20)
        stopped = self.server.stop()
        again = self.server.stop()
        self.assertTrue(self.reader.socket.aborted)
        self.close()
        self.successResultOf(stopped)
        self.successResultOf(again)
