"""distmap.relay_socket: limits, timers and endings of the relay's end, on a transport by hand."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.testing import StringTransport

from distmap import errors
from distmap.relay_socket import ServerFactory, ServerSocket
from distmap.websocket_options import WebSocketOptions
from tests.support.sockets import BINARY, CLOSE, PING, PONG, TEXT, RawPeer, frame
from tests.test_websocket import OPTIONS, SocketTestCase


class Server(SocketTestCase):
    """The relay's end, once it is open."""

    def make(self, options: WebSocketOptions) -> Any:
        factory = ServerFactory(self.clock, lambda socket, address: self.handler, options)
        return factory.buildProtocol(None)

    def setUp(self) -> None:
        super().setUp()
        peer = RawPeer()
        peer.makeConnection(StringTransport())
        self.socket.dataReceived(peer.transport.value())
        self.assertIn(b"101 Switching", self.transport.value())
        self.transport.clear()

    def receive(self, payload: bytes, opcode: int = TEXT) -> None:
        self.socket.dataReceived(frame(payload, opcode))

    def test_text(self) -> None:
        self.receive(b'["a"]')
        self.socket.send(b'["b"]')
        self.assertEqual(self.handler.told, ["opened", b'["a"]'])
        self.assertEqual(self.sent(), [(TEXT, b'["b"]')])

    def test_binary(self) -> None:
        self.receive(b"\x00", BINARY)
        self.assertEqual(self.close_frame()[0], 1003)
        self.assertEqual(self.handler.told, ["opened", "closing"])

    def test_invalid_utf8(self) -> None:
        self.receive(b"\xff")
        self.assertEqual(self.close_frame()[0], 1007)

    def test_too_large(self) -> None:
        self.receive(b"x" * 1000)
        self.assertEqual(self.handler.told[-1], b"x" * 1000)
        self.receive(b"x" * 1001)
        self.assertEqual(self.close_frame()[0], 1009)
        self.assertEqual(self.handler.told[-1], "closing")

    def test_too_large_in_parts(self) -> None:
        for at in range(3):
            first = struct.pack("!BBH", 0 if at else TEXT, 0x80 | 126, 500) + bytes(4)
            self.socket.dataReceived(first + b"x" * 500)
        self.assertEqual(self.close_frame()[0], 1009)

    def test_not_masked(self) -> None:
        self.socket.dataReceived(frame(b"x", masked=False))
        self.assertEqual(self.close_frame()[0], 1002)

    def test_close_with_any_code(self) -> None:
        self.socket.close(1012, "going down")
        self.assertEqual(self.close_frame(), (1012, "going down"))
        self.socket.close(1002, "again")
        self.socket.send(b"late")
        self.assertEqual(self.sent(), [])
        self.receive(struct.pack("!H", 1012), CLOSE)
        self.assert_aborted()

    def test_close_reason_is_cut_between_characters(self) -> None:
        self.socket.close(1002, "x" + "ü" * 100)
        code, reason = self.close_frame()
        self.assertEqual((code, reason), (1002, "x" + "ü" * 61))

    def test_close_reason_that_is_no_text(self) -> None:
        self.socket.close(1002, "a\ud800b")
        self.assertEqual(self.close_frame(), (1002, "a?b"))

    def test_close_without_an_answer(self) -> None:
        self.socket.close(1012, "")
        self.clock.advance(OPTIONS.close_seconds - 0.01)
        self.assert_aborted(False)
        self.clock.advance(0.02)
        self.assert_aborted()

    def test_dropped_before_the_answer(self) -> None:
        self.socket.close(1012, "")
        self.lose()  # and no delayed call is left

    def test_goodbye(self) -> None:
        self.receive(struct.pack("!H", 1000), CLOSE)
        self.assertEqual(self.close_frame()[0], 1000)
        self.assertEqual(self.handler.told, ["opened", "closing"])
        self.lose()
        self.assertIn("1000", str(self.handler.problem))

    def test_goodbye_of_one_that_does_not_read(self) -> None:
        """Twisted would keep the connection until the rest is written."""
        self.receive(struct.pack("!H", 1000), CLOSE)
        self.clock.advance(OPTIONS.close_seconds - 0.01)
        aborts: list[None] = []
        self.patch(self.transport, "abortConnection", lambda: aborts.append(None))
        self.clock.advance(0.02)
        self.assertEqual(len(aborts), 1)

    def test_two_faults_of_one_that_does_not_read(self) -> None:
        """The second fault makes Autobahn wait for the rest to be written."""
        self.socket.dataReceived(frame(b"x", masked=False))
        self.socket.dataReceived(b"\xff" * 10)
        aborts: list[None] = []
        self.patch(self.transport, "abortConnection", lambda: aborts.append(None))
        self.clock.advance(OPTIONS.close_seconds + 0.01)
        self.assertEqual(len(aborts), 1)

    def test_pings_are_answered(self) -> None:
        self.receive(b"1", PING)
        self.assertEqual(self.sent(), [(PONG, b"1")])

    def test_pings_of_one_that_does_not_read(self) -> None:
        self.handler.paused = True
        for _ in range(100):
            self.receive(b"x" * 125, PING)
        self.assertEqual(self.sent(), [])

    def test_silence(self) -> None:
        """A ping goes out to the second, and its answer is waited for so long."""
        self.clock.advance(OPTIONS.ping_seconds - 0.01)
        self.assertEqual(self.sent(), [])
        self.clock.advance(0.02)
        ((opcode, _),) = self.sent()
        self.assertEqual(opcode, PING)
        self.clock.advance(OPTIONS.pong_seconds - 0.02)
        self.assert_aborted(False)
        self.clock.advance(0.03)
        self.assert_aborted()
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.PingTimeout)

    def test_signs_of_life(self) -> None:
        for _ in range(5):
            self.clock.advance(OPTIONS.ping_seconds)
            ((opcode, payload),) = self.sent()
            self.assertEqual(opcode, PING)
            self.clock.advance(OPTIONS.pong_seconds - 0.1)
            self.receive(payload, PONG)
        self.clock.advance(OPTIONS.ping_seconds)
        self.clock.advance(OPTIONS.pong_seconds - 0.1)
        self.receive(b"any message")
        self.clock.advance(1)
        self.assert_aborted(False)

    def test_a_defect_drops_this_connection(self) -> None:
        self.handler.raises = RuntimeError("a defect")
        self.receive(b"x")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assert_aborted()


