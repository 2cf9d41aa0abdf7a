"""The hybrid logical clock that stamps each write.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014): milliseconds
of the wall clock, and a counter for what happens within one of them or while the wall clock is
behind what was already seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

import msgspec

MAX_AHEAD_MS: Final = 60_000
"""How far ahead of the relay's time a stamp may be and still be taken at once."""
HEARD_MS: Final = 30_000
"""How far the local clock is believed to have gone on since the relay last told its time."""
MAX_TIME_MS: Final = 8_640_000_000_000_000
"""The latest time that anybody may tell: the last that ECMAScript has a date for. Stamps go
further, so that there is always a later one.
"""
MIN_TIME_MS: Final = 1_577_836_800_000
"""The beginning of 2020. A relay that tells an earlier time has none: a machine that has lost its
clock begins in 1970, or at another day long ago.
"""
MAX_COUNTER: Final = 2**53 - 1
"""The greatest integer that a stamp can carry on the wire."""

_WRITER_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WRITER_LENGTH = 12


def writer_name(random: Callable[[], float]) -> str:
    """A name for a new replica.

    Args:
        random: gives numbers from 0 to 1, without 1.
    """
    return "".join(_WRITER_DIGITS[int(random() * 62)] for _ in range(_WRITER_LENGTH))


class Record(msgspec.Struct, frozen=True, gc=False):
    """A few values that belong together. It cannot be a part of a circle, so the garbage collector
    need not look at it: a map has two for each entry.
    """

    def replace(self, **changes: Any) -> Self:
        """The same, with some other values."""
        return msgspec.structs.replace(self, **changes)


class Stamp(Record, frozen=True, gc=False, order=True, array_like=True):
    """When, and by whom, an entry was written; stamps compare in the order of the fields.

    Attributes:
        ms: milliseconds since 1970, by the relay's time as the writer estimated it.
        counter: orders the writes within one ``ms``.
        writer: the id of the replica that wrote.
    """

    ms: int
    counter: int
    writer: str

    @property
    def when(self) -> tuple[int, int]:
        """Milliseconds and counter."""
        return self.ms, self.counter


class HybridClock:
    """The clock of one replica.

    Args:
        wall_ms: tells the wall clock, in milliseconds since 1970.
        writer: the id of the replica: 1 to 32 of ``A-Z a-z 0-9 _ -``.
    """

    __slots__ = ("_counter", "_ms", "_wall_ms", "heard_ms", "is_correcting", "offset_ms", "writer")

    def __init__(self, wall_ms: Callable[[], float], writer: str) -> None:
        self.writer = writer
        self.offset_ms = 0.0
        # What the relay last said; unlike the estimate, no jump of the local clock moves it.
        self.heard_ms: float | None = None
        # What is from the future is about to go: no stamp has to be later.
        self.is_correcting = False
        self._wall_ms = wall_ms
        self._ms = 0
        self._counter = 0

    def now_ms(self) -> int:
        """The relay's time, as estimated here."""
        return max(0, int(self._wall_ms() + self.offset_ms))

    # A local clock that jumped must not make anything be forgotten, or be taken too early: it would
    # replace what nobody else may have. So there are two bounds beside the estimate.

    def earliest_ms(self) -> int:
        """What the relay's time is at least."""
        return self.now_ms() if self.heard_ms is None else min(self.now_ms(), int(self.heard_ms))

    def latest_ms(self) -> int:
        """What the relay's time is at most, if it spoke within :data:`HEARD_MS`."""
        if self.heard_ms is None:
            return self.now_ms()
        heard_ms = int(self.heard_ms)
        return max(heard_ms, min(self.now_ms(), heard_ms + HEARD_MS))

    def tick(self, after: Stamp | None = None) -> Stamp:
        """A new stamp, later than all that this clock issued or observed.

        Args:
            after: a stamp that the new one must also be later than.
        """
        last = (self._ms, self._counter)
        if after is not None and not self._is_to_go(after):
            last = max(last, after.when)
        now = self.now_ms()
        if now > last[0]:
            self._ms, self._counter = now, 0
        elif last[1] < MAX_COUNTER:
            self._ms, self._counter = last[0], last[1] + 1
        else:  # somebody counted that far to make the next stamp one that nobody takes
            self._ms, self._counter = last[0] + 1, 0
        return Stamp(self._ms, self._counter, self.writer)

    def observe(self, stamp: Stamp) -> None:
        """Takes note of another replica's stamp: what is written here from now on is later."""
        if stamp.ms > self._ms or (stamp.ms == self._ms and stamp.counter > self._counter):
            self._ms, self._counter = stamp.ms, stamp.counter

    def is_ahead(self, stamp: Stamp) -> bool:
        """Whether a stamp is so far in the future that its entry has to wait."""
        ms = stamp.ms - MAX_AHEAD_MS
        if stamp.ms <= self._ms or (self.heard_ms is not None and ms <= self.heard_ms):
            return False
        return ms > self.latest_ms()

    def is_before(self, stamp: Stamp, old: Stamp) -> bool:
        """Whether a stamp of this clock is not later than that of an entry that stays."""
        return stamp <= old and not self._is_to_go(old)

    def _is_to_go(self, stamp: Stamp) -> bool:
        return self.is_correcting and self.is_ahead(stamp)

    def correct(self, offset_ms: float) -> bool:
        """Sets the offset to the relay's time.

        Returns:
            Whether this clock had run ahead of the bound: stamps it issued before may then be too
            far in the future, and those not yet sent had better be issued anew.
        """
        self.offset_ms = offset_ms
        now = self.now_ms()
        if self._ms <= now + MAX_AHEAD_MS:
            return False
        self._ms, self._counter = now, 0
        return True


class Restamper:
    """New stamps for old ones. Writes of one stamp, as those of a batch are, share the new one if
    they come one after the other.

    Args:
        clock: issues them.
    """

    __slots__ = ("_clock", "_new", "_old")

    def __init__(self, clock: HybridClock) -> None:
        self._clock = clock
        self._old: Stamp | None = None
        self._new: Stamp | None = None

    def anew(self, old: Stamp) -> Stamp:
        """The new stamp for an old one."""
        if self._new is None or old != self._old:
            self._old, self._new = old, self._clock.tick()
        return self._new
