"""distmap.backoff: full jitter over a range that doubles."""

from __future__ import annotations

from unittest import TestCase

from distmap.backoff import FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS, Backoff


class BackoffTest(TestCase):
    def test_the_range_doubles_up_to_its_bound(self) -> None:
        backoff = Backoff(lambda: 1.0)
        delays = [backoff.next_seconds() for _ in range(7)]
        self.assertEqual(delays, [0.5, 1, 2, 4, 8, 10, 10])
        self.assertEqual((FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS), (0.5, 10))

    def test_full_jitter(self) -> None:
        backoff = Backoff(iter([0.0, 0.25, 0.5]).__next__)
        self.assertEqual([backoff.next_seconds() for _ in range(3)], [0.0, 0.25, 1.0])

    def test_reset(self) -> None:
        backoff = Backoff(lambda: 1.0)
        for _ in range(5):
            backoff.next_seconds()
        backoff.reset()
        self.assertEqual(backoff.next_seconds(), 0.5)
