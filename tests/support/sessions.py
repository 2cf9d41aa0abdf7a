"""Two sessions back to back on one clock, without sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.session import Session, StreamOwner
from distmap.states import MuxStream


class TurnClock(Clock):
    """A clock on which, as on a reactor, what is called later is called in a later turn."""

    TURN_SECONDS = 2**-20

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> IDelayedCall:
        return super().callLater(max(delay, self.TURN_SECONDS), callable, *args, **kw)

    def turn(self) -> None:
        self.advance(self.TURN_SECONDS)


class Wire:
    """The transport of one side; what is sent arrives with :meth:`Pair.settle`."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed: list[tuple[int, str]] = []
        self.messages = 0

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.messages += 1

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))

    def take(self) -> list[bytes]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class Pair:
    """Two sessions, `here` and `there`.

    Args:
        opened: is called with each stream that `here` opens, at `there`.
    """

    def __init__(
        self,
        opened: Callable[[MuxStream], StreamOwner | None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.clock = TurnClock()
        self.wires = Wire(), Wire()
        self.here = Session(self.clock, self.wires[0], id_prefix="h")
        self.there = Session(self.clock, self.wires[1], opened, limits, id_prefix="t")

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.turn()

    def settle(self) -> None:
        """Turn by turn, until nothing is under way."""
        while True:
            self.turn()
            moved = False
            for wire, other in zip(self.wires, (self.there, self.here), strict=True):
                for message in wire.take():
                    moved = True
                    other.receive(message)
            if not moved and not self.calls():
                return

    def calls(self) -> list[Any]:
        """What is left on the clock."""
        return list(self.clock.getDelayedCalls())

    def lose(self) -> None:
        """The connection is gone, for both."""
        self.here.lost()
        self.there.lost()
