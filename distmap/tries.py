"""When a connection or a channel is tried again, and whether that is news. Without I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distmap.backoff import LAST_REFUSED_SECONDS, REFUSED_SECONDS, Backoff
from distmap.errors import AccessRefused, ConnectionProblem, RemoteError, Unauthorized

REOPEN_SECONDS: Final = (1.0, 10.0)
"""After the relay ended a channel: the range of the wait before it is opened again."""
REFUSED_AGAIN_SECONDS: Final = (REFUSED_SECONDS, LAST_REFUSED_SECONDS)
"""Likewise after it refused to open it."""


class Tries:
    """The tries of one connection. Without other credentials a try that follows a refusal will
    hardly end otherwise: it waits for longer.

    Args:
        random: gives a number from 0 to 1; for the jitter.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._backoff = Backoff(random)
        self._refused_backoff = Backoff(random, REFUSED_SECONDS, LAST_REFUSED_SECONDS)
        self._was_refused = False

    def failed(self, problem: ConnectionProblem) -> tuple[float, bool]:
        """A try, or the connection it led to, has ended.

        Returns:
            After how many seconds the next one is due; and whether this is no news: refused again.
        """
        refused = isinstance(problem, Unauthorized)
        known = refused and self._was_refused
        if not refused:
            self._refused_backoff.reset()
        self._was_refused = refused
        if problem.retry_seconds is not None:
            return problem.retry_seconds, known
        backoff = self._refused_backoff if refused else self._backoff
        return backoff.next_seconds(), known

    def opened(self) -> None:
        """The connection is open: it may yet be refused."""
        self._backoff.reset()

    def reset(self) -> None:
        """There is hope: other credentials, or somebody who waits."""
        self._backoff.reset()
        self._refused_backoff.reset()


class Reopenings:
    """Those of the channel of one map, while there is a connection.

    Args:
        random: gives a number from 0 to 1; for the jitter.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._count = 0
        self._told: tuple[str, str] | None = None

    def ended(self, problem: RemoteError) -> tuple[float, bool]:
        """The relay has ended the channel.

        Returns:
            After how many seconds it is to be opened again; and whether this is no news: the same
            as at the last try.
        """
        refused = isinstance(problem, AccessRefused)
        least, most = REFUSED_AGAIN_SECONDS if refused else REOPEN_SECONDS
        delay = min(most, least * 2.0**self._count) * (0.5 + self._random() / 2)
        # More would not change the delay, and overflow some day.
        self._count = min(self._count + 1, 30)
        told, self._told = self._told, (problem.code, str(problem))
        return delay, told == self._told

    def let_in(self) -> None:
        """The relay has opened it: what ends it now is news."""
        self._told = None

    def reset(self) -> None:
        """It does well, or there is no connection any more, or there is hope."""
        self._count = 0
