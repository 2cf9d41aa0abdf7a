"""distmap.seat: a map's seat on its connection, with a real relay in memory."""

from __future__ import annotations

from typing import Any

from distmap import DistributedMap, errors
from distmap.clock import Stamp
from distmap.entries import Entry, encode_entry
from distmap.holding import MAX_HELD_PER_WRITER
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
    YEAR_MS = 365 * 86_400_000

    def set_clock(self, shared: DistributedMap, skew_ms: int) -> None:
        """Somebody sets the clock of the machine."""
        wall_ms = lambda: self.network.clock.seconds() * 1000 + skew_ms  # noqa: E731
        shared._replica.clock._wall_ms = shared._seat.peer.time._now_ms = wall_ms

    def check(self, maps: list[DistributedMap], wanted: dict[str, Any]) -> None:
        """All are equal within seconds, what was written last is seen, and nothing waits."""
        self.network.settle(3)
        self.assert_equal_maps(maps, wanted)
        self.assertEqual(len({each._replica.digest() for each in maps}), 1)
        self.assertEqual([len(each._seat.peer.outbox) for each in maps], [0] * len(maps))
        self.network.settle(60)
        self.assert_equal_maps(maps, wanted)
        self.assertEqual([each.divergences for each in maps], [0] * len(maps))

    def test_a_jump_before_the_first_connection(self) -> None:
        for skew_ms in (self.YEAR_MS, -self.YEAR_MS):
            with self.subTest(skew_ms):
                self.network = Network()
                self.addCleanup(self.network.close)
                maps = self.open(2)
                late = self.network.open("/fruits")
                self.set_clock(late, skew_ms)
                late["mine"] = 1
                self.check([*maps, late], {"mine": 1})
                late["mine"] = 2
                maps[0]["theirs"] = 1
                self.check([*maps, late], {"mine": 2, "theirs": 1})

    def test_a_jump_while_connected(self) -> None:
        for skew_ms in (self.YEAR_MS, -self.YEAR_MS, 120_000, -120_000, 30_000):
            with self.subTest(skew_ms):
                self.network = Network(delay_seconds=0.02)
                self.addCleanup(self.network.close)
                maps = [self.network.open("/fruits") for _ in range(3)]
                self.network.settle(1)
                maps[0].update(a="before", b="before", c="before")
                self.network.settle(1)
                self.set_clock(maps[1], skew_ms)
                maps[1]["a"] = "after"
                self.network.settle(0.01)
                maps[2]["b"] = "theirs"
                self.network.settle(0.5)
                maps[1]["c"] = "after"
                self.check(maps, {"a": "after", "b": "theirs", "c": "after"})
                maps[2]["a"] = maps[0]["c"] = "last"
                self.check(maps, {"a": "last", "b": "theirs", "c": "last"})

    def test_a_jump_while_offline(self) -> None:
        for skew_ms in (self.YEAR_MS, -self.YEAR_MS):
            with self.subTest(skew_ms):
                self.network = Network()
                self.addCleanup(self.network.close)
                maps = self.open(3)
                maps[0].update(a="before", b="before")
                self.network.settle(1)
                self.network.cut(maps[1].connection)
                taken = [maps[1].set("a", "between")]
                self.set_clock(maps[1], skew_ms)
                taken.append(maps[1].set("new", "after"))
                self.network.settle(15)
                self.check(maps, {"a": "between", "b": "before", "new": "after"})
                for each in taken:
                    self.assertIsNone(self.successResultOf(each))

    def test_a_jump_there_and_back(self) -> None:
        maps = self.open(3)
        wanted = {}
        for at, skew_ms in enumerate((self.YEAR_MS, 0, -self.YEAR_MS, 0, self.YEAR_MS, 0)):
            self.set_clock(maps[1], skew_ms)
            for each in maps:
                key = f"{at} {maps.index(each)}"
                each[key] = wanted[key] = at
            maps[1]["same"] = wanted["same"] = at
            self.network.settle(2)
            self.assert_equal_maps(maps, wanted)
        self.check(maps, wanted)

    def test_what_was_deleted_by_a_wrong_clock(self) -> None:
        maps = self.open(2)
        maps[0].update(a=1, b=2)
        self.network.settle(1)
        self.set_clock(maps[1], self.YEAR_MS)
        del maps[1]["a"]
        self.check(maps, {"b": 2})

    def test_a_liar_is_bounded_and_what_went_is_fetched(self) -> None:
        """A thousand entries ten minutes ahead, heard by one peer only in part."""
        one, two = self.open(2)
        now_ms = one._replica.clock.now_ms()
        for at in range(1000):
            entry = Entry(Stamp(now_ms + 600_000 + at, 0, "liar"), b"%d" % at)
            one._seat.peer.receive(encode_entry(f"k{at}", entry))
        self.assertEqual(len(one._replica.held), MAX_HELD_PER_WRITER)
        self.assertEqual((len(one), len(two)), (0, 0))
        # Another peer got them in a better order, when some were due.
        self.network.settle(545)
        for at in range(1000):
            entry = Entry(Stamp(now_ms + 600_000 + at, 0, "liar"), b"%d" % at)
            two._replica.merge(f"k{at}", entry)
        self.network.settle(30)
        self.assert_equal_maps([one, two], {f"k{at}": at for at in range(1000)})
        self.assertEqual((len(one._replica.held), len(two._replica.held)), (0, 0))

    def test_unsent_writes_of_a_wrong_clock_are_stamped_anew(self) -> None:
        """A peer whose clock is a year ahead writes before it knows the relay's time."""
        right = self.open(1)[0]
        right["a"] = "right"
        self.network.settle()
        wrong = self.network.open("/fruits")
        year_ms = 365 * 86_400_000
        clock = wrong._replica.clock
        clock._wall_ms = lambda: self.network.clock.seconds() * 1000 + year_ms
        wrong._seat.peer.time._now_ms = clock._wall_ms
        taken = wrong.set("a", "wrong")
        wrong["b"] = 1
        self.network.clock.advance(0.05)
        self.network.settle()
        self.assertIsNone(self.successResultOf(taken))
        self.assert_equal_maps([right, wrong], {"a": "wrong", "b": 1})
        right["a"] = "later"
        self.network.settle()
        self.assert_equal_maps([right, wrong], {"a": "later", "b": 1})
