"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_DELAY_SECONDS: Final = 0.5
LAST_DELAY_SECONDS: Final = 10.0


class Backoff:
    """The time before the next try: full jitter over a range that doubles, up to a bound.

    After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

    Args:
        random: gives a number from 0 to 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._range_seconds = FIRST_DELAY_SECONDS

    def next_seconds(self) -> float:
        """The next delay; the range grows."""
        delay = self._random() * self._range_seconds
        self._range_seconds = min(LAST_DELAY_SECONDS, 2 * self._range_seconds)
        return delay

    def reset(self) -> None:
        """The connection is open."""
        self._range_seconds = FIRST_DELAY_SECONDS
