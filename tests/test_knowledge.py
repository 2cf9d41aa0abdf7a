"""distmap.knowledge: what is trusted, what a sync teaches, and when gaps are over."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from distmap.clock import HybridClock
from distmap.knowledge import FOREVER, MAX_GAPS, Gap, Knowledge

NOW_MS = 1_000_000
RETENTION_MS = 1000

gap_lists = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4)
known = st.none() | st.integers(0, 60)


def covers(gaps: list[Gap], known_ms: int | None, ms: int) -> bool:
    """Whether what became known after a time, and by the next, was not heard of."""
    endless = [] if known_ms is None else [(known_ms, FOREVER)]
    return any(since_ms <= ms < until_ms for since_ms, until_ms in [*gaps, *endless])


class KnowledgeTest(TestCase):
    def setUp(self) -> None:
        self.now_ms = NOW_MS
        self.knowledge = Knowledge(HybridClock(lambda: self.now_ms, "w"), RETENTION_MS)

    def test_who_is_trusted(self) -> None:
        self.knowledge.forgot_ms = 50
        for known_ms, gaps, wanted in (
            (None, [], True),
            (50, [], False),
            (51, [], True),
            (None, [(49, 50)], False),
            (None, [(50, 60)], False),
            (None, [(51, 60)], True),
            (None, [(10, 49)], True),
            (None, [(10, 20), (40, 60)], False),
            (50, [(10, 20)], False),
        ):
            self.assertEqual(self.knowledge.trusts(known_ms, gaps), wanted, (known_ms, gaps))

    def test_nothing_forgotten_is_trusted_to_all(self) -> None:
        self.assertTrue(self.knowledge.trusts(0, [(0, NOW_MS)]))

    def test_out_of_touch_and_back(self) -> None:
        self.knowledge.lose_touch()
        self.assertEqual((self.knowledge.known_ms, self.knowledge.in_touch), (NOW_MS, False))
        self.now_ms += RETENTION_MS
        self.assertFalse(self.knowledge.was_away_long)
        self.assertFalse(self.knowledge.may_forget)
        self.knowledge.lose_touch()
        self.assertEqual(self.knowledge.known_ms, NOW_MS, "it had lost touch already")
        self.knowledge.get_in_touch()
        self.assertIsNone(self.knowledge.known_ms)
        self.assertEqual(self.knowledge.gaps, [(NOW_MS, NOW_MS + RETENTION_MS)])
        self.assertTrue(
            self.knowledge.may_forget, "it was not away for longer than deletes are kept"
        )
        self.knowledge.lose_touch()
        self.now_ms += RETENTION_MS + 1
        self.assertTrue(self.knowledge.was_away_long)
        self.knowledge.get_in_touch()
        self.assertEqual(
            self.knowledge.gaps, [(NOW_MS + RETENTION_MS, NOW_MS + 2 * RETENTION_MS + 1)]
        )
        self.assertFalse(self.knowledge.may_forget)

    def test_who_never_was_in_touch_knows_nothing(self) -> None:
        self.knowledge.in_touch = False
        self.knowledge.lose_touch()
        self.assertEqual(self.knowledge.known_ms, 0)
        self.knowledge.get_in_touch()
        self.assertEqual(self.knowledge.gaps, [(0, NOW_MS)])

    def test_no_time_is_no_gap(self) -> None:
        self.knowledge.lose_touch()
        self.knowledge.get_in_touch()
        self.assertEqual(self.knowledge.gaps, [])

    def test_a_gap_is_over_one_retention_after_its_end(self) -> None:
        self.knowledge.gaps = [(1, 2), (NOW_MS - 10, NOW_MS)]
        self.knowledge.expire_gaps()
        self.assertEqual(self.knowledge.gaps, [(NOW_MS - 10, NOW_MS)])
        self.now_ms += RETENTION_MS
        self.knowledge.expire_gaps()
        self.assertEqual(len(self.knowledge.gaps), 1)
        self.now_ms += 1
        self.knowledge.expire_gaps()
        self.assertEqual(self.knowledge.gaps, [])

    def test_the_longest_are_remembered(self) -> None:
        gaps = [(100 * at, 100 * at + 10 + at) for at in range(MAX_GAPS + 3)]
        self.knowledge.known_ms = 0
        self.knowledge.learn(None, gaps)
        self.assertEqual(self.knowledge.gaps, gaps[3:])

    @given(gap_lists, known, gap_lists, known)
    def test_a_sync_leaves_what_neither_knows(
        self, mine: list[Gap], mine_ms: int | None, theirs: list[Gap], theirs_ms: int | None
    ) -> None:
        knowledge = self.knowledge
        knowledge.gaps, knowledge.known_ms = mine, mine_ms
        knowledge.learn(theirs_ms, theirs)
        both = [covers(mine, mine_ms, ms) and covers(theirs, theirs_ms, ms) for ms in range(62)]
        left = [covers(knowledge.gaps, knowledge.known_ms, ms) for ms in range(62)]
        if len(knowledge.gaps) < MAX_GAPS:
            self.assertEqual(left, both)
        else:
            self.assertTrue(all(b or not a for a, b in zip(left, both, strict=True)))
        self.assertEqual(knowledge.gaps, sorted(knowledge.gaps))

    def test_the_floor_of_another(self) -> None:
        self.knowledge.adopt_floor(NOW_MS)
        self.assertEqual(self.knowledge.floor_ms, NOW_MS - RETENTION_MS, "as far as it can be true")
        self.assertEqual(self.knowledge.forgot_ms, NOW_MS)
        self.now_ms += 1
        self.knowledge.adopt_floor(5)
        self.assertEqual(self.knowledge.forgot_ms, NOW_MS, "it was no higher")