class ServerHandshake(SocketTestCase):
    """The relay's end before it is open."""

    make = Server.make

    def test_silence(self) -> None:
        self.clock.advance(OPTIONS.handshake_seconds - 0.01)
        self.assert_aborted(False)
        self.clock.advance(0.02)
        self.assert_aborted()

    def test_close_and_send_before_it_is_open(self) -> None:
        self.socket.close(1012, "")
        self.socket.send(b"x")
        self.assertEqual(self.transport.value(), b"")

    def test_no_compression(self) -> None:
        peer = RawPeer()
        peer.makeConnection(StringTransport())
        offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        self.socket.dataReceived(peer.transport.value()[:-2] + offer)
        self.assertEqual(self.handler.told, ["opened"])
        self.assertNotIn(b"permessage", self.transport.value())

    def test_not_an_upgrade(self) -> None:
        self.socket.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n")
        self.assertIn(b"HTTP/1.1 400", self.transport.value())
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.UpgradeRefused)


class Small(SocketTestCase):
    """There are many of them, so what is the same for all is kept once."""

    def make(self, options: WebSocketOptions) -> Any:
        factory = ServerFactory(self.clock, lambda socket, address: self.handler, options)
        return factory.buildProtocol(None)

    def test_options_are_of_the_class(self) -> None:
        held = vars(self.socket).keys() & set(ServerSocket.CONFIG_ATTRS)
        self.assertEqual(held, set())
        self.assertEqual(self.socket.maxMessagePayloadSize, OPTIONS.message_bytes)
        accept = self.socket.factory.perMessageCompressionAccept
        self.assertIs(self.socket.perMessageCompressionAccept, accept)

    def test_options_of_two_relays(self) -> None:
        other = self.make(WebSocketOptions(message_bytes=7))
        self.assertEqual(other.maxMessagePayloadSize, 7)
        self.assertEqual(self.socket.maxMessagePayloadSize, OPTIONS.message_bytes)

    def test_the_handshake_is_forgotten(self) -> None:
        peer = RawPeer()
        peer.makeConnection(StringTransport())
        self.socket.dataReceived(peer.transport.value())
        self.assertEqual(self.handler.told, ["opened"])
        socket = self.socket
        held = (socket.http_headers, socket.http_request_data, socket.http_response_data)
        self.assertFalse(any(held), held)
