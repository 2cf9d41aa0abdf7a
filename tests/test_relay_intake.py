"""distmap.relay_intake: who sends too much is read more slowly."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distmap.backlog import Backlog
from distmap.relay_intake import Intake
from distmap.throttle import NO_RATES, SLOW_FRAMES, Rates


class Transport:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


class IntakeTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = Transport()
        self.causes: list[str] = []
        self.backlog = Backlog(0)

    def make(self, rates: Rates) -> Intake:
        return Intake(self.clock, rates, self.transport, self.causes.append, self.backlog)

    def test_too_many_bytes(self) -> None:
        intake = self.make(Rates(100, 0, 0, burst_seconds=1))
        intake.read(100, 1, 0, 0)
        self.assertFalse(intake.rests)
        intake.read(50, 2, 0, 0)
        self.assertTrue(intake.rests)
        intake.read(50, 3, 0, 0)  # had come already
        self.assertEqual((self.transport.calls, self.causes), (["pause"], ["bytes"]))
        self.clock.advance(0.51)
        self.assertFalse(intake.rests)
        self.assertEqual(self.transport.calls, ["pause", "resume"])
        intake.read(1, 4, 0, 0)
        self.assertTrue(intake.rests, "what had come while it rested counts")
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_frames_count_for_more(self) -> None:
        intake = self.make(Rates(0, SLOW_FRAMES, 0, burst_seconds=1))
        intake.read(1, 0, 0, 1)
        self.assertFalse(intake.rests)
        intake.read(1, 0, 0, 2)
        self.assertTrue(intake.rests)
        self.assertEqual(self.causes, ["frames"])
        intake.go_on()

    def test_goes_on_at_once(self) -> None:
        intake = self.make(Rates(0, 0, 1, burst_seconds=1))
        intake.read(1, 9, 9, 0)
        intake.go_on()
        intake.go_on()
        self.assertEqual(self.transport.calls, ["pause", "resume"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_limits(self) -> None:
        intake = self.make(NO_RATES)
        intake.read(10**9, 10**9, 10**9, 10**9)
        self.assertFalse(intake.rests)
