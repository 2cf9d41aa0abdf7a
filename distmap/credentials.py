"""What a client shows to a relay: fetched before it connects, and when the relay asks anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distmap.attempts import Attempt, IConnector, Member
from distmap.backoff import Backoff
from distmap.connection import Connection
from distmap.deferreds import Awaitable
from distmap.entrance import JUDGED, RENEW, VERSION
from distmap.errors import (
    ConnectionClosed,
    ConnectionProblem,
    CredentialsFailed,
    InvalidType,
    StreamError,
    Unauthorized,
)
from distmap.fetching import Source, Try, fetch
from distmap.renewal import Renewal
from distmap.routes import CREDENTIALS
from distmap.session import Session
from distmap.states import MuxStream, State


@implementer(IConnector)
class Credentials:
    """Stands before a connector: connects once there is something to show. Rides on the connection
    too, before all maps: what they open comes right behind.

    Args:
        reactor: for the timers.
        connector: makes the connections.
        source: where the credentials come from.
        random: gives a number from 0 to 1; for the jitter.

    Raises:
        InvalidType: the source is neither a string nor callable.
    """

    uri = ""
    let_in: bool | None = True
    _log = Logger()

    def __init__(
        self, reactor: IReactorTime, connector: Any, source: Source, random: Callable[[], float]
    ) -> None:
        if not (isinstance(source, str) or callable(source)):
            raise InvalidType("credentials are a string, or what returns one")
        self._reactor = reactor
        self._connector = connector
        self._source = source
        self._backoff = Backoff(random)
        self._payload: bytes | None = None
        self._fetching: Deferred[None] | None = None
        self._connection: Connection | None = None
        self._renewal = Renewal(reactor, self._members)
        self._is_stale = False  # it was to be asked since it was asked last
        self._is_asked = False  # the relay waits for others
        self._unjudged = 0  # how often the relay was shown some, and has not said what it thinks
        self._retry: IDelayedCall | None = None
        self._session: Session | None = None
        self._stream: MuxStream | None = None

    def __str__(self) -> str:
        return str(self._connector)

    # -- a connector ------------------------------------------------------------------------------

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        """See :class:`IConnector`."""
        return Try(self._reactor, self._connector, self.fetch, attempt).abandon

    def fetch(self) -> Deferred[None]:
        """Fires when there is something new to show; errbacks with CredentialsFailed."""

        def take(payload: bytes | None) -> None:
            self._payload = payload

        self._is_stale = False
        return fetch(self._reactor, self._source).addCallback(take)

    def renew(self) -> Awaitable[None]:
        """See :meth:`Connection.renew`."""
        waiting = self._renewal.wait()
        self._is_stale = True
        if self._session is not None:
            self._stop_fetching()
            self._renew()
        elif self._connection is not None:
            self._connection.hurry()
        return waiting

    # -- a member of the connection ---------------------------------------------------------------

    def ride(self, connection: Connection) -> None:
        """Takes the first place on a connection."""
        self._connection = connection
        connection.credentials = self
        connection.attach(self)

    def session_opened(self, session: Session) -> None:
        self._session = session
        self._show()
        if self._is_stale:
            self._renew()

    def session_lost(self, problem: ConnectionProblem) -> None:
        self._forget()
        if isinstance(problem, CredentialsFailed | Unauthorized) and not self._is_stale:
            self._renewal.settle(problem)

    def reopen(self) -> None:
        """It is open, or the relay does not want it."""

    def close(self) -> None:
        """The connection is about to be closed."""
        self._forget()
        self._renewal.settle(ConnectionClosed("the connection was closed"))

    def check(self) -> None:
        """A map is open, or is not, or is gone."""
        self._renewal.check()

    def _members(self) -> list[Member]:
        return [] if self._connection is None else self._connection.members

    def _forget(self) -> None:
        self._session = self._stream = None
        self._is_asked = False
        self._renewal.again()
        self._stop_fetching()

    def _stop_fetching(self) -> None:
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._backoff.reset()

    # -- the stream -------------------------------------------------------------------------------

    def _show(self) -> None:
        session = self._session
        if session is None or not session.alive:
            return
        if self._payload is None:
            if self._stream is not None and self._connection is not None:
                self._connection.come_back()  # what was shown cannot be taken back
            else:
                self._judged()
            return
        if self._stream is None:
            self._stream = session.open({"route": CREDENTIALS, "version": VERSION}, self)
        if self._stream.state is State.CLOSED:
            return
        session.send(self._stream, self._payload)
        self._unjudged += 1
        self._renewal.shown()
        for member in self._members():
            if member.let_in is False:
                member.reopen()

    def stream_data(self, payload: Raw) -> None:
        """The relay asks for new ones, or has judged some; what else it says is of a newer one."""
        said = bytes(payload)
        if said == RENEW:
            self._is_asked = True
            if self._fetching is None and self._retry is None:
                self._renew()
        elif said == JUDGED and self._unjudged > 0:
            self._unjudged -= 1
            if self._unjudged == 0:
                self._judged()

    def _judged(self) -> None:
        if self._fetching is not None:
            return  # there will be others in a moment
        for member in self._members():
            # One was perhaps refused for what was shown before.
            if member.let_in is None or (self._renewal.waits and not member.let_in):
                member.reopen()
        self._renewal.judged()

    def stream_ended(self) -> None:
        """The close follows."""

    def stream_paused(self, paused: bool) -> None:
        """What is shown is little."""

    def stream_closed(self, error: StreamError | None) -> None:
        self._stream = None
        self._unjudged = 0
        if error is not None:
            self._log.info("the relay takes no credentials: {error}", error=error)
        if self._session is None or not self._session.alive:
            return
        if error is None or error.code == "unknown-route":
            self._judged()  # it has no use for them
        else:
            self._renewal.settle(error)

    def _renew(self) -> None:
        self._retry = None
        fetching = self._fetching = self.fetch()
        fetching.addCallbacks(
            self._renewed, self._not_renewed, (fetching,), errbackArgs=(fetching,)
        )

    def _renewed(self, _: None, fetching: Deferred[None]) -> None:
        if self._fetching is fetching:
            self._fetching = None
            self._is_asked = False
            self._backoff.reset()
            self._show()

    def _not_renewed(self, failure: Failure, fetching: Deferred[None]) -> None:
        if self._fetching is not fetching:
            return  # it was cancelled
        self._fetching = None
        self._renewal.settle(failure.value)
        if not self._is_asked or self._session is None:
            return
        delay = self._backoff.next_seconds()
        self._log.warn(
            "{problem}; the next try in {delay:.1f} s", problem=failure.value, delay=delay
        )
        self._retry = self._reactor.callLater(delay, self._renew)


def open_connection(
    reactor: IReactorTime,
    connector: Any,
    random: Callable[[], float],
    credentials: Source | None,
    **options: Any,
) -> Connection:
    """A connection that shows credentials, if there are any.

    Args:
        reactor: for all timers.
        connector: provides :class:`IConnector`.
        random: gives a number from 0 to 1.
        credentials: see :func:`distmap.connect`.
        options: of :class:`Connection`.

    Raises:
        InvalidType: the credentials are neither a string nor callable.
    """
    if credentials is None:
        return Connection(reactor, connector, random, **options)
    shown = Credentials(reactor, connector, credentials, random)
    connection = Connection(reactor, shown, random, **options)
    shown.ride(connection)
    return connection
