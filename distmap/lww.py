"""One replica of a map: the last writer wins.

An entry is its own join: of two entries of one key the greater stays (:func:`entries.wins`), so
entries may come in any order, any number of times, or not at all, and replicas that have seen the
same entries are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import maxsize
from typing import Final

from distmap import values
from distmap.clock import MAX_AHEAD_MS, HybridClock, Record, Restamper, Stamp
from distmap.entries import Entry, entry_hash, wins
from distmap.holding import Holding
from distmap.knowledge import RETENTION_MS, Knowledge
from distmap.ranges import RangeTree
from distmap.tombstones import Tombstones

RETENTION_STEPS: Final = 720
"""Tombstones are collected in steps of this part of the retention: by all at about one time."""


class Update(Record, frozen=True, gc=False):
    """An entry that took its place in the replica.

    Attributes:
        key: its key.
        entry: what is there now.
        old: what was there before, None if nothing was.
    """

    key: str
    entry: Entry
    old: Entry | None


class Replica(Knowledge):
    """The entries of one peer.

    Args:
        clock: the clock of this replica.
        max_value_bytes: the longest text of a value.
        retention_ms: how long a tombstone is kept; the same for all peers of a map.

    Attributes:
        entries: by key; tombstones too.
        held: entries from the future.
        live: how many keys have a value.
        refused: how many entries of others could not be taken, or the floor forbids.
    """

    def __init__(
        self,
        clock: HybridClock,
        max_value_bytes: int = values.MAX_VALUE_BYTES,
        retention_ms: int = RETENTION_MS,
    ) -> None:
        super().__init__(clock, retention_ms)
        self.max_value_bytes = max_value_bytes
        self.held = Holding()
        self.refused = 0
        self.entries: dict[str, Entry] = {}
        self.live = 0
        self._tree = RangeTree()
        # Keys whose entry the tree has not seen yet: hashing is put off until somebody compares.
        self._stale: set[str] = set()
        self._unhashed: list[str] = []  # the same, of those that came together
        self._tombstones = Tombstones()

    # -- this replica's own writes ----------------------------------------------------------------

    def set(self, key: str, value: object) -> Update:
        """Writes a value.

        Raises:
            InvalidKey, InvalidValue, InvalidType: no map can hold it.
        """
        key = values.check_key(key)
        return self.rewrite(key, values.encode(value, self.max_value_bytes))

    def delete(self, key: str) -> Update | None:
        """Writes a tombstone; None if there is no value.

        Raises:
            InvalidKey, InvalidType: no map can hold such a key.
        """
        key = values.check_key(key)
        entry = self.entries.get(key)
        return None if entry is None or entry.value is None else self.rewrite(key, None)

    def restamp(self, keys: list[str], stamps: Restamper) -> list[Update]:
        """Stamps own entries anew, in the given order; only for what no peer has seen."""
        updates = []
        for key in keys:
            fresh = self.entries[key].replace(stamp=stamps.anew(self.entries[key].stamp))
            self._remove(key)
            updates.append(self._place(key, fresh, None))
        return updates

    # -- what comes from others -------------------------------------------------------------------

    def merge(
        self,
        key: str,
        entry: Entry,
        *,
        trusted: bool = False,
        doubtful: dict[str, Entry] | None = None,
    ) -> Update | None:
        """Takes an entry; None if it lost, was known, is held until its time, is refused or put
        aside.

        Args:
            key: its key.
            entry: the entry.
            trusted: it is from who knows of all deletes that were forgotten here
                (:meth:`trusts`): an old entry that is unknown here was not deleted.
            doubtful: this replica does not know yet what was deleted: an old entry that is unknown
                here is put there.
        """
        old = self.entries.get(key)
        if old is not None and not wins(key, entry, old):
            return None
        if self.clock.is_ahead(entry.stamp):
            self.held.add(key, entry)
            return None
        if old is None and not (trusted and entry.value):
            if entry.stamp.ms < self.floor_ms:
                self.refused += entry.value is not None
                return None
            if doubtful is not None and entry.value and self._is_old(entry):
                if wins(key, entry, doubtful.get(key)):
                    doubtful[key] = entry
                return None
        self.clock.observe(entry.stamp)
        return self._place(key, entry, old)

    def merge_many(self, items: dict[str, Entry]) -> list[Update]:
        """Takes many entries from who is trusted, each as :meth:`merge` does; values of unknown
        keys, of which a newcomer gets many, together.
        """
        others = self._not_new(items, 0)
        fresh = items if not others else {k: e for k, e in items.items() if k not in others}
        updates = self._place_many(fresh)
        updates += filter(None, (self.merge(k, e, trusted=True) for k, e in others.items()))
        return updates

    def merge_new(self, items: dict[str, Entry]) -> list[Update] | None:
        """Takes entries from anybody together, if all are values of unknown keys that
        :meth:`merge` would take; None, and nothing is taken, if one is not.
        """
        return None if self._not_new(items, self.floor_ms) else self._place_many(items)

    def forbids(self, key: str, entry: Entry) -> bool:
        """Whether an entry may be one that was deleted, and the delete forgotten."""
        unknown = entry.value is not None and key not in self.entries
        return unknown and entry.stamp.ms < self.floor_ms

    def release(self) -> list[Update]:
        """Takes the held entries whose time has come."""
        due = self.held.due(self.clock)
        return [update for key, entry in due if (update := self.merge(key, entry)) is not None]

    def release_in_ms(self) -> int | None:
        """How long until :meth:`release` has something to do; None if nothing is held."""
        first = self.held.next_ms()
        return None if first is None else max(0, first - self.clock.latest_ms())

    def hold(self, key: str) -> None:
        """Holds back what a wrong clock had let in from the future. What it had replaced is to be
        fetched from another peer.
        """
        self.held.add(key, self.entries[key])
        self._remove(key)

    def rewrite(self, key: str, value: bytes | None, stamp: Stamp | None = None) -> Update:
        """Writes a canonical text, or a tombstone; a stamp that is given is a new one."""
        old = self.entries.get(key)
        if stamp is None or (old is not None and self.clock.is_before(stamp, old.stamp)):
            stamp = self.clock.tick(None if old is None else old.stamp)
        return self._place(key, Entry(stamp, value), old)

    def forget(self, key: str) -> Update:
        """Takes an entry out, as if it had never been here."""
        entry = self.entries[key]
        self._remove(key)
        return Update(key, entry.replace(value=None), entry)

    # -- tombstones -------------------------------------------------------------------------------

    def collect(self, most: int) -> bool:
        """Forgets up to `most` tombstones older than the retention; True if no more are."""
        if not self.may_forget:
            return True
        step = max(1, self.retention_ms // RETENTION_STEPS)
        until_ms = (self.clock.latest_ms() - self.retention_ms) // step * step
        due, all_ = self._tombstones.due(until_ms, most)
        for key, ms, since_ms in due:
            self.floor_ms = max(self.floor_ms, ms + 1)
            self.forgot_ms = max(self.forgot_ms, self._joined_ms, since_ms)
            self._remove(key)
        return all_

    def arrived(self, keys: Iterable[str]) -> None:
        """What is at these keys is known to the others from now on."""
        now_ms = self.clock.latest_ms()
        for key in keys:
            self._tombstones.renew(key, now_ms)

    # -- comparing --------------------------------------------------------------------------------

    def fold(self, most: int) -> bool:
        """Brings the tree of sums up to date by `most` keys; True once it is."""
        collected = self.collect(most)
        for _ in range(min(most, len(self._stale) + len(self._unhashed))):
            key = self._stale.pop() if self._stale else self._unhashed.pop()
            entry = self.entries.get(key)
            if entry is None:
                self._tree.discard(key)
            else:
                self._tree.put(key, entry_hash(key, entry))
        return collected and not (self._stale or self._unhashed)

    @property
    def tree(self) -> RangeTree:
        """The tree of sums, up to date."""
        self.fold(maxsize)
        return self._tree

    def digest(self) -> tuple[int, int]:
        """How many entries there are (tombstones too) and the sum of their hashes."""
        return self.tree.summary()

    def items(self) -> Iterator[tuple[str, bytes]]:
        """The live keys and the texts of their values."""
        return ((key, e.value) for key, e in self.entries.items() if e.value is not None)

    # -- helpers ----------------------------------------------------------------------------------

    def _not_new(self, items: dict[str, Entry], least_ms: int) -> dict[str, Entry]:
        """Those that cannot be taken together: of known keys, tombstones, too old or too new."""
        known, latest_ms = self.entries, self.clock.latest_ms() + MAX_AHEAD_MS
        return {
            key: entry
            for key, entry in items.items()
            if key in known or entry.value is None or not least_ms <= entry.stamp.ms <= latest_ms
        }

    def _place_many(self, fresh: dict[str, Entry]) -> list[Update]:
        if fresh:
            self.entries.update(fresh)
            self._unhashed += fresh
            self.live += len(fresh)
            self.clock.observe(max([entry.stamp for entry in fresh.values()]))
        return [Update(key, entry, None) for key, entry in fresh.items()]

    def _is_old(self, entry: Entry) -> bool:
        """Whether a delete of it may have been forgotten somewhere."""
        return entry.stamp.ms < self.clock.latest_ms() - self.retention_ms

    def _place(self, key: str, entry: Entry, old: Entry | None) -> Update:
        self.entries[key] = entry
        self._stale.add(key)
        self._count(old, entry)
        if entry.value is None:
            self._tombstones.set(key, entry.stamp.ms, self.clock.latest_ms())
        elif old is not None:
            self._tombstones.delete(key)
        return Update(key, entry, old)

    def _remove(self, key: str) -> None:
        self._count(self.entries.pop(key), None)
        self._tombstones.delete(key)
        self._stale.add(key)

    def _count(self, old: Entry | None, new: Entry | None) -> None:
        was = old is not None and old.value is not None
        self.live += (new is not None and new.value is not None) - was
