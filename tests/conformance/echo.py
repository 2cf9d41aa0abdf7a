"""The echo: see :mod:`tests.conformance`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from distmap.errors import ConnectionProblem
from distmap.relay_socket import ServerFactory, ServerSocket
from distmap.texts import cut_masked
from distmap.websocket_options import WebSocketOptions


def first_frame(data: bytes) -> bytes:
    """The frame that data begins with, as far as it has come; data if its length has not come."""
    if len(data) < 2:
        return data
    length, start = data[1] & 127, 2
    if length > 125:
        start = 4 if length == 126 else 10
        length = int.from_bytes(data[2:start], "big")
    masked = 4 * (data[1] >> 7)
    return data[: start + masked + length] if len(data) >= start else data


class Echo:
    """A handler that sends back what it is told."""

    paused = rests = False

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def socket_asked(self, headers: dict[str, str]) -> None:
        """Everybody may come in."""

    def socket_opened(self) -> None:
        """There is nothing to say."""

    def socket_read(self, size_bytes: int, slow_frames: int, unfinished_bytes: int) -> None:
        """Nothing is counted."""

    def socket_ends(self, code: int) -> None:
        """There is nothing to say."""

    def socket_received(self, message: bytes) -> None:
        self.socket.sendMessage(message)

    def socket_closing(self) -> None:
        """There is nothing to say."""

    def socket_closed(self, problem: ConnectionProblem) -> None:
        """There is nothing to say."""


class Both(ServerSocket):
    """The relay refuses binary messages; here they come back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if isBinary:
            self.sendMessage(payload, True)
        else:
            super().onMessage(payload, isBinary)


class WholeTexts(Both):
    """Whole texts by the relay's fast way, one at a time."""

    _cut_texts = staticmethod(lambda data, max_bytes: cut_masked(first_frame(data), max_bytes))


class Autobahn(Both):
    """Everything by Autobahn."""

    _cut_texts = staticmethod(lambda data, max_bytes: (b"", 0))


def make_factory(reactor: IReactorTime, kind: type[Both]) -> ServerFactory:
    """A factory of the relay, for sockets that echo."""
    factory = ServerFactory(reactor, lambda socket, _: Echo(socket), WebSocketOptions())
    options = {name: each for name, each in vars(factory._class).items() if name[:2] != "__"}
    factory._class = type(kind.__name__, (kind,), options)
    return factory
