"""Writes of a peer that was away for longer than tombstones are kept, or that stamped them by a
clock far behind.

Others may have changed their keys since and forgotten it. So they are set aside until the state of
the network is here, and are offered again only where nobody has changed the key meanwhile: anywhere
else they would undo what they know nothing of.
"""

from __future__ import annotations

from typing import NamedTuple

from distmap.clock import Restamper, Stamp
from distmap.entries import Entry
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting


class Return(NamedTuple):
    """How an absence ended.

    Attributes:
        offered: own writes that are offered again, with new stamps.
        taken: own writes that had got through after all.
        superseded: own writes that are not offered again.
    """

    offered: list[Update]
    taken: list[tuple[str, Stamp]]
    superseded: list[tuple[str, Entry]]


class Absence:
    """The writes that are set aside.

    Args:
        replica: they are taken out of it.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._writes: dict[str, Waiting] = {}

    def set_aside(self, writes: list[Waiting]) -> list[Update]:
        """Takes writes out of the outbox's hands; a later write of a key keeps the base of the
        first.

        Returns:
            What changed in the replica.
        """
        updates = []
        for key, entry, base in writes:
            first = self._writes.pop(key, None)  # so those of a batch stand together
            self._writes[key] = Waiting(key, entry, base if first is None else first.base)
            if self._replica.entries.get(key) is entry:
                updates.append(self._replica.forget(key))
        return updates

    def give_up(self) -> list[tuple[str, Entry]]:
        """The writes, which will never be offered."""
        return [(key, entry) for key, entry, _ in self._writes.values()]

    def restore(self, outbox: Outbox) -> list[Update]:
        """Nobody is there to ask: the writes go on as if nothing had been.

        Returns:
            What changed in the replica.
        """
        updates = []
        for key, entry, base in self._writes.values():
            update = self._replica.merge(key, entry, trusted=True)
            if update is not None:
                updates.append(update)
            if key not in outbox:
                outbox.add(key, entry, base)
        return updates

    def end(self, outbox: Outbox) -> Return:
        """The state of the network is here: settles what became of the writes."""
        entries = self._replica.entries
        stamps = Restamper(self._replica.clock)
        offered, taken, superseded = [], [], []
        for key, entry, base in self._writes.values():
            if key in outbox:
                continue  # written again meanwhile: that one is on its way
            now = entries.get(key)
            stamp = None if now is None else now.stamp
            if stamp == entry.stamp:
                taken.append((key, entry.stamp))
            elif stamp == base:
                update = self._replica.rewrite(key, entry.value, stamps.anew(entry.stamp))
                outbox.add(key, update.entry, base)
                offered.append(update)
            else:
                superseded.append((key, entry))
        return Return(offered, taken, superseded)
