"""Replicas, entries and values for tests, and a conversation between two replicas."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from distmap import values
from distmap.clock import HybridClock, Stamp
from distmap.entries import Entry, decode_entry, encode_entry, entry_hash, wins
from distmap.holding import Holding
from distmap.lww import Replica
from distmap.sync import Donor, Newcomer

NOW_MS = 1_760_000_000_000

# A busy machine must not fail a test, and the whole has to stay short.
SETTINGS = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip


class Wall:
    """A wall clock that stands still until it is set."""

    def __init__(self, ms: float = NOW_MS) -> None:
        self.ms = ms

    def __call__(self) -> float:
        return self.ms


def new_replica(writer: str = "me", wall: Wall | None = None, **options: int) -> Replica:
    """An empty replica, at NOW_MS unless it has a wall clock."""
    return Replica(HybridClock(wall or Wall(), writer), **options)


# -- strategies ------------------------------------------------------------------------------------


def is_refused(number: float) -> bool:
    """Whether a finite double is an integer that a map does not take."""
    return number.is_integer() and 2**53 <= abs(number) < 1e21


numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
).filter(lambda number: not is_refused(number))

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=15,
)

stamps = st.builds(
    Stamp,
    st.integers(NOW_MS - 3, NOW_MS + 3),
    st.integers(0, 2),
    st.sampled_from(["a", "b", "c"]),
)
some_values = st.sampled_from([1, 2, "x", None, [0.5], {"a": 1}]).map(values.encode)
some_extras = st.sampled_from([None, None, None, b'{"e":1}', b'{"e":2}'])
entries = st.builds(Entry, stamps, st.none() | some_values, some_extras)
keyed_entries = st.tuples(st.sampled_from([f"k{n}" for n in range(8)]), entries)


# -- what must be true of any replica --------------------------------------------------------------


def best_of(found: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
    """A map after some entries, by the plainest model."""
    best: dict[str, Entry] = {}
    for key, entry in found:
        best[key] = max(
            best.get(key, entry),
            entry,
            key=lambda e: (e.stamp, e.value is None, entry_hash(key, e)),
        )
    return best


def check_replica(replica: Replica) -> None:
    """Fails if a replica is inconsistent, or has what it could not pass on."""
    total = 0
    for key, entry in replica.entries.items():
        total += entry_hash(key, entry)
        assert decode_entry(encode_entry(key, entry)) == (key, entry)
    assert replica.digest() == (len(replica.entries), total % 2**52)
    assert replica.live == sum(entry.value is not None for entry in replica.entries.values())
    assert sorted(replica.tree.keys("")) == sorted(replica.entries)


def held_by(holding: Holding) -> dict[tuple[str, str], Entry]:
    """What waits, by key and writer."""
    return {(key, entry.stamp.writer): entry for key, entry in holding}


def check_nothing_lost(before: dict[str, Entry], replica: Replica) -> None:
    """Fails if an entry is gone that nothing better replaced."""
    for key, entry in before.items():
        now = replica.entries[key]
        assert now == entry or wins(key, now, entry)


# -- conversations ---------------------------------------------------------------------------------


@dataclass
class Traffic:
    """What went over the wire."""

    messages: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    biggest_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.up_bytes + self.down_bytes


def converse(
    newcomer: Newcomer,
    donor: Donor,
    *,
    at_most: int = 1000,
    random: Random | None = None,
    between: Callable[[], None] = lambda: None,
) -> Traffic:
    """Lets two sides talk until they are done, or until `at_most` messages are delivered.

    Args:
        newcomer: it has not started yet.
        donor: the other side.
        at_most: when to stop.
        random: decides which side reads next; each stream stays in order.
        between: called before each message is delivered.
    """
    traffic = Traffic()
    up, down = deque(newcomer.start()), deque[bytes]()
    while (up or down) and traffic.messages < at_most:
        between()
        upwards = bool(up) and (not down or random is None or random.random() < 0.5)
        text = (up if upwards else down).popleft()
        traffic.messages += 1
        traffic.biggest_bytes = max(traffic.biggest_bytes, len(text))
        if upwards:
            traffic.up_bytes += len(text)
            down += donor.receive(text)[0]
        else:
            traffic.down_bytes += len(text)
            up += newcomer.receive(text)[0]
    return traffic
