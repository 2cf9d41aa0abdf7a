"""distmap.observers: who is told what of a change, and that nobody costs nothing."""

from __future__ import annotations

from typing import Any
from unittest import TestCase, mock

from distmap import observers, values
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.lww import Update
from distmap.observers import Observers


def update(key: str, new: bytes | None, old: bytes | None = None) -> Update:
    before = None if old is None else Entry(Stamp(1, 0, "x"), old)
    return Update(key, Entry(Stamp(2, 0, "x"), new), before)


class ObserversTest(TestCase):
    def setUp(self) -> None:
        self.observers = Observers()
        self.told: list[Any] = []

    def listen(self, *names: str) -> None:
        for name in names:
            self.observers.on(name, lambda *args, name=name: self.told.append((name, *args)))

    def test_a_list_comes_before_its_changes(self) -> None:
        self.listen("set", "delete", "change", "changes")
        updates = [update("a", b"1"), update("b", None, b"2"), update("c", None)]
        self.observers.tell_others(updates, "map")
        names = [each[0] for each in self.told]
        self.assertEqual(names, ["changes", "change", "set", "change", "delete"])
        changes = self.told[0][1]
        self.assertEqual(
            [(each.key, each.value, each.old_value, each.local) for each in changes],
            [("a", 1, None, False), ("b", None, 2, False)],
        )
        self.assertEqual(self.told[2], ("set", 1, "a", "map"))
        self.assertEqual(self.told[4], ("delete", 2, "b", "map"))

    def test_own_writes_are_told_to_observers_only(self) -> None:
        self.listen("set", "delete", "change", "changes")
        self.observers.tell_own([update("a", b"1"), update("b", None, b"2")])
        self.assertEqual([each[0] for each in self.told], ["changes", "change", "change"])
        self.assertTrue(all(each.local for each in self.told[0][1]))

    def test_no_list_of_nothing(self) -> None:
        self.listen("changes")
        self.observers.tell_others([update("gone", None)], "map")
        self.observers.tell_own([])
        self.assertEqual(self.told, [])

    def test_nothing_is_made_where_nobody_listens(self) -> None:
        updates = [update("a", b"1"), update("b", None, b"2")]
        with (
            mock.patch.object(observers, "change_of") as change_of,
            mock.patch.object(observers, "value_of") as value_of,
            mock.patch.object(values, "decode") as decode,
        ):
            self.listen("ready")
            self.observers.tell_others(updates, "map")
            self.observers.tell_own(updates)
            self.listen("delete")
            self.observers.tell_others(updates[:1], "map")
        self.assertEqual([each.call_count for each in (change_of, value_of, decode)], [0, 0, 0])
