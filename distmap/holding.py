"""Entries from the future, which wait until their time has come.

They are neither dropped nor taken: by their own clocks, peers would disagree about that. The queue
is bounded for each writer; what it had to let go is fetched again once it would have been due.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from distmap.clock import MAX_AHEAD_MS, HybridClock
from distmap.entries import Entry, wins

MAX_HELD: Final = 1000
"""Entries held in all."""
MAX_HELD_PER_WRITER: Final = 100


class Holding:
    """The entries of one replica that wait.

    Attributes:
        fetch_at_ms: when to ask another peer for what was let go, by the relay's time; None if
            nothing was.
    """

    __slots__ = ("_entries", "_first_ms", "_per_writer", "fetch_at_ms")

    def __init__(self) -> None:
        # One for each key and writer: another writer's, further ahead, must not displace it.
        self._entries: dict[tuple[str, str], Entry] = {}
        self._per_writer: Counter[str] = Counter()
        self._first_ms: int | None = None  # None also while it is not known
        self.fetch_at_ms: int | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        """The keys and entries."""
        return ((key, entry) for (key, _), entry in self._entries.items())

    def add(self, key: str, entry: Entry) -> bool:
        """Takes an entry; False if it was known."""
        slot = (key, entry.stamp.writer)
        known = self._entries.get(slot)
        if not wins(key, entry, known):
            return False
        self._entries[slot] = entry
        self._first_ms = None
        if known is None:
            self._per_writer[entry.stamp.writer] += 1
            if self._per_writer[entry.stamp.writer] > MAX_HELD_PER_WRITER:
                self._let_go(entry.stamp.writer)
            elif len(self._entries) > MAX_HELD:
                self._let_go(None)
        return True

    def due(self, clock: HybridClock) -> list[tuple[str, Entry]]:
        """Hands out the entries whose time has come, in the order of their stamps."""
        ready = [slot for slot, e in self._entries.items() if not clock.is_ahead(e.stamp)]
        entries = [(slot[0], self._remove(slot)) for slot in ready]
        return sorted(entries, key=lambda item: item[1].stamp)

    def next_ms(self) -> int | None:
        """When the next entry is due, or something is to be fetched; None if never."""
        if self._first_ms is None and self._entries:
            self._first_ms = min(entry.stamp.ms for entry in self._entries.values())
        times = [] if self._first_ms is None else [self._first_ms - MAX_AHEAD_MS]
        if self.fetch_at_ms is not None:
            times.append(self.fetch_at_ms)
        return min(times, default=None)

    def take_fetch(self, now_ms: int) -> bool:
        """Whether something that was let go would be due by now; says so once."""
        if self.fetch_at_ms is None or self.fetch_at_ms > now_ms:
            return False
        self.fetch_at_ms = None
        return True

    def _let_go(self, writer: str | None) -> None:
        """Lets the furthest entry go, of one writer or of all."""
        slots = [slot for slot in self._entries if writer is None or slot[1] == writer]
        furthest = self._remove(max(slots, key=lambda slot: self._entries[slot].stamp))
        due_ms = furthest.stamp.ms - MAX_AHEAD_MS
        self.fetch_at_ms = due_ms if self.fetch_at_ms is None else min(due_ms, self.fetch_at_ms)

    def _remove(self, slot: tuple[str, str]) -> Entry:
        self._first_ms = None
        self._per_writer[slot[1]] -= 1
        if not self._per_writer[slot[1]]:
            del self._per_writer[slot[1]]
        return self._entries.pop(slot)
