"""The clock: later is later, whatever the wall clock does."""

from __future__ import annotations

from itertools import pairwise
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from distmap.clock import (
    MAX_AHEAD_MS,
    MAX_COUNTER,
    HybridClock,
    Restamper,
    Stamp,
    writer_name,
)
from tests.support.replicas import NOW_MS, SETTINGS, Wall
from tests.vectors import make_vectors

VECTORS = make_vectors.load("stamps")
YEAR_MS = 365 * 24 * 3600 * 1000

wall_ms = st.integers(NOW_MS - 5, NOW_MS + 5) | st.integers(-YEAR_MS, NOW_MS + 9 * YEAR_MS)
seen = st.builds(
    Stamp,
    st.integers(NOW_MS - 5, NOW_MS + 5) | st.integers(0, NOW_MS + 9 * YEAR_MS),
    st.integers(0, 3) | st.integers(MAX_COUNTER - 2, MAX_COUNTER),
    st.just("you"),
)
steps = st.lists(
    st.tuples(st.just("wall"), wall_ms)
    | st.tuples(st.just("tick"), st.none() | seen)
    | st.tuples(st.just("observe"), seen)
)


class Vectors(TestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        made = make_vectors.text_of(make_vectors.make_stamps())
        self.assertEqual(made, make_vectors.path("stamps").read_text("ascii"))

    def test_order(self) -> None:
        ordered = [Stamp(*each) for each in VECTORS["ordered"]]
        self.assertTrue(all(early < late for early, late in pairwise(ordered)))
        self.assertEqual(sorted(ordered), ordered)
        self.assertEqual(len(set(ordered)), len(ordered))

    def test_clock(self) -> None:
        wall = Wall()
        clock = HybridClock(wall, VECTORS["clock"]["writer"])
        self.assertEqual(MAX_AHEAD_MS, VECTORS["max_ahead_ms"])
        for number, step in enumerate(VECTORS["clock"]["steps"]):
            wall.ms = step["wall_ms"]
            result: object = None
            if step["do"] == "tick":
                result = list(astuple(clock.tick(step["after"] and Stamp(*step["after"]))))
            elif step["do"] == "observe":
                clock.observe(Stamp(*step["stamp"]))
            elif step["do"] == "is_ahead":
                result = clock.is_ahead(Stamp(*step["stamp"]))
            else:
                result = clock.correct(step["offset_ms"])
            self.assertEqual(result, step.get("gives"), (number, step))


class Clock(TestCase):
    """A clock of one replica."""

    def setUp(self) -> None:
        self.wall = Wall()
        self.clock = HybridClock(self.wall, "me")

    @SETTINGS
    @given(steps)
    def test_each_stamp_is_later_than_all_before(
        self, steps: list[tuple[str, int | Stamp | None]]
    ) -> None:
        wall = Wall()
        clock = HybridClock(wall, "me")
        latest = (-1, 0)
        for what, argument in steps:
            if what == "wall":
                assert isinstance(argument, int)
                wall.ms = argument
            elif what == "observe":
                assert isinstance(argument, Stamp)
                clock.observe(argument)
                latest = max(latest, argument.when)
            else:
                assert argument is None or isinstance(argument, Stamp)
                stamp = clock.tick(argument)
                self.assertGreater(stamp.when, latest)
                if argument is not None:
                    self.assertGreater(stamp.when, argument.when)
                self.assertGreaterEqual(stamp.ms, clock.now_ms())
                self.assertTrue(0 <= stamp.counter <= MAX_COUNTER)
                self.assertEqual(stamp.writer, "me")
                latest = stamp.when

    def test_follows_the_wall_clock(self) -> None:
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS, 0, "me"))
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS, 1, "me"))
        self.wall.ms += 1.9
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS + 1, 0, "me"))

    def test_a_clock_set_back_by_years(self) -> None:
        before = self.clock.tick()
        self.wall.ms -= 5 * YEAR_MS
        self.assertEqual(self.clock.tick(), before.replace(counter=1))

    def test_before_1970(self) -> None:
        self.wall.ms = -1
        self.assertEqual(self.clock.tick(), Stamp(0, 1, "me"))

    def test_follows_what_it_observed(self) -> None:
        self.clock.observe(Stamp(NOW_MS + 9, 4, "you"))
        self.clock.observe(Stamp(NOW_MS + 9, 3, "you"))
        self.clock.observe(Stamp(NOW_MS + 8, 7, "you"))
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS + 9, 5, "me"))

    def test_a_counter_at_its_end_harms_nobody(self) -> None:
        self.clock.observe(Stamp(NOW_MS + 9, MAX_COUNTER, "you"))
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS + 10, 0, "me"))
        after = Stamp(NOW_MS + 20, MAX_COUNTER, "you")
        self.assertEqual(self.clock.tick(after), Stamp(NOW_MS + 21, 0, "me"))

    def test_ahead_of_the_bound(self) -> None:
        for ahead_ms, expected in ((-1, False), (0, False), (60_000, False), (60_001, True)):
            stamp = Stamp(NOW_MS + ahead_ms, 0, "you")
            self.assertEqual(self.clock.is_ahead(stamp), expected, ahead_ms)

    def test_ahead_as_the_time_comes(self) -> None:
        stamp = Stamp(NOW_MS + 60_010, 0, "you")
        self.wall.ms += 9.9
        self.assertTrue(self.clock.is_ahead(stamp))
        self.wall.ms = NOW_MS + 10
        self.assertFalse(self.clock.is_ahead(stamp))

    def test_what_was_taken_before_is_not_ahead(self) -> None:
        # Else a wall clock set back would hold everything that comes from now on.
        stamp = self.clock.tick()
        self.wall.ms -= YEAR_MS
        self.assertFalse(self.clock.is_ahead(stamp))
        self.assertTrue(self.clock.is_ahead(stamp.replace(ms=stamp.ms + 1)))


