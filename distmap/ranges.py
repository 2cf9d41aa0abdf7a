"""Sums of entry hashes over ranges of the key hash: what two replicas compare to find where they
differ.

A tree with a fan-out of 16 over the hexadecimal digits of :func:`distmap.entries.position`, which
splits where many keys are. Each node knows how many entries are below it and the sum of their
hashes modulo 2**52. After Meyer, "Range-Based Set Reconciliation" (2023), with fixed instead of
free ranges: the boundaries are then the same everywhere, and the sums are kept up incrementally.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from distmap.entries import HASH_BITS, HASH_DIGITS, position

FAN_OUT: Final = 16
LEAF_KEYS: Final = 64
"""A range of more keys than this is split."""

_SUM_MASK = (1 << HASH_BITS) - 1
DIGITS: Final = "0123456789abcdef"
_DIGIT_VALUE = {digit: value for value, digit in enumerate(DIGITS)}


def digits_of(place: int) -> str:
    """A position as 13 hexadecimal digits."""
    return f"{place:0{HASH_DIGITS}x}"


def position_text(key: str) -> str:
    """The position of a key as 13 hexadecimal digits."""
    return digits_of(position(key))


def position_of(digits: str) -> int:
    """The first position that begins with some hexadecimal digits."""
    return int(digits or "0", 16) << 4 * (HASH_DIGITS - len(digits or "0"))


class _Node:
    __slots__ = ("children", "count", "keys", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        # In a leaf: key -> its position and the hash of its entry, in one number.
        self.keys: dict[str, int] | None = {}
        self.children: list[_Node] | None = None  # in an inner node


Leaf: TypeAlias = Mapping[str, int]
"""Some keys; of each its position and the hash of its entry, in one number."""


def in_order(leaf: Leaf) -> Iterator[tuple[int, str, int]]:
    """The (position, key, entry hash) of some keys, in the order of positions."""
    for both, key in sorted(zip(leaf.values(), leaf, strict=True)):
        yield both >> HASH_BITS, key, both & _SUM_MASK


class RangeTree:
    """The sums of one replica."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _Node()

    def put(self, key: str, entry_hash: int) -> None:
        """Adds a key, or notes that its entry has changed."""
        node = self._root
        place = position(key)
        path = digits_of(place)
        trail = [node]
        depth = 0
        while node.children is not None:
            node = node.children[_DIGIT_VALUE[path[depth]]]
            depth += 1
            trail.append(node)
        keys = node.keys
        assert keys is not None
        old = keys.get(key)
        keys[key] = place << HASH_BITS | entry_hash
        added = 0 if old is not None else 1
        change = entry_hash - (0 if old is None else old & _SUM_MASK)
        for each in trail:
            each.count += added
            each.sum = (each.sum + change) & _SUM_MASK
        if len(keys) > LEAF_KEYS and depth < HASH_DIGITS:
            _split(node, depth)

    def discard(self, key: str) -> None:
        """Takes a key out, if it is there."""
        node = self._root
        path = position_text(key)
        trail = [node]
        while node.children is not None:
            node = node.children[_DIGIT_VALUE[path[len(trail) - 1]]]
            trail.append(node)
        assert node.keys is not None
        old = node.keys.pop(key, None)
        if old is None:
            return
        for each in trail:
            each.count -= 1
            each.sum = (each.sum - (old & _SUM_MASK)) & _SUM_MASK

    def summary(self, prefix: str = "") -> tuple[int, int]:
        """The count and sum of the entries whose position begins with a prefix."""
        node, rest = self._find(prefix)
        if not rest:
            return node.count, node.sum
        chosen = [h for _, h in _leaf_items(node, prefix)]
        return len(chosen), sum(chosen) & _SUM_MASK

    def children(self, prefix: str) -> list[tuple[int, int]]:
        """The summaries of the 16 ranges that a range divides into."""
        node, _ = self._find(prefix)
        if node.children is not None:
            return [(child.count, child.sum) for child in node.children]
        counts, sums = [0] * FAN_OUT, [0] * FAN_OUT
        at = len(prefix)
        for path, entry_hash in _leaf_items(node, prefix):
            digit = _DIGIT_VALUE[path[at]]
            counts[digit] += 1
            sums[digit] = (sums[digit] + entry_hash) & _SUM_MASK
        return list(zip(counts, sums, strict=True))

    def keys(self, prefix: str) -> list[str]:
        """The keys of a range, in no particular order."""
        node, rest = self._find(prefix)
        if rest:
            return [
                key for key, both in (node.keys or {}).items() if _path(both).startswith(prefix)
            ]
        found: list[str] = []
        stack = [node]
        while stack:
            node = stack.pop()
            found += node.keys or ()
            stack += node.children or ()
        return found

    def items(self, prefix: str, start: str = "") -> Iterator[tuple[int, str, int]]:
        """The keys of a range from a position on, in the order of positions.

        Args:
            prefix: the range.
            start: hexadecimal digits; positions before them are left out.

        Returns:
            An iterator of (position, key, entry hash). The tree must not be changed while it is
            used.
        """
        for leaf in self.leaves(prefix, start):
            yield from in_order(leaf)

    def leaves(self, prefix: str, start: str = "") -> Iterator[Leaf]:
        """The same, some keys at a time; none before the others in the order of positions."""
        first = position_of(prefix)
        size = 1 << 4 * (HASH_DIGITS - len(prefix))
        least = max(first, position_of(start)) << HASH_BITS
        limit = first + size << HASH_BITS
        node, rest = self._find(prefix)
        stack: list[tuple[_Node, int, int]] = [(node, first, size)]
        while stack:
            node, first, size = stack.pop()
            if first + size << HASH_BITS <= least:
                continue
            if node.children is not None:
                size //= FAN_OUT
                stack += [
                    (child, first + digit * size, size)
                    for digit, child in reversed(list(enumerate(node.children)))
                    if child.count
                ]
            elif node.keys:
                if rest or first << HASH_BITS < least:
                    yield {key: both for key, both in node.keys.items() if least <= both < limit}
                else:
                    yield node.keys

    def _find(self, prefix: str) -> tuple[_Node, str]:
        """The node of a range, or the leaf that it is a part of and what is left of the prefix."""
        node = self._root
        for depth, digit in enumerate(prefix):
            if node.children is None:
                return node, prefix[depth:]
            node = node.children[_DIGIT_VALUE[digit]]
        return node, ""


def _path(both: int) -> str:
    """The position in what a leaf has of a key."""
    return digits_of(both >> HASH_BITS)


def _leaf_items(node: _Node, prefix: str) -> list[tuple[str, int]]:
    items = [(_path(both), both & _SUM_MASK) for both in (node.keys or {}).values()]
    return [item for item in items if item[0].startswith(prefix)]


def _split(node: _Node, depth: int) -> None:
    node.children = [_Node() for _ in range(FAN_OUT)]
    for key, both in (node.keys or {}).items():
        child = node.children[_DIGIT_VALUE[_path(both)[depth]]]
        assert child.keys is not None
        child.keys[key] = both
        child.count += 1
        child.sum = (child.sum + (both & _SUM_MASK)) & _SUM_MASK
    node.keys = None
