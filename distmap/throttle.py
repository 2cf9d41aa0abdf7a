"""How much one connection may send in a second: token buckets, charged once a read. Without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLOW_FRAMES: Final = 20
"""What a WebSocket frame counts as that takes the slow way: a ping, a fragment, a long message."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What one connection may send in the long run; over it, it is read more slowly.

    Attributes:
        bytes_per_second: of what is read from its socket; 0 for no limit.
        frames_per_second: mux frames, which carry a write or more each; 0 for no limit.
        joins_per_second: streams that it opens, such as one for each map; 0 for no limit.
        burst_seconds: what it may send at once after a rest is what it may send in so long.
    """

    bytes_per_second: float = 32 * 1024 * 1024
    frames_per_second: float = 50_000
    joins_per_second: float = 100
    burst_seconds: float = 3

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self.bytes_per_second or self.frames_per_second or self.joins_per_second)


NO_RATES: Final = Rates(0, 0, 0)


class Bucket:
    """A token bucket, kept as the time at which it is full again.

    Args:
        rate: tokens a second; 0 for one that is never empty.
        burst_seconds: how long it takes to fill.
    """

    __slots__ = ("_burst_seconds", "_full_at", "_seconds_each", "_seen_at")

    def __init__(self, rate: float, burst_seconds: float) -> None:
        self._seconds_each = 1 / rate if rate else 0.0
        self._burst_seconds = burst_seconds
        self._full_at = self._seen_at = 0.0

    def take(self, tokens: float, now: float) -> float:
        """Takes tokens, also those that are not there yet.

        Args:
            tokens: how many.
            now: the time, in seconds.

        Returns:
            How many seconds to wait until none is missing; 0 if none is.
        """
        if now < self._seen_at:  # the clock was put back
            self._full_at -= self._seen_at - now
        self._seen_at = now
        self._full_at = full_at = max(self._full_at, now) + tokens * self._seconds_each
        return max(0.0, full_at - now - self._burst_seconds)


class Throttle:
    """The buckets of one connection.

    Args:
        rates: what it may send.
    """

    __slots__ = ("_bytes", "_frames", "_frames_in", "_joins", "_openings")

    def __init__(self, rates: Rates) -> None:
        burst_seconds = rates.burst_seconds
        self._bytes = Bucket(rates.bytes_per_second, burst_seconds)
        self._frames = Bucket(rates.frames_per_second, burst_seconds)
        self._joins = Bucket(rates.joins_per_second, burst_seconds)
        self._frames_in = self._openings = 0

    def charge(
        self, size_bytes: int, frames_in: int, openings: int, now: float
    ) -> tuple[float, str]:
        """Takes what one read brought.

        Args:
            size_bytes: of the read.
            frames_in: how many frames came since the connection began.
            openings: how many of them opened a stream.
            now: the time, in seconds.

        Returns:
            How many seconds nothing should be read; and of what it was too much: ``bytes``,
            ``frames`` or ``joins``.
        """
        frames, self._frames_in = frames_in - self._frames_in, frames_in
        wait, cause = self._bytes.take(size_bytes, now), "bytes"
        if frames:
            more = self._frames.take(frames, now)
            if more > wait:
                wait, cause = more, "frames"
        if openings != self._openings:
            more = self._joins.take(openings - self._openings, now)
            self._openings = openings
            if more > wait:
                wait, cause = more, "joins"
        return wait, cause
