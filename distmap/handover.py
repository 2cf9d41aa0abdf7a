"""What a newcomer has still to hand over to its donor. Without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from distmap.entries import HASH_DIGITS, Entry
from distmap.lww import Replica
from distmap.merging import Burials
from distmap.ranges import DIGITS


class Handover:
    """The keys that the donor lacks, ranges of which it has nothing, and burials.

    Args:
        replica: what it is taken from.
        most: a range of more entries is taken in parts.
        told: is called with each entry that the donor lacks.
    """

    def __init__(self, replica: Replica, most: int, told: Callable[[Entry], None]) -> None:
        self.burials = Burials()
        self._replica = replica
        self._most = most
        self._told = told
        self._ranges: list[str] = []
        self._keys: deque[str] = deque()

    def __bool__(self) -> bool:
        """Whether anything is left to hand over."""
        return bool(self._keys or self._ranges or self.burials)

    def add(self, keys: Iterable[str]) -> None:
        """The donor lacks what is at these keys."""
        self._keys += keys

    def add_range(self, prefix: str) -> None:
        """The donor has nothing of a range."""
        self._ranges.append(prefix)

    def take(self) -> Iterator[tuple[str, Entry]]:
        """Hands out what is to be sent, the burials first."""
        yield from self.burials.take()
        while self._keys or self._ranges:
            if not self._keys:
                self._open(self._ranges.pop())
                continue
            key = self._keys.popleft()
            entry = self._replica.entries.get(key)
            if entry is not None:
                self._told(entry)
                yield key, entry

    def _open(self, prefix: str) -> None:
        tree = self._replica.tree
        if tree.summary(prefix)[0] > self._most and len(prefix) < HASH_DIGITS:
            self._ranges += [prefix + digit for digit in DIGITS]
        else:
            self._keys += tree.keys(prefix)
