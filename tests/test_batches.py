"""distmap.batches: what is written together goes in one message and is applied in one step."""

from __future__ import annotations

import gc
import json
from typing import Any
from unittest import TestCase

from twisted.internet.defer import Deferred

from distmap import Change, DistributedMap
from distmap.aside import Aside
from distmap.batches import ENTRY_BYTES, MAX_BATCH_BYTES, Batch
from distmap.clock import Stamp
from distmap.entries import Entry, encode_entry
from distmap.errors import (
    BatchError,
    InvalidKey,
    InvalidType,
    InvalidValue,
    MapClosed,
    Superseded,
)
from distmap.frames import DEFAULT_LIMITS
from distmap.options import LARGEST_VALUE_BYTES
from distmap.outbox import Outbox
from distmap.router import PREFIX_BYTES
from tests.support.memory import NetworkTestCase
from tests.support.replicas import new_replica


def brief(changes: list[Change]) -> list[tuple[str, Any, Any, bool]]:
    return [(each.key, each.value, each.old_value, each.local) for each in changes]


class BatchTestCase(NetworkTestCase):
    def messages(self, shared: DistributedMap) -> int:
        """How many objects the relay has had of a peer."""
        assert self.network.relay is not None
        members = self.network.relay.core.hub.channels["/fruits"].members
        return members[shared._seat.peer.id].received

    def lists(self, shared: DistributedMap) -> list[Any]:
        """The lists that an observer of a map gets from now on."""
        lists: list[Any] = []
        shared.observe_batch(lambda changes: lists.append(brief(changes)))
        return lists


class UpdateTest(BatchTestCase):
    def test_one_message_and_one_list(self) -> None:
        mine, theirs, third = self.open(3)
        heard = [self.lists(each) for each in (mine, theirs, third)]
        seen = []
        theirs.on("set", lambda *_: seen.append(dict(theirs)))
        fruits = {f"fruit{n}": n for n in range(2000)}  # more than a message of single writes has
        mine.update(fruits)
        self.assertEqual(heard[0], [[(key, n, None, True) for key, n in fruits.items()]])
        self.network.settle()
        self.assertEqual(self.messages(mine), 1)
        for each in heard[1:]:
            self.assertEqual(each, [[(key, n, None, False) for key, n in fruits.items()]])
        self.assert_equal_maps([mine, theirs, third], fruits)
        self.assertEqual(len(seen), 2000)
        self.assertTrue(all(each == fruits for each in seen), "nobody sees half of it")

    def test_all_that_a_dict_takes(self) -> None:
        mine, theirs = self.open(2)
        mine.update({"a": 1}, b=2)
        mine.update([("c", 3), ("d", 4)])
        mine.update(other=5, self=6)
        mine.update((key, value + 1) for key, value in mine.items())
        mine.update()
        mine.update(theirs)
        self.network.settle()
        wanted = {"a": 2, "b": 3, "c": 4, "d": 5, "other": 6, "self": 7}
        self.assert_equal_maps([mine, theirs], wanted)
        self.assertEqual(self.messages(mine), 4)

    def test_one_bad_value_and_nothing_is_written(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(mine)
        bad: list[tuple[Any, type[Exception]]] = [
            ({"a": 1, "": 2}, InvalidKey),
            ({"a": 1, 2: 2}, InvalidType),
            ({"a": 1, "b": float("nan")}, InvalidValue),
            ({"a": 1, "b": object()}, InvalidType),
            ({"a": 1, "b": "x" * 300_000}, InvalidValue),
            ([("a", 1), None], TypeError),
        ]
        for other, error in bad:
            with self.subTest(error), self.assertRaises(error):
                mine.update(other)
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {})
        self.assertEqual((self.messages(mine), heard), (0, []))
        mine.update(a=1)
        self.assertEqual(dict(mine), {"a": 1})

    def test_of_two_batches_of_the_same_keys_one_wins_whole(self) -> None:
        maps = self.open(4)
        keys = [f"k{n}" for n in range(50)]
        for each in maps:
            each.update((key, maps.index(each)) for key in keys)
            keys.reverse()
        self.network.settle()
        winner = maps[0][keys[0]]
        self.assert_equal_maps(maps, dict.fromkeys(keys, winner))

    def test_closed(self) -> None:
        (mine,) = self.open(1)
        mine.close()
        with self.assertRaises(MapClosed):
            mine.update(a=1)
        with self.assertRaises(MapClosed):
            mine.batch()


