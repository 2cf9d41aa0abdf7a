"""distmap.uplink: one after the other, as the network takes it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from distmap.frames import MESSAGE_BYTES
from distmap.uplink import PATIENCE_SECONDS, Uplink


class One:
    """A guest who sends a message of so many bytes when there is room."""

    def __init__(self, test: UplinkTest, name: str, size_bytes: int = MESSAGE_BYTES) -> None:
        self.name = name
        self._test = test
        self._size_bytes = size_bytes
        self.then: Callable[[], object] = lambda: None

    def enter(self) -> bool:
        if not self._test.uplink.enter(self):
            return False
        self.go_on()
        return True

    def go_on(self) -> None:
        self._test.sent.append(self.name)
        self._test.uplink.gathered(self._size_bytes)
        self.then()


class UplinkTest(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.uplink = Uplink(self.clock)
        self.sent: list[str] = []
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def guests(self, names: str, size_bytes: int = MESSAGE_BYTES) -> list[One]:
        return [One(self, name, size_bytes) for name in names]

    def told(self) -> str:
        """Who has sent since the last call."""
        sent, self.sent = self.sent, []
        return "".join(sent)

    def flush(self) -> str:
        """The turn ends, and another one comes; returns who sends in it."""
        self.uplink.flushed()
        self.clock.advance(0)
        return self.told()

    def test_as_much_as_a_message_in_a_turn(self) -> None:
        guests = self.guests("abc", MESSAGE_BYTES // 2)
        self.assertEqual([guest.enter() for guest in guests], [True, True, False])
        self.assertEqual((self.told(), self.flush(), self.flush()), ("ab", "c", ""))

    def test_one_after_the_other(self) -> None:
        """Who was there goes behind those who wait."""
        a, b, c = self.guests("abc")
        self.assertEqual([a.enter(), b.enter(), c.enter(), a.enter()], [True, False, False, False])
        self.assertEqual(self.told(), "a")
        self.assertFalse(b.enter(), "a second time")
        self.assertEqual([self.flush() for _ in range(4)], ["b", "c", "a", ""])

    def test_a_slow_network(self) -> None:
        a, b, c = self.guests("abc")
        a.enter()
        b.enter()
        c.enter()
        self.told()
        self.uplink.congest(True)
        self.assertEqual((self.flush(), self.flush()), ("", ""))
        self.uplink.congest(False)
        self.assertEqual(self.told(), "b", "at once, before anybody fills the network again")
        self.uplink.congest(True)
        self.assertEqual(self.flush(), "")
        self.uplink.congest(False)
        self.assertEqual((self.told(), self.flush()), ("c", ""))

    def test_what_others_write_counts(self) -> None:
        (a,) = self.guests("a")
        self.uplink.gathered(MESSAGE_BYTES)
        self.assertFalse(a.enter())
        self.clock.advance(0)
        self.assertEqual((self.told(), self.flush()), ("", "a"))

    def test_others_fill_the_network_before_their_turn(self) -> None:
        a, b = self.guests("ab")
        a.enter()
        b.enter()
        self.uplink.flushed()
        self.uplink.gathered(MESSAGE_BYTES)
        self.clock.advance(0)
        self.assertEqual(self.told(), "ab", "it is their turn all the same")

    def test_a_program_that_writes_much_in_each_turn(self) -> None:
        """It keeps nobody from sending: they have one message of each turn."""
        for guest in self.guests("abc"):
            self.uplink.gathered(MESSAGE_BYTES)
            self.assertFalse(guest.enter())
        told = []
        for _ in range(4):
            self.uplink.flushed()
            self.uplink.gathered(4 * MESSAGE_BYTES)
            self.clock.advance(0)
            told.append(self.told())
        self.assertEqual(told, ["a", "b", "c", ""])

    def test_a_network_that_is_never_free(self) -> None:
        """They go on all the same, but slowly."""
        guests = self.guests("abc")
        self.uplink.congest(True)
        for guest in guests:
            guest.enter()
        told = []
        for _ in range(8):
            self.clock.advance(PATIENCE_SECONDS / 2)
            self.uplink.flushed()
            told.append(self.told())
        self.assertEqual(told, ["", "a", "", "b", "", "c", "", ""])

    def test_who_leaves(self) -> None:
        a, b, c = self.guests("abc")
        for guest in (a, b, c):
            guest.enter()
        self.assertEqual([guest in self.uplink for guest in (a, b, c)], [False, True, True])
        self.uplink.leave(b)
        self.uplink.leave(a)
        self.assertEqual((self.told(), self.flush(), self.flush()), ("a", "c", ""))
        a.enter()
        b.enter()
        self.uplink.leave(b)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_leaves_when_it_goes_on(self) -> None:
        a, b, c = self.guests("abc")
        for guest in (a, b, c):
            guest.enter()
        b.then = lambda: self.uplink.leave(c)
        self.assertEqual((self.told(), self.flush(), self.flush()), ("a", "b", ""))

    def test_the_connection_goes(self) -> None:
        for guest in self.guests("abc"):
            guest.enter()
        self.uplink.close()
        self.uplink.close()
        self.assertEqual((self.clock.getDelayedCalls(), self.told()), ([], "a"))
        self.uplink.congest(False)
        self.assertEqual(self.flush(), "")

    def test_the_connection_goes_when_one_goes_on(self) -> None:
        a, b, c = self.guests("abc")
        for guest in (a, b, c):
            guest.enter()
        b.then = self.uplink.close
        self.assertEqual((self.told(), self.flush(), self.flush()), ("a", "b", ""))
