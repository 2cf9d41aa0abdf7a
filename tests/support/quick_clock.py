"""A clock for tests of many peers: Twisted's own sorts all of its calls whenever it gets one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock


class QuickClock(Clock):
    """The same calls in the same order, in a heap.

    Attributes:
        called: the name of what it has called last.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.rightNow = seconds
        self.called = ""
        self._queue: list[tuple[float, int, DelayedCall]] = []
        self._numbers = count()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """See IReactorTime."""
        due = self.rightNow + delay
        call = DelayedCall(due, callable, args, kw, _nothing, self._put, self.seconds)
        self._put(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """See IReactorTime."""
        return list({call for _, _, call in self._queue if call.active()})

    def advance(self, amount: float) -> None:
        """Moves on, and makes the calls that are due."""
        self.rightNow += amount
        while self.step():
            pass

    def step(self) -> bool:
        """Makes the next call that is due; False if there is none."""
        while self._queue and self._queue[0][0] <= self.rightNow:
            due, _, call = heappop(self._queue)
            if not call.active() or call.time != due:
                continue  # it has another place now, or none
            if call.delayed_time:
                call.activate_delay()
                self._put(call)
                continue
            call.called = 1
            self.called = getattr(call.func, "__qualname__", repr(call.func))
            call.func(*call.args, **call.kw)
            return True
        return False

    def _put(self, call: Any) -> None:
        heappush(self._queue, (call.time, next(self._numbers), call))


def _nothing(call: Any) -> None:
    """Its place is found empty when its time comes."""
