"""distmap.relay_server: turns, membership of crowds, and the end, with memory for sockets."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distmap import errors
from distmap.frames import MESSAGE_BYTES
from distmap.relay_server import MEMBERSHIP_SECONDS, RelayOptions, RelayServer
from distmap.relay_socket import ServerFactory
from distmap.restart import RETURNS_A_SECOND, SERVICE_RESTART
from distmap.testing import Network
from tests.support.memory import NetworkTestCase
from tests.support.sockets import RawPeer, frame

LINE = b'["/u/channel","data",{"event":"set","key":"k","value":1}]\n'
ACK = rb'\A\["/u/channel","data",\["ack",[0-9]+,[0-9.]+\]\]\n\Z'


class RelayServerTest(NetworkTestCase):
    def relay(self) -> Any:
        assert self.network.relay is not None
        return self.network.relay

    def test_readers_share_one_message_a_turn(self) -> None:
        """What is prepared and written does not grow with what one turn brings."""
        maps = self.open(30)
        prepared: list[bytes] = []

        def prepare(text: bytes) -> bytes:
            prepared.append(text)
            return text

        self.patch(self.relay(), "_prepare", prepare)
        for at in range(50):
            maps[0][f"k{at}"] = at
        self.network.settle()
        # One for the 29 readers, one with the writer's acknowledgement.
        self.assertEqual(len(prepared), 2)
        self.assertEqual({len(each) for each in maps}, {50})

    def test_joins_of_a_crowd_are_gathered(self) -> None:
        maps = self.open(80)
        told: list[int] = []
        maps[0].on("peers", told.append)
        for _ in range(20):
            self.network.open("/fruits")
            self.network.settle()
        self.network.settle(MEMBERSHIP_SECONDS * 2)
        self.assertEqual(told[-1], 99)
        self.assertLess(len(told), 4)

    def test_stop_tells_the_peers(self) -> None:
        (mine,) = self.open(1)
        done = self.relay().stop()
        self.assertNoResult(done)
        self.network.settle()
        self.successResultOf(done)
        self.assertIn(str(SERVICE_RESTART), mine.status.reason)
        self.network.relay = None

    def test_a_crowd_comes_back_spread_out(self) -> None:
        maps = self.open(120)
        maps[0]["k"] = 1
        self.network.settle()
        started = self.network.clock.seconds()
        done = self.relay().stop()
        self.network.settle()
        self.successResultOf(done)
        self.network.relay = None
        self.network.start_relay()
        back: list[float] = []
        for each in maps:
            each.connection.on("open", lambda: back.append(self.network.clock.seconds() - started))
        while self.network.clock.seconds() < started + 3:
            self.network.clock.advance(0.001)
        self.assertEqual(len(back), 120)
        self.assertGreater(min(back), 0.99)
        window = 120 / RETURNS_A_SECOND
        self.assertLess(max(back), 1 + window + 0.01)
        in_tenths = Counter(int((at - 0.001) * 10) for at in back)
        self.assertLessEqual(max(in_tenths.values()), RETURNS_A_SECOND / 10 + 1)
        self.network.settle(1)
        self.assertEqual({(each.status, each["k"]) for each in maps}, {("ready", 1)})

    def test_stop_with_nobody_there(self) -> None:
        self.successResultOf(self.relay().stop())
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_stop_drops_who_does_not_go(self) -> None:
        self.network = Network(options=RelayOptions(grace_seconds=3))
        (mine,) = self.open(1)
        wire: Any = self.network.wire(mine.connection)
        self.patch(wire._relay.socket, "close", lambda code, reason: None)
        done = self.relay().stop()
        self.network.settle(2)
        self.assertNoResult(done)
        self.network.settle(1.1)
        self.successResultOf(done)
        self.assertEqual(mine.status.code, errors.ConnectionLost.code)
        self.network.relay = None

    def test_nothing_is_kept_of_who_came_and_went(self) -> None:
        for _ in range(50):
            shared = self.network.open()
            shared["a"] = 1
            self.network.settle()
            shared.connection.close()
            self.network.settle()
        core = self.relay().core
        self.assertEqual((self.relay().connections, core.links), (set(), set()))
        self.assertEqual((core.hub.channels, core.switchboard._listeners), ({}, {}))


class CountingClock(Clock):
    """Counts the calls that it is asked for."""

    asked = 0

    def callLater(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return super().callLater(*args, **kwargs)


class Wire(StringTransport):
    """Notes the very objects that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)

    def unregisterProducer(self) -> None:
        self.producer = None


