"""The relay's end of a WebSocket: a thin Autobahn subclass, of which there are many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IAddress, IReactorTime

from distmap.texts import cut_masked
from distmap.websocket import BaseSocket, Handler, WebSocketOptions


class ServerHandler(Handler, Protocol):
    """What the relay's end of a WebSocket tells, and asks."""

    paused: bool
    """The peer does not take what was sent to it."""

    def socket_asked(self, headers: Mapping[str, str]) -> None:
        """The opening handshake came, with these headers; their names are in lower case."""


class ServerSocket(BaseSocket, WebSocketServerProtocol):  # type: ignore[misc]
    """The relay's end."""

    handler: ServerHandler
    _cut_texts = staticmethod(cut_masked)

    def onConnect(self, request: Any) -> None:
        self._tell(self.handler.socket_asked, request.headers)

    def onOpen(self) -> None:
        # What was said in the handshake; for as long as the connection lives.
        self.http_headers, self.http_request_data, self.http_response_data = {}, b"", ""
        super().onOpen()

    def onPing(self, payload: bytes) -> None:
        # Somebody who sends pings and does not read would fill the transport with pongs.
        if not self.handler.paused:
            super().onPing(payload)


class ServerFactory(WebSocketServerFactory):
    """Makes the relay's sockets.

    Args:
        reactor: for the timers.
        accept: is called with each new socket and the address of its peer, and returns its handler.
        options: see :class:`WebSocketOptions`.
    """

    noisy = False

    def __init__(self, reactor: IReactorTime, accept: Any, options: WebSocketOptions) -> None:
        super().__init__(reactor=reactor)  # type: ignore[no-untyped-call]
        options.apply(self, reactor)
        self._accept = accept
        # Autobahn would copy its options to each socket, and print them for a log that nobody
        # reads; here they are of the class.
        options_of_all: dict[str, Any] = {"CONFIG_ATTRS": ()}
        for name in ServerSocket.CONFIG_ATTRS:
            value = getattr(self, name)
            options_of_all[name] = staticmethod(value) if callable(value) else value
        self._class: type[ServerSocket] = type("ServerSocket", (ServerSocket,), options_of_all)

    def buildProtocol(self, addr: IAddress | None) -> ServerSocket:
        socket = self._class()
        socket.factory = self
        socket.handler = self._accept(socket, addr)
        return socket
