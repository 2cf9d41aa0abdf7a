"""Connects to a relay by WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from autobahn.websocket.util import parse_url
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from distmap.attempts import Attempt, IConnector
from distmap.errors import CannotConnect, ConnectionProblem, InvalidValue
from distmap.websocket import ClientFactory, ClientSocket
from distmap.websocket_options import WebSocketOptions


@implementer(IConnector)
class WebSocketConnector:
    """Connects to the relay at a URL.

    Args:
        reactor: the reactor.
        url: `ws://` or `wss://`; for wss, Twisted's TLS support must be installed.
        options: see :class:`WebSocketOptions`.

    Raises:
        InvalidValue: it is no such URL.
    """

    def __init__(self, reactor: Any, url: str, options: WebSocketOptions | None = None) -> None:
        try:
            secure, host, port, *_ = parse_url(url)
            if host == "unix":
                raise ValueError("there is no client for sockets of the file system")
        except Exception as error:
            raise InvalidValue(f"not a WebSocket URL: {url!r} ({error})") from None
        self.url = url
        # For the log: without a password, and the query, where programs put tokens.
        parts = urlsplit(url)
        self._name = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        self._reactor = reactor
        self._options = options or WebSocketOptions()
        self._endpoint: Any = HostnameEndpoint(
            reactor, host, port, timeout=self._options.handshake_seconds
        )
        if secure:
            from twisted.internet.endpoints import wrapClientTLS
            from twisted.internet.ssl import optionsForClientTLS

            self._endpoint = wrapClientTLS(optionsForClientTLS(host), self._endpoint)

    def __str__(self) -> str:
        return self._name

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        """See :class:`IConnector`."""
        return _Try(self._reactor, self.url, self._endpoint, self._options, attempt).abandon


class _Try:
    """One attempt: hands what the socket tells to the Attempt."""

    def __init__(
        self,
        reactor: IReactorTime,
        url: str,
        endpoint: IStreamClientEndpoint,
        options: WebSocketOptions,
        attempt: Attempt,
    ) -> None:
        self._attempt = attempt
        self._socket: ClientSocket | None = None
        self._abandoned = False
        self._connecting: Deferred[Any] = endpoint.connect(
            ClientFactory(reactor, url, self, options)
        )
        self._connecting.addCallbacks(self._connected, self._failed)

    def abandon(self) -> None:
        """Drops the connection, or gives up making one."""
        self._abandoned = True
        if self._socket is None:
            self._connecting.cancel()
        else:
            self._socket.abort()

    def _connected(self, protocol: TwistedProtocol) -> None:
        # With TLS the endpoint hands out our protocol, not the wrapper around it.
        self._socket = protocol  # type: ignore[assignment]

    def _failed(self, failure: Failure) -> None:
        text = "given up" if self._abandoned else failure.getErrorMessage()
        self._attempt.attempt_failed(CannotConnect(f"cannot connect: {text}"))

    def socket_opened(self) -> None:
        if self._socket is not None:
            self._attempt.attempt_opened(self._socket)

    def socket_received(self, message: bytes) -> None:
        self._attempt.attempt_received(message)

    def socket_congested(self, congested: bool) -> None:
        self._attempt.attempt_congested(congested)

    def socket_closing(self) -> None:
        """What is sent now is not; socket_closed() follows soon."""

    def socket_closed(self, problem: ConnectionProblem) -> None:
        self._attempt.attempt_failed(problem)
