"""distmap.websocket: limits, timers and endings of one socket, on a transport by hand."""

from __future__ import annotations

import struct
from base64 import b64encode
from hashlib import sha1
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distmap import errors
from distmap.errors import ConnectionProblem
from distmap.websocket import HTTP_HEADER_BYTES, ClientFactory
from distmap.websocket_options import WebSocketOptions
from tests.support.sockets import CLOSE, TEXT, RawPeer, frame

OPTIONS = WebSocketOptions(message_bytes=1000)


class Transport(StringTransport):
    """As lenient as a real one about producers."""

    def unregisterProducer(self) -> None:
        self.producer = None


class Handler:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.paused = False
        self.rests = False
        self.read_bytes = self.slow_frames = 0
        self.ended_with: int | None = None
        self.raises: Exception | None = None

    def socket_asked(self, headers: object) -> None:
        """Of no concern here."""

    def socket_opened(self) -> None:
        self.told.append("opened")

    def socket_received(self, message: bytes) -> None:
        self.told.append(message)
        if self.raises is not None:
            raise self.raises

    def socket_read(self, size_bytes: int, slow_frames: int, unfinished_bytes: int) -> None:
        self.read_bytes += size_bytes
        self.slow_frames = slow_frames

    def socket_ends(self, code: int) -> None:
        self.ended_with = code

    def socket_congested(self, congested: bool) -> None:
        self.told.append("congested" if congested else "free")

    def socket_closing(self) -> None:
        self.told.append("closing")

    def socket_closed(self, problem: ConnectionProblem) -> None:
        self.told.append(problem)

    @property
    def problem(self) -> ConnectionProblem:
        """Why it was closed."""
        assert isinstance(self.told[-1], ConnectionProblem), self.told
        return self.told[-1]


def answer(request: bytes, status: str = "101 Switching Protocols", **headers: str) -> bytes:
    """What a relay answers to a request for the upgrade, or with other headers."""
    key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    accept = sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    all_headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": b64encode(accept).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items() if value)
    return f"HTTP/1.1 {status}\r\n{text}\r\n".encode()


class SocketTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.is_lost = False
        self.clock = Clock()
        self.handler = Handler()
        self.transport = Transport()
        self.socket: Any = self.make(OPTIONS)
        self.socket.makeConnection(self.transport)
        self.addCleanup(self.lose)

    def make(self, options: WebSocketOptions) -> Any:
        raise NotImplementedError

    def lose(self) -> None:
        """The connection is gone; nothing is left of it."""
        if not self.is_lost:
            self.is_lost = True
            self.socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def receive(self, payload: bytes, opcode: int = TEXT) -> None:
        raise NotImplementedError

    def sent(self) -> list[tuple[int, bytes]]:
        """The frames that were sent since the last call."""
        reader = RawPeer()
        reader.is_open = True
        reader.dataReceived(self.transport.value())
        self.transport.clear()
        return reader.frames

    def close_frame(self) -> tuple[int, str]:
        """The close frame that was sent, and nothing else."""
        ((opcode, payload),) = self.sent()
        self.assertEqual(opcode, CLOSE)
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def assert_aborted(self, aborted: bool = True) -> None:
        self.assertEqual(self.transport.disconnecting, aborted)


