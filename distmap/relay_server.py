"""The relay's connections and its turns, whatever carries them: sockets, or memory in a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from distmap.admission import Admission, Refusal
from distmap.backlog import Backlog
from distmap.counts import Counts
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.doorkeeper import Doorkeeper
from distmap.errors import ConnectionProblem, PingTimeout
from distmap.origins import check_origin, origin_problem
from distmap.proxies import TrustedProxies, is_loopback
from distmap.relay_connection import RelayConnection
from distmap.relay_options import RelayOptions
from distmap.relay_port import Socket
from distmap.restart import GOING_DOWN, SERVICE_RESTART, return_times_ms, with_retry
from distmap.router import Link, Relay

__all__ = ["RelayOptions", "RelayServer"]

MEMBERSHIP_SECONDS: Final = 0.1
"""How often joins and leaves of a large channel are told."""
MAX_LINES: Final = 20
"""What is logged of the mistakes of one connection: nobody fills a disk with them."""
DONORS_SECONDS: Final = 5.0
"""How often newcomers that take long give up their places with donors."""


class RelayServer:
    """All connections of one relay.

    Args:
        reactor: for the end of the turn, the time and the timers.
        prepare: makes of some frames the message that is written to a transport; once for all
            connections that get the same.
        options: see :class:`RelayOptions`.

    Attributes:
        connections: those that are open.
        backlog: what is held for all connections together.
        counts: what has happened.
        admission: who is connected, from where.
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
        self.backlog = Backlog(options.held_bytes)
        self.known_ends: dict[bytes, bool] = {}
        self.counts = Counts()
        self.admission = Admission(
            options.connections, options.connections_per_address, self.proxies.trusts
        )
        self._prepare = prepare
        self._flush_call: IDelayedCall | None = None
        self._turn_began: float | None = None
        self._membership_call: IDelayedCall | None = None
        self._donors_call: IDelayedCall | None = None
        self._empty = Waiters()
        self._stopping = False
        self._grace_call: IDelayedCall | None = None
        self._returns_ms = return_times_ms(0)
        self._numbers = count(1)

    # -- connections ------------------------------------------------------------------------------

    def refusal(self, host: str | None) -> Refusal | None:
        """Why a peer from an address may not connect; None if it may. A refusal is counted.

        Args:
            host: the address; None if it has none.
        """
        refusal = self.admission.refusal(host)
        if refusal is not None:
            self.counts.observe("refused", {"code": refusal.code})
            self._log.debug("{host} refused: {text}", host=host, text=refusal.text)
        return refusal

    def handshake_problem(
        self, address: str, origin: str | None, host: str | None, *, secure: bool = False
    ) -> str | None:
        """Why a page may not connect, which is logged and counted; None if it may: see
        :func:`distmap.origins.origin_problem`.
        """
        loopback = is_loopback(address) and not self.proxies.trusts(address)
        problem = origin_problem(origin, host, self._origins, loopback=loopback, secure=secure)
        if problem is not None:
            self.counts.observe("refused", {"code": "origin"})
            self._log.info("{name} refused: {problem}", name=address or "unix", problem=problem)
        return problem

    def accept(self, socket: Socket, name: str, host: str | None = None) -> RelayConnection:
        """Takes a new socket; its opening handshake has begun.

        Args:
            socket: whose handler the connection will be.
            name: the peer's address, for the log.
            host: the address alone, which counts; None if it has none.
        """
        self.admission.enter(host)
        return RelayConnection(self, socket, name, host)

    def connection_asked(self, connection: RelayConnection, headers: Mapping[str, str]) -> None:
        """The opening handshake came; a trusted proxy may tell in it for whom it speaks: then that
        address counts from now on.
        """
        connection.origin = headers.get("origin")
        told, host = headers.get("x-forwarded-for"), connection.host or ""
        address = self.proxies.peer_address(host, told)
        if address != host:
            connection.name = f"{address} through {connection.name}"
            self.admission.leave(connection.host)
            self.admission.enter(address)
            connection.host = address

    def connection_opened(self, connection: RelayConnection) -> None:
        """Its opening handshake is done."""
        connection.number = next(self._numbers)
        self.connections.add(connection)
        self.counts.connections += 1
        if self._doorkeeper is not None:
            self._doorkeeper.came(connection)
        if self._stopping:
            connection.drain(SERVICE_RESTART, self._goodbye())

    def connection_closed(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        """It is gone, or never was open."""
        self.admission.leave(connection.host)
        if self._doorkeeper is not None:
            self._doorkeeper.left(connection)
        if connection in self.connections:
            self.connections.discard(connection)
            self.counts.gone.add(connection.traffic)
            self._log_connection(connection, problem)
        else:
            self.counts.handshake_failures.add(problem.code)
            self._log.debug("{name}: {problem}", name=connection.name, problem=problem)
        if not self.connections:
            self._empty.fire(None)

    def observe_connection(self, event: str, connection: RelayConnection, cause: str) -> None:
        """A connection is ``evicted``: ended, or cut off from its streams; or ``paused``: it sends
        too much, and is not read for a while.
        """
        self.counts.observe(event, {"code": cause})

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
            self._turn_began = self.reactor.seconds()
            self._flush_call = self.reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        self._send(self.core.flush())
        self.known_ends.clear()
        if self._turn_began is not None:
            self.counts.turns.add(max(0.0, self.reactor.seconds() - self._turn_began))
            self._turn_began = None
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
            count = text.count(b"\n")
            for link in links:
                messages.setdefault(link, []).append(message)
                link.owner.traffic.frames_out += count
        for link, frames in messages.items():
            link.owner.write(frames)
        self.backlog.relieve(self.connections)

    def _log_connection(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        """One line for each connection, when it is over."""
        traffic, cause = connection.traffic, connection.cause
        if isinstance(problem, PingTimeout):
            cause = "ping"
            self.observe_connection("evicted", connection, cause)
        elif not cause:
            cause = "peer" if problem.close_code not in (None, 1006) else "lost"
        self._log.info(
            "{name} closed after {seconds:.1f} s ({cause}, code {code}): {maps} maps; in: "
            "{frames_in} frames, {bytes_in} bytes; out: {frames_out} frames, {bytes_out} bytes",
            name=connection.name,
            seconds=round(self.reactor.seconds() - connection.opened_at, 3),
            cause=cause,
            code=connection.code or problem.close_code or 1006,
            maps=connection.maps,
            frames_in=traffic.frames_in,
            bytes_in=traffic.bytes_in,
            frames_out=traffic.frames_out,
            bytes_out=traffic.bytes_out,
        )

    # -- the log ----------------------------------------------------------------------------------

    def _observe(self, event: str, link: Link, details: dict[str, Any]) -> None:
        self.counts.observe(event, details)
        if event in ("opened", "closed"):
            if event == "opened" and details["route"].endswith("/channel"):
                link.owner.maps += 1
            if self.options.log_streams:
                self._log.info("{name} {event} {route}", name=link.name, event=event, **details)
            return
        link.owner.lines += 1
        if link.owner.lines > MAX_LINES:
            return  # it is counted all the same
        if event == "unknown":
            self._log.debug("{name}: {what} for no stream", name=link.name, what=details["event"])
        else:
            text = ", ".join(f"{key} {value}" for key, value in details.items())
            self._log.info("{name} {event}: {text}", name=link.name, event=event, text=text)
