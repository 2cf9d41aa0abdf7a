"""The relay's connections and its turns, whatever carries them: sockets, or memory in a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from distmap.deferreds import Awaitable, Waiters, fired
from distmap.errors import ConnectionProblem
from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.relay_connection import RelayConnection, Socket
from distmap.restart import GOING_DOWN, SERVICE_RESTART, return_times_ms, with_retry
from distmap.router import Link, Relay
from distmap.websocket import WebSocketOptions

MEMBERSHIP_SECONDS: Final = 0.1
"""How often joins and leaves of a large channel are told."""
DONORS_SECONDS: Final = 5.0
"""How often newcomers that take long give up their places with donors."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay behaves.

    Attributes:
        log_streams: log each stream that is opened and closed, with its route.
        page: serve the live page and its examples; the browser client is served in any case.
        queue_bytes: what may queue for one connection that does not read.
        stall_seconds: how long a queue may stand still.
        grace_seconds: how long a stop waits for the peers to take what is theirs, and to go.
        limits: of the frames and streams taken from each connection.
        websocket: of the sockets.
    """

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
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorTime, prepare: Callable[[bytes], bytes], options: RelayOptions
    ) -> None:
        self.reactor = reactor
        self.options = options
        self.core = Relay(lambda: reactor.seconds() * 1000, self._observe, options.limits)
        self.connections: set[RelayConnection] = set()
        self._prepare = prepare
        self._flush_call: IDelayedCall | None = None
        self._membership_call: IDelayedCall | None = None
        self._donors_call: IDelayedCall | None = None
        self._empty = Waiters()
        self._stopping = False
        self._grace_call: IDelayedCall | None = None
        self._returns_ms = return_times_ms(0)
        self._numbers = count(1)

    # -- connections ------------------------------------------------------------------------------

    def accept(self, socket: Socket, name: str) -> RelayConnection:
        """Takes a new socket.

        Args:
            socket: whose handler the connection will be.
            name: the peer's address, for the log.
        """
        return RelayConnection(self, socket, name)

    def connection_opened(self, connection: RelayConnection) -> None:
        """Its opening handshake is done."""
        connection.number = next(self._numbers)
        self.connections.add(connection)
        if self._stopping:
            connection.drain(SERVICE_RESTART, self._goodbye())

    def connection_closed(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        """It is gone."""
        self.connections.discard(connection)
        self._log.debug("{name}: {problem}", name=connection.name, problem=problem)
        if not self.connections:
            self._empty.fire(None)

    def stop(self) -> Awaitable[None]:
        """Takes nothing more from the peers, gives each what waits for it, and tells it when to
        come back (close code 1012); fires when all are gone, or the grace is over and they were
        dropped. Called again meanwhile, it drops them at once.
        """
        again, self._stopping = self._stopping, True
        if again:
            self._drop_all()
        else:
            self._flush()  # what is acknowledged has left before a writer hears of the end
            self._returns_ms = return_times_ms(len(self.connections))
            # In the order that they came in, which is the same in each run of a simulation.
            for connection in sorted(self.connections, key=lambda each: each.number):
                connection.drain(SERVICE_RESTART, self._goodbye())
        if not self.connections:
            self._cancel_calls()
            return fired(None)
        done: Awaitable[None] = self._empty.wait()
        if self._grace_call is None:
            self._grace_call = self.reactor.callLater(self.options.grace_seconds, self._drop_all)
        done.addCallback(lambda _: self._cancel_calls())
        return done

    def start(self) -> None:
        """Takes connections (again)."""
        self._stopping = False

    def _drop_all(self) -> None:
        for connection in list(self.connections):
            connection.socket.abort()

    def _goodbye(self) -> str:
        return with_retry(GOING_DOWN, next(self._returns_ms))

    def _cancel_calls(self) -> None:
        calls = (self._flush_call, self._membership_call, self._donors_call, self._grace_call)
        for call in calls:
            if call is not None and call.active():
                call.cancel()
        self._flush_call = self._membership_call = self._donors_call = self._grace_call = None

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
