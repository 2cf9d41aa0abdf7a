"""Thin Autobahn subclasses: each hands what happens to one object of ours, its handler.

The relay's end is in :mod:`distmap.relay_socket`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.error import ConnectionLost as TransportLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from distmap.errors import (
    ConnectionProblem,
    HandshakeDropped,
    HandshakeTimeout,
    PingTimeout,
    UpgradeRefused,
)
from distmap.restart import lost
from distmap.texts import SENT_BYTES, cut_unmasked, is_utf8, make_masked
from distmap.websocket_options import Timer, WebSocketOptions
from distmap.writing import bound_unsent, write_now

UNSUPPORTED_DATA = 1003
INVALID_TEXT = 1007
HTTP_HEADER_BYTES = 16 * 1024
"""A server that says more before the WebSocket is open is none of ours."""


class Handler(Protocol):
    """What a WebSocket tells."""

    def socket_opened(self) -> None:
        """The opening handshake is done."""

    def socket_received(self, message: bytes) -> None:
        """Text came, in one message or several."""

    def socket_closing(self) -> None:
        """Either side began the closing handshake: nothing more can be sent."""

    def socket_closed(self, problem: ConnectionProblem) -> None:
        """The socket is closed, or never opened; comes once."""


class BaseSocket:
    """What the two ends have in common, mixed in before Autobahn's classes."""

    handler: Any  # a Handler
    _cut_texts: Callable[[bytes, int], tuple[bytes, int]]
    _log = Logger()
    _drop: IDelayedCall | None = None
    _silent = False
    _refusal: str | None = None
    _is_refused = False
    _was_open = False
    _lost: BaseException | None = None
    _messages = 0  # that came whole

    def onOpen(self) -> None:
        self._was_open = True
        self._tell(self.handler.socket_opened)

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)  # type: ignore[attr-defined]  # without Autobahn's word for the log

    def processData(self) -> bool:  # noqa: N802
        # Texts that came together are taken together, past what Autobahn does for each: a stream of
        # frames may be cut into messages anywhere. All else is Autobahn's.
        socket: Any = self
        is_open = socket.state == WebSocketClientProtocol.STATE_OPEN
        if is_open and socket.current_frame is None and not socket.inside_message:
            text, end = self._cut_texts(socket.data, socket.maxMessagePayloadSize)
            if end:
                socket.data = socket.data[end:]
                self._messages += 1
                if socket.autoPingTimeoutCall:  # as after any frame of data
                    socket._cancelAutoPingTimeoutCall()
                self._tell(self.handler.socket_received, text)
                return bool(socket.data)
        return bool(super().processData())  # type: ignore[misc]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._messages += 1
        if self._is_refused:
            return  # Autobahn goes on with what came together with it
        if isBinary:
            self._is_refused = True
            self.close(UNSUPPORTED_DATA, "frames are text")
        elif not is_utf8(payload):
            self._is_refused = True
            self.close(INVALID_TEXT, "a message is not UTF-8")
        else:
            self._tell(self.handler.socket_received, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._tell(self.handler.socket_closed, self._problem(code, reason))

    def _tell(self, method: Callable[..., None], *args: object) -> None:
        # Autobahn swallows what is raised in some of its callbacks.
        try:
            method(*args)
        except Exception:
            self._log.failure("a defect of distmap: this connection is dropped")
            self.abort()

    def onAutoPingTimeout(self) -> None:
        self._silent = True
        super().onAutoPingTimeout()  # type: ignore[misc]

    def sendCloseFrame(self, *args: Any, **kwargs: Any) -> None:
        was_open = self.state == WebSocketClientProtocol.STATE_OPEN  # type: ignore[attr-defined]
        super().sendCloseFrame(*args, **kwargs)  # type: ignore[misc]
        if was_open:
            # Autobahn would wait for ever for one that says goodbye and does not read, or does
            # not go.
            seconds: float = self.closeHandshakeTimeout  # type: ignore[attr-defined]
            timer: Timer = self.factory._batched_timer  # type: ignore[attr-defined]
            self._drop = timer.call_later(seconds, self.abort)
            self._tell(self.handler.socket_closing)

    def connectionLost(self, reason: Failure) -> None:
        # Autobahn leaves the second behind when the other side drops us, unanswered.
        for call in (self._drop, self.closeHandshakeTimeoutCall):  # type: ignore[has-type]
            if call is not None and call.active():
                call.cancel()
        self._drop = self.closeHandshakeTimeoutCall = None
        self._lost = reason.value
        super().connectionLost(reason)  # type: ignore[misc]

    def failHandshake(self, reason: str, *args: Any, **kwargs: Any) -> None:
        self._refusal = reason
        super().failHandshake(reason, *args, **kwargs)  # type: ignore[misc]

    def send(self, message: bytes) -> None:
        """Sends a text message; after the close it is dropped."""
        if self.state == WebSocketClientProtocol.STATE_OPEN:  # type: ignore[attr-defined]
            self.sendMessage(message)  # type: ignore[attr-defined]

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; any code of RFC 6455, which sendClose() does not allow."""
        if self.state == WebSocketClientProtocol.STATE_OPEN:  # type: ignore[attr-defined]
            # A close frame holds 123 bytes of text; a character cut in two would be an error.
            text = reason.encode(errors="replace")[:123].decode(errors="ignore")
            self.sendCloseFrame(code, text.encode(), False)

    def abort(self) -> None:
        """Drops the connection without a word."""
        transport: Any = self.transport  # type: ignore[attr-defined]
        if transport is not None and self._lost is None:
            transport.abortConnection()

    def _problem(self, code: int | None, reason: str | None) -> ConnectionProblem:
        if self._silent:
            return PingTimeout("the other side did not answer a ping")
        if self._was_open:
            return lost(code, reason)
        if self.wasOpenHandshakeTimeout:  # type: ignore[attr-defined]
            return HandshakeTimeout("the server did not finish the opening handshake in time")
        if self._refusal is not None:
            return UpgradeRefused(f"the server refused the upgrade: {self._refusal}")
        if not isinstance(self._lost, ConnectionDone | TransportLost):
            return HandshakeDropped(f"TLS failed: {_tls_text(self._lost)}")
        return HandshakeDropped("the server dropped the connection during the opening handshake")


def _tls_text(error: BaseException | None) -> str:
    """What OpenSSL or service_identity say, which may be a list; OpenSSL's errors have parts."""
    said = error.args[0] if error is not None and error.args else error
    if isinstance(said, list):
        return ", ".join(str(each[-1] if isinstance(each, tuple) else each) for each in said)
    return str(error)


class ClientHandler(Handler, Protocol):
    """What the client's end of a WebSocket tells."""

    def socket_congested(self, congested: bool) -> None:
        """The network does not take what is sent, or takes it again; may be told again."""


class ClientSocket(BaseSocket, WebSocketClientProtocol):  # type: ignore[misc]
    """The client's end; an IPushProducer, for the transport."""

    handler: ClientHandler
    _cut_texts = staticmethod(cut_unmasked)

    def onOpen(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(self, True)
        if ITCPTransport.providedBy(transport):  # by default small messages may wait for 40 ms
            transport.setTcpNoDelay(True)
        bound_unsent(transport)
        super().onOpen()

    def pauseProducing(self) -> None:
        self._tell(self.handler.socket_congested, True)

    def resumeProducing(self) -> None:
        self._tell(self.handler.socket_congested, False)

    def stopProducing(self) -> None:
        """The transport is going away; socket_closed() follows."""

    def send(self, message: bytes) -> None:
        is_open = self.state == WebSocketClientProtocol.STATE_OPEN
        if is_open and len(message) <= SENT_BYTES:  # Autobahn takes ten times as long
            write_now(self.transport, make_masked(message, os.urandom(4)))
        else:
            super().send(message)

    def processHandshake(self) -> None:  # noqa: N802
        try:
            super().processHandshake()  # type: ignore[no-untyped-call]
        except Exception:  # Autobahn parses what the server says as if it could not be wrong
            self.failHandshake("its answer is not HTTP")
        else:
            waits = self.state == WebSocketClientProtocol.STATE_CONNECTING
            if waits and len(self.data) > HTTP_HEADER_BYTES:
                self.failHandshake("its answer is too long")


class ClientFactory(WebSocketClientFactory):
    """Makes one client socket.

    Args:
        reactor: for the timers.
        url: `ws://` or `wss://`.
        handler: of the socket.
        options: see :class:`WebSocketOptions`.
    """

    noisy = False

    def __init__(
        self, reactor: IReactorTime, url: str, handler: ClientHandler, options: WebSocketOptions
    ) -> None:
        super().__init__(url, reactor=reactor)  # type: ignore[no-untyped-call]
        options.apply(self, reactor)
        if ":" in self.host:
            self.host = f"[{self.host}]"  # as the Host header has an IPv6 address
        # Autobahn would keep this time on the reactor of the process; ours is close_seconds.
        self.setProtocolOptions(serverConnectionDropTimeout=0)  # type: ignore[no-untyped-call]
        self._handler = handler

    def buildProtocol(self, addr: IAddress | None) -> ClientSocket:
        socket = ClientSocket()
        socket.factory = self
        socket.handler = self._handler
        return socket
