"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_DELAY_SECONDS: Final = 0.5
LAST_DELAY_SECONDS: Final = 10.0
REFUSED_SECONDS: Final = 10.0
"""The first range after a refusal, which a relay remembers for about as long."""
LAST_REFUSED_SECONDS: Final = 300.0


class Backoff:
    """The time before the next try: full jitter over a range that doubles, up to a bound.

    After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

    Args:
        random: gives a number from 0 to 1.
        first_seconds: the first range.
        last_seconds: its bound.
    """

    def __init__(
        self,
        random: Callable[[], float],
        first_seconds: float = FIRST_DELAY_SECONDS,
        last_seconds: float = LAST_DELAY_SECONDS,
    ) -> None:
        self._random = random
        self._first_seconds = self._range_seconds = first_seconds
        self._last_seconds = last_seconds

    def next_seconds(self) -> float:
        """The next delay; the range grows."""
        delay = self._random() * self._range_seconds
        self._range_seconds = min(self._last_seconds, 2 * self._range_seconds)
        return delay

    def reset(self) -> None:
        """The connection is open."""
        self._range_seconds = self._first_seconds
