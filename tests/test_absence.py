"""distmap.absence: who was away longer than tombstones are kept undoes nothing, loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from distmap import absence
from distmap.absence import ALONE, BY_PEER, Absence
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.errors import Superseded
from distmap.lww import Update
from distmap.outbox import Outbox
from distmap.testing import Network
from tests.support.memory import NetworkTestCase
from tests.support.replicas import NOW_MS, Wall, check_replica, new_replica

RETENTION_SECONDS = 60.0


class LongAbsenceTest(NetworkTestCase):
    """Whole peers, with tombstones kept for a minute."""

    def setUp(self) -> None:
        super().setUp()
        self.network = Network(retention_seconds=RETENTION_SECONDS)
        self.home, self.away = self.open(2)
        self.home.update({f"k{at}": "old" for at in range(20)})
        self.network.settle()
        self.told: list[tuple[Any, ...]] = []
        self.away.observe(lambda change: self.told.append((change.key, change.local)))
        self.away.on(
            "superseded", lambda value, key, shared: self.told.append(("superseded", key, value))
        )

    def leave(self) -> None:
        """The away peer's connection is gone, and every try fails."""
        network = self.network
        self.connector = network._connectors[self.away.connection]
        self.connect = self.connector.connect
        relay = network.relay

        def fail(attempt: Any) -> Any:
            network.relay, kept = None, network.relay
            try:
                return self.connect(attempt)
            finally:
                network.relay = kept

        self.connector.connect = fail  # type: ignore[method-assign]
        network.cut(self.away.connection)
        assert network.relay is relay

    def come_back(self) -> None:
        self.connector.connect = self.connect  # type: ignore[method-assign]
        self.network.settle(20)
        self.assertEqual(self.away.status, "ready")

    def test_deleted_keys_stay_deleted(self) -> None:
        self.leave()
        for at in range(10):
            del self.home[f"k{at}"]
        self.network.settle(2 * RETENTION_SECONDS)
        self.assertEqual(len(self.home._replica.entries), 10, "the tombstones are forgotten")
        self.assertEqual(len(self.away), 20)
        self.told.clear()
        self.come_back()
        self.assert_equal_maps([self.home, self.away], {f"k{at}": "old" for at in range(10, 20)})
        self.assertEqual(sorted(self.told), sorted((f"k{at}", False) for at in range(10)))
        self.assertEqual(self.home._replica.digest(), self.away._replica.digest())

    def test_own_writes_are_offered_or_superseded(self) -> None:
        self.leave()
        self.network.settle(1)
        writes = {
            key: self.away.set(key, f"mine {key}") for key in ("k1", "k2", "k3", "new", "clash")
        }
        deleted = {key: self.away.delete(key) for key in ("k4", "k5", "k6")}
        self.network.settle(1)
        self.home["k2"] = "theirs"
        del self.home["k3"], self.home["k6"], self.home["k7"]
        self.home["k5"] = "theirs"
        self.home["clash"] = "theirs"
        self.network.settle(2 * RETENTION_SECONDS)
        late = self.away.set("late", 1)
        self.told.clear()
        self.come_back()
        wanted = {f"k{at}": "old" for at in range(20) if at not in (3, 4, 6, 7)}
        wanted |= {"k1": "mine k1", "new": "mine new", "k2": "theirs", "k5": "theirs"}
        wanted |= {"clash": "theirs"}
        self.assert_equal_maps([self.home, self.away], wanted | {"late": 1})
        for key in ("k1", "new"):
            self.assertIsNone(self.successResultOf(writes[key]))
        self.assertIsNone(self.successResultOf(late))
        self.assertIs(self.successResultOf(deleted["k4"]), True)
        for write in (writes["k2"], writes["k3"], writes["clash"], deleted["k5"], deleted["k6"]):
            self.failureResultOf(write, Superseded)
        superseded = {each[1]: each[2] for each in self.told if each[0] == "superseded"}
        values = {key: f"mine {key}" for key in ("k2", "k3", "clash")}
        self.assertEqual(superseded, {**values, "k5": None, "k6": None})
        changed = {each[0] for each in self.told if each[0] != "superseded"}
        self.assertEqual(changed, {"k1", "k2", "k3", "k4", "k5", "k7", "new", "clash", "late"})
        self.assertEqual(self.home._replica.digest(), self.away._replica.digest())
        self.assertEqual(len(self.away._seat.peer.outbox), 0)

    def test_a_shorter_absence_sets_nothing_aside(self) -> None:
        self.leave()
        for at in range(10):
            del self.home[f"k{at}"]
        self.away["mine"] = 1
        self.network.settle(RETENTION_SECONDS / 2)
        self.come_back()
        wanted = {f"k{at}": "old" for at in range(10, 20)}
        self.assert_equal_maps([self.home, self.away], {**wanted, "mine": 1})
        self.assertNotIn("superseded", [each[0] for each in self.told])

    def test_a_long_absence_in_which_nothing_was_collected(self) -> None:
        """Nothing that this peer has can have been forgotten: it keeps all, and offers all."""
        self.leave()
        taken = self.away.set("mine", 1)
        self.home["theirs"] = 1
        self.network.settle(3 * RETENTION_SECONDS)
        self.told.clear()
        self.come_back()
        self.assertIsNone(self.successResultOf(taken))
        self.assertEqual(dict(self.home), dict(self.away))
        self.assertEqual(len(self.home), 22)
        self.assertEqual(self.told, [("theirs", False)])

    def on_set_aside(self, then: Callable[[], object]) -> list[int]:
        """Calls `then` when writes were set aside; returns a list of how often that was."""
        met, times = self.away._seat.peer._met, []

        def met_and_then(floor_ms: int, outdated: bool) -> bool:
            begins = met(floor_ms, outdated)
            if len(self.away._seat.peer.absence.aside):
                times.append(1)
                then()
            return begins

        self.patch(self.away._seat.peer, "_met", met_and_then)
        return times

    def test_the_donor_dies_meanwhile(self) -> None:
        other = self.network.open("/fruits")
        self.network.settle()
        self.leave()
        written = self.away.set("mine", 1)
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)

        def cut() -> None:
            for each in (self.home, other) if len(times) == 1 else ():
                if each._seat._syncs.serving:
                    self.network.clock.callLater(0, self.network.cut, each.connection)

        times = self.on_set_aside(cut)
        self.come_back()
        self.network.settle(20)
        self.assertGreaterEqual(len(times), 1)
        self.assertIsNone(self.successResultOf(written))
        wanted = {f"k{at}": "old" for at in range(1, 20)}
        self.assert_equal_maps([self.home, self.away, other], {**wanted, "mine": 1})

    def test_the_only_donor_leaves_meanwhile(self) -> None:
        """What it had is then all there is, and its writes go on."""
        self.leave()
        before = dict(self.away)
        written = self.away.set("mine", 1)
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        clock, leave = self.network.clock, self.home.connection.close
        times = self.on_set_aside(lambda: clock.callLater(0, leave))
        self.come_back()
        self.network.settle(20)
        self.assertEqual(times, [1])
        self.assertEqual((self.away.status, self.away.peers), ("ready", 0))
        self.assertEqual(dict(self.away), {**before, "mine": 1})
        self.assertIsNone(self.successResultOf(written))

    def test_who_knows_of_a_delete_comes_back_to_who_does_not(self) -> None:
        """The tombstone is forgotten; the entry meets it once more, in a replica that was alone."""
        self.leave()
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        self.assertNotIn("k0", self.home._replica.entries)
        network = self.network
        home = network._connectors[self.home.connection]
        connect, home.connect = home.connect, self.connector.connect  # type: ignore[method-assign]
        network.cut(self.home.connection)
        self.come_back()
        self.assertEqual((self.away.synced, self.away.peers), ("peer", 0))
        self.assertIn("k0", self.away, "nobody is there who knows better")
        self.assertFalse(self.away._replica.may_forget)
        home.connect = connect  # type: ignore[method-assign]
        network.settle(20)
        wanted = {f"k{at}": "old" for at in range(1, 20)}
        self.assert_equal_maps([self.home, self.away], wanted)
        self.assertTrue(self.away._replica.may_forget, "home was away for a short time only")

    def test_nobody_knew_better_for_as_long(self) -> None:
        """Who was alone for the retention after a long absence is the network then."""
        self.leave()
        self.home.connection.close()
        self.network.settle(2 * RETENTION_SECONDS)
        self.come_back()
        self.assertEqual(len(self.away._replica.gaps), 1)
        del self.away["k1"]
        self.network.settle(RETENTION_SECONDS / 2)
        self.assertEqual(len(self.away._replica.gaps), 1)
        self.network.settle(2 * RETENTION_SECONDS)
        self.assertEqual(self.away._replica.gaps, [])
        self.assertNotIn("k1", self.away._replica.entries, "tombstones are forgotten again")

    def test_a_clock_far_behind(self) -> None:
        """Writes of a first connection with stamps of long ago are offered like those of who was
        away: they undo nothing, and nothing forbids them.
        """
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        self.assertGreater(self.home._replica.floor_ms, 0)
        late = self.network.open("/fruits")
        wall_ms = late._replica.clock._wall_ms
        behind_ms = 1e6 * RETENTION_SECONDS
        late._replica.clock._wall_ms = lambda: wall_ms() - behind_ms
        late._seat.peer.time._now_ms = late._replica.clock._wall_ms
        writes = [late.set("k1", "mine"), late.set("new", "mine")]
        self.network.settle(20)
        self.failureResultOf(writes[0], Superseded)
        self.assertIsNone(self.successResultOf(writes[1]))
        wanted = {**{f"k{at}": "old" for at in range(1, 20)}, "new": "mine"}
        self.assert_equal_maps([self.home, self.away, late], wanted)

    def test_a_repair_long_after_the_last_reconnect(self) -> None:
        """Who has been here all the time knows all, however long ago it was away."""
        self.network.cut(self.away.connection)
        self.network.settle(15)
        for _ in range(4):
            self.home["gone"] = 1
            self.network.settle(1)
            del self.home["gone"]
            self.network.settle(2 * RETENTION_SECONDS)
        self.assertGreater(self.home._replica.floor_ms, 0)
        self.away._replica._remove("k3")
        self.network.settle(40)
        self.assert_equal_maps([self.home, self.away], {f"k{at}": "old" for at in range(20)})
        self.assertEqual(self.home.divergences + self.away.divergences, 1)

    def test_a_key_is_written_while_its_write_is_set_aside(self) -> None:
        self.leave()
        first = self.away.set("k1", "first")
        self.home["k1"] = "theirs"
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        writes = []
        self.on_set_aside(lambda: writes.append(self.away.set("k1", "second")))
        self.come_back()
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(writes[0]))
        self.assertEqual((self.home["k1"], self.away["k1"]), ("second", "second"))


