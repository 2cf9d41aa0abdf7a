"""Replicas to begin a case with, and what must hold of them after it."""

from __future__ import annotations

import pickle
from typing import Final

from distmap.clock import MAX_AHEAD_MS, HybridClock, Stamp
from distmap.entries import Entry, entry_hash, wins
from distmap.holding import MAX_HELD
from distmap.lww import Replica
from tests.fuzz.cases import Broken

NOW_MS: Final = 1_700_000_000_000
KEYS: Final = 12
MASK: Final = 2**52 - 1
RARELY: Final = 6
"""Of so many cases one is checked in all ways."""


class Wall:
    """A wall clock that is set."""

    def __init__(self) -> None:
        self.ms = float(NOW_MS)

    def __call__(self) -> float:
        return self.ms


def make_replica(writer: str, keys: range, *, deleted: int = 0) -> Replica:
    """A replica with some entries, a few of them tombstones."""
    replica = Replica(HybridClock(Wall(), writer))
    for number in keys:
        stamp = Stamp(NOW_MS - 1000 + number, 0, f"w{number % 3}")
        value = None if number < deleted else b"%d" % number
        replica.merge(f"k{number}", Entry(stamp, value))
    replica.digest()
    return replica


class Frozen:
    """A replica that is made anew for each case."""

    def __init__(self, replica: Replica) -> None:
        self._pickled = pickle.dumps(replica, pickle.HIGHEST_PROTOCOL)
        self.entries = dict(replica.entries)

    def thaw(self) -> Replica:
        """Another one."""
        replica: Replica = pickle.loads(self._pickled)
        return replica


def check_replica(replica: Replica, before: dict[str, Entry], *, jumped: bool = False) -> None:
    """What holds of a replica, whatever it was sent.

    Args:
        replica: the replica.
        before: what it had.
        jumped: its relay told another time than it had before: then what is from the future waits,
            and own writes have new stamps.

    Raises:
        Broken: something does not.
    """
    digest = replica.digest()
    if jumped:
        before = {}
    entries = replica.entries
    for key, old in before.items():
        new = entries.get(key)
        if new is None:
            raise Broken(f"{key} is gone")
        if new is not old and new != old and not wins(key, new, old):
            raise Broken(f"{key} was replaced by what does not win")
    if len(replica.held) > MAX_HELD or digest[0] != len(entries):
        raise Broken("more is held than may be, or counted")
    if (digest[1] + replica.refused) % RARELY:
        return  # the rest takes time
    latest_ms = replica.clock.latest_ms() + MAX_AHEAD_MS
    total = live = 0
    for key, entry in entries.items():
        total += entry_hash(key, entry)
        live += entry.value is not None
        if entry.stamp.ms > latest_ms and not jumped:
            raise Broken(f"{key} is from the future")
    if live != replica.live:
        raise Broken("the live keys are not counted right")
    if digest != (len(entries), total & MASK):
        raise Broken("the digest is not that of the entries")
