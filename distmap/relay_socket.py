"""The relay's end of a WebSocket: a thin Autobahn subclass, of which there are many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime

from distmap.texts import cut_masked
from distmap.websocket import BaseSocket, Handler
from distmap.websocket_options import WebSocketOptions

POLICY_VIOLATION = 1008
LAST_DATA_OPCODE = 7
PART_BYTES = 64
"""What each part of a message, which is what was read at once, takes beside its bytes."""


class ServerHandler(Handler, Protocol):
    """What the relay's end of a WebSocket tells, and asks."""

    paused: bool
    """The peer does not take what was sent to it."""

    def socket_asked(self, headers: Mapping[str, str]) -> None:
        """The opening handshake came, with these headers; their names are in lower case."""

    @property
    def rests(self) -> bool:
        """Whether nothing is read from it for a while."""

    def socket_read(self, size_bytes: int, slow_frames: int, unfinished_bytes: int) -> None:
        """So much was read, and all that came whole in it was told; so many WebSocket frames that
        were not among others have come since the socket is open; so much came of a message that
        is not whole.
        """

    def socket_ends(self, code: int) -> None:
        """This side begins the closing handshake."""


class ServerSocket(BaseSocket, WebSocketServerProtocol):  # type: ignore[misc]
    """The relay's end."""

    handler: ServerHandler
    limits: WebSocketOptions
    _cut_texts = staticmethod(cut_masked)
    _slow_frames = 0
    _fragments = 0
    _messages_before = 0
    _message_bytes = 0
    _message_call: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)  # without Autobahn's word for the log
        socket: Any = self
        if socket.state == self.STATE_OPEN:
            self._was_read(len(data))

    def _was_read(self, size_bytes: int) -> None:
        unfinished_bytes = len(self.data) + self._message_bytes
        self._tell(self.handler.socket_read, size_bytes, self._slow_frames, unfinished_bytes)
        socket: Any = self
        if socket.autoPingTimeoutCall:  # also amid a long message it is a sign of life
            socket._cancelAutoPingTimeoutCall()
        if not (self.data or self.inside_message):
            self._stop_message_call()
        elif self._message_call is None:
            self._await_message()

    def _await_message(self) -> None:
        self._messages_before = self._messages
        self._message_call = self.factory._batched_timer.call_later(
            self.limits.message_seconds, self._message_is_late
        )

    def _message_is_late(self) -> None:
        self._message_call = None
        if self._messages != self._messages_before or self.handler.rests:
            self._await_message()
        else:
            seconds = self.limits.message_seconds
            self.close(POLICY_VIOLATION, f"a message took longer than {seconds:g} s")

    def _stop_message_call(self) -> None:
        if self._message_call is not None:
            self._message_call.cancel()
            self._message_call = None

    def onFrameBegin(self) -> None:
        # Of what is not taken with others, past Autobahn.
        self._slow_frames += 1
        if self.current_frame.opcode <= LAST_DATA_OPCODE:
            self._fragments = self._fragments + 1 if self.inside_message else 1
            if self._fragments == self.limits.message_fragments + 1:
                most = self.limits.message_fragments
                self.close(POLICY_VIOLATION, f"a message is in more than {most} fragments")
        super().onFrameBegin()

    def onMessageFrameData(self, payload: bytes) -> None:
        self._message_bytes += len(payload) + PART_BYTES
        super().onMessageFrameData(payload)

    def onMessageEnd(self) -> None:
        self._message_bytes = 0
        super().onMessageEnd()

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

    def onAutoPingTimeout(self) -> None:
        if self.handler.rests:  # its answer may wait in the kernel's buffer
            seconds = self.limits.pong_seconds
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                seconds, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        self._stop_message_call()
        if self.state == self.STATE_OPEN and not isReply:
            self._tell(self.handler.socket_ends, code)
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def connectionLost(self, reason: Any = None) -> None:
        self._stop_message_call()
        super().connectionLost(reason)


def accept_deflate(offers: list[Any], message_bytes: int) -> Any:
    """What is answered to a client that offers to compress: a bounded permessage-deflate."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer, max_message_size=message_bytes)
    return None


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
        if options.compression:
            deflate = partial(accept_deflate, message_bytes=options.message_bytes)
            set_options: Any = self.setProtocolOptions
            set_options(perMessageCompressionAccept=deflate)
        self._accept = accept
        # Autobahn would copy its options to each socket, and print them for a log that nobody
        # reads; here they are of the class.
        options_of_all: dict[str, Any] = {"CONFIG_ATTRS": (), "limits": options}
        for name in ServerSocket.CONFIG_ATTRS:
            value = getattr(self, name)
            options_of_all[name] = staticmethod(value) if callable(value) else value
        self._class: type[ServerSocket] = type("ServerSocket", (ServerSocket,), options_of_all)

    def set_close_seconds(self, seconds: float) -> None:
        """How long the sockets wait in a closing handshake that begins from now on."""
        of_all: Any = self._class
        of_all.closeHandshakeTimeout = seconds

    def buildProtocol(self, addr: IAddress | None) -> ServerSocket:
        socket = self._class()
        socket.factory = self
        socket.handler = self._accept(socket, addr)
        return socket
