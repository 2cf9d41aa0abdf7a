"""Asks the authorizer on behalf of a relay, and minds the time: of its answers, and of grants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from distmap.access import NOTHING, Grant, check_grant
from distmap.authorizer import Request
from distmap.restart import UNAUTHORIZED
from distmap.router import Link, Relay

MOST_SECONDS: Final = 86_400.0
"""A grant that lasts longer is looked at once in this time."""


class Visitor(Protocol):
    """A connection."""

    name: str
    host: str | None
    origin: str | None
    link: Link | None

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake."""


class _Visit:
    """What is under way for one connection."""

    __slots__ = ("deadline", "link", "questions", "tick")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.questions: dict[str, Deferred[Any]] = {}
        self.deadline: IDelayedCall | None = None
        self.tick: IDelayedCall | None = None


class Doorkeeper:
    """The relay's end of an authorizer.

    Args:
        reactor: for the timers.
        authorizer: provides :class:`distmap.authorizer.IAuthorizer`.
        core: the relay.
        schedule: is called when the relay may have something to send.
        seconds: how long the authorizer has for an answer, and a connection to be let in.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        authorizer: Any,
        core: Relay,
        schedule: Callable[[], None],
        seconds: float,
    ) -> None:
        self._reactor = reactor
        self._authorizer = authorizer
        self._core = core
        self._schedule = schedule
        self._seconds = seconds
        self._visits: dict[Visitor, _Visit] = {}
        core.entrance.ask = self._ask

    def came(self, visitor: Visitor) -> None:
        """A connection is open."""
        if visitor.link is None:
            return
        visit = self._visits[visitor] = _Visit(visitor.link)
        if self._authorizer.needs_credentials:
            visit.deadline = self._reactor.callLater(self._seconds, self._late, visitor)

    def left(self, visitor: Visitor) -> None:
        """A connection is gone."""
        visit = self._visits.pop(visitor, None)
        if visit is None:
            return
        for call in (visit.deadline, visit.tick):
            if call is not None and call.active():
                call.cancel()
        questions, visit.questions = visit.questions, {}
        for question in questions.values():
            question.cancel()

    def _late(self, visitor: Visitor) -> None:
        gate = self._visits[visitor].link.gate
        if gate is None or gate.granted or (gate.credentials is not None and not gate.refused):
            return  # it has asked for nothing yet
        self._log.info("{name}: no valid credentials", name=visitor.name)
        visitor.close(UNAUTHORIZED, f"no valid credentials within {self._seconds:g} s")

    # -- questions --------------------------------------------------------------------------------

    def _ask(self, link: Link, uri: str) -> None:
        visitor: Visitor = link.owner
        visit = self._visits.get(visitor)
        if visit is None or link.gate is None:
            return
        request = Request(uri, link.gate.credentials, visitor.host or "", visitor.origin)
        earlier = visit.questions.pop(uri, None)
        if earlier is not None:
            earlier.cancel()
        question: Deferred[Any] = maybeDeferred(self._authorizer.authorize, request)
        visit.questions[uri] = question
        if not question.called:
            question.addTimeout(self._seconds, self._reactor)
        question.addCallback(check_grant)
        question.addErrback(self._failed, visit, question, uri)
        question.addCallback(self._answered, visitor, visit, question, uri)

    def _failed(self, failure: Failure, visit: _Visit, question: Deferred[Any], uri: str) -> Grant:
        if visit.questions.get(uri) is question:
            if failure.check(TimeoutError):
                text = "the authorizer did not answer in {seconds:g} s about {uri}"
                self._log.error(text, seconds=self._seconds, uri=uri)
            else:
                self._log.failure("the authorizer failed at {uri}", failure, uri=uri)
        return NOTHING

    def _answered(
        self, grant: Grant, visitor: Visitor, visit: _Visit, question: Deferred[Any], uri: str
    ) -> None:
        if visit.questions.get(uri) is not question:
            return  # it was asked again since, or the connection is gone
        del visit.questions[uri]
        if visitor.link is visit.link:
            self._core.entrance.answer(visit.link, uri, grant)
            self._reschedule(visitor, visit)
            self._schedule()

    # -- the end of grants ------------------------------------------------------------------------

    def _reschedule(self, visitor: Visitor, visit: _Visit) -> None:
        if visit.tick is not None and visit.tick.active():
            visit.tick.cancel()
        visit.tick = None
        gate = visit.link.gate
        next_ms = None if gate is None else gate.next_ms()
        if next_ms is not None and self._visits.get(visitor) is visit:
            seconds = next_ms / 1000 - self._reactor.seconds()
            # What is asked anew a moment too early is asked again.
            seconds = min(max(0.001, seconds + 0.001), MOST_SECONDS)
            visit.tick = self._reactor.callLater(seconds, self._tick, visitor, visit)

    def _tick(self, visitor: Visitor, visit: _Visit) -> None:
        visit.tick = None
        if visitor.link is visit.link:
            self._core.entrance.tick(visit.link)
            self._reschedule(visitor, visit)
            self._schedule()
