"""distmap.handover: what is handed over, in which order and how much of it at a time."""

from __future__ import annotations

from itertools import islice
from unittest import TestCase

from distmap.clock import HybridClock, Stamp
from distmap.entries import Entry
from distmap.handover import Handover
from distmap.lww import Replica
from distmap.ranges import DIGITS

NOW_MS = 1_760_000_000_000
OLD = Entry(Stamp(1, 0, "x"), b"1")


class HandoverTest(TestCase):
    def setUp(self) -> None:
        self.replica = Replica(HybridClock(lambda: NOW_MS, "me"))
        self.told: list[Entry] = []
        self.handover = Handover(self.replica, 50, self.told.append)

    def write(self, count: int) -> set[str]:
        return {self.replica.set(f"key {at}", at).key for at in range(count)}

    def test_keys_and_ranges(self) -> None:
        keys = self.write(1000)
        self.assertFalse(self.handover)
        self.handover.add(["key 7", "key 8"])
        ranges = [self.replica.tree.keys(digit) for digit in "3a"]
        self.handover.add_range("3")
        self.handover.add_range("a")
        self.assertTrue(self.handover)
        taken = list(self.handover.take())
        self.assertEqual([key for key, _ in taken[:2]], ["key 7", "key 8"])
        self.assertEqual({key for key, _ in taken[2:]}, {*ranges[0], *ranges[1]})
        self.assertLess({key for key, _ in taken}, keys)
        self.assertEqual(taken, [(key, self.replica.entries[key]) for key, _ in taken])
        self.assertEqual(self.told, [entry for _, entry in taken])
        self.assertFalse(self.handover)

    def test_everything(self) -> None:
        """A range that is large goes in parts, each key once."""
        keys = self.write(1000)
        self.handover.add_range("")
        taken = [key for key, _ in islice(self.handover.take(), 10)]
        self.assertLess(len(self.handover._keys), 51)
        self.assertGreater(len(self.handover._ranges), len(DIGITS) // 2)
        taken += [key for key, _ in self.handover.take()]
        self.assertEqual((len(taken), set(taken)), (1000, keys))

    def test_what_has_gone_meanwhile(self) -> None:
        self.write(3)
        self.handover.add(["key 0", "key 1", "never"])
        self.replica.forget("key 0")
        self.assertEqual([key for key, _ in self.handover.take()], ["key 1"])
        self.assertEqual(len(self.told), 1)

    def test_burials_first(self) -> None:
        """They are no entries that the donor lacked."""
        self.write(1)
        self.handover.add(["key 0"])
        self.handover.burials.add("old", OLD)
        taken = list(self.handover.take())
        self.assertEqual([key for key, _ in taken], ["old", "key 0"])
        self.assertEqual(taken[0][1], Entry(OLD.stamp, None))
        self.assertEqual(len(self.told), 1)
        self.assertFalse(self.handover)
