"""What a client shows to a relay: fetched before it connects, and when the relay asks anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distmap.backoff import Backoff
from distmap.connection import Attempt, Connection, IConnector
from distmap.entrance import MAX_CREDENTIALS_BYTES, RENEW, VERSION
from distmap.errors import (
    CannotConnect,
    ConnectionProblem,
    CredentialsFailed,
    InvalidType,
    StreamError,
)
from distmap.routes import CREDENTIALS
from distmap.session import Session
from distmap.states import MuxStream, State

Source: TypeAlias = str | Callable[[], Any]
"""A string, or what gives one: at once, or by a Deferred or a coroutine; None for nothing."""

FETCH_SECONDS: Final = 30.0
"""How long a source has."""

_encode = msgspec.json.Encoder().encode


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
        self._retry: IDelayedCall | None = None
        self._session: Session | None = None
        self._stream: MuxStream | None = None

    def __str__(self) -> str:
        return str(self._connector)

    # -- a connector ------------------------------------------------------------------------------

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        """See :class:`IConnector`."""
        return _Try(self._reactor, self._connector, self, attempt).abandon

    def fetch(self) -> Deferred[None]:
        """Fires when there is something new to show; errbacks with CredentialsFailed."""

        def take(credentials: object) -> None:
            if credentials is not None and not isinstance(credentials, str):
                raise CredentialsFailed(f"{type(credentials).__name__} is no string")
            payload = None if credentials is None else _encode(credentials)
            if payload is not None and len(payload) > MAX_CREDENTIALS_BYTES:
                raise CredentialsFailed(f"they are {MAX_CREDENTIALS_BYTES} bytes at most")
            self._payload = payload

        def failed(failure: Failure) -> None:
            if failure.check(CredentialsFailed):
                text = failure.getErrorMessage()
            elif failure.check(TimeoutError):
                text = f"nothing came within {FETCH_SECONDS:g} s"
            elif failure.check(CancelledError):
                text = "cancelled"
            else:
                text = f"{type(failure.value).__name__}: {failure.getErrorMessage()}"
                self._log.failure("the credentials failed", failure)
            raise CredentialsFailed(f"there are no credentials: {text}")

        source = self._source
        fetched: Deferred[Any] = maybeDeferred(source if callable(source) else lambda: source)
        if not fetched.called:
            fetched.addTimeout(FETCH_SECONDS, self._reactor)
        return fetched.addCallback(take).addErrback(failed)

    # -- a member of the connection ---------------------------------------------------------------

    def session_opened(self, session: Session) -> None:
        self._session = session
        self._show()

    def session_lost(self, problem: ConnectionProblem) -> None:
        self._forget()

    def close(self) -> None:
        """The connection is about to be closed."""
        self._forget()

    def _forget(self) -> None:
        self._session = self._stream = None
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
        if session is None or self._payload is None or not session.alive:
            return
        if self._stream is None:
            self._stream = session.open({"route": CREDENTIALS, "version": VERSION}, self)
        if self._stream.state is not State.CLOSED:
            session.send(self._stream, self._payload)

    def stream_data(self, payload: Raw) -> None:
        """The relay asks for new ones; what else it says is of a newer relay."""
        if bytes(payload) == RENEW and self._fetching is None and self._retry is None:
            self._renew()

    def stream_ended(self) -> None:
        """The close follows."""

    def stream_paused(self, paused: bool) -> None:
        """What is shown is little."""

    def stream_closed(self, error: StreamError | None) -> None:
        # A relay that does not know the route has no use for credentials.
        self._stream = None
        if error is not None:
            self._log.info("the relay takes no credentials: {error}", error=error)

    def _renew(self) -> None:
        self._retry = None
        fetching = self._fetching = self.fetch()
        fetching.addCallbacks(self._renewed, self._not_renewed)

    def _renewed(self, _: None) -> None:
        self._fetching = None
        self._backoff.reset()
        if self._stream is not None:
            self._show()

    def _not_renewed(self, failure: Failure) -> None:
        self._fetching = None
        if self._session is None:
            return
        delay = self._backoff.next_seconds()
        self._log.warn(
            "{problem}; the next try in {delay:.1f} s", problem=failure.value, delay=delay
        )
        self._retry = self._reactor.callLater(delay, self._renew)


class _Try:
    """One attempt: fetches what is to be shown, then connects."""

    def __init__(
        self, reactor: IReactorTime, connector: Any, credentials: Credentials, attempt: Attempt
    ) -> None:
        self._attempt = attempt
        self._reactor = reactor
        self._connector = connector
        self._abandon: Callable[[], None] | None = None
        self._abandoned = False
        self._failing: IDelayedCall | None = None
        self._fetching = credentials.fetch()
        self._fetching.addCallbacks(self._fetched, self._failed)

    def abandon(self) -> None:
        """Drops the connection, or gives up making one."""
        if self._abandon is not None:
            self._abandon()
            return
        self._abandoned = True
        if self._failing is not None:
            self._failing.cancel()
        else:
            self._fetching.cancel()
        self._attempt.attempt_failed(CannotConnect("cannot connect: given up"))

    def _fetched(self, _: None) -> None:
        if not self._abandoned:
            self._abandon = self._connector.connect(self._attempt)

    def _failed(self, failure: Failure) -> None:
        if not self._abandoned:
            # Not before the caller of connect() knows how to abandon this.
            self._failing = self._reactor.callLater(0, self._tell, failure.value)

    def _tell(self, problem: ConnectionProblem) -> None:
        self._failing = None
        self._abandoned = True
        self._attempt.attempt_failed(problem)


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
    connection.attach(shown)
    return connection