class BlockTest(BatchTestCase):
    def test_sets_and_deletes(self) -> None:
        mine, theirs = self.open(2)
        mine.update(apple=1, pear=2)
        self.network.settle()
        heard, heard_there = self.lists(mine), self.lists(theirs)
        with mine.batch():
            mine["apple"] = 10
            del mine["pear"]
            mine.setdefault("fig", 3)
            self.assertEqual(heard, [])
            self.network.settle()  # nothing leaves within the block
            self.assertEqual(dict(theirs), {"apple": 1, "pear": 2})
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"apple": 10, "fig": 3})
        wanted = [("apple", 10, 1), ("pear", None, 2), ("fig", 3, None)]
        self.assertEqual(heard, [[(*each, True) for each in wanted]])
        self.assertEqual(heard_there, [[(*each, False) for each in wanted]])
        self.assertEqual(self.messages(mine), 2)

    def test_reading_sees_what_was_written(self) -> None:
        (mine,) = self.open(1)
        mine.update(a=1, b=2, c=3)
        stamp, digest = mine.stamp("a"), mine.digest()
        with mine.batch():
            mine["b"] = 20
            mine["d"] = 4
            del mine["a"]
            self.assertEqual(list(mine.items()), [("b", 20), ("c", 3), ("d", 4)])
            self.assertEqual((len(mine), "a" in mine, mine.has("d")), (3, False, True))
            self.assertEqual((mine.get("a"), mine.pop("d")), (None, 4))
            self.assertEqual((len(mine), list(mine)), (2, ["b", "c"]))
            with self.assertRaises(KeyError):
                del mine["a"]
            with self.assertRaises(KeyError):
                mine["d"]
            self.assertEqual(self.successResultOf(mine.delete("a")), False)
            mine["b"] += 1
            self.assertEqual((mine.stamp("a"), mine.digest()), (stamp, digest))
        self.assertEqual(dict(mine), {"b": 21, "c": 3})
        with mine.batch():
            mine.clear()
            self.assertEqual(len(mine), 0)
        self.assertEqual(dict(mine), {})

    def test_a_key_that_comes_and_goes_within_is_not_written(self) -> None:
        mine, _ = self.open(2)
        heard = self.lists(mine)
        with mine.batch() as batch:
            first = mine.set("a", 1)
            second = mine.delete("a")
        self.assertIsNone(self.successResultOf(first))
        self.assertTrue(self.successResultOf(second))
        self.assertIsNone(self.successResultOf(batch.taken()))
        self.network.settle()
        self.assertEqual((heard, mine._replica.entries, self.messages(mine)), ([], {}, 0))

    def test_an_empty_batch_is_nothing(self) -> None:
        mine, _ = self.open(2)
        heard = self.lists(mine)
        with mine.batch() as batch:
            pass
        self.assertIsNone(self.successResultOf(batch.taken()))
        self.network.settle()
        self.assertEqual((heard, self.messages(mine)), ([], 0))

    def test_a_block_that_raises_writes_nothing(self) -> None:
        mine, theirs = self.open(2)
        mine["a"] = 0
        with self.assertRaises(ZeroDivisionError), mine.batch() as batch:
            mine["a"] = 1
            written = mine.set("b", 2)
            early = batch.taken()
            1 / 0  # noqa: B018
        for each in (written, early, batch.taken()):
            self.failureResultOf(each, BatchError)
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": 0})
        mine["a"] = 3  # the next write is for itself again
        self.assertEqual(dict(mine), {"a": 3})

    def test_a_bad_value_that_is_caught_is_left_out(self) -> None:
        (mine,) = self.open(1)
        with mine.batch():
            mine["a"] = 1
            with self.assertRaises(InvalidType):
                mine["b"] = object()
        self.assertEqual(dict(mine), {"a": 1})

    def test_other_writes_share_no_message_with_it(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        mine["a"] = 1
        mine["b"] = 1
        mine.update(b=2, c=2)
        mine.update(c=3, d=3)
        mine["d"] = 4
        mine["e"] = 4
        self.network.settle()
        keys = [[key for key, *_ in each] for each in heard]
        self.assertEqual(keys, [["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"]])
        self.assertEqual(self.messages(mine), 4)

    def test_a_write_is_a_list_of_one(self) -> None:
        mine, theirs = self.open(2)
        mine_heard, heard = self.lists(mine), self.lists(theirs)
        mine["a"] = 1
        self.network.settle()
        del mine["a"]
        self.network.settle()
        wanted: list[list[tuple[Any, ...]]] = [[("a", 1, None)], [("a", None, 1)]]
        self.assertEqual(heard, [[(*each, False) for each in one] for one in wanted])
        self.assertEqual(mine_heard, [[(*each, True) for each in one] for one in wanted])

    def test_a_handler_may_write_a_batch(self) -> None:
        mine, theirs = self.open(2)
        theirs.observe_batch(
            lambda changes: (
                theirs.update({f"{each.key}!": each.value for each in changes})
                if not changes[0].local
                else None
            )
        )
        mine.update(a=1, b=2)
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": 1, "b": 2, "a!": 1, "b!": 2})

    def test_parts_may_lose(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        mine.update(a=1, b=1)
        self.network.clock.rightNow += 0.001
        theirs["a"] = 2
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": 2, "b": 1})
        self.assertEqual(heard, [[("a", 2, None, True)], [("b", 1, None, False)]])


class NestedTest(BatchTestCase):
    def test_the_outermost_writes(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        with mine.batch() as outer:
            mine["a"] = 1
            with mine.batch() as inner:
                mine["a"] += 1
                mine["b"] = 1
            mine.update(c=1)
            self.assertEqual(dict(mine), {"a": 2, "b": 1, "c": 1})
            taken = inner.taken()
            self.network.settle()
            self.assertNoResult(taken)
            self.assertEqual(len(theirs), 0)
        self.network.settle()
        for each in (taken, inner.taken(), outer.taken()):
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual(self.messages(mine), 1)
        self.assertEqual([key for key, *_ in heard[0]], ["a", "b", "c"])
        self.assertEqual(len(heard), 1)

    def test_one_that_raises_takes_only_its_own_back(self) -> None:
        mine, theirs = self.open(2)
        with mine.batch() as outer:
            mine["a"] = 1
            with self.assertRaises(ZeroDivisionError), mine.batch() as inner:
                mine["a"] = 2
                del mine["a"]
                mine["b"] = 2
                1 / 0  # noqa: B018
            with self.assertRaises(InvalidKey):
                mine.update({"c": 3, "": 3})
            self.assertEqual(dict(mine), {"a": 1})
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": 1})
        self.failureResultOf(inner.taken(), BatchError)
        self.assertIsNone(self.successResultOf(outer.taken()))

    def test_with_the_outer_one_the_inner_one_is_gone(self) -> None:
        (mine,) = self.open(1)
        with self.assertRaises(ZeroDivisionError), mine.batch():
            with mine.batch() as inner:
                mine["a"] = 1
            1 / 0  # noqa: B018
        self.failureResultOf(inner.taken(), BatchError)
        self.assertEqual(dict(mine), {})

    def test_blocks_that_overlap(self) -> None:
        """As of two coroutines that wait within their blocks."""
        (mine,) = self.open(1)
        mine["old"] = 1
        first, second = mine.batch(), mine.batch()
        first.__enter__()
        mine["a"] = 1
        second.__enter__()
        mine["b"] = 1
        with self.assertRaises(BatchError):
            first.__exit__(None, None, None)
        mine["c"] = 1
        with self.assertRaises(BatchError):
            second.__exit__(None, None, None)
        for each in (first, second):
            self.failureResultOf(each.taken(), BatchError)
        self.assertEqual(dict(mine), {"old": 1, "c": 1})

    def test_a_batch_is_for_one_block(self) -> None:
        (mine,) = self.open(1)
        batch = mine.batch()
        with batch:
            mine["a"] = 1
        with self.assertRaises(BatchError), batch:
            mine["a"] = 2
        with batch.__class__(mine._writer) as other, self.assertRaises(BatchError), other:
            mine["a"] = 3
        self.assertEqual(dict(mine), {"a": 1})


class SizeTest(BatchTestCase):
    VALUE = "x" * 100_000

    def fill(self, shared: DistributedMap) -> None:
        for n in range(7):
            shared[f"k{n}"] = self.VALUE

    def test_too_much_is_refused_before_anything_is_written(self) -> None:
        mine, theirs = self.open(2)
        with self.assertRaisesRegex(InvalidValue, f"{MAX_BATCH_BYTES} bytes"):
            mine.update({f"k{n}": self.VALUE for n in range(8)})
        with mine.batch():
            self.fill(mine)
            with self.assertRaises(InvalidValue):
                mine["more"] = self.VALUE
            mine["k0"] = self.VALUE  # in place of the one before
            with mine.batch():
                mine["k1"] = self.VALUE
                del mine["k2"]
                mine["more"] = self.VALUE
            with self.assertRaises(InvalidValue):
                mine["k2"] = self.VALUE
        self.network.settle()
        self.assert_equal_maps(
            [mine, theirs], dict.fromkeys(["k0", "k1", "k3", "k4", "k5", "k6", "more"], self.VALUE)
        )
        self.assertEqual(self.messages(mine), 1)

    def test_the_largest_batch_gets_through(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        count = MAX_BATCH_BYTES // (ENTRY_BYTES + len('"0001"') + 2)
        mine.update({f"{n:04}": 10 + n % 90 for n in range(count)})
        self.network.settle()
        self.assertEqual([len(each) for each in heard], [count])
        self.assertEqual(self.messages(mine), 1)

    def test_the_bound_fits_a_frame_and_any_value(self) -> None:
        most = 2**53 - 1
        longest = encode_entry("k", Entry(Stamp(most, most, "w" * 32), b"1"))
        self.assertLess(len(longest) - len('"k"1'), ENTRY_BYTES - len(","))
        self.assertLess(MAX_BATCH_BYTES + 100, DEFAULT_LIMITS.frame_bytes - PREFIX_BYTES)
        self.assertLess(LARGEST_VALUE_BYTES + 6 * 1024 + ENTRY_BYTES, MAX_BATCH_BYTES)


class TakenTest(BatchTestCase):
    def test_when_the_relay_has_all(self) -> None:
        mine, _ = self.open(2)
        with mine.batch() as batch:
            first = mine.set("a", 1)
            second = mine.set("a", 2)
            gone = mine.delete("a")
            other = mine.set("b", 1)
            inside = batch.taken()
        outside = batch.taken()
        for pending in (other, inside, outside):
            self.assertNoResult(pending)
        self.network.settle()
        for each in (first, second, other, inside, outside, batch.taken()):
            self.assertIsNone(self.successResultOf(each))
        self.assertTrue(self.successResultOf(gone))

    def test_after_a_reconnect(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        self.network.cut(mine.connection)
        with mine.batch() as batch:
            mine.update(a=1, b=1, c=1)
        taken = batch.taken()
        mine["b"] = 2
        self.network.settle(0.1)
        self.assertNoResult(taken)
        self.network.settle(30)
        self.assertIsNone(self.successResultOf(taken))
        self.assertEqual(
            [[(key, value) for key, value, *_ in each] for each in heard],
            [[("a", 1), ("c", 1)], [("b", 2)]],
        )

    def test_closed_before(self) -> None:
        mine, _ = self.open(2)
        self.network.cut(mine.connection)
        with mine.batch() as batch:
            mine.update(a=1, b=1)
        taken = batch.taken()
        with mine.batch():
            mine["c"] = 1  # nobody asks about this one, so nobody is told
        mine.close()
        for each in (taken, batch.taken()):
            self.failureResultOf(each, MapClosed)

    def test_closed_within(self) -> None:
        (mine,) = self.open(1)
        heard = self.lists(mine)
        with self.assertRaises(MapClosed), mine.batch() as batch:
            mine["a"] = 1
            mine.close()
        self.failureResultOf(batch.taken(), MapClosed)
        self.assertEqual(heard, [])

    def test_who_asked_is_told_though_nobody_holds_the_batch(self) -> None:
        mine, _ = self.open(2)

        def write() -> Deferred[None]:
            with mine.batch() as batch:
                mine["a"] = 1
            return batch.taken()

        taken = write()
        gc.collect()
        self.network.settle()
        self.assertIsNone(self.successResultOf(taken))

    def test_what_nobody_asks_about_does_not_gather(self) -> None:
        mine, _ = self.open(2)
        self.network.cut(mine.connection)
        for n in range(100):
            mine.update(a=n, b=n)
        gc.collect()
        mine.update(a=0)
        self.assertEqual([len(each) for each in mine._writes._waiting.values()], [1, 1])


class TogetherTest(BatchTestCase):
    """A batch stays together whatever happens before the relay has it."""

    def test_what_was_cut_off_is_sent_again_as_one(self) -> None:
        mine, theirs = self.open(2)
        heard = self.lists(theirs)
        mine.update({f"k{n}": "x" * 1000 for n in range(300)})  # several chunks of single writes
        self.network.cut(mine.connection)
        mine["later"] = 1
        self.network.settle(30)
        self.assertEqual([len(each) for each in heard], [300, 1])
        self.assertEqual(dict(theirs), dict(mine))

    def set_clock(self, shared: DistributedMap, skew_ms: int) -> None:
        wall_ms = lambda: self.network.clock.seconds() * 1000 + skew_ms  # noqa: E731
        shared._replica.clock._wall_ms = shared._seat.peer.time._now_ms = wall_ms

    def test_a_wrong_clock(self) -> None:
        for sent in (False, True):
            with self.subTest(sent=sent):
                mine, theirs = self.open(2)
                heard = self.lists(theirs)
                mine["k0"] = mine["k1"] = 0
                self.network.settle()
                heard.clear()
                if not sent:
                    self.network.cut(mine.connection)
                self.set_clock(mine, 3_600_000)
                mine["x"] = 1
                mine.update({f"k{n}": 1 for n in (2, 0, 1, 3)})
                mine["k0"] = 2
                mine["y"] = 1
                self.network.settle(60)
                lists = [sorted(key for key, *_ in each) for each in heard]
                self.assertIn(["k1", "k2", "k3"], lists)
                self.assertEqual(len({mine.stamp(f"k{n}") for n in (1, 2, 3)}), 1)
                self.assertEqual(dict(theirs), dict(mine))
                self.assertLess(mine._replica.entries["k1"].stamp.ms, mine.now_ms() + 60_000)
                for each in (mine, theirs):
                    each.connection.close()
                self.network.settle()

    def test_after_a_long_absence(self) -> None:
        replica, outbox = new_replica(), Outbox()
        base = replica.set("c", 0).entry.stamp
        outbox.go_online()

        def write(keys: str, value: bytes) -> None:
            stamp = replica.clock.tick()
            for key in keys:
                update = replica.rewrite(key, value, stamp)
                old = update.old.stamp if update.old else None
                outbox.add(key, update.entry, aside.written(key, old))

        def set_aside() -> None:
            outbox.begin_sweep()
            outbox.sweep(100, lambda write: bool(aside.put(write)) and False)

        aside = Aside(replica, outbox)
        write("a", b"1")
        set_aside()
        write("xy", b"2")
        write("bac", b"3")
        set_aside()
        replica.merge("c", Entry(base, b"0"))
        replica.merge("x", Entry(replica.clock.tick(), b"9"))
        superseded = []
        while len(aside):
            superseded += aside.end(1).superseded
        self.assertEqual([key for key, _ in superseded], ["x"])
        messages = []
        while (message := outbox.next_message()) is not None:
            content = json.loads(message)
            each = content.get("entries", [content])
            messages.append({one["key"]: one["value"] for one in each})
        self.assertEqual(messages, [{"y": 2}, {"b": 3, "a": 3, "c": 3}])

    def test_superseded(self) -> None:
        (mine,) = self.open(1)
        self.network.cut(mine.connection)
        with mine.batch() as batch:
            mine.update(a=1, b=2)
        taken = batch.taken()
        mine.superseded([("a", mine._replica.entries["a"])])
        self.failureResultOf(taken, Superseded)
        self.network.settle(30)
        self.failureResultOf(batch.taken(), Superseded)


class BatchTest(TestCase):
    def test_it_is_told_of_each_write_once(self) -> None:
        """Its own part, without a map: see the others for the rest."""
        batch = Batch(None)  # type: ignore[arg-type]
        batch.texts = {"a": b"1", "b": None}
        batch.ended()
        told: list[Any] = []
        batch.taken().addBoth(told.append)
        batch.callback(None)
        self.assertEqual(told, [])
        batch.callback(None)
        self.assertEqual(told, [None])
