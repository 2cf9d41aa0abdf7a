"""The relay's end of a WebSocket: a thin Autobahn subclass, of which there are many at a time."""

from __future__ import annotations

from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IAddress, IReactorTime

from distmap.texts import SMALL_BYTES, cut_texts
from distmap.websocket import BaseSocket, Handler, WebSocketOptions


class ServerHandler(Handler, Protocol):
    """What the relay's end of a WebSocket tells, and asks."""

    paused: bool
    """The peer does not take what was sent to it."""


class ServerSocket(BaseSocket, WebSocketServerProtocol):  # type: ignore[misc]
    """The relay's end."""

    handler: ServerHandler

    def onOpen(self) -> None:
        # What was said in the handshake; for as long as the connection lives.
        self.http_headers, self.http_request_data, self.http_response_data = {}, b"", ""
        super().onOpen()

    def processData(self) -> bool:  # noqa: N802
        # Small messages are taken together, past what Autobahn does for each; a stream of frames
        # may be cut into messages anywhere. All else is Autobahn's.
        socket: Any = self  # Autobahn's attributes are typed as they begin
        is_open = socket.state == WebSocketServerProtocol.STATE_OPEN
        if is_open and socket.current_frame is None and not socket.inside_message:
            max_bytes = min(socket.maxMessagePayloadSize, SMALL_BYTES)
            text, end = cut_texts(socket.data, max_bytes)
            if end:
                socket.data = socket.data[end:]
                if socket.autoPingTimeoutCall:  # as after any frame of data
                    socket._cancelAutoPingTimeoutCall()
                self._tell(self.handler.socket_received, text)
                return bool(socket.data)
        return super().processData()

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
