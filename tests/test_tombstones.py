"""distmap.tombstones: what is due comes out, oldest first, and nothing else."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from distmap.tombstones import Due, Tombstones


class TombstonesTest(TestCase):
    def test_the_oldest_come_first(self) -> None:
        tombstones = Tombstones()
        for ms in (5, 3, 4, 9):
            tombstones.set(f"k{ms}", ms, 100 + ms)
        due, all_ = tombstones.due(6, 2)
        self.assertEqual((due, all_), ([Due("k3", 3, 103), Due("k4", 4, 104)], False))
        self.assertEqual(tombstones.due(6, 2), ([Due("k5", 5, 105)], True))
        self.assertEqual(tombstones.due(9, 2), ([], True), "from before, not of")

    def test_what_was_overwritten_is_not_due(self) -> None:
        tombstones = Tombstones()
        for key in ("a", "b", "c"):
            tombstones.set(key, 1, 1)
        tombstones.set("a", 7, 7)
        tombstones.delete("b")
        tombstones.delete("nobody")
        tombstones.renew("c", 5)
        tombstones.renew("nobody", 5)
        self.assertEqual(tombstones.due(5, 9), ([Due("c", 1, 5)], True))
        self.assertEqual((len(tombstones), "a" in tombstones), (1, True))

    def test_deleted_twice_within_a_millisecond(self) -> None:
        tombstones = Tombstones()
        tombstones.set("a", 1, 1)
        tombstones.set("a", 1, 2)
        self.assertEqual(tombstones.due(5, 9), ([Due("a", 1, 2)], True))
        self.assertEqual(len(tombstones), 0)

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), max_size=60))
    def test_like_a_plain_model(self, steps: list[tuple[str, int]]) -> None:
        tombstones = Tombstones()
        model: dict[str, int] = {}
        for key, ms in steps:
            if ms:
                tombstones.set(key, ms, 0)
                model[key] = ms
            else:
                tombstones.delete(key)
                model.pop(key, None)
        due, all_ = tombstones.due(5, 1000)
        self.assertTrue(all_)
        self.assertEqual({each.key for each in due}, {key for key, ms in model.items() if ms < 5})
        self.assertEqual([each.ms for each in due], sorted(each.ms for each in due))

    def test_the_same_key_over_and_over_takes_no_room(self) -> None:
        tombstones = Tombstones()
        for ms in range(10_000):
            tombstones.set("a", ms, ms)
        self.assertLessEqual(len(tombstones._oldest), 1002)
