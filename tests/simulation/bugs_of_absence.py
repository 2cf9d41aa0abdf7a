"""Planted bugs: what becomes of deletes that are forgotten, and of peers that were away."""

from __future__ import annotations

from typing import Any, Final

from distmap.aside import Aside, Return
from distmap.lww import Replica
from distmap.merging import Burials
from distmap.peer import Peer
from tests.simulation.planting import Replacements, bug, nothing

ABSENCES: Final = ("absence", "long partition")


@bug(*ABSENCES)
def floor_ignored() -> Replacements:
    """An entry that may have been deleted long ago is taken from anybody."""
    return {"knowledge.Knowledge.trusts": lambda self, known_ms, gaps=(): True}


@bug(*ABSENCES)
def floor_ignored_together() -> Replacements:
    """Of sets that come together, those that may have been deleted long ago are taken too."""
    not_new = Replica._not_new
    return {"lww.Replica._not_new": lambda self, items, least_ms: not_new(self, items, 0)}


@bug(*ABSENCES)
def deleted_entries_not_buried() -> Replacements:
    """Who brings what was deleted long ago is not told so."""
    return {"merging.Burials.add": nothing}


@bug(*ABSENCES)
def burials_lose_to_what_they_bury() -> Replacements:
    """A tombstone for what was deleted long ago is one millisecond too early."""
    add = Burials.add

    def replacement(self: Burials, key: str, entry: Any) -> None:
        add(self, key, entry.replace(stamp=entry.stamp.replace(ms=entry.stamp.ms - 1)))

    return {"merging.Burials.add": replacement}


@bug(*ABSENCES)
def absence_not_noticed() -> Replacements:
    """A peer that comes back thinks that it knows of all deletes."""

    def replacement(self: Peer) -> None:
        lost(self)
        self.replica.known_ms = None

    lost = Peer.lost
    return {"peer.Peer.lost": replacement}


@bug(*ABSENCES)
def tombstones_collected_too_early() -> Replacements:
    """Deletes are forgotten after half the time."""
    collect = Replica.collect

    def replacement(self: Replica, most: int) -> bool:
        self.retention_ms //= 2
        try:
            return collect(self, most)
        finally:
            self.retention_ms *= 2

    return {"lww.Replica.collect": replacement}


@bug(*ABSENCES)
def tombstones_never_collected() -> Replacements:
    """Deletes are remembered for ever."""
    return {"lww.Replica.collect": lambda self, most: True}


@bug(*ABSENCES)
def writes_set_aside_are_lost() -> Replacements:
    """What was written during a long absence is never offered again."""

    def replacement(self: Aside, most: int) -> Return:
        self._writes.clear()
        return Return([], [], [])

    return {"aside.Aside.end": replacement}


@bug(*ABSENCES)
def superseded_writes_offered() -> Replacements:
    """What was written during a long absence undoes what others did since."""
    end = Aside.end

    def replacement(self: Aside, most: int) -> Any:
        entries = self._replica.entries
        for key, write in self._writes.items():
            now = entries.get(key)
            write.base = None if now is None else now.stamp
        return end(self, most)

    return {"aside.Aside.end": replacement}


@bug("hostile crowd")
def places_never_free_again() -> Replacements:
    """A newcomer that never finishes keeps its donor."""
    return {"donors.Donors.expire": nothing}
