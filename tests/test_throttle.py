"""distmap.throttle: token buckets at their edge and past it, on a clock by hand."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap.throttle import NO_RATES, Bucket, Rates, Throttle


class OneBucket(TestCase):
    def setUp(self) -> None:
        self.bucket = Bucket(rate=10, burst_seconds=2)

    def test_edge(self) -> None:
        self.assertEqual(self.bucket.take(20, 100), 0)
        self.assertAlmostEqual(self.bucket.take(1, 100), 0.1)
        self.assertAlmostEqual(self.bucket.take(0, 100.05), 0.05)
        self.assertAlmostEqual(self.bucket.take(1, 100.1), 0.1)
        self.assertAlmostEqual(self.bucket.take(0, 100.2), 0)
        self.assertAlmostEqual(self.bucket.take(1, 100.3), 0)
        self.assertAlmostEqual(self.bucket.take(1, 100.3), 0.1)

    def test_a_rest_fills_it_and_no_more(self) -> None:
        self.bucket.take(20, 100)
        self.assertEqual(self.bucket.take(20, 1e6), 0)
        self.assertAlmostEqual(self.bucket.take(5, 1e6), 0.5)

    def test_clock_is_put_back(self) -> None:
        """Nobody waits for longer than for what was taken at once."""
        self.bucket.take(15, 1000)
        self.assertAlmostEqual(self.bucket.take(6, 10), 0.1)
        self.assertAlmostEqual(self.bucket.take(0, 10.1), 0)

    def test_no_limit(self) -> None:
        bucket = Bucket(0, 2)
        self.assertEqual(bucket.take(1e12, 1), 0)
        self.assertEqual(bucket.take(1e12, 1), 0)

    @settings(max_examples=200)
    @given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 3)), min_size=1))
    def test_never_more_than_the_rate_and_a_burst(self, steps: list[tuple[int, float]]) -> None:
        """Of one that waits when it is told to."""
        bucket, now, taken = Bucket(10, 2), 100.0, 0
        for tokens, rest in steps:
            taken += tokens
            now += bucket.take(tokens, now)
            self.assertLessEqual(taken, 10 * (now - 100) + 20 + 1e-6)
            now += rest

    def test_what_is_missing_adds_up(self) -> None:
        """Of one that goes on all the same."""
        for _ in range(10):
            self.bucket.take(20, 100)
        self.assertAlmostEqual(self.bucket.take(0, 100), 18)


class OneConnection(TestCase):
    def test_each_by_itself(self) -> None:
        rates = Rates(bytes_per_second=100, frames_per_second=10, joins_per_second=1)
        for charge, cause in (
            ((301, 1, 0), "bytes"),
            ((1, 31, 0), "frames"),
            ((1, 4, 4), "joins"),
        ):
            throttle = Throttle(rates)
            wait, told = throttle.charge(*charge, 100.0)
            self.assertGreater(wait, 0)
            self.assertEqual(told, cause)
        throttle = Throttle(rates)
        self.assertEqual(throttle.charge(300, 30, 3, 100.0)[0], 0)

    def test_counts_are_running_totals(self) -> None:
        throttle = Throttle(Rates(0, 10, 1, burst_seconds=1))
        for _ in range(5):
            self.assertEqual(throttle.charge(1, 10, 1, 100.0)[0], 0)
        self.assertEqual(throttle.charge(1, 11, 1, 100.0), (0.1 + 100 - 100, "frames"))

    def test_no_limits(self) -> None:
        self.assertFalse(NO_RATES.is_limited)
        self.assertTrue(Rates(0, 0, 1).is_limited)
        self.assertEqual(Throttle(NO_RATES).charge(10**9, 10**6, 10**6, 1.0)[0], 0)
