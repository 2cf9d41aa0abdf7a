"""A raw member of many maps, which hears from the relay how many members each has."""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from benchmarks.sockets import frame, join_frame

HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, PING, PONG = 1, 9, 10


class RawClient(Protocol):
    """A WebSocket of a client, with hardly any work.

    Attributes:
        data: what came since the handshake, and was not taken away.
        is_open: the relay has answered the handshake.
    """

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.is_open = False

    def connectionMade(self) -> None:
        self.transport.write(HANDSHAKE)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if not self.is_open:
            _, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            self.is_open, self.data = True, rest
            self.opened()
        self.received()

    def opened(self) -> None:
        """The handshake is done."""
        raise NotImplementedError

    def received(self) -> None:
        """More data came; perhaps nothing of use yet."""
        raise NotImplementedError


class Census(RawClient):
    """Joins some maps and listens.

    Args:
        uris: of the maps.

    Attributes:
        members: how many others each has.
        lost: the relay has ended the connection.
    """

    def __init__(self, uris: list[str]) -> None:
        super().__init__()
        self.members = dict.fromkeys(uris, 0)
        self.lost = False

    @property
    def is_there(self) -> bool:
        """Whether it can send."""
        return self.is_open and not self.lost

    def send(self, line: bytes) -> None:
        """Sends a mux frame."""
        self.transport.write(frame(line))

    def leave(self) -> None:
        """Drops the connection."""
        if not self.lost:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = True

    def opened(self) -> None:
        for uri in self.members:
            self.transport.write(join_frame(uri))

    def received(self) -> None:
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        data = self.data
        start = {126: 4, 127: 10}.get(data[1], 2) if len(data) > 1 else 2
        if len(data) < start:
            return False
        size = data[1] if start == 2 else int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return False
        payload, self.data = data[start : start + size], data[start + size :]
        opcode = data[0] & 15
        if opcode == PING:
            self.transport.write(frame(payload, PONG))
        elif opcode == TEXT:
            for line in payload.splitlines():
                if b'"members"' in line:
                    self._told(json.loads(line))
        return True

    def _told(self, line: list[Any]) -> None:
        match line:
            case [str(route), "data", ["welcome", {"members": int(members)}]]:
                pass
            case [str(route), "data", ["members", int(members), *_]]:
                pass
            case _:
                return
        self.members[route.removesuffix("/channel")] = members - 1
