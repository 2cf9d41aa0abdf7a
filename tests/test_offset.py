"""The estimated offset: the fastest answers count, and a jump of the clock is noticed."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from distmap.offset import JUMP_MS, SAMPLES, SLOWEST_MS, OffsetEstimator
from tests.support.replicas import SETTINGS

delays = st.tuples(st.floats(0, 20_000), st.floats(0, 20_000))


class OffsetEstimatorTest(TestCase):
    def setUp(self) -> None:
        self.estimator = OffsetEstimator()

    def test_half_way(self) -> None:
        self.assertEqual(self.estimator.add(1000, 1200, 5100), 4000)

    def test_the_fastest_answer_counts(self) -> None:
        self.assertEqual(self.estimator.add(0, 400, 1000), 800)
        self.assertEqual(self.estimator.add(1000, 1010, 2005), 1000)
        self.assertEqual(self.estimator.add(2000, 2400, 3000), 1000, "the slow one says less")

    def test_old_answers_are_forgotten(self) -> None:
        self.estimator.add(0, 0, 100)
        for at in range(1, SAMPLES):
            self.assertEqual(self.estimator.add(at, at + 50, at + 125), 100)
        self.assertEqual(self.estimator.add(99, 99 + 50, 99 + 125), 100)
        self.assertEqual(self.estimator._samples.maxlen, SAMPLES)

    def test_an_answer_that_says_nothing(self) -> None:
        self.assertIsNone(self.estimator.add(0, SLOWEST_MS + 1, 10), "it took too long")
        self.assertIsNone(self.estimator.add(10, 9, 10), "the clock went back meanwhile")
        self.assertIsNone(self.estimator.add(0, 365 * 86_400_000, 10), "or ahead")
        self.assertEqual(self.estimator.add(0, 10, 1005), 1000)

    def test_a_jump_of_the_local_clock(self) -> None:
        year_ms = 365 * 86_400_000.0
        for jump_ms in (year_ms, -year_ms, JUMP_MS + 500, -JUMP_MS - 500):
            with self.subTest(jump_ms):
                estimator = OffsetEstimator()
                for at in range(5):
                    self.assertEqual(estimator.add(at * 10, at * 10 + 2, at * 10 + 1), 0)
                asked_ms = 100 + jump_ms
                # A slower answer than those before, and yet it is the one that holds now.
                self.assertEqual(estimator.add(asked_ms, asked_ms + 40, 120), -jump_ms)

    def test_what_the_round_trips_explain_is_no_jump(self) -> None:
        self.estimator.add(0, 2, 1)
        self.assertEqual(self.estimator.add(100, 10_100, 100), 0, "the answer took all the time")
        self.assertEqual(self.estimator.add(100, 10_100, 10_100), 0, "or the question")

    def test_forget(self) -> None:
        self.estimator.add(0, 2, 1)
        self.estimator.forget()
        self.assertEqual(self.estimator.add(0, 900, 950), 500)

    @SETTINGS
    @given(st.floats(-1e12, 1e12), st.lists(delays, min_size=1, max_size=20))
    def test_as_exact_as_the_fastest_answer(
        self, offset_ms: float, trips: list[tuple[float, float]]
    ) -> None:
        estimator = OffsetEstimator()
        local_ms = 1e12
        for at, (there, back) in enumerate(trips):
            relay_ms = local_ms + there + offset_ms
            estimate = estimator.add(local_ms, local_ms + there + back, relay_ms)
            assert estimate is not None
            fastest = min(map(sum, trips[max(0, at + 1 - SAMPLES) : at + 1]))
            self.assertLessEqual(abs(estimate - offset_ms), fastest / 2 + 0.01)
            local_ms += there + back + 5000
