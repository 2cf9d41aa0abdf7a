"""distmap.aside: writes that wait until it is known what others did with their keys."""

from __future__ import annotations

from unittest import TestCase

from distmap.aside import Aside
from distmap.clock import Stamp
from distmap.entries import Entry, is_burial
from distmap.lww import Replica
from distmap.outbox import Outbox, Waiting
from tests.support.replicas import NOW_MS, check_replica, new_replica

ALL = 1000


class AsideTest(TestCase):
    def setUp(self) -> None:
        self.replica = new_replica()
        self.outbox = Outbox()
        self.aside = Aside(self.replica, self.outbox)

    def write(self, key: str, value: object) -> Entry:
        update = self.replica.delete(key) if value is None else self.replica.set(key, value)
        assert update is not None
        old = update.old.stamp if update.old else None
        self.outbox.add(key, update.entry, self.aside.written(key, old))
        return update.entry

    def take(self, replica: Replica) -> None:
        for key, entry in replica.entries.items():
            self.replica.merge(key, entry)

    def set_aside(self) -> list[str]:
        """Everything that waits; returns the keys that changed."""
        changed = []

        def keep(write: Waiting) -> bool:
            update = self.aside.put(write)
            if update is not None:
                changed.append(update.key)
            return False

        self.outbox.begin_sweep(sent=True)
        self.outbox.sweep(ALL, keep)
        return changed

    def bury(self) -> dict[str, Entry]:
        """Writes a new key and a known one; both are buried while they wait, and set aside.

        Returns:
            What was buried.
        """
        self.replica.merge("known", Entry(Stamp(NOW_MS - 5000, 0, "x"), b"1"))
        writes = {key: self.write(key, 2) for key in ("new", "known")}
        for key, entry in writes.items():
            self.replica.merge(key, entry.replace(value=None))
            self.assertTrue(is_burial(self.replica.entries[key], entry))
        self.write("kept", 2)
        self.outbox.begin_sweep(sent=True)
        self.outbox.sweep(
            ALL, lambda write: write.key == "kept" or self.aside.put(write) is not None
        )
        self.assertEqual((self.outbox.unsent, len(self.aside)), (["kept"], 2))
        return writes

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
        changed = self.set_aside()
        self.assertEqual(changed, ["taken", "kept", "changed", "new", "clash"])
        self.assertEqual((set(self.replica.entries), len(self.outbox)), ({"deleted", "edited"}, 0))
        self.take(network)
        end = self.aside.end(ALL)
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
        self.assertEqual(self.set_aside(), ["a"])
        end = self.aside.end(ALL)
        self.assertEqual([key for key, _ in end.superseded], ["a"])
        self.assertEqual((self.replica.entries, len(self.outbox)), ({}, 0))

    def test_the_next_donor_demands_the_same(self) -> None:
        self.write("a", 1)
        self.set_aside()
        self.replica.merge("half", Entry(Stamp(NOW_MS, 0, "x"), b"1"))
        self.write("b", 2)
        self.write("a", 3)
        self.assertEqual(self.set_aside(), ["b", "a"])
        self.assertEqual(set(self.replica.entries), {"half"})
        end = self.aside.end(ALL)
        self.assertEqual(
            [(each.key, each.entry.value) for each in end.offered], [("b", b"2"), ("a", b"3")]
        )

    def test_what_others_have_overwritten_stays(self) -> None:
        self.write("a", 1)
        theirs = Entry(Stamp(NOW_MS + 5, 0, "x"), b"2")
        self.replica.merge("a", theirs)
        self.assertEqual(self.set_aside(), [])
        self.assertEqual(self.replica.entries, {"a": theirs})
        self.assertEqual([key for key, _ in self.aside.end(ALL).superseded], ["a"])

    def test_nobody_is_there_to_ask(self) -> None:
        first = self.write("a", 1)
        self.write("b", 1)
        self.set_aside()
        self.write("b", 2)
        self.assertEqual([each.key for each in self.aside.restore(ALL)], ["a"])
        self.assertEqual(dict(self.replica.items()), {"a": b"1", "b": b"2"})
        self.assertEqual(self.replica.entries["a"], first)
        self.assertEqual(set(self.outbox.unsent), {"a", "b"})

    def test_a_key_that_is_written_again_meanwhile(self) -> None:
        """The later write goes its usual way; the one before is neither offered nor given up."""
        self.write("a", 1)
        self.set_aside()
        self.write("a", 2)
        end = self.aside.end(ALL)
        self.assertEqual(end, ([], [], []))
        self.assertEqual((dict(self.replica.items()), len(self.outbox)), ({"a": b"2"}, 1))

    def test_what_was_buried_is_offered_if_it_was_new(self) -> None:
        writes = self.bury()
        end = self.aside.end(ALL)
        self.assertEqual([(each.key, each.entry.value) for each in end.offered], [("new", b"2")])
        self.assertGreater(end.offered[0].entry.stamp, writes["new"].stamp)
        self.assertEqual((end.taken, end.superseded), ([], [("known", writes["known"])]))
        self.assertEqual(dict(self.replica.items()), {"new": b"2", "kept": b"2"})
        self.assertEqual(self.outbox.unsent, ["kept", "new"])
        check_replica(self.replica)

    def test_what_was_buried_goes_on_if_nobody_is_left_to_ask(self) -> None:
        """With a new stamp: that of the tombstone would lose, wherever that went."""
        writes = self.bury()
        updates = self.aside.restore(ALL)
        self.assertEqual([update.key for update in updates], ["known", "new"])
        for update in updates:
            self.assertGreater(update.entry.stamp, writes[update.key].stamp)
            self.assertEqual(update.old, writes[update.key].replace(value=None))
        self.assertEqual(set(self.outbox.unsent), {"kept", "new", "known"})
        self.assertEqual(len(self.aside), 0)
        self.assertEqual(dict(self.replica.items()), {"kept": b"2", "new": b"2", "known": b"2"})
        check_replica(self.replica)
