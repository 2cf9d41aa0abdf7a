"""distmap.merging: what another peer says is in a map, brought into a replica."""

from __future__ import annotations

from unittest import TestCase

import msgspec

from distmap import sync_wire as wire
from distmap.entries import encode_entry
from distmap.lww import Replica
from distmap.merging import Burials, gather_sets, merge_all
from tests.support.replicas import check_replica, new_replica


def filled(count: int, value: object = 1) -> Replica:
    """A replica with some keys, one of them deleted."""
    replica = new_replica("donor")
    for n in range(count):
        replica.set(f"k{n}", value)
    replica.delete("k1")
    return replica


class GatherSets(TestCase):
    """Texts of a channel that came together."""

    @staticmethod
    def text(key: str, counter: int = 0) -> bytes:
        return b'{"event":"set","key":"%b","value":1,"stamp":[5,%d,"w"]}' % (key.encode(), counter)

    def gathered(self, *texts: bytes) -> list[list[str] | bytes]:
        found = gather_sets(texts, 100)
        return [list(each) if isinstance(each, dict) else each for each in found]

    def test_side_by_side(self) -> None:
        self.assertEqual(self.gathered(*map(self.text, "bac")), [["b", "a", "c"]])
        self.assertEqual(self.gathered(), [])

    def test_others_stay_where_they_are(self) -> None:
        ack, batch = b'["ack",1]', b'{"event":"entries","entries":[]}'
        found = self.gathered(self.text("a"), ack, batch, self.text("b"), self.text("c"), ack)
        self.assertEqual(found, [["a"], ack, batch, ["b", "c"], ack])

    def test_one_key_twice(self) -> None:
        texts = [self.text("a"), self.text("b"), self.text("a", 1), self.text("b", 1)]
        self.assertEqual(self.gathered(*texts), [["a", "b"], ["a", "b"]])

    def test_too_large(self) -> None:
        large = self.text("a").replace(b"1", b'"%b"' % (b"x" * 99), 1)
        self.assertEqual(self.gathered(large), [large])


class MergeAll(TestCase):
    """Entries from another peer."""

    def test_takes_what_is_news(self) -> None:
        replica = filled(3)
        texts = [encode_entry(*item) for item in filled(5, 2).entries.items()]
        updates = merge_all(replica, wire.raw_list(texts))
        self.assertEqual({update.key for update in updates if update.old is None}, {"k3", "k4"})
        self.assertEqual(merge_all(replica, wire.raw_list(texts)), [])
        check_replica(replica)

    def test_leaves_out_what_no_map_can_hold(self) -> None:
        good = b'{"event":"set","key":"a","value":1,"stamp":[5,0,"w"]}'
        bad = [b"1", b"{}", good.replace(b'"a"', b'""'), good.replace(b"1,", b"1e999,")]
        replica = new_replica()
        updates = merge_all(replica, wire.raw_list([*bad, good, *bad]))
        self.assertEqual([update.key for update in updates], ["a"])
        self.assertEqual(set(replica.entries), {"a"})

    def test_keeps_to_the_limit_of_the_replica(self) -> None:
        replica = new_replica(max_value_bytes=4)
        for text, taken in ((b'"xx"', True), (b'"xxx"', False)):
            wire_text = b'{"event":"set","key":"a","value":%b,"stamp":[5,0,"w"]}' % text
            self.assertEqual(bool(merge_all(replica, [msgspec.Raw(wire_text)])), taken)

    def test_what_the_floor_forbids_is_buried_if_it_is_not_trusted(self) -> None:
        text = b'{"event":"set","key":"a","value":1,"stamp":[5,0,"w"]}'
        for trusted in (False, True):
            replica, burials = new_replica(), Burials()
            replica.floor_ms = 10
            updates = merge_all(replica, [msgspec.Raw(text)], trusted=trusted, burials=burials)
            self.assertEqual((len(updates), len(burials)), (1, 0) if trusted else (0, 1))
            for key, entry in burials.take():
                self.assertEqual((key, entry.stamp.ms, entry.value), ("a", 5, None))
            self.assertEqual(len(burials), 0)