class Correct(TestCase):
    """Following the relay's time."""

    def setUp(self) -> None:
        self.wall = Wall()
        self.clock = HybridClock(self.wall, "me")

    def test_a_clock_that_was_behind(self) -> None:
        self.clock.tick()
        self.assertFalse(self.clock.correct(YEAR_MS))
        self.assertEqual(self.clock.now_ms(), NOW_MS + YEAR_MS)
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS + YEAR_MS, 0, "me"))

    def test_a_clock_that_was_ahead_within_the_bound(self) -> None:
        self.clock.tick()
        self.assertFalse(self.clock.correct(-60_000))
        self.assertEqual(self.clock.tick(), Stamp(NOW_MS, 1, "me"))

    def test_a_clock_that_was_ahead_of_the_bound(self) -> None:
        self.clock.tick()
        self.assertTrue(self.clock.correct(-60_001))
        stamp = self.clock.tick()
        self.assertEqual(stamp, Stamp(NOW_MS - 60_001, 1, "me"))
        self.assertFalse(self.clock.is_ahead(stamp))
        self.assertFalse(self.clock.correct(-60_001))

    @SETTINGS
    @given(st.lists(st.tuples(wall_ms, st.integers(-2 * YEAR_MS, 2 * YEAR_MS)), max_size=8))
    def test_stamps_are_never_ahead_of_the_bound(self, changes: list[tuple[int, int]]) -> None:
        wall = Wall()
        clock = HybridClock(wall, "me")
        for wall.ms, offset_ms in changes:
            clock.tick()
            clock.correct(offset_ms)
            self.assertLessEqual(clock.tick().ms, clock.now_ms() + MAX_AHEAD_MS)


class RestamperTest(TestCase):
    def test_what_shared_a_stamp_does_so_again(self) -> None:
        clock = HybridClock(Wall(), "me")
        first, second = clock.tick(), clock.tick()
        stamps = Restamper(clock)
        news = [stamps.anew(old) for old in (first, first, second, second)]
        self.assertEqual((news[0], news[2]), (news[1], news[3]))
        self.assertTrue(second < news[0] < news[2])
        self.assertTrue(news[2] < Restamper(clock).anew(first))


class WriterNameTest(TestCase):
    def test_all_of_the_digits(self) -> None:
        numbers = [*(n / 62 + 1e-9 for n in range(62)), *[0.0] * 9, 1 - 2**-53]
        names = "".join(
            writer_name(iter(numbers[at : at + 12]).__next__) for at in range(0, 72, 12)
        )
        self.assertEqual((len(names), len(set(names))), (72, 62))
        self.assertRegex(names, r"\A[A-Za-z0-9]+\Z")
