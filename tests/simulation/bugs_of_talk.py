"""Planted bugs: how peers are made equal, and find out that they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distmap.columns import make_columns, read_columns
from distmap.correction import Correction
from distmap.entries import Entry
from distmap.handover import Handover
from distmap.seat import Seat
from distmap.sync import Newcomer
from distmap.sync_donor import Donor
from distmap.syncing import Syncing
from distmap.values import MAX_VALUE_BYTES
from tests.simulation.planting import Replacements, bug, nothing

# -- syncs ---------------------------------------------------------------------------------------


@bug()
def one_digit_not_compared() -> Replacements:
    """A sixteenth of all keys is taken for equal."""
    judge = Newcomer._judge

    def replacement(self: Newcomer, prefix: str, *args: Any) -> None:
        if prefix != "7":
            judge(self, prefix, *args)

    return {"sync.Newcomer._judge": replacement}


@bug()
def nothing_handed_over() -> Replacements:
    """The newcomer keeps to itself what the donor lacks."""
    return {"sync.Newcomer._next_request": _without_pushes(Newcomer._next_request)}


def _without_pushes(next_request: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def replacement(self: Any) -> Any:
        self._handover = Handover(self._replica, 0, nothing)
        return next_request(self)

    return replacement


@bug()
def donor_tells_nobody() -> Replacements:
    """What a newcomer brought stays with its donor."""
    return {"peer.Peer.learned": lambda self, updates: self.updated(updates)}


@bug()
def tombstones_not_synced() -> Replacements:
    """A donor hands out values only."""
    entries = Donor._entries

    def replacement(self: Donor, request: Any) -> Any:
        answer = entries(self, request)
        answer.entries = [raw for raw in answer.entries if b'"event":"delete"' not in bytes(raw)]
        return answer

    return {"sync_donor.Donor._entries": replacement}


@bug()
def last_of_a_chunk_lost() -> Replacements:
    """A chunk that is not the last ends one entry too early."""
    entries = Donor._entries

    def replacement(self: Donor, request: Any) -> Any:
        answer = entries(self, request)
        if answer.next is not None and answer.columns:
            kept, _ = read_columns(answer.columns, MAX_VALUE_BYTES)
            kept.popitem()
            answer.columns = make_columns(list(kept), list(kept.values()))
        elif answer.next is not None:
            del answer.entries[-1:]
        return answer

    return {"sync_donor.Donor._entries": replacement}


@bug()
def dead_donor_not_replaced() -> Replacements:
    """A newcomer waits on when its donor goes away."""

    def replacement(self: Any, error: object) -> None:
        self._stream = None
        if isinstance(self, Syncing) and not self._stopped:
            self._stall.reset(1e6)
        elif not self._stopped:
            self._fail("closed")

    return {"conversation.Conversation.stream_closed": replacement}


@bug()
def silent_donor_not_replaced() -> Replacements:
    """A newcomer waits for ever for a donor that says nothing."""

    def replacement(self: Any) -> None:
        self._stall = self._party.call_later(1e6, nothing)

    return {"conversation.Conversation._stalled": replacement}


@bug()
def ready_too_early() -> Replacements:
    """A newcomer offers to serve others before it has anything."""
    step = Syncing._step

    def replacement(self: Any) -> None:
        if not self._started:
            self._party.peer._port.send(b'["ready"]')
        step(self)

    return {"syncing.Syncing._step": replacement}


@bug()
def ready_is_a_lie() -> Replacements:
    """A newcomer is ready when its donor is found."""
    begin_sync = Seat.begin_sync

    def replacement(self: Seat, donor: str) -> None:
        begin_sync(self, donor)
        self.became_ready("peer")

    return {"seat.Seat.begin_sync": replacement}


# -- clocks and gossip ---------------------------------------------------------------------------


@bug()
def future_never_comes() -> Replacements:
    """Entries from the future are never taken."""
    return {"lww.Replica.release": lambda self: []}


@bug()
def future_taken_at_once() -> Replacements:
    """A wrong clock wins for ever."""
    return {"clock.HybridClock.is_ahead": lambda self, stamp: False}


@bug()
def future_without_bound() -> Replacements:
    """One writer fills the memory with entries from the future."""
    return {"holding.Holding._let_go": nothing}


@bug()
def let_in_and_kept() -> Replacements:
    """What a wrong clock had let in from the future stays."""
    return {"correction.Correction._hold": lambda self, ahead: iter(())}


@bug()
def not_written_once_more() -> Replacements:
    """What was written by a wrong clock is lost until its time."""

    def replacement(self: Correction, items: list[tuple[str, Entry]], stamps: object) -> None:
        for key, entry in items:
            if self._replica.entries.get(key) is entry:
                self.to_fetch = True
                self._replica.hold(key)

    return {"correction.Correction._hold_some": replacement}


@bug()
def time_asked_once() -> Replacements:
    """A clock that jumps while it is connected stays wrong."""
    return {"timekeeping.Timekeeper.ask": nothing}


@bug()
def time_not_listened_to() -> Replacements:
    """The relay's time is ignored."""
    return {"timekeeping.Timekeeper._learn": nothing}


@bug()
def no_gossip() -> Replacements:
    """Nobody tells a digest."""
    return {"peer.Peer.tell_digest": nothing}


@bug()
def no_repair() -> Replacements:
    """Nobody minds another digest."""
    return {"seat.Seat._repair": nothing}
