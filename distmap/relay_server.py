"""The relay's connections and its turns, whatever carries them: sockets, or memory in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from distmap.deferreds import Awaitable, Waiters, fired
from distmap.doorkeeper import Doorkeeper
from distmap.errors import ConnectionProblem
from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.origins import check_origin, origin_problem
from distmap.proxies import TrustedProxies, is_loopback
from distmap.relay_connection import RelayConnection, Socket
from distmap.router import Link, Relay
from distmap.websocket import WebSocketOptions

SERVICE_RESTART: Final = 1012
GOING_DOWN: Final = "the relay is going down"
MEMBERSHIP_SECONDS: Final = 0.1
"""How often joins and leaves of a large channel are told."""
DONORS_SECONDS: Final = 5.0
"""How often newcomers that take long give up their places with donors."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay behaves.

    Attributes:
        authorizer: provides :class:`distmap.authorizer.IAuthorizer`; None lets everybody do
            everything.
        open: that is meant so, also where others can reach the relay: no warning.
        origins: of the pages that may connect beside those of the relay's own host, such as
            ``https://example.com``; ``*`` for all.
        trusted_proxies: addresses and networks of the proxies in front of the relay, whose
            ``X-Forwarded-For`` counts; ``unix`` for one on a UNIX socket.
        authorizer_seconds: how long the authorizer has for an answer, and a connection to show
            credentials if it has to.
        log_streams: log each stream that is opened and closed, with its route.
        page: serve the live page and its examples; the browser client is served in any case.
        queue_bytes: what may queue for one connection that does not read.
        stall_seconds: how long a queue may stand still.
        grace_seconds: how long a stop waits for the peers to go.
        limits: of the frames and streams taken from each connection.
        websocket: of the sockets.
    """

    authorizer: Any = None
    open: bool = False
    origins: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()
    authorizer_seconds: float = 10
    log_streams: bool = False
    page: bool = True
    queue_bytes: int = 8 * 1024 * 1024
    stall_seconds: float = 10
    grace_seconds: float = 2
    limits: Limits = DEFAULT_LIMITS
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)


class RelayServer:
    """All connections of one relay.

    Args:
        reactor: for the end of the turn, the time and the timers.
        prepare: makes of some frames the message that is written to a transport; once for all
            connections that get the same.
        options: see :class:`RelayOptions`.

    Attributes:
        proxies: the trusted ones.

    Raises:
        InvalidValue: one of the origins or proxies is none.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorTime, prepare: Callable[[bytes], bytes], options: RelayOptions
    ) -> None:
        self.reactor = reactor
        self.options = options
        self.core = Relay(lambda: reactor.seconds() * 1000, self._observe, options.limits)
        self.connections: set[RelayConnection] = set()
        self.proxies = TrustedProxies(options.trusted_proxies)
        self._origins = frozenset(map(check_origin, options.origins))
        self._doorkeeper: Doorkeeper | None = None
        if options.authorizer is not None:
            args = (self.core, self.schedule, options.authorizer_seconds)
            self._doorkeeper = Doorkeeper(reactor, options.authorizer, *args)
        self._prepare = prepare
        self._flush_call: IDelayedCall | None = None
        self._membership_call: IDelayedCall | None = None
        self._donors_call: IDelayedCall | None = None
        self._empty = Waiters()
        self._stopping = False

    # -- connections ------------------------------------------------------------------------------

    def accept(self, socket: Socket, name: str, address: str = "") -> RelayConnection:
        """Takes a new socket.

        Args:
            socket: whose handler the connection will be.
            name: the peer's address and port, for the log.
            address: the peer's IP address; empty if it has none.
        """
        return RelayConnection(self, socket, name, address)

    def handshake_problem(self, address: str, origin: str | None, host: str | None) -> str | None:
        """Why a page may not connect, which is logged; None if it may: see
        :func:`distmap.origins.origin_problem`.

        Args:
            address: of who connects; empty if it has none.
            origin: the header ``Origin``.
            host: the header ``Host``.
        """
        loopback = is_loopback(address) and not self.proxies.trusts(address)
        problem = origin_problem(origin, host, self._origins, loopback=loopback)
        if problem is not None:
            self._log.info("{name} refused: {problem}", name=address or "unix", problem=problem)
        return problem

    def connection_opened(self, connection: RelayConnection) -> None:
        """Its opening handshake is done."""
        self.connections.add(connection)
        if self._doorkeeper is not None:
            self._doorkeeper.came(connection)
        if self._stopping:
            connection.close(SERVICE_RESTART, GOING_DOWN)

    def connection_closed(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        """It is gone."""
        self.connections.discard(connection)
        if self._doorkeeper is not None:
            self._doorkeeper.left(connection)
        self._log.debug("{name}: {problem}", name=connection.name, problem=problem)
        if not self.connections:
            self._empty.fire(None)

    def stop(self) -> Awaitable[None]:
        """Tells the peers (close code 1012); fires when all are gone, or the grace is over and
        they were dropped.
        """
        self._stopping = True
        for connection in list(self.connections):
            connection.close(SERVICE_RESTART, GOING_DOWN)
        if not self.connections:
            self._cancel_calls()
            return fired(None)
        done: Awaitable[None] = self._empty.wait()
        timer = self.reactor.callLater(self.options.grace_seconds, self._drop_all)

        def finish(_: object) -> None:
            if timer.active():
                timer.cancel()
            self._cancel_calls()

        done.addCallback(finish)
        return done

    def start(self) -> None:
        """Takes connections (again)."""
        self._stopping = False

    def _drop_all(self) -> None:
        for connection in list(self.connections):
            connection.socket.abort()

    def _cancel_calls(self) -> None:
        for call in (self._flush_call, self._membership_call, self._donors_call):
            if call is not None and call.active():
                call.cancel()
        self._flush_call = self._membership_call = self._donors_call = None

    # -- the end of a turn ------------------------------------------------------------------------

    def schedule(self) -> None:
        """Sends what gathers in this turn of the reactor at its end."""
        if self._flush_call is None:
            self._flush_call = self.reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        self._send(self.core.flush())
        if self.core.hub.membership_waits and self._membership_call is None:
            self._membership_call = self.reactor.callLater(MEMBERSHIP_SECONDS, self._tell)
        if self.core.hub.donors.busy == (self._donors_call is not None):
            return
        if self._donors_call is None:
            self._donors_call = self.reactor.callLater(DONORS_SECONDS, self._free_donors)
        else:
            self._donors_call.cancel()
            self._donors_call = None

    def _free_donors(self) -> None:
        self._donors_call = None
        self.core.hub.donors.expire()
        self._flush()

    def _tell(self) -> None:
        self._membership_call = None
        self._send(self.core.hub.flush_membership())

    def _send(self, outgoing: list[tuple[bytes, list[Link]]]) -> None:
        messages: dict[Link, list[bytes]] = {}
        for text, links in outgoing:
            message = self._prepare(text)
            for link in links:
                messages.setdefault(link, []).append(message)
        for link, frames in messages.items():
            link.owner.write(frames)

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