class Turns(SynchronousTestCase):
    """What one turn of the reactor costs, from the bytes of sockets to the bytes of sockets: the
    counts that the relay's speed rests on.
    """

    READERS = 50

    def setUp(self) -> None:
        self.clock = CountingClock()
        self.prepared: list[bytes] = []
        options = RelayOptions()
        self.factory = ServerFactory(
            self.clock, lambda socket, _: self.server.accept(socket, "peer"), options.websocket
        )
        self.server: RelayServer = RelayServer(self.clock, self.prepare, options)
        self.sockets: list[Any] = []
        for _ in range(self.READERS):
            self.join("/u/channel")
        self.writer = self.join("/u/channel")
        self.turn()
        self.addCleanup(self.close)

    def prepare(self, text: bytes) -> bytes:
        self.prepared.append(text)
        return bytes(self.factory.prepareMessage(text, False, True).payloadHybi)

    def join(self, stream_id: str) -> Any:
        """A socket with a member of the channel."""
        socket: Any = self.factory.buildProtocol(None)
        socket.makeConnection(Wire())
        peer = RawPeer()
        peer.makeConnection(StringTransport())
        peer.open(stream_id, {"route": "/u/channel", "version": [1, 0]})
        socket.dataReceived(peer.transport.value())
        self.sockets.append(socket)
        return socket

    def turn(self, wire: bytes = b"", *more: tuple[Any, bytes]) -> None:
        """The writer's socket brings something in one read, and perhaps others too; the turn ends.

        What the last turn wrote is forgotten.
        """
        for socket in self.sockets:
            socket.transport.writes.clear()
        self.prepared.clear()
        self.clock.asked = 0
        for socket, data in [(self.writer, wire), *more]:
            socket.dataReceived(data)
        self.assertEqual(
            [each.transport.writes for each in self.sockets if each.transport.writes], []
        )
        self.clock.advance(0)

    def close(self) -> None:
        for socket in self.sockets:
            socket.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(MEMBERSHIP_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def check_turn(self, wire: bytes, texts: int) -> None:
        """One read brings so many, and the turn ends."""
        self.turn(wire)
        self.assertEqual(self.clock.asked, 1, "calls for the end of the turn")
        self.assertEqual(len(self.prepared), 2, "one for the readers, one for the writer")
        text = LINE * texts
        self.assertEqual(self.prepared[0], text)
        (first,) = self.sockets[0].transport.writes
        self.assertEqual(len(first), len(text) + (2 if len(text) < 126 else 4))
        for reader in self.sockets[:-1]:
            (write,) = reader.transport.writes
            self.assertIs(write, first, "a copy for a reader")
        (ack,) = self.writer.transport.writes
        self.assertRegex(ack[2:], ACK)

    def test_a_lone_message(self) -> None:
        self.check_turn(frame(LINE), 1)

    def test_many_messages(self) -> None:
        self.check_turn(frame(LINE) * 500, 500)

    def test_messages_of_many_frames(self) -> None:
        self.check_turn(frame(LINE * 20) * 30, 600)

    def test_a_large_message(self) -> None:
        self.check_turn(frame(LINE * 900), 900)

    def test_another_stream_id_is_another_message(self) -> None:
        others = [self.join("other") for _ in range(5)]
        self.turn()
        self.turn(frame(LINE) * 100)
        self.assertEqual(len(self.prepared), 3)
        self.assertEqual({len(each.transport.writes) for each in self.sockets}, {1})
        self.assertEqual(len({id(each.transport.writes[0]) for each in others}), 1)

    def test_writers_get_one_write_too(self) -> None:
        writers = self.sockets[:9]
        self.turn(frame(LINE), *((each, frame(LINE) * 3) for each in writers))
        self.assertEqual({len(each.transport.writes) for each in self.sockets}, {1})
        self.assertEqual(self.clock.asked, 1)
        for each in (self.writer, *writers):
            (write,) = each.transport.writes
            self.assertEqual(write.count(LINE), 27 if each is self.writer else 25)
            self.assertRegex(write[-60:].partition(b"\n")[2][2:], ACK)

    def test_a_write_has_its_bound(self) -> None:
        wire = frame(LINE * 1000)
        self.turn(wire * (3 * MESSAGE_BYTES // len(wire)))
        for reader in self.sockets[:-1]:
            self.assertGreater(len(reader.transport.writes), 1)
            sizes = [len(each) for each in reader.transport.writes]
            self.assertLess(max(sizes), MESSAGE_BYTES + len(wire))

    def test_payloads_are_nobodys_business(self) -> None:
        """What only looks like JSON to who does not read numbers, names twice, and odd spaces."""
        payload = b'{"event":"set", "n":1e999,"n":123456789012345678901234567890,"e":"\\u0041" }'
        line = b'["/u/channel","data",%b]\n' % payload
        for count in (1, 50):
            self.turn(frame(line) * count)
            (write,) = self.sockets[0].transport.writes
            self.assertTrue(write.endswith(line * count))
