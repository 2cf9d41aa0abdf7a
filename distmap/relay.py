"""The relay as a Twisted service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.web.server import Site

from distmap.deferreds import Waiters
from distmap.errors import ConnectionProblem
from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.relay_connection import RelayConnection
from distmap.router import Link, Relay
from distmap.site import RelayResource
from distmap.websocket import ServerFactory, ServerSocket, WebSocketOptions

SERVICE_RESTART = 1012
MEMBERSHIP_SECONDS = 0.1
"""How often joins and leaves of a large channel are told."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay behaves.

    Attributes:
        log_streams: log each stream that is opened and closed, with its route.
        queue_bytes: what may queue for one connection that does not read.
        stall_seconds: how long a queue may stand still.
        grace_seconds: how long a stop waits for the peers to go.
        limits: of the frames and streams taken from each connection.
        websocket: of the sockets.
    """

    log_streams: bool = False
    queue_bytes: int = 8 * 1024 * 1024
    stall_seconds: float = 10
    grace_seconds: float = 2
    limits: Limits = DEFAULT_LIMITS
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)


class RelayService(Service):
    """Connects the peers of all maps; holds no state but who is there.

    Args:
        reactor: the reactor.
        endpoint: where to listen when the service starts; None to listen nowhere, for a relay that
            is only mounted in another site by its :attr:`resource`.
        options: see :class:`RelayOptions`.

    Attributes:
        resource: a Twisted web resource: the WebSocket and the page at its own URL, and what
            belongs to them below it. May be mounted in any site, also beside an endpoint.
        port: what the endpoint listens on, once it does.
    """

    _log = Logger()
    name = "distmap"

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamServerEndpoint | None = None,
        options: RelayOptions | None = None,
    ) -> None:
        self.reactor = reactor
        self.options = options or RelayOptions()
        self.queue_bytes = self.options.queue_bytes
        self.stall_seconds = self.options.stall_seconds
        self.core = Relay(lambda: reactor.seconds() * 1000, self._observe, self.options.limits)
        self.port: IListeningPort | None = None
        self._endpoint = endpoint
        self._factory = ServerFactory(reactor, self._accept, self.options.websocket)
        self.resource = RelayResource(self._factory, self)
        self._connections: set[RelayConnection] = set()
        self._flush_call: IDelayedCall | None = None
        self._membership_call: IDelayedCall | None = None
        self._empty = Waiters()
        self._stopping = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    # -- the service ------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Listens; a port below 1024 can still be bound now.

        Raises:
            SystemExit: the port cannot be bound; its text says why.
        """
        self._listen()

    def startService(self) -> None:
        """Listens, if it does not yet.

        Raises:
            SystemExit: the port cannot be bound; its text says why.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._listen()

    def _listen(self) -> None:
        if self._endpoint is None or self.port is not None:
            return
        self._stopping = False
        site = Site(self.resource, timeout=60)
        site.noisy = False
        site.displayTracebacks = False
        failures: list[Any] = []
        self._endpoint.listen(site).addCallbacks(self._listening, failures.append)
        if failures:
            raise SystemExit(f"distmap: {failures[0].getErrorMessage()}")

    def _listening(self, port: IListeningPort) -> None:
        self.port = port
        self._log.info("listening on {host}", host=_name(port.getHost()))

    def stopService(self) -> Deferred[Any]:
        """Stops listening and tells the peers (close code 1012); fires when all are gone, or the
        grace is over and they were dropped.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._stopping = True
        port, self.port = self.port, None
        stopped = maybeDeferred(port.stopListening) if port is not None else None
        for connection in list(self._connections):
            connection.socket.close(SERVICE_RESTART, "the relay is going down")
        done = self._empty.wait() if self._connections else _now()
        timer = self.reactor.callLater(self.options.grace_seconds, self._drop_all)

        def finish(_: object) -> Deferred[Any] | None:
            if timer.active():
                timer.cancel()
            for call in (self._flush_call, self._membership_call):
                if call is not None and call.active():
                    call.cancel()
            self._flush_call = self._membership_call = None
            return stopped

        return done.addCallback(finish)

    def _drop_all(self) -> None:
        for connection in list(self._connections):
            connection.socket.abort()

    # -- connections ------------------------------------------------------------------------------

    def _accept(self, socket: ServerSocket, address: IAddress) -> RelayConnection:
        return RelayConnection(self, socket, _name(address))

    def connection_opened(self, connection: RelayConnection) -> None:
        self._connections.add(connection)
        if self._stopping:
            connection.socket.close(SERVICE_RESTART, "the relay is going down")

    def connection_closed(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        self._connections.discard(connection)
        self._log.debug("{name}: {problem}", name=connection.name, problem=problem)
        if not self._connections:
            self._empty.fire(None)

    # -- the end of a turn ------------------------------------------------------------------------

    def schedule(self) -> None:
        """Sends what gathers in this turn of the reactor at its end."""
        if self._flush_call is None:
            self._flush_call = self.reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flush_call = None
        self._send(self.core.flush())
        if self.core.hub.membership_waits and self._membership_call is None:
            self._membership_call = self.reactor.callLater(MEMBERSHIP_SECONDS, self._tell)

    def _tell(self) -> None:
        self._membership_call = None
        self._send(self.core.hub.flush_membership())

    def _send(self, outgoing: list[tuple[bytes, list[Link]]]) -> None:
        prepare = self._factory.prepareMessage
        for text, links in outgoing:
            # One WebSocket frame for all who get the same.
            frame = prepare(text, False, True).payloadHybi
            for link in links:
                link.owner.write(frame)

    # -- the log ----------------------------------------------------------------------------------

    def _observe(self, event: str, link: Link, details: dict[str, Any]) -> None:
        if event in ("opened", "closed"):
            if self.options.log_streams:
                self._log.info("{name} {event} {route}", name=link.name, event=event, **details)
        elif event == "unknown":
            self._log.debug("{name}: {what} for no stream", name=link.name, what=details["event"])
        else:
            text = ", ".join(f"{key} {value}" for key, value in details.items())
            self._log.info("{name} {event}: {text}", name=link.name, event=event, text=text)


def _now() -> Deferred[Any]:
    done: Deferred[Any] = Deferred()
    done.callback(None)
    return done


def _name(address: Any) -> str:
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return f"{host}:{port}" if host is not None else str(address)
