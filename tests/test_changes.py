"""distmap.changes: what an observer is told of an update."""

from __future__ import annotations

from unittest import TestCase

from distmap.changes import Change, change_of, value_of
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.lww import Update


class ChangeTest(TestCase):
    def test_set_over_a_value(self) -> None:
        old, new = Entry(Stamp(1, 0, "a"), b"1"), Entry(Stamp(2, 0, "b"), b"[2]")
        wanted = Change("k", [2], 1, deleted=False, local=False, writer="b", time_ms=2)
        self.assertEqual(change_of(Update("k", new, old), local=False), wanted)

    def test_delete(self) -> None:
        old, new = Entry(Stamp(1, 0, "a"), b"null"), Entry(Stamp(2, 0, "b"), None)
        wanted = Change("k", None, None, deleted=True, local=True, writer="b", time_ms=2)
        self.assertEqual(change_of(Update("k", new, old), local=True), wanted)

    def test_a_value_may_be_null(self) -> None:
        self.assertEqual(value_of(Entry(Stamp(1, 0, "a"), b"null")), (None,))
        self.assertIsNone(value_of(Entry(Stamp(1, 0, "a"), None)))
        self.assertIsNone(value_of(None))
