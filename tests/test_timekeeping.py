"""distmap.timekeeping: a peer's clock follows the relay's, and puts right what it stamped wrong."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from distmap.clock import MAX_AHEAD_MS, MIN_TIME_MS, Stamp
from distmap.entries import Entry
from distmap.outbox import Outbox
from distmap.timekeeping import SUSPICIOUS_MS, Timekeeper
from tests.support.replicas import NOW_MS, Wall, check_replica, new_replica

HOUR_MS = 3_600_000


class _Port:
    """What was asked of the surroundings."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone: list[str] = []
        self.anew: list[str] = []

    def send(self, payload: bytes) -> None:
        self.sent.append(json.loads(payload))

    def updated(self, updates: list[Any]) -> None:
        self.gone += [update.key for update in updates if update.entry.value is None]

    def restamped(self, updates: list[Any]) -> None:
        self.anew += [update.key for update in updates]


class TimekeeperTest(TestCase):
    """A clock that is an hour ahead of the relay's."""

    def setUp(self) -> None:
        self.wall = Wall(NOW_MS + HOUR_MS)
        self.replica = new_replica("mine", self.wall)
        self.outbox = Outbox()
        self.port = _Port()
        self.keeper = Timekeeper(
            self.replica,
            self.outbox,
            self.port,  # type: ignore[arg-type]
            lambda: self.wall.ms,
        )

    def write(self, key: str) -> None:
        update = self.replica.set(key, 1)
        self.outbox.add(key, update.entry)

    def test_a_relay_that_has_lost_its_clock(self) -> None:
        """It is not believed: nothing is held or stamped anew because of it."""
        self.write("a")
        self.keeper.opened()
        clock = self.replica.clock
        for time_ms in (0, 1, 946_684_800_000, MIN_TIME_MS - 1):
            self.keeper.welcomed(time_ms)
            self.assertEqual((clock.now_ms(), clock.heard_ms), (NOW_MS + HOUR_MS, None))
            self.assertEqual((clock.earliest_ms(), clock.latest_ms()), (clock.now_ms(),) * 2)
        self.assertEqual((self.port.anew, self.port.gone, len(self.replica.held)), ([], [], 0))
        self.keeper.online = True
        self.keeper.acknowledged(5)
        self.assertEqual(self.port.sent, [], "it need not be asked for each write")
        self.keeper.acknowledged(NOW_MS)
        self.assertEqual(self.port.sent, [["time", NOW_MS + HOUR_MS]], "it has found its clock")
        self.keeper.answered(NOW_MS + HOUR_MS, NOW_MS)
        self.assertEqual((clock.now_ms(), clock.heard_ms), (NOW_MS, NOW_MS))
        self.assertEqual(self.port.anew, ["a"])

    def test_a_relay_that_loses_its_clock_meanwhile(self) -> None:
        """This clock goes on as it was corrected last, for longer than it is believed otherwise."""
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS)
        self.keeper.online = True
        self.wall.ms += 10 * HOUR_MS
        self.keeper.acknowledged(7)
        self.assertEqual(len(self.port.sent), 1)
        self.keeper.answered(self.wall.ms, 8)
        clock = self.replica.clock
        now_ms = NOW_MS + 10 * HOUR_MS
        self.assertEqual(
            (clock.now_ms(), clock.latest_ms(), clock.heard_ms), (now_ms, now_ms, None)
        )
        entry = Entry(Stamp(now_ms, 0, "x"), b"1")
        self.assertIsNotNone(self.replica.merge("theirs", entry))
        self.keeper.welcomed(MIN_TIME_MS)
        self.assertEqual(clock.heard_ms, MIN_TIME_MS, "any time from then on is one")

    def test_the_welcome_tells_the_time(self) -> None:
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS)
        self.assertEqual(self.replica.clock.now_ms(), NOW_MS)
        self.assertEqual(self.replica.clock.heard_ms, NOW_MS)

    def test_asks_once_until_it_is_answered(self) -> None:
        self.keeper.ask()
        self.assertEqual(self.port.sent, [], "there is nobody to ask")
        self.keeper.online = True
        self.keeper.ask()
        self.keeper.ask()
        self.assertEqual(self.port.sent, [["time", NOW_MS + HOUR_MS]])
        self.keeper.answered(NOW_MS + HOUR_MS, NOW_MS)
        self.keeper.ask()
        self.assertEqual(len(self.port.sent), 2)
        self.keeper.lost()
        self.keeper.online = True
        self.keeper.ask()
        self.assertEqual(len(self.port.sent), 3, "the answer to the second is lost")

    def test_an_acknowledgement_that_does_not_fit(self) -> None:
        self.keeper.online = True
        self.keeper.acknowledged(NOW_MS + HOUR_MS + SUSPICIOUS_MS)
        self.assertEqual(self.port.sent, [])
        self.keeper.acknowledged(NOW_MS)
        self.assertEqual(self.port.sent, [["time", NOW_MS + HOUR_MS]])

    def test_what_nobody_has_seen_is_stamped_anew(self) -> None:
        self.write("a")
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS)
        self.assertEqual(self.port.anew, ["a"])
        self.assertEqual(self.replica.entries["a"].stamp.when, (NOW_MS, 1))
        self.assertEqual(self.outbox.unsent, ["a"])
        self.assertEqual(self.port.gone, [])
        check_replica(self.replica)

    def test_what_was_sent_is_written_once_more(self) -> None:
        self.write("a")
        self.outbox.go_online()
        self.outbox.next_message()
        self.outbox.acknowledge(1)
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS)
        self.assertEqual((self.port.anew, self.outbox.unsent), (["a"], ["a"]))
        self.assertEqual([key for key, _ in self.replica.held], ["a"], "as with the others")
        self.assertEqual(self.replica.entries["a"].stamp.ms, NOW_MS)

    def test_what_others_wrote_from_the_future_is_taken_out_and_fetched(self) -> None:
        stamp = Stamp(NOW_MS + HOUR_MS, 0, "theirs")
        self.replica.merge("a", Entry(stamp, b"1"))
        self.replica.merge("b", Entry(stamp.replace(ms=NOW_MS + 10), b"1"))
        self.keeper.online = True
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS)
        self.assertEqual((self.port.gone, self.port.sent), (["a"], [["sync", None]]))
        self.assertEqual(set(self.replica.entries), {"b"})
        self.assertGreater(self.replica.set("c", 1).entry.stamp.ms, NOW_MS + 9, "later than b")

    def test_a_clock_that_is_behind_changes_nothing(self) -> None:
        self.write("a")
        before = dict(self.replica.entries)
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS + 2 * HOUR_MS)
        self.assertEqual((self.port.anew, self.replica.entries), ([], before))
        self.assertEqual(self.replica.clock.now_ms(), NOW_MS + 2 * HOUR_MS)

    def test_no_more_than_the_bound_ahead(self) -> None:
        self.write("a")
        self.keeper.opened()
        self.keeper.welcomed(NOW_MS + HOUR_MS - MAX_AHEAD_MS)
        self.assertEqual(self.port.anew, [])
