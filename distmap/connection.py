"""The client's connection to a relay: it reconnects until it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from distmap.attempts import Member, Renewer
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.errors import ConnectionClosed, ConnectionProblem, NoCredentials
from distmap.events import Emitter, Handler
from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.knowledge import RETENTION_MS
from distmap.session import Session, Transport
from distmap.states import MuxStream
from distmap.status import CLOSED, CONNECTING, OFFLINE, OPEN, Status
from distmap.streams import Stream
from distmap.tries import Tries

NORMAL: Final = 1000


class Connection:
    """A connection to a relay. Made by :func:`distmap.connect`.

    Events (:meth:`on`): ``stream`` (Stream), the other side opened one; ``open`` (); ``offline``
    (ConnectionProblem), there is no connection, or another try failed; ``close`` ().

    Args:
        reactor: for all timers.
        connector: provides :class:`IConnector`.
        random: gives a number from 0 to 1; for the jitter and the ids.
        limits: what is taken from the relay.
        close_seconds: how long :meth:`close` waits for the relay's answer.
        retention_seconds: how long the maps on this connection keep tombstones.

    Attributes:
        bytes_received: of all messages of the relay so far, without those of WebSocket and TCP.
        bytes_sent: likewise of all messages to it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        connector: Any,
        random: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
        close_seconds: float = 2.0,
        retention_seconds: float = RETENTION_MS / 1000,
    ) -> None:
        self.retention_ms = int(retention_seconds * 1000)
        self.reactor = reactor
        self.random = random
        self.session: Session | None = None
        self.credentials: Renewer | None = None
        self.bytes_received = self.bytes_sent = 0
        self._connector = connector
        self._limits = limits
        self._close_seconds = close_seconds
        self._status = Status(CONNECTING)
        self._tries = Tries(random)
        self._retry: IDelayedCall | None = None
        self._close_timer: IDelayedCall | None = None
        self._transport: Transport | None = None
        self._abandon: Callable[[], None] | None = None
        self._members: dict[Member, None] = {}
        self._early_streams: list[Stream] = []
        self._events = Emitter("stream", "open", "offline", "close")
        self._closed = Waiters()
        self._gone = False
        self._connect()

    # -- the user's side --------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """``connecting``, ``open``, ``offline`` or ``closed``, with a `reason` and a `code`."""
        return self._status

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Adds a handler of an event; returns what takes it back."""
        return self._events.on(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Takes a handler back."""
        self._events.off(name, handler)

    def create_stream(
        self,
        meta: Any,
        *,
        writable: bool = True,
        readable: bool = True,
        half_open: bool = False,
    ) -> Stream:
        """Opens a stream to the relay; while there is no connection, as soon as there is one.

        Unlike a map, a stream does not outlive the connection it is open on: it then ends with
        ConnectionLost, because what was under way may be lost.

        Args:
            meta: a JSON value, for the relay a route.
            writable: whether this side may send.
            readable: whether the other side may.
            half_open: whether one side's end leaves the other side sending.

        Raises:
            ConnectionClosed: the connection is closed.
            InvalidValue: the meta is not JSON.
            LocalProtocolError: neither side could send.
        """
        self._check_open()
        stream = Stream(
            self.reactor, meta, writable=writable, readable=readable, half_open=half_open
        )
        if self.session is not None and self.session.alive:
            stream.attach(self.session)
        else:
            self._early_streams.append(stream)
        return stream

    def renew(self) -> Awaitable[None]:
        """Shows credentials to the relay now: asks what was passed to :func:`distmap.connect` for
        them once more, and has what was refused tried again at once.

        While there is no connection, one is tried at once. A second call begins anew, for both.

        Fires with None once the relay has opened all maps of this connection with them. Errbacks
        with AccessRefused if it does not open one of them; CredentialsFailed if there are none, or
        no answer; Unauthorized if the relay closes the connection for want of any; and
        ConnectionClosed if this program closes it.

        Raises:
            ConnectionClosed: the connection is closed.
            NoCredentials: it was made without any.
        """
        self._check_open()
        if self.credentials is None:
            raise NoCredentials("the connection was made without credentials: there is no source")
        return self.credentials.renew()

    def close(self) -> Awaitable[None]:
        """Closes the connection and all maps on it.

        Fires with None when nothing of it is left: no socket and no delayed call. May be called
        more than once.
        """
        if self._gone:
            return fired(None)
        waiting: Awaitable[None] = self._closed.wait()
        if self._status != CLOSED:
            self._begin_close()
        return waiting

    def _check_open(self) -> None:
        if self._status == CLOSED:
            raise ConnectionClosed("the connection is closed")

    # -- members ----------------------------------------------------------------------------------

    def attach(self, member: Member) -> None:
        """Adds what rides on this connection; raises ConnectionClosed if that is closed."""
        self._check_open()
        self._members[member] = None
        if self.session is not None and self.session.alive:
            member.session_opened(self.session)

    def detach(self, member: Member) -> None:
        """Takes it off again."""
        self._members.pop(member, None)
        self.judged()

    @property
    def members(self) -> list[Member]:
        """All that rides on it."""
        return list(self._members)

    def judged(self) -> None:
        """A member is let in, or not, or is gone."""
        if self.credentials is not None:
            self.credentials.check()

    def hurry(self) -> None:
        """Does not wait any longer for the next try."""
        if self._retry is not None:
            self._retry.cancel()
            self._tries.reset()
            self._connect()

    def come_back(self) -> None:
        """Leaves the relay and comes back, as somebody else."""
        if self._transport is not None:
            self._transport.close(NORMAL, "")

    # -- an attempt -------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._retry = None
        self._abandon = self._connector.connect(self)

    def attempt_opened(self, transport: Transport) -> None:
        self._tries.opened()
        self._transport = transport
        if self._status == CLOSED:
            transport.close(NORMAL, "")
            return
        self._log.info("connected to {relay}", relay=self._connector)
        self._status = Status(OPEN)
        session = Session(self.reactor, transport, self._accept, self._limits, sent=self._sent)
        self.session = session
        self._tell_members(lambda member: member.session_opened(session))
        streams, self._early_streams = self._early_streams, []
        for stream in streams:
            stream.attach(session)
        self._events.emit("open")

    def attempt_received(self, message: bytes) -> None:
        self.bytes_received += len(message)
        if self.session is not None:
            self.session.receive(message)

    def attempt_congested(self, congested: bool) -> None:
        if self.session is not None:
            self.session.congest(congested)

    def _sent(self, size_bytes: int) -> None:
        self.bytes_sent += size_bytes

    def attempt_failed(self, problem: ConnectionProblem) -> None:
        session, self.session = self.session, None
        self._transport = None
        self._abandon = None
        if session is not None:
            session.lost()
        if self._status == CLOSED:
            self._finish()
            return
        delay_seconds, known = self._tries.failed(problem)
        self._log.emit(
            LogLevel.debug if known else LogLevel.warn,
            "no connection to {relay} ({code}): {problem}; the next try in {delay:.1f} s",
            relay=self._connector,
            code=problem.code,
            problem=problem,
            delay=delay_seconds,
        )
        self._status = Status(OFFLINE, problem)
        self._retry = self.reactor.callLater(delay_seconds, self._connect)
        self._tell_members(lambda member: member.session_lost(problem))
        self._events.emit("offline", problem)

    def _tell_members(self, tell: Callable[[Member], None]) -> None:
        for member in list(self._members):
            if member in self._members:  # a handler may have closed it meanwhile
                tell(member)

    def _accept(self, stream: MuxStream) -> Stream | None:
        if self.session is None or not self._events.has("stream"):
            return None
        opened = Stream(self.reactor, stream.meta)
        opened.attach(self.session, stream)
        self._events.emit("stream", opened)
        return opened

    # -- the end ----------------------------------------------------------------------------------

    def _begin_close(self) -> None:
        self._status = Status(CLOSED)
        self._tell_members(lambda member: member.close())
        for stream in self._early_streams:
            stream.abandon(ConnectionClosed("the connection was closed"))
        if self._retry is not None:
            self._retry.cancel()
            self._finish()
        elif self._transport is not None:
            if self.session is not None:
                self.session.flush()
            self._close_timer = self.reactor.callLater(self._close_seconds, self._give_up)
            self._transport.close(NORMAL, "")
        elif self._abandon is not None:
            self._abandon()

    def _give_up(self) -> None:
        """The relay does not answer the close: drops the connection."""
        self._close_timer = None
        if self._abandon is not None:
            self._abandon()

    def _finish(self) -> None:
        self._gone = True
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._events.emit("close")
        self._closed.fire(None)
