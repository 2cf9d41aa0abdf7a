"""The tree of sums, against a list of all keys."""

from __future__ import annotations

from functools import cache
from random import Random
from unittest import TestCase

from hypothesis import example, given
from hypothesis import strategies as st

from distmap.entries import HASH_BITS, HASH_DIGITS, hash52
from distmap.ranges import DIGITS, FAN_OUT, LEAF_KEYS, RangeTree, digits_of, position_text
from tests.support.replicas import SETTINGS
from tests.vectors import make_vectors

VECTORS = make_vectors.load("ranges")


place = cache(position_text)


class Model:
    """What a tree is to give, worked out anew each time."""

    def __init__(self) -> None:
        self.hashes: dict[str, int] = {}

    def items(self, prefix: str, start: str = "") -> list[tuple[str, str, int]]:
        found = sorted((place(key), key, h) for key, h in self.hashes.items())
        return [item for item in found if item[0].startswith(prefix) and item[0] >= start]

    def summary(self, prefix: str) -> tuple[int, int]:
        chosen = [entry_hash for _, _, entry_hash in self.items(prefix)]
        return len(chosen), sum(chosen) % 2**HASH_BITS

    def children(self, prefix: str) -> list[tuple[int, int]]:
        within = self.items(prefix)
        parts = [[h for p, _, h in within if p.startswith(prefix + digit)] for digit in DIGITS]
        return [(len(part), sum(part) % 2**HASH_BITS) for part in parts]


class Vectors(TestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        made = make_vectors.text_of(make_vectors.make_ranges())
        self.assertEqual(made, make_vectors.path("ranges").read_text("ascii"))

    def test_sums(self) -> None:
        tree = RangeTree()
        keys = VECTORS["keys"]
        for i in range(keys):
            tree.put(f"key {i}", hash52(f"first {i}".encode()))
        self.agrees(tree, VECTORS["before"])
        for i in range(0, keys, VECTORS["changed_every"]):
            tree.put(f"key {i}", hash52(f"second {i}".encode()))
        for i in range(0, keys, VECTORS["dropped_every"]):
            tree.discard(f"key {i}")
        self.agrees(tree, VECTORS["after"])

    def agrees(self, tree: RangeTree, wanted: dict[str, list[list[object]]]) -> None:
        for prefix, count, total in wanted["summaries"]:
            self.assertEqual(tree.summary(str(prefix)), (count, total))
        for prefix, numbers in wanted["children"]:
            parts = [number for part in tree.children(str(prefix)) for number in part]
            self.assertEqual(parts, numbers)
        for prefix, start, keys in wanted["items"]:
            found = [key for _, key, _ in tree.items(str(prefix), str(start))]
            self.assertEqual(found[:12], keys)


class Tree(TestCase):
    """A tree and a model that are told the same."""

    def setUp(self) -> None:
        self.tree = RangeTree()
        self.model = Model()

    def put(self, key: str, entry_hash: int) -> None:
        self.tree.put(key, entry_hash)
        self.model.hashes[key] = entry_hash

    def discard(self, key: str) -> None:
        self.tree.discard(key)
        self.model.hashes.pop(key, None)

    def same(self, prefix: str, start: str = "") -> None:
        """Fails unless both give the same for a range."""
        self.assertEqual(self.tree.summary(prefix), self.model.summary(prefix))
        if len(prefix) < HASH_DIGITS:
            self.assertEqual(self.tree.children(prefix), self.model.children(prefix))
        found = [(digits_of(place), key, h) for place, key, h in self.tree.items(prefix, start)]
        self.assertEqual(found, self.model.items(prefix, start))
        keys = sorted(key for _, key, _ in self.model.items(prefix))
        self.assertEqual(sorted(self.tree.keys(prefix)), keys)

    def test_empty(self) -> None:
        for prefix in ("", "0", "f" * 12, "f" * HASH_DIGITS):
            self.same(prefix)
        self.discard("a")
        self.same("")

    @SETTINGS
    @given(
        seed=st.integers(0, 2**32),
        keys=st.integers(1, 700),
        changes=st.integers(0, 500),
        prefix=st.text(DIGITS, max_size=4),
        start=st.text(DIGITS, max_size=5),
    )
    @example(seed=1, keys=LEAF_KEYS, changes=0, prefix="", start="")
    @example(seed=1, keys=LEAF_KEYS + 1, changes=0, prefix="", start="8")
    @example(seed=1, keys=700, changes=700, prefix="3", start="37")
    def test_random_changes(
        self, seed: int, keys: int, changes: int, prefix: str, start: str
    ) -> None:
        self.setUp()
        random = Random(seed)
        for i in range(keys):
            self.put(f"k{i}", random.getrandbits(HASH_BITS))
        self.same(prefix, start)
        for _ in range(changes):
            key = f"k{random.randrange(keys + 9)}"
            if random.random() < 0.5:
                self.discard(key)
            else:
                self.put(key, random.choice([0, 1, 2**HASH_BITS - 1, random.getrandbits(52)]))
        self.same(prefix, start)
        self.same("")
        # Ranges that are a part of a leaf, a single position, and what begins at one.
        one = place(f"k{random.randrange(keys)}")
        for length in (1, 2, 3, 12, 13):
            self.same(one[:length], one[: random.randrange(14)])

    @SETTINGS
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3))), st.randoms())
    def test_the_sum_does_not_depend_on_the_way(
        self, puts: list[tuple[int, int]], random: Random
    ) -> None:
        self.setUp()
        for key, entry_hash in puts:
            self.put(f"k{key}", entry_hash)
        other = RangeTree()
        final = list(self.model.hashes.items())
        random.shuffle(final)
        for key_text, entry_hash in final:
            other.put(key_text, entry_hash)
        self.assertEqual(other.summary(), self.tree.summary())

    def test_emptied_again(self) -> None:
        for i in range(500):
            self.put(f"k{i}", i)
        for i in range(500):
            self.discard(f"k{i}")
        for prefix in ("", "0", "00", "000"):
            self.same(prefix)
        self.put("k1", 7)
        self.same("")

    def test_many_keys_in_one_small_range(self) -> None:
        # Their first two digits are the same, so that a split leaves one part with all of them.
        found = (key for key in map(str, range(10**6)) if position_text(key).startswith("a7"))
        keys = [next(found) for _ in range(LEAF_KEYS + 20)]
        for number, key in enumerate(keys):
            self.put(key, number)
            self.assertEqual(self.tree.summary("a7"), self.model.summary("a7"))
        for prefix in ("", "a", "a7", "a70", "a6", "b"):
            self.same(prefix, "a77")
        for key in keys[::3]:
            self.discard(key)
        for prefix in ("", "a", "a7", "a7f"):
            self.same(prefix)

    def test_sums_wrap_around(self) -> None:
        for i in range(300):
            self.put(f"k{i}", 2**HASH_BITS - 1)
        self.same("")
        self.assertEqual(self.tree.summary(), (300, 2**HASH_BITS - 300))

    def test_a_hash_of_zero_is_a_hash(self) -> None:
        self.put("a", 0)
        self.put("a", 0)
        self.same("")
        self.put("a", 5)
        self.put("a", 0)
        self.discard("a")
        self.same("")

    def test_a_range_divides_into_16(self) -> None:
        self.assertEqual(len(self.tree.children("")), FAN_OUT)
        self.assertEqual(len(position_text("a")), HASH_DIGITS)
