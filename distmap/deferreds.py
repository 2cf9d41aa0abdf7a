"""Deferreds that asyncio code can await too."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")

_AWAITS = CO_ASYNC_GENERATOR | CO_COROUTINE | CO_GENERATOR | CO_ITERABLE_COROUTINE


class Awaitable(Deferred[T]):
    """A Deferred that may be awaited in a Twisted coroutine and, under Twisted's asyncio reactor,
    in a coroutine that an asyncio task runs.
    """

    def __await__(self) -> Generator[Any, None, T]:
        loop = asyncio._get_running_loop()
        if (
            loop is not None
            and asyncio.current_task(loop) is not None
            and not _is_driven_by_twisted()
        ):
            return (yield from self.asFuture(loop).__await__())
        return (yield from super().__await__())

    # Twisted's own coroutines use either name.
    __iter__ = __await__


def fired(result: T) -> Awaitable[T]:
    """A Deferred that has fired."""
    deferred: Awaitable[T] = Awaitable()
    deferred.callback(result)
    return deferred


def _is_driven_by_twisted() -> bool:
    """Whether it is Twisted that runs the coroutine which awaits.

    There may be a current task all the same: one that has just called into a Twisted coroutine.
    The first frame outside of the chain of coroutines tells who runs it.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_flags & _AWAITS and frame.f_back is not None:
        frame = frame.f_back
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith("twisted.")


class Waiters:
    """Any number of Deferreds that one event fires."""

    def __init__(self) -> None:
        self._waiting: list[Awaitable[Any]] = []

    def wait(self) -> Awaitable[Any]:
        """A new Deferred; cancelling it takes it out."""
        deferred: Awaitable[Any] = Awaitable(self._forget)
        self._waiting.append(deferred)
        return deferred

    def _forget(self, deferred: Deferred[Any]) -> None:
        self._waiting = [each for each in self._waiting if each is not deferred]

    def fire(self, result: object) -> None:
        """Fires all with a result, or with an error if it is one."""
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            if deferred.called:
                continue  # cancelled by what another of them called
            if isinstance(result, BaseException):
                deferred.errback(result)
            else:
                deferred.callback(result)
