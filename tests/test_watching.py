"""distmap.watching: divergence is found and repaired in production, and costs little."""

from __future__ import annotations

from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger

from distmap import DistributedMap
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.gossip import INTERVAL_SECONDS, PATIENCE_SECONDS
from distmap.hub import Hub
from distmap.syncs import Syncs
from distmap.testing import Network
from tests.support.memory import NetworkTestCase


class WatchingTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.digests = 0
        self.syncs = 0
        receive, begin = Hub.receive, Syncs.begin

        def counting(hub: Any, member: Any, payload: bytes) -> None:
            self.digests += b'"event":"digest"' in payload
            receive(hub, member, payload)

        def begun(syncs: Syncs, *args: Any, **options: Any) -> None:
            self.syncs += 1
            begin(syncs, *args, **options)

        self.patch(Hub, "receive", counting)
        self.patch(Syncs, "begin", begun)

    def divergences(self, maps: list[DistributedMap]) -> int:
        return sum(each.divergences for each in maps)


class DivergenceTest(WatchingTestCase):
    """Replicas are made to differ by hand."""

    def setUp(self) -> None:
        super().setUp()
        self.maps = self.open(5)
        self.maps[0].update({f"k{at}": at for at in range(100)})
        self.network.settle(1)
        self.wanted = dict(self.maps[0])
        self.errors: list[LogEvent] = []
        self.patch(Syncs, "_log", Logger(observer=cast(ILogObserver, self.errors.append)))

    def check(self, seconds: float = 30) -> None:
        self.network.settle(seconds)
        self.assert_equal_maps(self.maps, self.wanted)
        self.assertEqual(len({each._replica.digest() for each in self.maps}), 1)
        self.assertEqual(self.divergences(self.maps), 1)
        self.network.settle(60)
        self.assertEqual(self.divergences(self.maps), 1, "counted once")
        errors = [event for event in self.errors if event["log_level"].name == "error"]
        self.assertEqual(len(errors), 1)
        self.assertIn("{count} entries were repaired", errors[0]["log_format"])
        self.assertNotIn("key", errors[0])

    def test_an_entry_that_one_lost(self) -> None:
        self.maps[2]._replica._remove("k7")
        told: list[Any] = []
        self.maps[2].on("set", lambda value, key, shared: told.append((key, value)))
        self.check()
        self.assertEqual(told, [("k7", 7)])

    def test_an_entry_that_only_one_has(self) -> None:
        replica = self.maps[1]._replica
        now_ms = replica.clock.now_ms()
        replica.merge("extra", Entry(Stamp(now_ms - 5000, 0, "x"), b'"extra"'))
        self.wanted["extra"] = "extra"
        self.check()

    def test_an_old_value(self) -> None:
        replica = self.maps[4]._replica
        entry = replica.entries["k3"]
        replica._remove("k3")
        old = Entry(entry.stamp.replace(ms=entry.stamp.ms - 1000), b'"old"')
        self.assertIsNotNone(replica.merge("k3", old))
        self.check()

    def test_a_deleted_key_that_one_still_has(self) -> None:
        stale = self.maps[3]._replica.entries["k9"]
        del self.maps[0]["k9"]
        self.network.settle(1)
        self.maps[3]._replica._remove("k9")
        self.maps[3]._replica.merge("k9", stale)
        del self.wanted["k9"]
        self.check()


class CostTest(WatchingTestCase):
    """What it costs where all is well."""

    def test_a_quiet_map_of_50_peers(self) -> None:
        maps = self.open(50)
        maps[0]["a"] = 1
        self.network.settle(2 * INTERVAL_SECONDS)
        self.digests = self.syncs = 0
        intervals = 30
        self.network.settle(intervals * INTERVAL_SECONDS)
        self.assertGreater(self.digests, intervals // 2)
        # Who speaks first silences the others, but for those whose interval was just over.
        self.assertLess(self.digests, 2.5 * intervals)
        self.assertEqual((self.syncs, self.divergences(maps)), (0, 0))

    def test_who_is_alone_says_nothing(self) -> None:
        self.open(1)
        self.network.settle(100)
        self.assertEqual(self.digests, 0)

    def test_a_busy_map_is_not_repaired_for_nothing(self) -> None:
        self.network = Network(delay_seconds=0.1)
        maps = [self.network.open("/fruits") for _ in range(10)]
        self.network.settle(5)
        self.syncs = 0
        for at in range(1500):
            maps[at % 10][f"k{at % 97}"] = at
            self.network.settle(0.1)
        self.assertGreater(self.digests, 5)
        self.assertEqual(self.divergences(maps), 0)
        # A difference in a map that never rests is looked into once a minute by each peer.
        self.assertLessEqual(self.syncs, 10 * 150 // PATIENCE_SECONDS)
        self.network.settle(30)
        self.assertEqual(len({each._replica.digest() for each in maps}), 1)

    def test_who_is_alone_forgets_old_tombstones_too(self) -> None:
        self.network = Network(retention_seconds=60)
        (mine,) = self.open(1)
        for at in range(3000):
            mine[f"k{at}"] = at
            del mine[f"k{at}"]
        self.network.settle(90)
        self.assertEqual(mine._replica.entries, {})
        self.assertEqual(mine._replica._tombstones._oldest, [])

    def test_all_forget_at_the_same_time(self) -> None:
        self.network = Network(retention_seconds=60)
        maps = self.open(8)
        for at in range(100):
            maps[at % 8][f"k{at}"] = at
            self.network.settle(0.25)
            del maps[(at + 3) % 8][f"k{at}"]
            self.network.settle(0.25)
        self.network.settle(90)
        self.assertEqual([each._replica.entries for each in maps], [{}] * 8)
        self.assertEqual(len({each._replica.floor_ms for each in maps}), 1)
        self.assertEqual((self.divergences(maps), [each.refused for each in maps]), (0, [0] * 8))

    def test_the_time_is_asked_for(self) -> None:
        one, two = self.open(2)
        clock = two._replica.clock
        wall = two._seat._now_ms
        for jump_ms in (5_000, -5_000, 90_000_000, -90_000_000):
            moved = lambda jump_ms=jump_ms: wall() + jump_ms  # noqa: E731
            clock._wall_ms = two._seat.peer.time._now_ms = moved
            self.network.settle(2 * INTERVAL_SECONDS)
            self.assertAlmostEqual(clock.now_ms(), one._replica.clock.now_ms(), delta=100)
