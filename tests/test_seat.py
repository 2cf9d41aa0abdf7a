"""distmap.seat: a map's seat on its connection, with a real relay in memory."""

from __future__ import annotations

from typing import Any

from distmap import DistributedMap, errors
from distmap.relay_server import RelayOptions
from distmap.testing import Network
from tests.support.memory import NetworkTestCase


class SeatTest(NetworkTestCase):
    def streams(self) -> int:
        assert self.network.relay is not None
        return sum(
            len(each.link.mux.streams) for each in self.network.relay.connections if each.link
        )

    def test_one_turn_is_one_message(self) -> None:
        """All that is written in one turn leaves in one message, and in one frame."""
        mine, theirs = self.open(2)
        wire = self.network.wire(mine.connection)
        assert wire is not None
        sent: list[bytes] = []
        send = wire.send

        def record(message: bytes) -> None:
            sent.append(message)
            send(message)

        self.patch(wire, "send", record)
        for at in range(20):
            mine[f"k{at}"] = at
        self.network.settle()
        self.assertEqual([message.count(b"\n") for message in sent], [1])
        mine["alone"] = 1
        self.network.settle()
        self.assertEqual(len(sent), 2)
        self.assertEqual(len(theirs), 21)

    def test_closing_leaves_one_stream_for_each_open_map(self) -> None:
        connection = self.network.connect()
        one, two = DistributedMap(connection, "/one"), DistributedMap(connection, "/two")
        self.network.settle()
        self.assertEqual(self.streams(), 2)
        one.close()
        self.network.settle()
        self.assertEqual(self.streams(), 1)
        again = DistributedMap(connection, "/one")
        self.network.settle()
        self.assertEqual((again.status, two.status), ("ready", "ready"))
        self.assertEqual(self.streams(), 2)

    def test_a_relay_of_another_version(self) -> None:
        mine = self.network.open()
        self.patch(self.network.relay.core.hub, "join", _refuse)  # type: ignore[union-attr]
        self.network.settle()
        self.assertEqual((mine.status, mine.status.code), ("offline", "version"))
        self.assertIn("speaks version", mine.status.reason)
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_a_slow_reader_is_cut_off_and_syncs_again(self) -> None:
        self.network = Network(options=RelayOptions(queue_bytes=20_000))
        mine, slow = self.open(2)
        wire = self.network.wire(slow.connection)
        assert wire is not None
        statuses: list[str] = []
        slow.on("status", lambda status: statuses.append(f"{status} {status.code}"))
        wire.stalled = True
        for at in range(50):
            mine[f"k{at}"] = "x" * 1000
            self.network.settle()
        self.assertEqual(mine.peers, 0)
        wire.stalled = False
        self.network.settle(12)
        self.assertEqual(statuses, ["offline slow", "syncing ", "ready "])
        self.assertEqual(dict(slow), dict(mine))
        self.assertEqual(mine.peers, 1)

    def test_a_stalled_reader_is_cut_off_after_a_while(self) -> None:
        mine, slow = self.open(2)
        wire = self.network.wire(slow.connection)
        assert wire is not None
        wire.stalled = True
        mine["a"] = "x" * 1000
        self.network.settle()
        mine["b"] = 1
        self.network.settle(9)
        self.assertEqual(mine.peers, 1)
        self.network.settle(2)
        self.assertEqual(mine.peers, 0)
        wire.stalled = False
        self.network.settle(12)
        self.assertEqual(dict(slow), dict(mine))


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise errors.StreamError("this relay speaks version 9.0 of the channel protocol", "version")


class ClockTest(NetworkTestCase):
    def test_unsent_writes_of_a_wrong_clock_are_stamped_anew(self) -> None:
        """A peer whose clock is a year ahead writes before it knows the relay's time."""
        right = self.open(1)[0]
        right["a"] = "right"
        self.network.settle()
        wrong = self.network.open("/fruits")
        year_ms = 365 * 86_400_000
        clock = wrong._replica.clock
        clock._wall_ms = lambda: self.network.clock.seconds() * 1000 + year_ms
        wrong._seat.peer._now_ms = clock._wall_ms
        taken = wrong.set("a", "wrong")
        wrong["b"] = 1
        self.network.clock.advance(0.05)
        self.network.settle()
        self.assertIsNone(self.successResultOf(taken))
        self.assert_equal_maps([right, wrong], {"a": "wrong", "b": 1})
        right["a"] = "later"
        self.network.settle()
        self.assert_equal_maps([right, wrong], {"a": "later", "b": 1})
