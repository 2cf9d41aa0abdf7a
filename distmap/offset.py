"""Estimates how far the local clock is from the relay's.

Cristian, "Probabilistic clock synchronization" (1989): the relay's time is taken for the middle
between question and answer, and of several answers the one that came fastest is the most exact.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES: Final = 8
JUMP_MS: Final = 1000.0
"""Answers that differ by more than their round trips explain, and by this, tell of a jump."""
SLOWEST_MS: Final = 60_000.0
"""An answer that took longer than this says nothing."""


class OffsetEstimator:
    """The offset of one local clock."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)

    def add(self, asked_ms: float, answered_ms: float, relay_ms: float) -> float | None:
        """Takes one question and its answer.

        Args:
            asked_ms: the local clock when the question was sent.
            answered_ms: the local clock when the answer came.
            relay_ms: the relay's clock in between.

        Returns:
            What to add to the local clock to get the relay's; None if the answer says nothing,
            because it came too late or the local clock jumped meanwhile.
        """
        round_trip_ms = answered_ms - asked_ms
        if not 0 <= round_trip_ms <= SLOWEST_MS:
            return None
        offset_ms = relay_ms - (asked_ms + answered_ms) / 2
        if self._samples:
            best_trip_ms, best_offset_ms = min(self._samples)
            if abs(offset_ms - best_offset_ms) > JUMP_MS + (round_trip_ms + best_trip_ms) / 2:
                self._samples.clear()
        self._samples.append((round_trip_ms, offset_ms))
        return min(self._samples)[1]

    def forget(self) -> None:
        """Another relay answers from now on."""
        self._samples.clear()
