"""distmap.relay_site: what becomes of HTTP connections when the relay stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from distmap.relay_site import IDLE_SECONDS, RelaySite

ADDRESS = IPv4Address("TCP", "127.0.0.1", 12345)


class Wire(StringTransport):
    """A transport that knows its protocol, as those of a reactor do."""

    protocol: Any = None
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Slow(Resource):
    """Never answers."""

    isLeaf = True

    def render_GET(self, request: Any) -> int:
        return NOT_DONE_YET


class Quick(Resource):
    """Answers at once."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"well"


class RelaySiteTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        root = Resource()
        root.putChild(b"slow", Slow())
        root.putChild(b"quick", Quick())
        self.site: Any = RelaySite(self.clock, root)
        self.open: list[Any] = []
        self.addCleanup(self.close)

    def close(self) -> None:
        for door in self.open:
            self.lose(door)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self, *requests: bytes) -> tuple[Any, Wire]:
        """A connection that asks for some paths."""
        door = self.site.buildProtocol(ADDRESS)
        door._inner.callLater = self.clock.callLater
        wire = Wire()
        wire.protocol = door
        door.makeConnection(wire)
        for path in requests:
            door.dataReceived(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        self.open.append(door)
        return door, wire

    def lose(self, door: Any) -> None:
        """The connection is gone."""
        if door in self.open:
            self.open.remove(door)
            door.connectionLost(Failure(ConnectionDone()))

    def test_answers(self) -> None:
        _, wire = self.connect(b"/quick", b"/quick")
        self.assertEqual(wire.value().count(b"\r\n\r\nwell"), 2)
        self.assertFalse(wire.disconnecting)

    def test_who_asks_for_nothing_has_to_go(self) -> None:
        _, wire = self.connect()
        self.clock.advance(IDLE_SECONDS)
        self.assertTrue(wire.disconnecting)

    def test_stop_with_nobody_there(self) -> None:
        self.successResultOf(self.site.stop(5))

    def test_stop_ends_idle_connections(self) -> None:
        doors = [self.connect(b"/quick"), self.connect(), self.connect(b"/slow")]
        stopped = self.site.stop(5)
        for door, wire in doors:
            self.assertTrue(wire.disconnecting)
            self.assertNoResult(stopped)
            self.lose(door)
        self.successResultOf(stopped)

    def test_stop_drops_who_does_not_go(self) -> None:
        door, wire = self.connect(b"/quick")
        stopped = self.site.stop(5)
        self.clock.advance(4.9)
        self.assertFalse(wire.aborted)
        self.clock.advance(0.2)
        self.assertTrue(wire.aborted)
        self.assertNoResult(stopped)
        self.lose(door)
        self.successResultOf(stopped)

    def test_told_to_stop_again(self) -> None:
        door, wire = self.connect(b"/quick")
        stopped, again = self.site.stop(5), self.site.stop(5)
        self.assertTrue(wire.aborted)
        self.lose(door)
        self.successResultOf(stopped)
        self.successResultOf(again)

    def test_a_websocket_is_none_of_its(self) -> None:
        door, wire = self.connect()
        wire.protocol = object()  # as Autobahn does it
        door.dataReceived(b"")
        self.open.remove(door)
        door._inner.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(self.site.stop(5))
        self.assertFalse(wire.disconnecting)

    def test_becomes_a_websocket_while_the_site_stops(self) -> None:
        door, wire = self.connect()
        stopped = self.site.stop(5)
        wire.protocol = object()
        door.dataReceived(b"")
        self.open.remove(door)
        door._inner.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
