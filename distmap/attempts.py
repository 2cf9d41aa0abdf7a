"""What a connection asks of what it is made with, and of what rides on it: names and types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zope.interface import Interface

from distmap.deferreds import Awaitable
from distmap.errors import ConnectionProblem
from distmap.session import Session, Transport


class Attempt(Protocol):
    """One try to reach the relay, and the connection it leads to; see :class:`IConnector`."""

    def attempt_opened(self, transport: Transport) -> None:
        """The connection is open: messages may be sent."""

    def attempt_received(self, message: bytes) -> None:
        """A message came."""

    def attempt_congested(self, congested: bool) -> None:
        """The network does not take what is sent, or takes it again; may be told again."""

    def attempt_failed(self, problem: ConnectionProblem) -> None:
        """The connection could not be opened, or is closed; comes once, and ends the attempt."""


class IConnector(Interface):
    """Makes connections to one relay."""

    def connect(attempt: Attempt) -> Callable[[], None]:  # noqa: N805
        """Begins an attempt; the callable that comes back abandons it: drops the connection."""


class Member(Protocol):
    """What rides on a connection: told of each session.

    Attributes:
        uri: of the map.
        let_in: whether the relay has opened it on this session; None as long as that is not known.
    """

    uri: str
    let_in: bool | None

    def session_opened(self, session: Session) -> None:
        """There is a connection."""

    def session_lost(self, problem: ConnectionProblem) -> None:
        """There is none any more, or a try failed."""

    def reopen(self) -> None:
        """What was not opened may be now: it need not wait any longer."""

    def close(self) -> None:
        """The connection is about to be closed."""


class Renewer(Protocol):
    """Shows credentials on a connection."""

    def renew(self) -> Awaitable[None]:
        """See :meth:`distmap.Connection.renew`."""

    def check(self) -> None:
        """A member is let in, or not, or is gone."""
