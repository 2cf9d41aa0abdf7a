"""What happens to a replica that was away for longer than tombstones are kept.

What it has from others may have been deleted and forgotten since, so it is discarded and fetched
afresh. Its own writes that nobody has seen are offered again, but only where others have not
changed the key meanwhile: there they would undo what they know nothing of.
"""

from __future__ import annotations

from typing import NamedTuple

from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.lww import Replica, Update
from distmap.outbox import Outbox


class Return(NamedTuple):
    """How an absence ended.

    Attributes:
        updates: what others have changed.
        offered: own writes that are offered again, with new stamps.
        taken: own writes that had got through after all.
        superseded: own writes that are not offered again.
    """

    updates: list[Update]
    offered: list[Update]
    taken: list[tuple[str, Stamp]]
    superseded: list[tuple[str, Entry]]


class Absence:
    """One discarded replica.

    Args:
        replica: its entries are discarded now.
        outbox: emptied now.
    """

    def __init__(self, replica: Replica, outbox: Outbox) -> None:
        self._replica = replica
        self._before = replica.entries
        self._writes = outbox.drain()
        replica.clear()

    def discard_again(self, outbox: Outbox) -> None:
        """The donor died meanwhile, and the next one demands the same."""
        again = {write[0]: write for write in outbox.drain()}
        writes = []
        for key, entry, base in self._writes:  # a later write of a key keeps the place of the first
            _, latest, _ = again.pop(key, (key, entry, base))
            writes.append((key, latest, base))
        self._writes = writes + list(again.values())
        self._replica.clear()

    def restore(self, outbox: Outbox) -> None:
        """Nobody is left to fetch from: what was discarded is all there is."""
        for key, entry in self._before.items():
            self._replica.merge(key, entry, trusted=True)
        for key, entry, base in self._writes:
            if key not in outbox:
                outbox.add(key, entry, base)

    def end(self, outbox: Outbox) -> Return:
        """The state of the network is here: settles what became of the own writes."""
        entries = self._replica.entries
        offered, taken, superseded = [], [], []
        for key, entry, base in self._writes:
            if key in outbox:
                continue  # written again meanwhile: that one is on its way
            now = entries.get(key)
            stamp = None if now is None else now.stamp
            if stamp == entry.stamp:
                taken.append((key, entry.stamp))
            elif stamp == base:
                update = self._replica.rewrite(key, entry.value)
                outbox.add(key, update.entry, base)
                offered.append(update)
            else:
                superseded.append((key, entry))
        return Return(self._changes(outbox), offered, taken, superseded)

    def _changes(self, outbox: Outbox) -> list[Update]:
        before, entries = self._before, self._replica.entries
        updates = [
            Update(key, entry, before.get(key))
            for key, entry in entries.items()
            if before.get(key) != entry and key not in outbox  # own writes are no news here
        ]
        # Whoever deleted these, nobody knows any more; the stamp is that of what is gone.
        updates += [
            Update(key, entry._replace(value=None), entry)
            for key, entry in before.items()
            if key not in entries and entry.value is not None
        ]
        return updates
