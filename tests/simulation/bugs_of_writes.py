"""Planted bugs: which write wins, and what becomes of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distmap.clock import HybridClock, Stamp
from distmap.entries import Entry
from distmap.lww import Replica
from distmap.map import DistributedMap
from distmap.outbox import Outbox
from tests.simulation.planting import Replacements, bug, nothing

# -- which write wins ----------------------------------------------------------------------------


def _wins(wins: Callable[[Entry, Entry], bool]) -> Replacements:
    def replacement(key: str, new: Entry, old: Entry | None) -> bool:
        return old is None or wins(new, old)

    return {"lww.wins": replacement}


@bug()
def no_tie_break() -> Replacements:
    """Of two writes with one stamp, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp > old.stamp)


@bug()
def writers_not_compared() -> Replacements:
    """Of two writes of one time by two writers, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp.when > old.stamp.when)


@bug()
def counters_not_compared() -> Replacements:
    """Of two writes within a millisecond, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp.ms > old.stamp.ms)


@bug()
def last_message_wins() -> Replacements:
    """Stamps are not compared at all."""
    return _wins(lambda new, old: new != old)


@bug()
def together_unseen() -> Replacements:
    """Sets that come together take their places, whatever is there."""
    return {"lww.Replica._not_new": lambda self, items, least_ms: {}}


@bug()
def counter_not_increased() -> Replacements:
    """Two writes within a millisecond have one stamp."""
    tick = HybridClock.tick

    def replacement(self: HybridClock, after: Stamp | None = None) -> Stamp:
        stamp = tick(self, after)
        self._counter = 0
        return stamp.replace(counter=0)

    return {"clock.HybridClock.tick": replacement}


@bug()
def clock_does_not_observe() -> Replacements:
    """What is written after reading may be earlier than what was read."""
    return {"clock.HybridClock.observe": nothing}


@bug()
def wrong_stamps_kept() -> Replacements:
    """When a clock that was ahead is corrected, its writes keep their stamps."""

    def replacement(self: HybridClock, offset_ms: float) -> bool:
        self.offset_ms = offset_ms
        return False

    return {"clock.HybridClock.correct": replacement}


@bug()
def deletes_forgotten() -> Replacements:
    """A delete by another peer leaves nothing behind."""
    place = Replica._place

    def replacement(self: Replica, key: str, entry: Entry, old: Entry | None) -> Any:
        update = place(self, key, entry, old)
        if entry.value is None and entry.stamp.writer != self.clock.writer:
            self._remove(key)
        return update

    return {"lww.Replica._place": replacement}


@bug()
def hash_not_renewed() -> Replacements:
    """The tree of sums does not hear of overwritten entries."""
    place = Replica._place

    def replacement(self: Replica, key: str, entry: Entry, old: Entry | None) -> Any:
        update = place(self, key, entry, old)
        if old is not None:
            self._stale.discard(key)
        return update

    return {"lww.Replica._place": replacement}


# -- the outbox ----------------------------------------------------------------------------------


@bug()
def outbox_cleared_at_disconnect() -> Replacements:
    """What was not acknowledged is forgotten when the connection is lost."""
    go_offline = Outbox.go_offline

    def replacement(self: Outbox) -> None:
        go_offline(self)
        self.begin_sweep(sent=True)
        self.sweep(len(self), lambda write: False)

    return {"outbox.Outbox.go_offline": replacement}


@bug()
def outbox_cleared_early() -> Replacements:
    """A write is taken for acknowledged when it is sent."""
    next_message = Outbox.next_message

    def replacement(self: Outbox) -> bytes | None:
        message = next_message(self)
        if message is not None:
            for write in self._sent[-1].writes:
                self._waiting.pop(write.key, None)
        return message

    return {"outbox.Outbox.next_message": replacement}


@bug()
def outbox_not_sent_again() -> Replacements:
    """After a reconnect only new writes are sent."""
    go_online = Outbox.go_online

    def replacement(self: Outbox) -> None:
        go_online(self)
        self._front.clear()
        self._back.clear()

    return {"outbox.Outbox.go_online": replacement}


@bug()
def window_never_opens() -> Replacements:
    """What is acknowledged still counts as under way."""
    acknowledge = Outbox.acknowledge

    def replacement(self: Outbox, number: int) -> Any:
        before = self._sent_bytes
        taken = acknowledge(self, number)
        self._sent_bytes = before
        return taken

    return {"outbox.Outbox.acknowledge": replacement}


@bug()
def other_messages_not_counted() -> Replacements:
    """What is broadcast for a newcomer is acknowledged as if it were a write."""
    return {"outbox.Outbox.count_other": nothing}


@bug()
def one_deferred_a_time() -> Replacements:
    """Of several writes of a key only the first Deferred fires."""
    taken = DistributedMap.taken

    def replacement(self: DistributedMap, writes: list[tuple[str, Stamp]]) -> None:
        taken(self, list({key: (key, stamp) for key, stamp in reversed(writes)}.values()))

    return {"map.DistributedMap.taken": replacement}
