"""Entries from the future: bounded for each writer, and what was let go is known to be missing."""

from __future__ import annotations

from collections import Counter
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from distmap.clock import MAX_AHEAD_MS, HybridClock, Stamp
from distmap.entries import Entry
from distmap.holding import MAX_HELD, MAX_HELD_PER_WRITER, Holding
from tests.support.replicas import NOW_MS, SETTINGS, Wall, best_of, held_by

AHEAD_MS = NOW_MS + MAX_AHEAD_MS

future_entries = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.builds(
            Entry,
            st.builds(
                Stamp,
                st.integers(AHEAD_MS + 1, AHEAD_MS + 40),
                st.integers(0, 2),
                st.sampled_from("xyz"),
            ),
            st.sampled_from([b"1", b"2", None]),
        ),
    ),
    max_size=30,
)


def future(ms: int, writer: str = "w", value: bytes | None = b"1") -> Entry:
    """An entry that is due `ms` after now."""
    return Entry(Stamp(AHEAD_MS + ms, 0, writer), value)


class HoldingTest(TestCase):
    def setUp(self) -> None:
        self.wall = Wall()
        self.clock = HybridClock(self.wall, "me")
        self.holding = Holding()

    def test_keeps_the_best_for_each_key_and_writer(self) -> None:
        self.assertTrue(self.holding.add("a", future(5)))
        self.assertFalse(self.holding.add("a", future(5)), "known")
        self.assertFalse(self.holding.add("a", future(4)), "lost")
        self.assertTrue(self.holding.add("a", future(6)))
        self.assertTrue(self.holding.add("a", future(9, "liar")), "another writer displaces nobody")
        self.assertTrue(self.holding.add("b", future(1)))
        self.assertEqual(
            held_by(self.holding),
            {("a", "w"): future(6), ("a", "liar"): future(9, "liar"), ("b", "w"): future(1)},
        )
        self.assertEqual(len(self.holding), 3)

    def test_hands_out_what_is_due_in_the_order_of_stamps(self) -> None:
        for key, ms in (("a", 30), ("b", 10), ("c", 20), ("d", 40)):
            self.holding.add(key, future(ms))
        self.assertEqual(self.holding.next_ms(), NOW_MS + 10)
        self.assertEqual(self.holding.due(self.clock), [])
        self.wall.ms += 30
        self.assertEqual([key for key, _ in self.holding.due(self.clock)], ["b", "c", "a"])
        self.assertEqual(self.holding.due(self.clock), [])
        self.assertEqual(self.holding.next_ms(), NOW_MS + 40)
        self.wall.ms += 10
        self.assertEqual([key for key, _ in self.holding.due(self.clock)], ["d"])
        self.assertIsNone(self.holding.next_ms())

    def test_a_liar_has_so_many_places_and_no_more(self) -> None:
        self.holding.add("good", future(10**9, "honest"))
        for at in range(1000):
            self.holding.add(f"k{at}", future(1000 - at, "liar"))
        self.assertEqual(len(self.holding), MAX_HELD_PER_WRITER + 1)
        kept = {key for key, entry in self.holding if entry.stamp.writer == "liar"}
        self.assertEqual(kept, {f"k{at}" for at in range(900, 1000)}, "those that are due first")
        self.assertIn(("good", "honest"), held_by(self.holding))
        # The soonest of what went: from then on another peer may have what is missing here.
        self.assertEqual(self.holding.fetch_at_ms, NOW_MS + MAX_HELD_PER_WRITER + 1)

    def test_many_liars_have_so_many_places_together(self) -> None:
        for at in range(MAX_HELD + 200):
            self.holding.add("k", future(at + 1, f"liar{at}"))
        self.assertEqual(len(self.holding), MAX_HELD)
        self.assertEqual(self.holding.fetch_at_ms, NOW_MS + MAX_HELD + 1)

    def test_a_fetch_is_asked_for_once(self) -> None:
        for at in range(MAX_HELD_PER_WRITER + 5):
            self.holding.add(f"k{at}", future(at + 1))
        missing_ms = NOW_MS + MAX_HELD_PER_WRITER + 1
        self.assertFalse(self.holding.take_fetch(missing_ms - 1))
        self.assertTrue(self.holding.take_fetch(missing_ms))
        self.assertFalse(self.holding.take_fetch(missing_ms + 10))
        self.assertIsNone(self.holding.fetch_at_ms)

    def test_places_come_free(self) -> None:
        for round_ in range(3):
            for at in range(MAX_HELD_PER_WRITER):
                self.holding.add(f"k{at}", future(round_ * 1000 + at))
            self.wall.ms = NOW_MS + round_ * 1000 + 999
            self.assertEqual(len(self.holding.due(self.clock)), MAX_HELD_PER_WRITER)
        self.assertIsNone(self.holding.fetch_at_ms)
        self.assertEqual((len(self.holding), self.holding._per_writer), (0, Counter()))

    @SETTINGS
    @given(future_entries, st.lists(st.integers(0, 9), max_size=30))
    def test_any_order_and_any_steps(
        self, found: list[tuple[str, Entry]], steps: list[int]
    ) -> None:
        """Nothing comes before its time, nothing is lost, and the counts are right."""
        wall = Wall()
        clock, holding = HybridClock(wall, "me"), Holding()
        out: list[tuple[str, Entry]] = []
        for (key, entry), step in zip(found, steps + [0] * len(found), strict=False):
            if entry.stamp.ms <= wall.ms + MAX_AHEAD_MS:
                out.append((key, entry))
            else:
                holding.add(key, entry)
            wall.ms += step
            due = holding.due(clock)
            self.assertTrue(all(e.stamp.ms <= wall.ms + MAX_AHEAD_MS for _, e in due))
            out += due
            writers = Counter(entry.stamp.writer for _, entry in holding)
            self.assertEqual(holding._per_writer, writers)
        wall.ms += 100
        self.assertEqual(best_of(out + holding.due(clock)), best_of(found))
