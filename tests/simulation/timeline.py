"""Virtual time: one queue of calls for all machines, and a clock for each of them."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

START_SECONDS: Final = 1_700_000_000.0
MAX_CALLS: Final = 200_000
"""So many calls in one run mean that something goes round in circles."""


class Livelock(Exception):
    """The machines are busy without end."""


@implementer(IDelayedCall)
class VirtualCall:
    """A call on a machine's clock; see IDelayedCall."""

    __slots__ = ("args", "call", "clock", "due", "kwargs", "number", "state")

    def __init__(
        self, clock: MachineClock, due: float, call: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        self.clock = clock
        self.due = due
        self.call = call
        self.args = args
        self.kwargs = kwargs
        self.number = 0  # of its only valid place in the queue
        self.state = "waiting"

    def active(self) -> bool:
        return self.state == "waiting"

    def cancel(self) -> None:
        self._check()
        self.state = "cancelled"
        self.call = _nothing
        self.args, self.kwargs = (), {}

    def getTime(self) -> float:  # noqa: N802
        return self.due

    def reset(self, secondsFromNow: float) -> None:  # noqa: N803
        self._check()
        self._move(self.clock.timeline.now + secondsFromNow)

    def delay(self, secondsLater: float) -> None:  # noqa: N803
        self._check()
        self._move(self.due + secondsLater)

    def _move(self, due: float) -> None:
        sooner = due < self.due
        self.due = due
        if sooner:  # else it is put back when its turn comes
            self.clock.timeline.put(self)

    def _check(self) -> None:
        if self.state != "waiting":
            raise AlreadyCancelled if self.state == "cancelled" else AlreadyCalled


class Timeline:
    """The queue of all calls; those of one time come in the order in which they were asked for.

    Attributes:
        now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self._queue: list[tuple[float, int, VirtualCall]] = []
        self._number = 0

    def put(self, call: VirtualCall) -> None:
        """Gives a call its place."""
        self._number += 1
        call.number = self._number
        heappush(self._queue, (call.due, self._number, call))

    def run_until(self, time: float) -> None:
        """Runs all calls up to a time.

        Raises:
            Livelock: there is no end of them.
        """
        queue = self._queue
        while queue and queue[0][0] <= time:
            due, number, call = heappop(queue)
            if call.state != "waiting" or call.number != number:
                continue
            if call.due > due:
                self.put(call)
                continue
            if call.clock.power != "on":
                call.clock.missed(call)
                continue
            self.now = max(self.now, due)
            self.calls += 1
            if self.calls > MAX_CALLS:
                raise Livelock(f"over {MAX_CALLS} calls")
            call.state = "called"
            call.call(*call.args, **call.kwargs)
        self.now = time

    def waiting(self) -> list[VirtualCall]:
        """The calls that are still to come, of machines that live."""
        return [
            call
            for _, number, call in self._queue
            if call.state == "waiting" and call.number == number and call.clock.power != "off"
        ]


@implementer(IReactorTime)
class MachineClock:
    """The reactor of one machine, with a wall clock that may be wrong.

    Attributes:
        skew: how many seconds its wall clock is ahead.
        power: ``on``; ``asleep``: nothing happens, and later all of it at once; ``off``: for ever.
    """

    def __init__(self, timeline: Timeline, skew: float = 0.0) -> None:
        self.timeline = timeline
        self.skew = skew
        self.power = "on"
        self._missed: list[VirtualCall] = []

    def seconds(self) -> float:
        """The wall clock."""
        timeline = self.timeline
        return START_SECONDS + timeline.now + self.skew

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> VirtualCall:
        """See IReactorTime."""
        assert delay >= 0, f"a delay of {delay} s"
        call = VirtualCall(self, self.timeline.now + delay, callable, args, kwargs)
        self.timeline.put(call)
        return call

    def getDelayedCalls(self) -> list[VirtualCall]:
        """See IReactorTime."""
        return [*(call for call in self.timeline.waiting() if call.clock is self), *self._missed]

    def at_millisecond(self, delay_ms: int, call: Callable[..., Any]) -> VirtualCall:
        """Calls at a whole millisecond: what comes from several sides then shares a turn."""
        due = (-int(-self.timeline.now * 1000 // 1) + delay_ms) / 1000
        found = VirtualCall(self, max(due, self.timeline.now), call, (), {})
        self.timeline.put(found)
        return found

    def missed(self, call: VirtualCall) -> None:
        """The machine sleeps: the call waits for it to wake up."""
        if self.power == "asleep":
            self._missed.append(call)

    def wake(self) -> None:
        """Ends the sleep."""
        self.power = "on"
        missed, self._missed = self._missed, []
        for call in missed:
            if call.active():
                self.timeline.put(call)


def _nothing() -> None:
    """What a cancelled call does."""
