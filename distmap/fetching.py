"""Asks a source for credentials, once or before a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from distmap.attempts import Attempt
from distmap.entrance import MAX_CREDENTIALS_BYTES
from distmap.errors import CannotConnect, ConnectionProblem, CredentialsFailed

Source: TypeAlias = str | Callable[[], Any]
"""A string, or what gives one: at once, or by a Deferred or a coroutine; None for nothing."""

FETCH_SECONDS: Final = 30.0
"""How long a source has."""

_log = Logger()
_encode = msgspec.json.Encoder().encode


def fetch(reactor: IReactorTime, source: Source) -> Deferred[bytes | None]:
    """Asks a source; fires with what it gave as JSON, or with None for nothing.

    Errbacks with CredentialsFailed.
    """

    def take(credentials: object) -> bytes | None:
        if credentials is not None and not isinstance(credentials, str):
            raise CredentialsFailed(f"{type(credentials).__name__} is no string")
        payload = None if credentials is None else _encode(credentials)
        if payload is not None and len(payload) > MAX_CREDENTIALS_BYTES:
            raise CredentialsFailed(f"they are {MAX_CREDENTIALS_BYTES} bytes at most")
        return payload

    fetched: Deferred[Any] = maybeDeferred(source if callable(source) else lambda: source)
    if not fetched.called:
        fetched.addTimeout(FETCH_SECONDS, reactor)
    return fetched.addCallback(take).addErrback(_failed)


def _failed(failure: Failure) -> Any:
    if failure.check(CredentialsFailed):
        text = failure.getErrorMessage()
    elif failure.check(TimeoutError):
        text = f"nothing came within {FETCH_SECONDS:g} s"
    elif failure.check(CancelledError):
        text = "cancelled"
    else:
        text = f"{type(failure.value).__name__}: {failure.getErrorMessage()}"
        _log.failure("the credentials failed", failure)
    raise CredentialsFailed(f"there are no credentials: {text}")


class Try:
    """One attempt: fetches what is to be shown, then connects.

    Args:
        reactor: for the timers.
        connector: makes the connections.
        fetch: begins to fetch.
        attempt: is told how it goes.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        connector: Any,
        fetch: Callable[[], Deferred[None]],
        attempt: Attempt,
    ) -> None:
        self._attempt = attempt
        self._reactor = reactor
        self._connector = connector
        self._abandon: Callable[[], None] | None = None
        self._abandoned = False
        self._failing: IDelayedCall | None = None
        self._fetching = fetch()
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
