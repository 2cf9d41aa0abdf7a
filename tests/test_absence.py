"""distmap.absence: who was away longer than tombstones are kept undoes nothing, loses nothing."""

from __future__ import annotations

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
        network._remove("deleted")  # and its tombstone is forgotten
        absence = Absence(self.replica, self.outbox)
        self.assertEqual((self.replica.entries, len(self.outbox)), ({}, 0))
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
            },
        )  # fmt: skip
        changes = {each.key: (each.old, each.entry.value) for each in end.updates}
        self.assertEqual(set(changes), {"changed", "deleted", "edited", "clash"})
        self.assertEqual(changes["deleted"][1], None)
        self.assertEqual(set(self.outbox.unsent), {"kept", "new"})
        check_replica(self.replica)

    def test_a_delete_of_what_is_gone_is_superseded(self) -> None:
        self.replica.merge("a", Entry(Stamp(NOW_MS, 0, "x"), b"1"))
        self.write("a", None)
        absence = Absence(self.replica, self.outbox)
        end = absence.end(self.outbox)
        self.assertEqual([key for key, _ in end.superseded], ["a"])
        self.assertEqual((self.replica.entries, len(self.outbox)), ({}, 0))

    def test_the_next_donor_demands_the_same(self) -> None:
        self.write("a", 1)
        absence = Absence(self.replica, self.outbox)
        self.replica.merge("half", Entry(Stamp(NOW_MS, 0, "x"), b"1"))
        self.write("b", 2)
        self.write("a", 3)
        absence.discard_again(self.outbox)
        self.assertEqual(self.replica.entries, {})
        end = absence.end(self.outbox)
        self.assertEqual(
            [(each.key, each.entry.value) for each in end.offered], [("a", b"3"), ("b", b"2")]
        )

    def test_a_key_that_is_written_again_meanwhile(self) -> None:
        """The later write goes its usual way; the one before is neither offered nor given up."""
        self.write("a", 1)
        absence = Absence(self.replica, self.outbox)
        self.write("a", 2)
        end = absence.end(self.outbox)
        self.assertEqual(end, ([], [], [], []))
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
        self.assertEqual(changed, {"k2", "k3", "k5", "k7", "clash"})
        self.assertEqual(self.home._replica.digest(), self.away._replica.digest())
        self.assertEqual(len(self.away._seat.peer.outbox), 0)

    def test_a_shorter_absence_discards_nothing(self) -> None:
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

    def test_the_donor_dies_while_it_is_fetched_afresh(self) -> None:
        other = self.network.open("/fruits")
        self.network.settle()
        self.leave()
        written = self.away.set("mine", 1)
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        self.told.clear()
        discard = self.away._seat.peer.discard
        discarded: list[int] = []

        def discard_and_cut() -> Any:
            discarded.append(1)
            if len(discarded) == 1:
                for each in (self.home, other):
                    if each._seat._syncs.serving:
                        self.network.clock.callLater(0, self.network.cut, each.connection)
            return discard()

        self.patch(self.away._seat.peer, "discard", discard_and_cut)
        self.come_back()
        self.network.settle(20)
        self.assertGreaterEqual(len(discarded), 1)
        self.assertIsNone(self.successResultOf(written))
        wanted = {f"k{at}": "old" for at in range(1, 20)}
        self.assert_equal_maps([self.home, self.away, other], {**wanted, "mine": 1})

    def test_the_only_donor_leaves_while_it_is_fetched_afresh(self) -> None:
        """What was discarded is then all there is: it is taken back."""
        self.leave()
        before = dict(self.away)
        written = self.away.set("mine", 1)
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        discard = self.away._seat.peer.discard
        discarded: list[int] = []

        def discard_and_leave() -> Any:
            discarded.append(1)
            self.network.clock.callLater(0, self.home.connection.close)
            return discard()

        self.patch(self.away._seat.peer, "discard", discard_and_leave)
        self.come_back()
        self.network.settle(20)
        self.assertEqual(discarded, [1])
        self.assertEqual((self.away.status, self.away.peers), ("ready", 0))
        self.assertEqual(dict(self.away), {**before, "mine": 1})
        self.assertIsNone(self.successResultOf(written))

    def test_a_repair_long_after_the_last_reconnect(self) -> None:
        """Who has been here all the time is not out of date, however long ago it was away."""
        self.network.cut(self.away.connection)
        self.network.settle(15)
        for _ in range(4):
            self.home["gone"] = 1
            self.network.settle(1)
            del self.home["gone"]
            self.network.settle(2 * RETENTION_SECONDS)
        self.assertGreater(self.home._replica.floor_ms, 0)
        self.patch(self.away._seat.peer, "discard", lambda: self.fail("it was discarded"))
        self.away._replica._remove("k3")
        self.network.settle(40)
        self.assert_equal_maps([self.home, self.away], {f"k{at}": "old" for at in range(20)})
        self.assertEqual(self.home.divergences + self.away.divergences, 1)

    def test_a_key_is_written_while_the_state_is_fetched_afresh(self) -> None:
        self.leave()
        first = self.away.set("k1", "first")
        self.home["k1"] = "theirs"
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        writes = []
        discard = self.away._seat.peer.discard

        def discard_and_write() -> Any:
            newcomer = discard()
            writes.append(self.away.set("k1", "second"))
            return newcomer

        self.patch(self.away._seat.peer, "discard", discard_and_write)
        self.told.clear()
        self.come_back()
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(writes[0]))
        self.assertEqual((self.home["k1"], self.away["k1"]), ("second", "second"))
        self.assertEqual(self.told, [("k1", True), ("k0", False)])

    def test_who_is_not_ready_yet_tells_nobody_of_what_it_fetches(self) -> None:
        self.leave()
        del self.home["k0"]
        self.network.settle(2 * RETENTION_SECONDS)
        lengths: list[int] = []
        self.away.observe(lambda change: lengths.append(len(self.away)))
        self.come_back()
        self.assertEqual(lengths, [19], "one change, told when all was here")
