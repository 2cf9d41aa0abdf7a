"""One peer's idea of the relay's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from distmap.clock import MIN_TIME_MS
from distmap.correction import Correction
from distmap.lww import Replica
from distmap.offset import OffsetEstimator
from distmap.outbox import Outbox
from distmap.port import Port

SUSPICIOUS_MS: Final = 10_000
"""If an acknowledgement names a time so far from the estimated one, the relay is asked."""

_encode = msgspec.json.Encoder().encode


class Timekeeper:
    """Keeps the clock of one replica at the relay's time, unless the relay has none.

    Args:
        replica: whose clock it is.
        outbox: its writes that wait.
        port: where to act.
        now_ms: the local clock.

    Attributes:
        online: whether the relay can be asked.
        correction: puts right what the clock has stamped wrong.
    """

    def __init__(
        self, replica: Replica, outbox: Outbox, port: Port, now_ms: Callable[[], float]
    ) -> None:
        self.online = False
        self._replica = replica
        self.correction = Correction(replica, outbox, port, {replica.clock.writer})
        self._port = port
        self._now_ms = now_ms
        self._opened_ms = 0.0
        self._asked = False
        self._offset = OffsetEstimator()

    def opened(self) -> None:
        """The relay is greeted; it may be another one than before."""
        self._opened_ms = self._now_ms()
        self._offset.forget()

    def lost(self) -> None:
        """There is no relay to ask."""
        self.online = self._asked = False

    def welcomed(self, time_ms: float) -> None:
        """The relay told its time with the welcome."""
        self._learn(self._opened_ms, time_ms)

    def answered(self, asked_ms: float, time_ms: float) -> None:
        """The relay told its time because it was asked."""
        self._asked = False
        self._learn(asked_ms, time_ms)

    def acknowledged(self, time_ms: float) -> None:
        """The relay told its time, but not how long ago."""
        clock = self._replica.clock
        if time_ms < MIN_TIME_MS and clock.heard_ms is None:
            return  # that it has none is known
        if abs(clock.now_ms() - time_ms) > SUSPICIOUS_MS:
            self.ask()

    def ask(self) -> None:
        """Asks the relay for its time, unless the question is on its way."""
        if self.online and not self._asked:
            self._asked = True
            self._port.send(_encode(["time", self._now_ms()]))

    def _learn(self, asked_ms: float, time_ms: float) -> None:
        clock = self._replica.clock
        if time_ms < MIN_TIME_MS:
            clock.heard_ms = None  # as before the first connection
            return
        clock.heard_ms = time_ms
        offset_ms = self._offset.add(asked_ms, self._now_ms(), time_ms)
        if offset_ms is None or not clock.correct(offset_ms):
            return
        # It was far ahead.
        self.correction.begin()
        self.work()

    def work(self) -> bool:
        """Goes on with what a wrong clock has left to do; True if nothing is."""
        correction = self.correction
        if correction.work() and correction.to_fetch:
            correction.to_fetch = False
            if self.online:
                self._port.send(_encode(["sync", None]))
        return not correction.is_on
