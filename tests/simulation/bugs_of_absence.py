"""Planted bugs: what becomes of deletes that are forgotten, and of peers that were away."""

from __future__ import annotations

from typing import Any

from distmap.absence import Absence
from distmap.donors import Donors
from distmap.lww import Replica
from distmap.peer import Peer
from distmap.sync_donor import Burials
from tests.simulation.planting import Replacements, bug, nothing


@bug
def floor_ignored() -> Replacements:
    """An entry that may have been deleted long ago is taken from anybody."""
    return {"lww.Replica.trusts": lambda self, known_ms: True}


@bug
def floor_not_told() -> Replacements:
    """A newcomer does not learn which deletes its donor has forgotten."""
    return {"lww.Replica.adopt_floor": nothing}


@bug
def deleted_entries_not_buried() -> Replacements:
    """Who brings what was deleted long ago is not told so."""
    return {"sync_donor.Burials.add": nothing}


@bug
def burials_lose_to_what_they_bury() -> Replacements:
    """A tombstone for what was deleted long ago is one millisecond too early."""
    add = Burials.add

    def replacement(self: Burials, key: str, entry: Any) -> None:
        add(self, key, entry._replace(stamp=entry.stamp._replace(ms=entry.stamp.ms - 1)))

    return {"sync_donor.Burials.add": replacement}


@bug
def absence_not_noticed() -> Replacements:
    """A peer that comes back thinks that it knows of all deletes."""

    def replacement(self: Peer) -> None:
        lost(self)
        self.replica.known_ms = None

    lost = Peer.lost
    return {"peer.Peer.lost": replacement}


@bug
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


@bug
def tombstones_never_collected() -> Replacements:
    """Deletes are remembered for ever."""
    return {"lww.Replica.collect": lambda self, most: True}


@bug
def old_writes_sent_at_once() -> Replacements:
    """A peer that was away for long does not ask what became of the keys that it wrote."""
    return {"peer.Peer._has_to_ask": lambda self: False, "peer.Peer._met": nothing}


@bug
def writes_set_aside_are_lost() -> Replacements:
    """What was written during a long absence is never offered again."""
    return {"peer.Peer._end_absence": nothing}


@bug
def superseded_writes_offered() -> Replacements:
    """What was written during a long absence undoes what others did since."""
    end = Absence.end

    def replacement(self: Absence, outbox: Any) -> Any:
        entries = self._replica.entries
        for key, write in list(self._writes.items()):
            now = entries.get(key)
            self._writes[key] = write._replace(base=None if now is None else now.stamp)
        return end(self, outbox)

    return {"absence.Absence.end": replacement}


@bug
def places_never_free_again() -> Replacements:
    """A newcomer that never finishes keeps its donor."""
    return {"donors.Donors.expire": nothing}


@bug
def one_connection_takes_all_places() -> Replacements:
    """A connection with many newcomers is served before all others."""
    choose = Donors._choose

    def replacement(self: Any, donor: Any, member: Any) -> None:
        choose(self, donor, member)
        self._served.clear()

    return {"donors.Donors._choose": replacement}
