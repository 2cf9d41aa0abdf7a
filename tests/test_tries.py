"""distmap.tries: when a connection or a channel is tried again."""

from __future__ import annotations

from unittest import TestCase

from distmap.errors import (
    AccessRefused,
    CannotConnect,
    ConnectionLost,
    StreamError,
    Unauthorized,
)
from distmap.tries import Reopenings, Tries


class OfAConnection(TestCase):
    def setUp(self) -> None:
        self.tries = Tries(lambda: 1.0)

    def test_a_refusal_waits_for_minutes_and_is_news_once(self) -> None:
        found = []
        for _ in range(7):
            self.tries.opened()  # the relay lets it connect, and closes the connection later
            found.append(self.tries.failed(Unauthorized("no")))
        delays = [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
        self.assertEqual(found, [(delay, at > 0) for at, delay in enumerate(delays)])

    def test_any_other_end_is_news_and_soon_over(self) -> None:
        for _ in range(3):
            self.tries.failed(Unauthorized("no"))
        self.assertEqual(self.tries.failed(CannotConnect("no")), (0.5, False))
        self.assertEqual(self.tries.failed(CannotConnect("no")), (1.0, False))
        self.assertEqual(self.tries.failed(Unauthorized("no")), (10.0, False))

    def test_the_relay_says_when(self) -> None:
        problem = ConnectionLost("going down")
        problem.retry_seconds = 3.5
        self.assertEqual(self.tries.failed(problem), (3.5, False))

    def test_hope(self) -> None:
        for problem in (CannotConnect("no"), Unauthorized("no"), Unauthorized("no")):
            self.tries.failed(problem)
        self.tries.reset()
        self.assertEqual(self.tries.failed(Unauthorized("no")), (10.0, True))
        self.assertEqual(self.tries.failed(CannotConnect("no"))[0], 0.5)


class OfAChannel(TestCase):
    def delays(self, problem: StreamError | AccessRefused, count: int) -> list[float]:
        return [self.reopenings.ended(problem)[0] for _ in range(count)]

    def setUp(self) -> None:
        self.chance = 1.0
        self.reopenings = Reopenings(lambda: self.chance)

    def test_what_failed_is_back_soon(self) -> None:
        self.assertEqual(self.delays(StreamError("slow", "slow"), 6), [1, 2, 4, 8, 10, 10])
        self.chance = 0.0
        self.assertEqual(self.delays(StreamError("slow", "slow"), 1), [5])

    def test_what_is_refused_waits_for_minutes(self) -> None:
        self.assertEqual(self.delays(AccessRefused("no"), 7), [10, 20, 40, 80, 160, 300, 300])
        self.assertEqual(self.delays(AccessRefused("no"), 2000)[-1], 300)
        self.reopenings.reset()
        self.assertEqual(self.delays(AccessRefused("no"), 1), [10])

    def test_what_is_news(self) -> None:
        ends = [AccessRefused("no"), AccessRefused("no"), StreamError("slow", "slow")]
        self.assertEqual([self.reopenings.ended(each)[1] for each in ends], [False, True, False])
        self.assertTrue(self.reopenings.ended(ends[-1])[1])
        self.reopenings.reset()
        self.assertTrue(self.reopenings.ended(ends[-1])[1])  # nor is a new connection
        self.reopenings.let_in()
        self.assertFalse(self.reopenings.ended(ends[-1])[1])
