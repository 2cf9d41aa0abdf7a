"""What a replica knows of deletes: which it may have forgotten, and which it has not heard of.

Who comes back and finds nobody does not hear what was deleted meanwhile; who begins alone does not
know what was deleted before. They go on all the same, and remember that time as a *gap*. A sync
leaves the gaps that both sides have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from distmap.clock import HybridClock

Gap: TypeAlias = tuple[int, int]
"""From when, and until when, in milliseconds of the relay's time."""

RETENTION_MS: Final = 30 * 86_400_000
"""How long a tombstone is kept, by default."""
MAX_GAPS: Final = 8
"""So many are remembered, the longest: each time that all lose the relay may leave one."""
FOREVER: Final = 2**53 - 1


class Knowledge:
    """What one replica knows of deletes.

    Args:
        clock: of this replica.
        retention_ms: how long a tombstone is kept; the same for all peers of a map.

    Attributes:
        floor_ms: tombstones below it may have been collected, here or where this replica was
            synced from: an unknown entry from below it may be one that was deleted.
        forgot_ms: until when deletes that are forgotten here may have become known to the others.
        known_ms: until when this replica knows of all deletes; None while it hears of all.
        gaps: when, before that, deletes may have become known that it has not heard of.
        in_touch: it was synced, and hears all news.
    """

    def __init__(self, clock: HybridClock, retention_ms: int) -> None:
        self.clock = clock
        self.retention_ms = retention_ms
        self.floor_ms = 0
        self.forgot_ms = 0
        self.known_ms: int | None = None
        self.gaps: list[Gap] = []
        self.in_touch = True
        self._joined_ms = 0

    def trusts(self, known_ms: int | None, gaps: Iterable[Gap] = ()) -> bool:
        """Whether somebody who has these knows of the deletes that are forgotten here."""
        if not self.forgot_ms:
            return True
        # Who forgot a delete after the end of a gap was here by then, and has told what it knew.
        if any(since_ms <= self.forgot_ms <= until_ms for since_ms, until_ms in gaps):
            return False
        return known_ms is None or known_ms > self.forgot_ms

    @property
    def may_forget(self) -> bool:
        """Whether tombstones may be collected: others may need those of who was away for long."""
        long = any(until_ms - since_ms > self.retention_ms for since_ms, until_ms in self.gaps)
        return self.in_touch and self.known_ms is None and not long

    def adopt_floor(self, floor_ms: int) -> None:
        """Takes over the floor of the other side of a sync, as far as it can be true."""
        floor_ms = min(floor_ms, self.clock.latest_ms() - self.retention_ms)
        if floor_ms > self.floor_ms:
            self.floor_ms = floor_ms
            self.forgot_ms = max(self.forgot_ms, self.clock.latest_ms())

    def learn(self, known_ms: int | None, gaps: Iterable[Gap]) -> None:
        """At the end of a sync with somebody who has these: what neither has heard of is left."""
        mine, theirs = _with_endless(self.gaps, self.known_ms), _with_endless(gaps, known_ms)
        found = [(max(a[0], b[0]), min(a[1], b[1])) for a in mine for b in theirs]
        self.known_ms = max((gap[0] for gap in found if gap[1] == FOREVER), default=None)
        self.gaps = _longest(gap for gap in found if gap[1] != FOREVER)

    @property
    def was_away_long(self) -> bool:
        """Whether deletes may be forgotten that were made since it lost touch."""
        known_ms = self.known_ms
        return known_ms is not None and self.clock.latest_ms() - known_ms > self.retention_ms

    def joined(self) -> None:
        """What is here is known to the others from now on."""
        self._joined_ms = self.clock.latest_ms()

    def lose_touch(self) -> None:
        """From now on it does not hear of all deletes."""
        if self.known_ms is None:
            self.known_ms = self.clock.earliest_ms() if self.in_touch else 0
        self.in_touch = False

    def get_in_touch(self) -> None:
        """From now on it hears of all deletes; what it has not heard of is a gap."""
        self.in_touch = True
        if self.known_ms is not None:
            self.gaps = _longest([*self.gaps, (self.known_ms, self.clock.latest_ms())])
            self.known_ms = None
        self.expire_gaps()

    def expire_gaps(self) -> None:
        """Forgets gaps that ended one retention ago: whoever knows what became known in one, and
        was not here since, has been away for so long that it is the one to be judged.
        """
        oldest_ms = self.clock.earliest_ms() - self.retention_ms
        self.gaps = [gap for gap in self.gaps if gap[1] >= oldest_ms]


def _with_endless(gaps: Iterable[Gap], known_ms: int | None) -> list[Gap]:
    return [*gaps, *([] if known_ms is None else [(known_ms, FOREVER)])]


def _longest(gaps: Iterable[Gap]) -> list[Gap]:
    kept: list[Gap] = []
    for since_ms, until_ms in sorted(gaps, key=lambda gap: gap[0] - gap[1]):
        within = any(gap[0] <= since_ms and until_ms <= gap[1] for gap in kept)
        if since_ms < until_ms and not within:
            kept.append((since_ms, until_ms))
    return sorted(kept[:MAX_GAPS])
