"""What one connection of the relay sends: counted, and held back if it is too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from distmap.backlog import Backlog
from distmap.throttle import SLOW_FRAMES, Rates, Throttle


class Intake:
    """Reads a socket no faster than it may be read.

    Who sends too much is not refused or closed: what it has to say stays with it for a while, and
    nothing is lost.

    Args:
        clock: for the time.
        rates: what may be sent.
        transport: of the socket; is paused.
        rested: is called with what it was too much of, when it is paused.
        backlog: which counts what came of messages that are not whole.

    Attributes:
        unfinished_bytes: what came of one that is not whole.
    """

    __slots__ = (
        *("_backlog", "_call", "_clock", "_rested", "_throttle", "_transport"),
        "unfinished_bytes",
    )

    def __init__(
        self,
        clock: IReactorTime,
        rates: Rates,
        transport: Any,
        rested: Callable[[str], None],
        backlog: Backlog,
    ) -> None:
        self.unfinished_bytes = 0
        self._backlog = backlog
        self._clock = clock
        self._throttle = Throttle(rates) if rates.is_limited else None
        self._transport = transport
        self._rested = rested
        self._call: IDelayedCall | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing is read for a while."""
        return self._call is not None

    def read(self, size_bytes: int, frames_in: int, openings: int, slow_frames: int) -> None:
        """So much was read; the other three are of all that came since the beginning.

        Args:
            size_bytes: of this read.
            frames_in: mux frames.
            openings: those of them that opened a stream.
            slow_frames: WebSocket frames that cost more.
        """
        if self._throttle is None:
            return
        frames = frames_in + slow_frames * SLOW_FRAMES
        now = self._clock.seconds()
        seconds, cause = self._throttle.charge(size_bytes, frames, openings, now)
        if seconds and self._call is None:
            self._transport.pauseProducing()
            self._call = self._clock.callLater(seconds, self.go_on)
            self._rested(cause)

    def hold(self, unfinished_bytes: int) -> None:
        """So much has come of a message that is not whole."""
        self._backlog.unfinished_bytes += unfinished_bytes - self.unfinished_bytes
        self.unfinished_bytes = unfinished_bytes

    def end(self) -> None:
        """The connection ends: what its peer says to that has to be heard."""
        self.hold(0)
        self.go_on()

    def go_on(self) -> None:
        """Reads again."""
        call, self._call = self._call, None
        if call is not None:
            if call.active():
                call.cancel()
            self._transport.resumeProducing()