class _Port:
    """What an absence told."""

    def __init__(self) -> None:
        self.taken_keys: list[str] = []
        self.given_up: list[str] = []
        self.offered: list[str] = []

    def updated(self, updates: list[Update]) -> None:
        """Nobody listens."""

    def restamped(self, updates: list[Update]) -> None:
        self.offered += [update.key for update in updates]

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        self.taken_keys += [key for key, _ in writes]

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        self.given_up += [key for key, _ in writes]


class AbsenceMachine(RuleBasedStateMachine):
    """Between two steps anything may happen: writes, batches, what others wrote, a connection that
    is lost, another donor, and nobody being there after all.
    """

    keys = st.sampled_from("abcdefgh")

    @initialize()
    def start(self) -> None:
        self.steps = absence.STEP_WRITES
        absence.STEP_WRITES = 2  # type: ignore[misc]
        self.wall = Wall()
        self.replica = new_replica("mine", self.wall)
        self.replica.in_touch = False
        self.outbox = Outbox()
        self.port = _Port()
        self.absence = Absence(self.replica, self.outbox, self.port)  # type: ignore[arg-type]
        self.absence.was_in_touch = True
        # By key the last own write of which it is not clear what becomes of it.
        self.mine: dict[str, bytes] = {}
        # What is to be set aside before anything is compared.
        self.to_go: dict[str, Entry] = {}
        self.count = 0

    def teardown(self) -> None:
        if hasattr(self, "steps"):
            absence.STEP_WRITES = self.steps  # type: ignore[misc]
            self.ready(alone=False)
            while self.absence.is_open:
                self.work()
            assert self.mine.keys() == set(self.outbox._waiting)

    @rule(keys=st.lists(keys, min_size=1, max_size=4, unique=True), deletes=st.booleans())
    def write(self, keys: list[str], deletes: bool) -> None:
        """One write, or a batch."""
        self.count += 1
        self.wall.ms += 1
        text = None if deletes else b"%d" % self.count
        olds = [self.replica.entries[key].stamp for key in keys if key in self.replica.entries]
        stamp = self.replica.clock.tick(max(olds, default=None))
        for key in keys:
            update = self.replica.rewrite(key, text, stamp)
            old = update.old.stamp if update.old is not None else None
            self.outbox.add(key, update.entry, self.absence.written(key, old))
            self.mine[key] = b"" if text is None else text

    @rule(key=keys, later=st.booleans())
    def others(self, key: str, later: bool) -> None:
        """Another peer's entry comes."""
        self.count += 1
        ms = int(self.wall.ms) + 5 if later else NOW_MS - 1000
        self.replica.merge(key, Entry(Stamp(ms, self.count, "theirs"), b"0"))

    @precondition(lambda self: not self.replica.in_touch)
    @rule(all_of_it=st.booleans())
    def meet(self, all_of_it: bool) -> None:
        self.absence.met(int(self.wall.ms) - 3, outdated=all_of_it)
        self.to_go = {
            key: write.entry
            for key, write in self.outbox._waiting.items()
            if all_of_it or (write.entry.stamp.ms < int(self.wall.ms) - 3 and not write.is_seen)
        }

    @rule(alone=st.booleans())
    def ready(self, alone: bool) -> None:
        self.replica.get_in_touch()
        self.absence.over(ALONE if alone else BY_PEER, asked=False)

    @rule()
    def lose(self) -> None:
        self.replica.in_touch = False
        self.outbox.go_offline()
        self.absence.lost()

    @rule()
    def send(self) -> None:
        """A part is sent, and all of it acknowledged."""
        if not self.outbox.is_online:
            self.outbox.go_online()
        message = self.outbox.next_message()
        assert message is None or not self.outbox.is_sweeping
        for key, stamp in self.outbox.acknowledge(10**6):
            if self.mine_is(key, stamp):
                del self.mine[key]

    def mine_is(self, key: str, stamp: Stamp) -> bool:
        return key in self.mine and key not in self.outbox and stamp.writer == "mine"

    @rule()
    def work(self) -> None:
        before = {key: self.replica.entries.get(key) for key in self.mine}
        waiting = dict(self.absence.aside._writes)
        alone = self.absence._ending == ALONE  # then they go on as they are
        self.absence.work()
        if not self.absence._is_setting_aside:
            for key, entry in self.to_go.items():
                write = self.outbox._waiting.get(key)
                assert write is None or write.entry is not entry, "it was to be set aside"
            self.to_go.clear()
        port = self.port
        for key in port.offered:
            now = before[key]
            assert alone or waiting[key].base == (None if now is None else now.stamp)
            assert key in self.outbox
        for key in port.taken_keys + port.given_up:
            del self.mine[key]
        for told in (port.taken_keys, port.given_up, port.offered):
            told.clear()

    @invariant()
    def every_write_is_somewhere(self) -> None:
        if not hasattr(self, "steps"):
            return
        aside = self.absence.aside._writes
        assert not aside.keys() & self.outbox._waiting.keys()
        found = {key: write.entry.value or b"" for key, write in aside.items()}
        found |= {key: write.entry.value or b"" for key, write in self.outbox._waiting.items()}
        assert found == self.mine
        for write in self.outbox._waiting.values():
            there = self.replica.entries[write.key]
            assert there is write.entry or there.stamp > write.entry.stamp
        assert all(self.replica.entries.get(key) is not write.entry for key, write in aside.items())
        check_replica(self.replica)


AbsenceMachineTests: type[TestCase] = AbsenceMachine.TestCase
AbsenceMachineTests.settings = settings(  # type: ignore[attr-defined]
    deadline=None, max_examples=150, stateful_step_count=40
)
