"""One replica of a map: the last writer wins.

An entry is its own join: of two entries of one key the greater stays (:func:`entries.wins`), so
entries may come in any order, any number of times, or not at all, and replicas that have seen the
same entries are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from distmap import values
from distmap.clock import MAX_AHEAD_MS, HybridClock
from distmap.entries import Entry, entry_hash, wins
from distmap.ranges import RangeTree

MAX_HELD: Final = 1000
"""Entries from the future that wait for their time; above it the furthest one is let go."""


class Update(NamedTuple):
    """An entry that took its place in the replica.

    Attributes:
        key: its key.
        entry: what is there now.
        old: what was there before, None if nothing was.
    """

    key: str
    entry: Entry
    old: Entry | None


class Replica:
    """The entries of one peer.

    Args:
        clock: the clock of this replica.
        max_value_bytes: the longest text of a value.

    Attributes:
        entries: by key; tombstones too.
        held: entries from the future, by key.
        live: how many keys have a value.
        refused: how many entries of others were no entries; counted by who decodes them.
    """

    def __init__(self, clock: HybridClock, max_value_bytes: int = values.MAX_VALUE_BYTES) -> None:
        self.clock = clock
        self.max_value_bytes = max_value_bytes
        self.entries: dict[str, Entry] = {}
        self.held: dict[str, Entry] = {}
        self.live = 0
        self.refused = 0
        self._tree = RangeTree()
        # Keys whose entry the tree has not seen yet: hashing is put off until somebody compares.
        self._stale: set[str] = set()

    # -- this replica's own writes ----------------------------------------------------------------

    def set(self, key: str, value: object) -> Update:
        """Writes a value.

        Raises:
            InvalidKey, InvalidValue, InvalidType: no map can hold it.
        """
        key = values.check_key(key)
        return self._write(key, values.encode(value, self.max_value_bytes))

    def delete(self, key: str) -> Update | None:
        """Writes a tombstone; None if there is no value.

        Raises:
            InvalidKey, InvalidType: no map can hold such a key.
        """
        key = values.check_key(key)
        entry = self.entries.get(key)
        return None if entry is None or entry.value is None else self._write(key, None)

    def restamp(self, keys: list[str]) -> list[Update]:
        """Stamps own entries anew, in the given order; only for what no peer has seen."""
        updates = []
        for key in keys:
            entry = self.entries.pop(key)
            self._count(entry, None)
            fresh = entry._replace(stamp=self.clock.tick())
            updates.append(self._place(key, fresh, None))
        return updates

    # -- what comes from others -------------------------------------------------------------------

    def merge(self, key: str, entry: Entry) -> Update | None:
        """Takes an entry; None if it lost, was known, or is held until its time."""
        old = self.entries.get(key)
        if not wins(key, entry, old):
            return None
        if self.clock.is_ahead(entry.stamp):
            self._hold(key, entry)
            return None
        self.clock.observe(entry.stamp)
        return self._place(key, entry, old)

    def release(self) -> list[Update]:
        """Takes the held entries whose time has come."""
        due = [key for key, entry in self.held.items() if not self.clock.is_ahead(entry.stamp)]
        updates = [self.merge(key, self.held.pop(key)) for key in due]
        return [update for update in updates if update is not None]

    def release_in_ms(self) -> int | None:
        """How long until :meth:`release` has something to do; None if nothing is held."""
        if not self.held:
            return None
        first = min(entry.stamp.ms for entry in self.held.values())
        return max(0, first - MAX_AHEAD_MS - self.clock.now_ms())

    # -- comparing --------------------------------------------------------------------------------

    def fold(self, most: int) -> bool:
        """Brings the tree of sums up to date by `most` keys; True once it is."""
        for _ in range(min(most, len(self._stale))):
            key = self._stale.pop()
            entry = self.entries.get(key)
            if entry is None:
                self._tree.discard(key)
            else:
                self._tree.put(key, entry_hash(key, entry))
        return not self._stale

    @property
    def tree(self) -> RangeTree:
        """The tree of sums, up to date."""
        self.fold(len(self._stale))
        return self._tree

    def digest(self) -> tuple[int, int]:
        """How many entries there are (tombstones too) and the sum of their hashes."""
        return self.tree.summary()

    def items(self) -> Iterator[tuple[str, bytes]]:
        """The live keys and the texts of their values."""
        return ((key, e.value) for key, e in self.entries.items() if e.value is not None)

    # -- helpers ----------------------------------------------------------------------------------

    def _write(self, key: str, value: bytes | None) -> Update:
        old = self.entries.get(key)
        stamp = self.clock.tick(None if old is None else old.stamp)
        return self._place(key, Entry(stamp, value), old)

    def _place(self, key: str, entry: Entry, old: Entry | None) -> Update:
        self.entries[key] = entry
        self._stale.add(key)
        self._count(old, entry)
        return Update(key, entry, old)

    def _count(self, old: Entry | None, new: Entry | None) -> None:
        was = old is not None and old.value is not None
        self.live += (new is not None and new.value is not None) - was

    def _hold(self, key: str, entry: Entry) -> None:
        known = self.held.get(key)
        if not wins(key, entry, known):
            return
        self.held[key] = entry
        if len(self.held) > MAX_HELD:
            furthest = max(self.held, key=lambda key: self.held[key].stamp)
            del self.held[furthest]
