"""distmap.restart: when peers come back, as the relay says it and as a client reads it."""

from __future__ import annotations

from itertools import islice
from unittest import TestCase

from distmap.errors import ConnectionLost, Unauthorized
from distmap.restart import (
    FIRST_RETURN_MS,
    MAX_RETRY_MS,
    RETURNS_A_SECOND,
    SERVICE_RESTART,
    WINDOW_MS,
    lost,
    retry_seconds,
    return_times_ms,
    with_retry,
)
from tests.vectors.make_vectors import load


class Lost(TestCase):
    def test_what_a_close_frame_means(self) -> None:
        for code, kind in ((4401, Unauthorized), (1012, ConnectionLost), (None, ConnectionLost)):
            problem = lost(code, "why; retry_ms=1500")
            self.assertIs(type(problem), kind)
            self.assertEqual(problem.close_code, code)
            self.assertEqual(
                str(problem), f"the connection was closed with {code}: why; retry_ms=1500"
            )
            self.assertEqual(problem.retry_seconds, 1.5 if code == 1012 else None)
        self.assertEqual(str(lost(1006, None)), "the connection was closed with 1006")


class Restart(TestCase):
    def times(self, peers: int) -> list[int]:
        return list(islice(return_times_ms(peers), peers))

    def test_each_has_its_own_time(self) -> None:
        for peers in (1, 2, 100, 5_000):
            times = self.times(peers)
            self.assertEqual(len(set(times)), peers)
            self.assertEqual(times, sorted(times))
            self.assertEqual(times[0], FIRST_RETURN_MS)

    def test_window_grows_with_the_peers(self) -> None:
        spans = [times[-1] - times[0] for times in map(self.times, (10, 100, 1_000, 10_000))]
        self.assertEqual(spans, [45, 495, 4995, 49_995])

    def test_no_second_is_fuller_than_another(self) -> None:
        times = self.times(2_000)
        for start_ms in range(FIRST_RETURN_MS, FIRST_RETURN_MS + 10_000, 1_000):
            there = sum(start_ms <= time_ms < start_ms + 1_000 for time_ms in times)
            self.assertEqual(there, RETURNS_A_SECOND)

    def test_window_has_a_bound(self) -> None:
        times = self.times(1_000_000)
        self.assertLess(times[-1], FIRST_RETURN_MS + WINDOW_MS)
        self.assertLessEqual(FIRST_RETURN_MS + WINDOW_MS, MAX_RETRY_MS)

    def test_those_that_come_late(self) -> None:
        for peers in (0, 3):
            late = list(islice(return_times_ms(peers), 10))
            self.assertEqual(len(late), 10)
            self.assertLessEqual(max(late), FIRST_RETURN_MS + 15)

    def test_what_is_said_is_read(self) -> None:
        for time_ms in (*self.times(100), MAX_RETRY_MS):
            reason = with_retry("the relay is going down", time_ms)
            self.assertEqual(retry_seconds(SERVICE_RESTART, reason), time_ms / 1000)
            self.assertLess(len(reason), 123)

    def test_vectors(self) -> None:
        for code, reason, seconds in load("restart")["close"]:
            self.assertEqual(retry_seconds(code, reason), seconds, (code, reason))

    def test_no_close_frame(self) -> None:
        self.assertIsNone(retry_seconds(None, None))
