"""The tombstones of one replica, by age."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple


class Due(NamedTuple):
    """A tombstone whose time is over.

    Attributes:
        key: of the entry.
        ms: of its stamp.
        since_ms: when it became known.
    """

    key: str
    ms: int
    since_ms: int


class Tombstones:
    """The keys that are deleted."""

    __slots__ = ("_all", "_oldest")

    def __init__(self) -> None:
        # The stamp's milliseconds, and when it became known.
        self._all: dict[str, tuple[int, int]] = {}
        # A heap, oldest first; what was overwritten may still be in it.
        self._oldest: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, key: str) -> bool:
        return key in self._all

    def set(self, key: str, ms: int, since_ms: int) -> None:
        """Adds a tombstone, in the place of an older one.

        Args:
            key: of the entry.
            ms: of its stamp.
            since_ms: when it became known.
        """
        self._all[key] = ms, since_ms
        heappush(self._oldest, (ms, key))
        if len(self._oldest) > 2 * len(self._all) + 1000:
            self._oldest = sorted((ms, key) for key, (ms, _) in self._all.items())

    def delete(self, key: str) -> None:
        """Takes one out, if there is one."""
        self._all.pop(key, None)

    def renew(self, key: str, now_ms: int) -> None:
        """It has become known to others too; nothing if there is no tombstone."""
        if key in self._all:
            self._all[key] = self._all[key][0], now_ms

    def due(self, until_ms: int, most: int) -> tuple[list[Due], bool]:
        """Takes out those of stamps before a time, the oldest first; looks at up to `most`.

        Returns:
            What was taken out, and whether there are no more.
        """
        found: list[Due] = []
        while self._oldest and self._oldest[0][0] < until_ms:
            if not most:
                return found, False
            most -= 1
            ms, key = heappop(self._oldest)
            known = self._all.get(key)
            if known is not None and known[0] == ms:
                del self._all[key]  # it may be in the heap twice
                found.append(Due(key, ms, known[1]))
        return found, True
