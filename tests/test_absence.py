"""distmap.absence: who was away longer than tombstones are kept undoes nothing, loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import TestCase

from distmap.absence import Absence
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.errors import Superseded
from distmap.lww import Replica
from distmap.outbox import Outbox
from distmap.testing import Network
from tests.support.memory import NetworkTestCase
from tests.support.replicas import NOW_MS, check_replica, new_replica

RETENTION_SECONDS = 60.0


class AbsenceTest(TestCase):
    """The pure part: what becomes of what."""

    def setUp(self) -> None:
        self.replica = new_replica()
        self.outbox = Outbox()

    def write(self, key: str, value: object) -> Entry:
        update = self.replica.delete(key) if value is None else self.replica.set(key, value)
        assert update is not None
        self.outbox.add(key, update.entry, update.old.stamp if update.old else None)
        return update.entry

    def take(self, replica: Replica) -> None:
        for key, entry in replica.entries.items():
            self.replica.merge(key, entry)

    def set_aside(self, absence: Absence) -> list[str]:
        """Everything that waits; returns the keys that changed."""
        return [update.key for update in absence.set_aside(self.outbox.take())]

    def test_own_writes_and_the_others(self) -> None:
        network = new_replica("network")
        for key in ("kept", "changed", "deleted", "edited"):
            network.set(key, "old")
        self.take(network)
        taken = self.write("taken", 1)
        self.write("kept", 2)
        self.write("changed", 2)
        self.write("new", 2)
        self.write("clash", 2)
        network.merge("taken", taken)
        network.set("changed", "theirs")
        network.set("edited", "theirs")
        network.set("clash", "theirs")
        absence = Absence(self.replica)
        changed = self.set_aside(absence)
        self.assertEqual(changed, ["taken", "kept", "changed", "new", "clash"])
        self.assertEqual((set(self.replica.entries), len(self.outbox)), ({"deleted", "edited"}, 0))
        self.take(network)
        end = absence.end(self.outbox)
        self.assertEqual([update.key for update in end.offered], ["kept", "new"])
        self.assertEqual(end.taken, [("taken", taken.stamp)])
        self.assertEqual([key for key, _ in end.superseded], ["changed", "clash"])
        self.assertEqual(
            dict(self.replica.items()),
            {
                "taken": b"1", "kept": b"2", "new": b"2",
                "changed": b'"theirs"', "edited": b'"theirs"', "clash": b'"theirs"',
                "deleted": b'"old"',
            },
        )  # fmt: skip
        self.assertEqual(set(self.outbox.unsent), {"kept", "new"})
        check_replica(self.replica)

    def test_a_delete_of_what_is_gone_is_superseded(self) -> None:
        self.replica.merge("a", Entry(Stamp(NOW_MS, 0, "x"), b"1"))
        self.write("a", None)
        absence = Absence(self.replica)
        self.assertEqual(self.set_aside(absence), ["a"])
        end = absence.end(self.outbox)
        self.assertEqual([key for key, _ in end.superseded], ["a"])
        self.assertEqual((self.replica.entries, len(self.outbox)), ({}, 0))

    def test_the_next_donor_demands_the_same(self) -> None:
        self.write("a", 1)
        absence = Absence(self.replica)
        self.set_aside(absence)
        self.replica.merge("half", Entry(Stamp(NOW_MS, 0, "x"), b"1"))
        self.write("b", 2)
        self.write("a", 3)
        self.assertEqual(self.set_aside(absence), ["b", "a"])
        self.assertEqual(set(self.replica.entries), {"half"})
        end = absence.end(self.outbox)
        self.assertEqual(
            [(each.key, each.entry.value) for each in end.offered], [("b", b"2"), ("a", b"3")]
        )

    def test_what_others_have_overwritten_stays(self) -> None:
        self.write("a", 1)
        theirs = Entry(Stamp(NOW_MS + 5, 0, "x"), b"2")
        self.replica.merge("a", theirs)
        absence = Absence(self.replica)
        self.assertEqual(self.set_aside(absence), [])
        self.assertEqual(self.replica.entries, {"a": theirs})
        self.assertEqual([key for key, _ in absence.end(self.outbox).superseded], ["a"])

    def bury(self) -> Absence:
        """Writes a new key and a known one; both are buried while they wait."""
        self.replica.merge("known", Entry(Stamp(NOW_MS - 5, 0, "x"), b"1"))
        for key in ("new", "known"):
            entry = self.write(key, 2)
            self.replica.merge(key, entry.replace(value=None))
        self.write("kept", 2)
        absence = Absence(self.replica)
        writes = self.outbox.take_buried(self.replica.entries)
        self.assertEqual([each.key for each in writes], ["new", "known"])
        self.assertEqual(absence.set_aside(writes), [])
        self.assertEqual(self.outbox.unsent, ["kept"])
        return absence

    def test_what_was_buried_is_offered_if_it_was_new(self) -> None:
        end = self.bury().end(self.outbox)
        self.assertEqual([(each.key, each.entry.value) for each in end.offered], [("new", b"2")])
        self.assertEqual(([key for key, _ in end.superseded], end.taken), (["known"], []))
        self.assertEqual(dict(self.replica.items()), {"new": b"2", "kept": b"2"})
        self.assertEqual(self.outbox.unsent, ["kept", "new"])
        check_replica(self.replica)

    def test_what_was_buried_goes_on_if_nobody_is_left_to_ask(self) -> None:
        updates = self.bury().restore(self.outbox)
        for update in updates:
            assert update.old is not None
            self.assertGreater(update.entry.stamp, update.old.stamp)
        self.assertEqual(self.outbox.unsent, ["kept", "new", "known"])
        self.assertEqual(set(dict(self.replica.items())), {"kept", "new", "known"})
        self.assertEqual(self.outbox.take_buried(self.replica.entries), [])

    def test_nobody_is_there_to_ask(self) -> None:
        first = self.write("a", 1)
        self.write("b", 1)
        absence = Absence(self.replica)
        self.set_aside(absence)
        self.write("b", 2)
        self.assertEqual([each.key for each in absence.restore(self.outbox)], ["a"])
        self.assertEqual(dict(self.replica.items()), {"a": b"1", "b": b"2"})
        self.assertEqual(self.replica.entries["a"], first)
        self.assertEqual(set(self.outbox.unsent), {"a", "b"})

    def test_a_key_that_is_written_again_meanwhile(self) -> None:
        """The later write goes its usual way; the one before is neither offered nor given up."""
        self.write("a", 1)
        absence = Absence(self.replica)
        self.set_aside(absence)
        self.write("a", 2)
        end = absence.end(self.outbox)
        self.assertEqual(end, ([], [], []))
        self.assertEqual((dict(self.replica.items()), len(self.outbox)), ({"a": b"2"}, 1))


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

        def met_and_then(floor_ms: int, outdated: bool) -> None:
            met(floor_ms, outdated)
            if self.away._seat.peer._absence is not None:
                times.append(1)
                then()

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
