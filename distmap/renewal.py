"""Those who wait for what the relay makes of new credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from distmap.attempts import Member
from distmap.deferreds import Awaitable, Waiters
from distmap.errors import AccessRefused, CredentialsFailed

JUDGE_SECONDS: Final = 30.0
"""How long the relay has to say."""


class Renewal:
    """The Deferreds of :meth:`distmap.Connection.renew`.

    Args:
        reactor: for the timer.
        members: gives the maps of the connection.

    Attributes:
        waits: whether there is one that has not fired.
    """

    def __init__(self, reactor: IReactorTime, members: Callable[[], Iterable[Member]]) -> None:
        self._reactor = reactor
        self._members = members
        self._waiters = Waiters()
        self.waits = self._judged = False
        self._timer: IDelayedCall | None = None

    def wait(self) -> Awaitable[None]:
        """A new one; what was judged before does not count for it."""
        self.again()
        self.waits = True
        deferred: Awaitable[None] = self._waiters.wait()
        return deferred

    def again(self) -> None:
        """It begins anew: there is a new call, or no connection any more."""
        self._judged = False
        self._stop()

    def shown(self) -> None:
        """The relay has been shown something."""
        if self.waits and self._timer is None:
            self._timer = self._reactor.callLater(JUDGE_SECONDS, self._late)

    def judged(self) -> None:
        """The relay has made up its mind about all that was open."""
        self._judged = True
        self.check()

    def check(self) -> None:
        """Settles them if it is known of all maps whether they are open."""
        if not (self.waits and self._judged):
            return
        members = list(self._members())
        if any(member.let_in is None for member in members):
            return
        refused = ", ".join(member.uri for member in members if not member.let_in)
        self.settle(AccessRefused(f"the relay does not open {refused}") if refused else None)

    def settle(self, problem: BaseException | None) -> None:
        """They fire: with None, or with what went wrong."""
        self.again()
        self.waits = False
        self._waiters.fire(problem)

    def _late(self) -> None:
        self._timer = None
        self.settle(CredentialsFailed(f"the relay did not answer within {JUDGE_SECONDS:g} s"))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
