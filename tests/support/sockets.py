"""A WebSocket client by hand, which can misbehave, and servers that do."""

from __future__ import annotations

import json
import os
import socket
import struct
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from distmap.relay import RelayOptions, RelayService
from distmap.writing import UNSENT_BYTES
from tests.support.processes import until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool = True) -> bytes:
    """One whole WebSocket frame."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size | masked << 7)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126 | masked << 7, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127 | masked << 7, size)
    # A mask of zeros changes nothing.
    return head + bytes(4 * masked) + payload


class RawPeer(Protocol):
    """A client of the relay that does what a test wants.

    Attributes:
        head: the server's HTTP answer.
        frames: opcode and payload of each WebSocket frame that came.
        lines: the mux frames in them.
    """

    transport: Any

    def __init__(self, path: str = "/", headers: str = "", host: str = "localhost") -> None:
        self.head = b""
        self.frames: list[tuple[int, bytes]] = []
        self.lines: list[Any] = []
        self.is_open = False
        self.is_closed = False
        self._path = path
        self._headers = headers
        self._host = host
        self._data = b""

    def connectionMade(self) -> None:
        key = b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{self._headers}\r\n".encode()
        )

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if not self.is_open:
            self.head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            self._data = rest
            self.is_open = True
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        opcode, size, start = data[0] & 15, data[1] & 127, 2
        if size == 126:
            start, size = 4, int.from_bytes(data[2:4], "big")
        elif size == 127:
            start, size = 10, int.from_bytes(data[2:10], "big")
        if len(data) < start + size:
            return False
        payload, self._data = data[start : start + size], data[start + size :]
        self.frames.append((opcode, payload))
        if opcode == TEXT:
            self.lines += [json.loads(line) for line in payload.splitlines()]
        return True

    def connectionLost(self, reason: Any = None) -> None:
        self.is_closed = True

    # -- what a test asks for ---------------------------------------------------------------------

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Sends a frame."""
        self.transport.write(frame(payload, opcode))

    def send_mux(self, *line: Any) -> None:
        """Sends a mux frame: stream id, event, payload."""
        self.send(json.dumps(line).encode() + b"\n")

    def open(self, stream_id: str, meta: Any) -> None:
        """Opens a stream."""
        options = {"writable": True, "readable": True}
        self.send_mux(stream_id, "new", {"meta": meta, "opts": options})

    def say_goodbye(self, code: int = 1000) -> None:
        """Sends a close frame."""
        self.send(struct.pack("!H", code), CLOSE)

    def stop_reading(self) -> None:
        """Leaves what comes in the kernel's buffer."""
        self.transport.pauseProducing()

    def read_again(self) -> None:
        """Reads on."""
        self.transport.resumeProducing()

    def got(self, *line: Any) -> bool:
        """Whether this mux frame came; may leave out the end."""
        return any(each[: len(line)] == list(line) for each in self.lines)

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that came."""
        for opcode, payload in self.frames:
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")
        return None

    @property
    def close_reason(self) -> str:
        """The text of the close frame that came; empty if there is none."""
        for opcode, payload in self.frames:
            if opcode == CLOSE:
                return payload[2:].decode()
        return ""

    async def opened(self) -> RawPeer:
        """Waits for the end of the opening handshake."""
        await until(lambda: self.is_open)
        return self

    async def closed(self) -> int | None:
        """Waits for a close frame; returns its code."""
        await until(lambda: self.close_code is not None, what=lambda: self.frames[-3:])
        return self.close_code

    async def drop(self) -> None:
        """Ends the connection."""
        if not self.is_closed:
            self.transport.abortConnection()
        await self.lost()

    async def lost(self) -> None:
        """Waits until the connection is gone."""
        await until(lambda: self.is_closed, what=lambda: self.frames)


async def raw_peer(
    test: TestCase, port: int, path: str = "/", endpoint: Any = None, headers: str = ""
) -> RawPeer:
    """Connects a raw peer, and waits until it is open; more headers end with a line break each."""
    endpoint = endpoint or TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    peer: RawPeer = await connectProtocol(endpoint, RawPeer(path, headers))
    test.addCleanup(peer.drop)
    return await peer.opened()


def start_relay(
    test: TestCase, options: RelayOptions | None = None, *, endpoint: Any = None
) -> tuple[RelayService, int]:
    """Starts a relay in this process; returns it and its port."""
    endpoint = endpoint or TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    service = RelayService(reactor, endpoint, options)
    service.startService()
    test.addCleanup(service.stopService)
    listening: Any = service.port
    return service, listening.getHost().port


def unsent_bytes(transport: Any) -> int:
    """How much unsent the system takes of a TCP transport; UNSENT_BYTES if it has no bound."""
    option: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is None:
        return UNSENT_BYTES
    return int(transport.getHandle().getsockopt(socket.IPPROTO_TCP, option))


class Listener(Factory):
    """A server on loopback that does what a test wants with each connection.

    Args:
        test: stops it at the end.
        connected: is called with each new connection.
        received: is called with a connection and the data that came.
    """

    noisy = False

    def __init__(
        self,
        test: TestCase,
        connected: Callable[[Any], object] = lambda connection: None,
        received: Callable[[Any, bytes], object] = lambda connection, data: None,
    ) -> None:
        self.connected = connected
        self.received = received
        self.open: set[_Served] = set()
        self.accepted = 0
        self._test = test
        self._port: Any = None

    async def listen(self) -> int:
        """Begins to listen; returns the port."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._port = await endpoint.listen(self)
        self._test.addCleanup(self._close)
        return int(self._port.getHost().port)

    def buildProtocol(self, addr: Any) -> _Served:
        return _Served(self)

    async def _close(self) -> None:
        stopped: Deferred[None] | None = self._port.stopListening()
        for connection in list(self.open):
            connection.transport.abortConnection()
        if stopped is not None:
            await stopped
        await until(lambda: not self.open)


class _Served(Protocol):
    transport: Any

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connectionMade(self) -> None:
        self._listener.open.add(self)
        self._listener.accepted += 1
        self._listener.connected(self)

    def dataReceived(self, data: bytes) -> None:
        self._listener.received(self, data)

    def connectionLost(self, reason: Any = None) -> None:
        self._listener.open.discard(self)

    def upgrade(self, request: bytes) -> None:
        """Answers a client's upgrade as a relay does."""
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = b64encode(sha1(key + _GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