class Client(SocketTestCase):
    """The client's end: what servers do to it."""

    def make(self, options: WebSocketOptions) -> Any:
        factory = ClientFactory(self.clock, "ws://[::1]:8080/maps/?a=b", self.handler, options)
        return factory.buildProtocol(None)

    def answer(self, status: str = "101 Switching Protocols", **headers: str) -> bytes:
        """What a relay answers, or with other headers."""
        return answer(self.transport.value(), status, **headers)

    def open(self) -> None:
        self.socket.dataReceived(self.answer())
        self.transport.clear()

    def assert_refused(self, answer: bytes, text: str) -> None:
        """The answer is refused at once, with a text, and nothing is logged as an error."""
        self.socket.dataReceived(answer)
        self.assert_aborted()
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.UpgradeRefused)
        self.assertIn(text, str(self.handler.problem))
        self.assertEqual(len(self.handler.told), 1)

    def test_request(self) -> None:
        request = self.transport.value().decode()
        self.assertTrue(request.startswith("GET /maps/?a=b HTTP/1.1\r\n"), request)
        self.assertIn("\r\nHost: [::1]:8080\r\n", request)
        self.assertNotIn("Extensions", request)

    def test_opened(self) -> None:
        data = self.answer()
        for at in range(len(data)):
            self.assertEqual(self.handler.told, [])
            self.socket.dataReceived(data[at : at + 1])
        self.assertEqual(self.handler.told, ["opened"])

    def test_message_behind_the_handshake(self) -> None:
        self.socket.dataReceived(self.answer() + frame(b"x", masked=False))
        self.assertEqual(self.handler.told, ["opened", b"x"])

    def test_refused(self) -> None:
        self.assert_refused(b"HTTP/1.1 403 Forbidden\r\n\r\nno", "403]: Forbidden")

    def test_wrong_key(self) -> None:
        self.assert_refused(self.answer(Sec_WebSocket_Accept="x"), "Sec-WebSocket-Accept")

    def test_missing_headers(self) -> None:
        self.assert_refused(self.answer(Upgrade=""), "Upgrade")

    def test_extension_that_nobody_asked_for(self) -> None:
        answer = self.answer(Sec_WebSocket_Extensions="permessage-deflate")
        self.assert_refused(answer, "compress")

    def test_not_http(self) -> None:
        self.assert_refused(b"SSH-2.0-OpenSSH\r\n\r\n", "Bad HTTP")

    def test_not_text(self) -> None:
        self.assert_refused(b"\xff\xfe\x00\r\n\r\n", "not HTTP")

    def test_nonsense_headers(self) -> None:
        self.assert_refused(b"HTTP/1.1 101 OK\r\nno colon\xff\r\n\r\n", "not HTTP")

    def test_endless_headers(self) -> None:
        self.socket.dataReceived(b"HTTP/1.1 101 OK\r\n")
        self.assert_refused(b"X: " + b"x" * HTTP_HEADER_BYTES, "too long")

    def test_silence_in_the_handshake(self) -> None:
        self.clock.advance(OPTIONS.handshake_seconds + 0.01)
        self.assert_aborted()
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.HandshakeTimeout)

    def test_dropped_in_the_handshake(self) -> None:
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.HandshakeDropped)

    def test_dropped(self) -> None:
        self.open()
        self.lose()
        self.assertIs(type(self.handler.problem), errors.ConnectionLost)
        self.assertIn("1006", str(self.handler.problem))

    def test_silence(self) -> None:
        self.open()
        self.clock.advance(OPTIONS.ping_seconds)
        self.clock.advance(OPTIONS.pong_seconds)
        self.assert_aborted()
        self.lose()
        self.assertIsInstance(self.handler.problem, errors.PingTimeout)

    def test_the_relay_goes(self) -> None:
        self.open()
        reason = struct.pack("!H", 1012) + b"the relay is going down"
        self.socket.dataReceived(frame(reason, CLOSE, masked=False))
        self.assertEqual(self.handler.told, ["opened", "closing"])
        self.lose()
        text = "the connection was closed with 1012: the relay is going down"
        self.assertEqual(str(self.handler.problem), text)
        self.assertIsNone(self.handler.problem.retry_seconds)

    def test_the_relay_goes_and_says_when_to_come_back(self) -> None:
        self.open()
        reason = struct.pack("!H", 1012) + b"the relay is going down; retry_ms=1500"
        self.socket.dataReceived(frame(reason, CLOSE, masked=False))
        self.lose()
        self.assertEqual(self.handler.problem.retry_seconds, 1.5)

    def test_the_relay_says_goodbye_and_does_not_go(self) -> None:
        self.open()
        self.socket.dataReceived(frame(struct.pack("!H", 1012), CLOSE, masked=False))
        self.clock.advance(OPTIONS.close_seconds + 0.01)
        self.assert_aborted()

    def test_too_large(self) -> None:
        self.open()
        self.socket.dataReceived(frame(b"x" * 1001, masked=False))
        self.assertEqual(self.handler.told, ["opened", "closing"])
