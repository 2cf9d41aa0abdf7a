"""A replica: equal to all that have seen the same, in whatever order it came."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import Any
from unittest import TestCase, mock

from hypothesis import given
from hypothesis import strategies as st

from distmap import values
from distmap.clock import MAX_AHEAD_MS, MAX_COUNTER, Restamper, Stamp
from distmap.entries import Entry, decode_entry, encode_entry, entry_hash, wins
from distmap.errors import InvalidKey, InvalidType, InvalidValue
from distmap.holding import MAX_HELD, MAX_HELD_PER_WRITER
from distmap.lww import Replica, Update
from tests.support.replicas import (
    NOW_MS,
    SETTINGS,
    Wall,
    best_of,
    check_replica,
    held_by,
    keyed_entries,
    new_replica,
    some_values,
)
from tests.vectors import make_vectors

VECTORS = make_vectors.load("merges")
HOUR_MS = 3_600_000

many_entries = st.lists(keyed_entries, max_size=30)
# Of a few keys, from now to three minutes ahead: some are due, some wait.
timed_entries = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.builds(
            Entry,
            st.builds(
                Stamp,
                st.integers(NOW_MS, NOW_MS + 3 * MAX_AHEAD_MS),
                st.integers(0, 1),
                st.sampled_from(["x", "y"]),
            ),
            st.none() | some_values,
            st.none(),
        ),
    ),
    max_size=20,
)


def set_at(ms: int, value: object = 1, counter: int = 0, writer: str = "w") -> Entry:
    """An entry with a value."""
    return Entry(Stamp(ms, counter, writer), values.encode(value))


class Vectors(TestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        made = make_vectors.text_of(make_vectors.make_merges())
        self.assertEqual(made, make_vectors.path("merges").read_text("ascii"))

    def test_merges(self) -> None:
        for case in VECTORS["cases"]:
            texts = case["entries"]
            for order in (texts, texts[::-1], texts + texts, sorted(texts)):
                replica = new_replica(wall=Wall(VECTORS["now_ms"]))
                for text in order:
                    replica.merge(*decode_entry(text.encode()))
                for found, wanted in (
                    (replica.entries.items(), case["kept"]),
                    (replica.held, case["held"]),
                ):
                    sent = sorted(encode_entry(*each).decode() for each in found)
                    self.assertEqual(sent, wanted, case["name"])
                self.assertEqual(replica.live, case["live"], case["name"])
                self.assertEqual(list(replica.digest()), case["digest"], case["name"])


class Merge(TestCase):
    """Order, repetition and grouping do not matter."""

    @SETTINGS
    @given(many_entries, st.randoms(use_true_random=False))
    def test_any_order_and_repetition(self, found: list[tuple[str, Entry]], random: Random) -> None:
        replica, other = new_replica(), new_replica("other")
        for key, entry in found:
            replica.merge(key, entry)
        again = found + random.choices(found, k=5) if found else []
        random.shuffle(again)
        for key, entry in again:
            other.merge(key, entry)
            if random.random() < 0.2:
                other.fold(random.randrange(4))
        self.assertEqual(replica.entries, other.entries)
        self.assertEqual(replica.digest(), other.digest())
        self.assertEqual(replica.entries, best_of(found))
        check_replica(replica)
        check_replica(other)

    @SETTINGS
    @given(many_entries, many_entries, many_entries)
    def test_any_grouping(
        self,
        first: list[tuple[str, Entry]],
        second: list[tuple[str, Entry]],
        third: list[tuple[str, Entry]],
    ) -> None:
        def union(*parts: dict[str, Entry]) -> dict[str, Entry]:
            replica = new_replica()
            for part in parts:
                for key, entry in part.items():
                    replica.merge(key, entry)
            return replica.entries

        a, b, c = (best_of(group) for group in (first, second, third))
        self.assertEqual(union(union(a, b), c), union(a, union(b, c)))
        self.assertEqual(union(a, b), union(b, a))
        self.assertEqual(union(a, a), a)

    @SETTINGS
    @given(many_entries)
    def test_updates_tell_what_changed(self, found: list[tuple[str, Entry]]) -> None:
        replica = new_replica()
        told: dict[str, Entry] = {}
        for key, entry in found:
            update = replica.merge(key, entry)
            self.assertEqual(update is not None, wins(key, entry, told.get(key)))
            if update is not None:
                self.assertEqual(update, Update(key, entry, told.get(key)))
                told[key] = entry
        self.assertEqual(told, replica.entries)

    def test_a_deleted_key_does_not_come_back(self) -> None:
        replica = new_replica()
        old = replica.set("a", 1)
        gone = replica.delete("a")
        assert gone is not None
        self.assertIsNone(replica.merge("a", old.entry))
        self.assertEqual(list(replica.items()), [])
        self.assertEqual(replica.digest(), (1, entry_hash("a", gone.entry)))


class Writes(TestCase):
    """A replica's own writes, against a plain dict."""

    @SETTINGS
    @given(
        st.lists(
            st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(0, 3))
            | st.tuples(st.just("delete"), st.sampled_from("abc"), st.none())
            | st.tuples(st.just("wall"), st.integers(-HOUR_MS, HOUR_MS), st.none())
        )
    )
    def test_like_a_dict(self, steps: list[tuple[str, Any, int | None]]) -> None:
        wall = Wall()
        replica, other = new_replica(wall=wall), new_replica("other", Wall(NOW_MS + HOUR_MS))
        model: dict[str, int] = {}
        for what, argument, value in steps:
            if what == "wall":
                wall.ms += argument
                wall.ms = min(wall.ms, NOW_MS + HOUR_MS)
                continue
            update: Update | None
            if what == "set":
                assert value is not None
                model[argument] = value
                update = replica.set(argument, value)
            else:
                update = replica.delete(argument)
                self.assertEqual(update is None, model.pop(argument, None) is None)
            if update is not None:
                self.assertIsNotNone(other.merge(update.key, update.entry))
            found = {key: values.decode(text) for key, text in replica.items()}
            self.assertEqual(found, model)
            self.assertEqual(replica.live, len(model))
        self.assertEqual(other.entries, replica.entries)
        self.assertEqual(other.digest(), replica.digest())
        check_replica(replica)

    @SETTINGS
    @given(many_entries, st.lists(keyed_entries, min_size=1), st.integers(-HOUR_MS, HOUR_MS))
    def test_win_over_all_that_is_there(
        self, found: list[tuple[str, Entry]], writes: list[tuple[str, Entry]], wall_ms: int
    ) -> None:
        wall = Wall()
        replica = new_replica(wall=wall)
        for key, entry in found:
            replica.merge(key, entry)
        wall.ms += wall_ms
        for key, entry in writes:
            old = replica.entries.get(key)
            if entry.value is None:
                update = replica.delete(key)
                self.assertEqual(update is None, old is None or old.value is None)
            else:
                update = replica.set(key, 7)
            if update is not None:
                self.assertEqual(update.old, old)
                self.assertIs(replica.entries[key], update.entry)
                self.assertTrue(wins(key, update.entry, old))
        check_replica(replica)

    def test_win_over_a_counter_at_its_end(self) -> None:
        replica = new_replica()
        replica.merge("a", set_at(NOW_MS + 9, counter=MAX_COUNTER))
        update = replica.set("a", 2)
        self.assertEqual(update.entry.stamp, Stamp(NOW_MS + 10, 0, "me"))
        self.assertEqual(decode_entry(encode_entry("a", update.entry))[1], update.entry)

    def test_win_over_what_a_wrong_clock_took(self) -> None:
        wall = Wall(NOW_MS + 2 * HOUR_MS)
        replica = new_replica(wall=wall)
        taken = set_at(NOW_MS + 2 * HOUR_MS)
        self.assertIsNotNone(replica.merge("a", taken))
        self.assertTrue(replica.clock.correct(-2 * HOUR_MS))
        self.assertTrue(wins("a", replica.set("a", 2).entry, taken))

    def test_are_later_than_what_was_heard_of_other_keys(self) -> None:
        replica = new_replica()
        replica.merge("a", set_at(NOW_MS + 500, counter=3))
        self.assertEqual(replica.set("b", 1).entry.stamp, Stamp(NOW_MS + 500, 4, "me"))

    def test_what_no_map_can_hold_changes_nothing(self) -> None:
        replica = new_replica()
        replica.set("a", 1)
        before = dict(replica.entries)
        for key in ("", "x" * 1025, "\ud800"):
            with self.assertRaises(InvalidKey):
                replica.set(key, 1)
            with self.assertRaises(InvalidKey):
                replica.delete(key)
        for value in (2**53, float("nan"), "x" * values.MAX_VALUE_BYTES, "\ud800"):
            with self.assertRaises(InvalidValue):
                replica.set("a", value)
        with self.assertRaises(InvalidType):
            replica.set("a", {1})
        with self.assertRaises(InvalidType):
            replica.set(1, 1)  # type: ignore[arg-type]
        with self.assertRaises(InvalidType):
            replica.delete(None)  # type: ignore[arg-type]
        self.assertEqual(replica.entries, before)
        self.assertEqual(replica.clock.tick().counter, 1)

    def test_a_limit_of_ones_own(self) -> None:
        replica = new_replica(max_value_bytes=4)
        replica.set("a", "xx")
        with self.assertRaises(InvalidValue):
            replica.set("a", "xxx")

    def test_a_key_of_an_enumeration_is_its_text(self) -> None:
        class Colour(StrEnum):
            RED = "red"

        replica = new_replica()
        update = replica.set(Colour.RED, 1)
        self.assertIs(type(update.key), str)
        self.assertEqual([type(key) for key in replica.entries], [str])
        deleted = replica.delete(Colour.RED)
        assert deleted is not None
        self.assertIs(type(deleted.key), str)

    def test_a_value_is_not_shared_with_the_caller(self) -> None:
        replica = new_replica()
        value = {"a": [1]}
        replica.set("k", value)
        value["a"].append(2)
        self.assertEqual([values.decode(text) for _, text in replica.items()], [{"a": [1]}])

    def test_setting_the_same_again_is_a_write(self) -> None:
        # Another peer may have written in between, and this one came later.
        replica = new_replica()
        first, second = replica.set("a", 1), replica.set("a", 1)
        self.assertGreater(second.entry.stamp, first.entry.stamp)

    def test_live_counts_values_only(self) -> None:
        replica = new_replica()
        replica.set("a", None)
        replica.set("b", 1)
        self.assertEqual(replica.live, 2)
        replica.delete("a")
        self.assertEqual((replica.live, len(replica.entries)), (1, 2))
        replica.set("a", 1)
        replica.merge("c", Entry(Stamp(NOW_MS, 0, "w"), None))
        self.assertEqual((replica.live, len(replica.entries)), (2, 3))


class Held(TestCase):
    """Entries from the future wait."""

    def setUp(self) -> None:
        self.wall = Wall()
        self.replica = new_replica(wall=self.wall)

    def test_until_their_time(self) -> None:
        entry = set_at(NOW_MS + MAX_AHEAD_MS + 10)
        self.assertIsNone(self.replica.release_in_ms())
        self.assertIsNone(self.replica.merge("a", entry))
        self.assertEqual((self.replica.entries, list(self.replica.held)), ({}, [("a", entry)]))
        self.assertEqual(self.replica.digest(), (0, 0))
        self.assertEqual(self.replica.release_in_ms(), 10)
        self.wall.ms += 9
        self.assertEqual(self.replica.release(), [])
        self.assertEqual(self.replica.release_in_ms(), 1)
        self.wall.ms += 1
        self.assertEqual(self.replica.release_in_ms(), 0)
        self.assertEqual(self.replica.release(), [Update("a", entry, None)])
        self.assertEqual((self.replica.entries, list(self.replica.held)), ({"a": entry}, []))
        self.assertIsNone(self.replica.release_in_ms())

    def test_do_not_move_the_clock(self) -> None:
        self.replica.merge("a", set_at(NOW_MS + HOUR_MS))
        self.assertEqual(self.replica.set("b", 1).entry.stamp.ms, NOW_MS)

    def test_at_the_bound_nothing_waits(self) -> None:
        self.assertIsNotNone(self.replica.merge("a", set_at(NOW_MS + MAX_AHEAD_MS)))
        self.assertEqual(len(self.replica.held), 0)

    def test_a_held_entry_that_lost_meanwhile(self) -> None:
        self.replica.merge("a", set_at(NOW_MS + HOUR_MS))
        self.wall.ms += 2 * HOUR_MS
        written = self.replica.set("a", 2).entry
        self.assertEqual(self.replica.release(), [])
        self.assertEqual((self.replica.entries, list(self.replica.held)), ({"a": written}, []))

    def test_a_held_tombstone(self) -> None:
        self.replica.set("a", 1)
        self.replica.merge("a", Entry(Stamp(NOW_MS + HOUR_MS, 0, "w"), None))
        self.assertEqual(self.replica.live, 1)
        self.wall.ms += HOUR_MS
        self.assertEqual(len(self.replica.release()), 1)
        self.assertEqual(self.replica.live, 0)

    def test_none_is_dropped_up_to_the_most(self) -> None:
        order = list(range(MAX_HELD))
        Random(1).shuffle(order)
        for n in order:
            writer = f"w{n // MAX_HELD_PER_WRITER}"
            self.replica.merge(f"k{n}", set_at(NOW_MS + HOUR_MS + n, writer=writer))
        self.assertEqual(len(self.replica.held), MAX_HELD)
        self.wall.ms += 2 * HOUR_MS
        self.assertEqual(len(self.replica.release()), MAX_HELD)
        check_replica(self.replica)

    def test_over_the_most_the_furthest_goes(self) -> None:
        order = list(range(MAX_HELD + 50))
        Random(2).shuffle(order)
        for n in order:
            writer = f"w{n % 20}"
            self.replica.merge(f"k{n}", set_at(NOW_MS + HOUR_MS + n, writer=writer))
        kept = {key for key, _ in self.replica.held}
        self.assertEqual(kept, {f"k{n}" for n in range(MAX_HELD)})

    @SETTINGS
    @given(timed_entries, st.randoms(use_true_random=False))
    def test_order_does_not_matter(self, found: list[tuple[str, Entry]], random: Random) -> None:
        at_ms = NOW_MS + random.randrange(3 * MAX_AHEAD_MS)
        replicas = [new_replica(wall=Wall(at_ms)) for _ in range(2)]
        for replica in replicas:
            random.shuffle(found)
            for key, entry in found:
                replica.merge(key, entry)
        first, second = replicas
        self.assertEqual(first.entries, second.entries)
        self.assertEqual(held_by(first.held), held_by(second.held))
        due = [(key, e) for key, e in found if e.stamp.ms <= at_ms + MAX_AHEAD_MS]
        self.assertEqual(first.entries, best_of(due))

    @SETTINGS
    @given(timed_entries, st.randoms(use_true_random=False))
    def test_at_last_all_are_equal(self, found: list[tuple[str, Entry]], random: Random) -> None:
        # Each replica hears in its own order, while its time goes on in its own steps.
        replicas = []
        for _ in range(2):
            wall = Wall()
            replica = new_replica(wall=wall)
            random.shuffle(found)
            for key, entry in found:
                replica.merge(key, entry)
                wall.ms += random.choice([0, 0, 1, 20_000])
                if random.random() < 0.3:
                    replica.release()
                    self.assertNotEqual(replica.release_in_ms(), 0)
            wall.ms = NOW_MS + 9 * MAX_AHEAD_MS
            replica.release()
            replicas.append(replica)
        for replica in replicas:
            self.assertEqual(replica.entries, best_of(found))
            self.assertEqual(len(replica.held), 0)
            check_replica(replica)
        self.assertEqual(replicas[0].digest(), replicas[1].digest())


class Restamp(TestCase):
    """Own writes of a clock that was wrong, stamped anew before anybody has seen them."""

    def test_after_a_correction(self) -> None:
        wall = Wall(NOW_MS + 2 * HOUR_MS)
        replica, other = new_replica(wall=wall), new_replica("other")
        replica.set("a", 1)
        replica.set("b", 2)
        replica.delete("a")
        replica.set("c", 3)
        self.assertTrue(replica.clock.correct(-2 * HOUR_MS))
        updates = replica.restamp(["b", "a", "c"], Restamper(replica.clock))
        self.assertEqual([update.key for update in updates], ["b", "a", "c"])
        stamps = [update.entry.stamp for update in updates]
        self.assertEqual(stamps, sorted(set(stamps)))
        for update in updates:
            self.assertIs(replica.entries[update.key], update.entry)
            self.assertIsNotNone(other.merge(update.key, update.entry))
        self.assertEqual(len(other.held), 0)
        self.assertEqual(other.entries, replica.entries)
        self.assertEqual(replica.live, 2)
        self.assertEqual(replica.digest(), other.digest())
        check_replica(replica)

    def test_keeps_extras(self) -> None:
        replica = new_replica()
        replica.merge("a", set_at(NOW_MS).replace(extras=b'{"x":1}'))
        (update,) = replica.restamp(["a"], Restamper(replica.clock))
        wanted = Entry(replica.entries["a"].stamp, b"1", b'{"x":1}')
        self.assertEqual(update.entry, wanted)


class Tombstones(TestCase):
    """Tombstones are kept for the retention, and then forgotten by all at the same moment."""

    RETENTION_MS = 720_000  # in steps of a second

    def setUp(self) -> None:
        self.wall = Wall()

    def replica(self, writer: str = "me", skew_ms: int = 0) -> Replica:
        replica = new_replica(writer, Wall(), retention_ms=self.RETENTION_MS)
        replica.clock._wall_ms = lambda: self.wall.ms + skew_ms
        return replica

    def gone(self, ms: int) -> Entry:
        return Entry(Stamp(ms, 0, "w"), None)

    def test_are_forgotten_after_the_retention(self) -> None:
        replica = self.replica()
        replica.set("a", 1)
        replica.delete("a")
        self.wall.ms += self.RETENTION_MS
        self.assertTrue(replica.collect(10))
        self.assertEqual(replica.digest()[0], 1)
        self.wall.ms += 1001
        self.assertTrue(replica.collect(10))
        self.assertEqual((replica.entries, replica.digest()), ({}, (0, 0)))
        self.assertEqual(replica.floor_ms, NOW_MS + 1)
        self.assertEqual(replica._tombstones._oldest, [])

    def test_by_all_in_the_same_step(self) -> None:
        """Clocks that differ a little do not make digests differ, but at the turn of a step."""
        replicas = [self.replica(f"r{n}", skew_ms=n) for n in range(3)]
        for n in range(100):
            for replica in replicas:
                replica.merge(f"k{n}", self.gone(NOW_MS - 37 * n))
        sizes = set()
        for _ in range(60):
            self.wall.ms += 100
            now_ms = self.wall.ms + self.RETENTION_MS - 4000
            for replica, skew_ms in zip(replicas, range(3), strict=True):
                replica.clock._wall_ms = Wall(now_ms + skew_ms)
            if now_ms % 1000 < 990:
                digests = {replica.digest() for replica in replicas}
                self.assertEqual(len(digests), 1)
                self.assertEqual(len({replica.floor_ms for replica in replicas}), 1)
                sizes.add(digests.pop()[0])
        self.assertGreater(len(sizes), 3)
        self.assertIn(0, sizes)

    def test_a_little_at_a_time(self) -> None:
        replica = self.replica()
        for n in range(10):
            replica.merge(f"k{n}", self.gone(NOW_MS + n))
        self.wall.ms += 2 * self.RETENTION_MS
        self.assertFalse(replica.collect(4))
        self.assertEqual(len(replica.entries), 6)
        self.assertEqual(replica.floor_ms, NOW_MS + 4)
        self.assertFalse(replica.fold(5))
        self.assertEqual(len(replica.entries), 1)
        while not replica.fold(5):
            pass
        self.assertEqual(replica.entries, {})
        self.assertEqual(replica.digest(), (0, 0))

    def test_memory_is_bounded_by_what_is_there(self) -> None:
        """The same keys set and deleted for ever."""
        replica = self.replica()
        for n in range(30_000):
            key = f"k{n % 50}"
            replica.set(key, n)
            replica.delete(key)
            self.wall.ms += 7
            if n % 5000 == 0:
                replica.fold(10_000)
            self.assertLessEqual(len(replica._tombstones._oldest), 2 * 50 + 1001)
        self.assertEqual((len(replica.entries), len(replica._tombstones)), (50, 50))
        self.assertLessEqual(len(replica._stale), 50)
        for n in range(50):
            replica.set(f"k{n}", n)
        self.assertEqual(len(replica._tombstones), 0)
        self.wall.ms += 2 * self.RETENTION_MS
        self.assertEqual(replica.digest()[0], 50)
        self.assertEqual(
            (replica._tombstones._oldest, replica.floor_ms), ([], 0), "none was forgotten"
        )

    def test_new_keys_for_ever(self) -> None:
        """Keys that are deleted leave nothing behind, once their time is over."""
        replica = self.replica()
        for n in range(20_000):
            replica.set(f"k{n}", n)
            replica.delete(f"k{n}")
            self.wall.ms += self.RETENTION_MS // 1000
            if n % 10 == 0:
                while not replica.fold(100):
                    pass
                self.assertLessEqual(len(replica.entries), 1012)
        self.assertLessEqual(len(replica._tombstones._oldest), 2 * len(replica._tombstones) + 1000)
        replica.digest()
        check_replica(replica)

    def test_the_floor_rises_by_what_was_forgotten(self) -> None:
        replica = self.replica()
        replica.set("live", 1)
        replica.merge("a", self.gone(NOW_MS - 500))
        replica.merge("b", self.gone(NOW_MS - 900))
        self.wall.ms += 10 * self.RETENTION_MS
        replica.digest()
        self.assertEqual(replica.floor_ms, NOW_MS - 499)
        self.wall.ms += 10 * self.RETENTION_MS
        replica.digest()
        self.assertEqual(replica.floor_ms, NOW_MS - 499, "nothing more was")
        self.assertEqual(list(replica.entries), ["live"])

    def test_what_the_floor_forbids_is_refused(self) -> None:
        replica = self.replica()
        replica.merge("known", set_at(NOW_MS - 5000))
        replica.merge("a", self.gone(NOW_MS - 100))
        self.wall.ms += 2 * self.RETENTION_MS
        replica.digest()
        self.assertIsNone(replica.merge("a", set_at(NOW_MS - 1000)))
        self.assertIsNone(replica.merge("b", set_at(NOW_MS - 100)))
        self.assertEqual(replica.refused, 2)
        self.assertIsNone(replica.merge("c", self.gone(NOW_MS - 1000)))
        self.assertIsNone(replica.merge("c", self.gone(NOW_MS - 1000), trusted=True))
        self.assertEqual(replica.refused, 2, "a tombstone of what is gone is no loss")
        self.assertIsNotNone(replica.merge("b", set_at(NOW_MS - 99)), "at the floor")
        self.assertIsNotNone(replica.merge("known", set_at(NOW_MS - 4000)), "newer than what is")
        self.assertIsNotNone(replica.merge("d", set_at(NOW_MS - 9000), trusted=True))
        check_replica(replica)

    @SETTINGS
    @given(st.lists(st.tuples(keyed_entries, st.integers(0, 3), st.integers(0, 6)), max_size=40))
    def test_like_a_plain_model(self, steps: list[tuple[tuple[str, Entry], int, int]]) -> None:
        """Whatever is forgotten when, live values are those of who forgets nothing."""
        wall = Wall(NOW_MS + 3)
        forgets = new_replica(wall=wall, retention_ms=4)
        for (key, entry), step, most in steps:
            before = forgets.entries.get(key)
            update = forgets.merge(key, entry)
            if update is None and wins(key, entry, before):
                self.assertLess(entry.stamp.ms, forgets.floor_ms)
            wall.ms += step
            forgets.fold(most)
            for key, old in forgets.entries.items():
                if old.value is None:
                    self.assertIn((old.stamp.ms, key), forgets._tombstones._oldest)
        forgets.digest()
        for entry in forgets.entries.values():
            if entry.value is None:
                self.assertGreaterEqual(entry.stamp.ms, wall.ms - 4)
        check_replica(forgets)


class Again(TestCase):
    """What a wrong clock had let in is held after all."""

    def test_hold(self) -> None:
        wall = Wall(NOW_MS + HOUR_MS)
        replica = new_replica(wall=wall)
        near, far = set_at(NOW_MS), set_at(NOW_MS + HOUR_MS)
        replica.merge("near", near)
        replica.merge("far", far)
        replica.merge("gone", Entry(Stamp(NOW_MS + HOUR_MS, 0, "w"), None))
        self.assertTrue(replica.clock.correct(-HOUR_MS))
        replica.hold("far")
        replica.hold("gone")
        self.assertEqual((replica.entries, replica.live), ({"near": near}, 1))
        self.assertEqual({key for key, _ in replica.held}, {"far", "gone"})
        check_replica(replica)
        wall.ms += HOUR_MS
        self.assertEqual(len(replica.release()), 2)
        self.assertEqual(replica.entries["far"], far)
        check_replica(replica)


class Fold(TestCase):
    """The tree of sums is brought up to date at once, or little by little."""

    @SETTINGS
    @given(many_entries, st.lists(st.integers(0, 5), max_size=30))
    def test_in_small_steps(self, found: list[tuple[str, Entry]], steps: list[int]) -> None:
        stepwise, at_once = new_replica(), new_replica()
        for (key, entry), most in zip(found, steps + [0] * len(found), strict=False):
            stepwise.merge(key, entry)
            stepwise.fold(most)
            at_once.merge(key, entry)
        left = len(found)
        while not stepwise.fold(1):
            left -= 1
            self.assertGreaterEqual(left, 0)
        self.assertTrue(stepwise.fold(0))
        self.assertEqual(stepwise.digest(), at_once.digest())
        check_replica(stepwise)

    def test_a_write_hashes_nothing(self) -> None:
        """Nor does an entry that is merged; a digest hashes each key that was touched once."""
        replica, other = new_replica(), new_replica("other")
        with mock.patch("distmap.entries.sha256", wraps=sha256) as hashes:
            for n in range(100):
                replica.set(f"k{n % 10}", n)
                replica.delete(f"k{n % 20}")
                update = other.set(f"o{n % 5}", n)
                replica.merge(update.key, update.entry)
            self.assertEqual(hashes.call_count, 0)
            replica.digest()
            self.assertEqual(hashes.call_count, 2 * (10 + 5), "the key and the entry")
            replica.digest()
            self.assertEqual(hashes.call_count, 2 * (10 + 5))
        check_replica(replica)

    def test_tells_when_there_is_nothing_left(self) -> None:
        replica = new_replica()
        self.assertTrue(replica.fold(0))
        for n in range(10):
            replica.set(f"k{n}", n)
        self.assertFalse(replica.fold(4))
        self.assertFalse(replica.fold(5))
        self.assertTrue(replica.fold(1))
        replica.set("k1", 2)
        self.assertFalse(replica.fold(0))
        self.assertEqual(replica.digest()[0], 10)
        self.assertTrue(replica.fold(0))


class Large(TestCase):
    """Enough keys for the tree to have levels."""

    def test_two_ways_to_the_same(self) -> None:
        random = Random(3)
        updates: list[Update] = []
        writers: list[Replica] = [new_replica(name) for name in "abc"]
        for n in range(3000):
            writer = random.choice(writers)
            key = f"k{random.randrange(900)}"
            update = writer.delete(key) if random.random() < 0.2 else writer.set(key, n)
            if update is not None:
                updates.append(update)
        replicas = [new_replica(), new_replica()]
        for replica in replicas:
            random.shuffle(updates)
            for update in updates:
                replica.merge(update.key, update.entry)
                if random.random() < 0.01:
                    replica.digest()
            check_replica(replica)
        self.assertEqual(replicas[0].entries, replicas[1].entries)
        self.assertEqual(replicas[0].digest(), replicas[1].digest())


class Together(TestCase):
    """Entries that are taken together end as those that are taken one by one."""

    @SETTINGS
    @given(many_entries, timed_entries, st.integers(0, NOW_MS))
    def test_as_one_by_one(
        self, before: list[tuple[str, Entry]], items: list[tuple[str, Entry]], floor_ms: int
    ) -> None:
        for some in (dict(items), dict(before), dict(items[:1])):
            together, single = new_replica(), new_replica()
            for replica in (together, single):
                for key, entry in before[:3]:
                    replica.merge(key, entry)
                replica.floor_ms = floor_ms
            updates = [single.merge(key, entry) for key, entry in some.items()]
            found = together.merge_new(some)
            if found is not None:
                self.assertEqual(found, updates)
                self.assertEqual(together.entries, single.entries)
                self.assertEqual(together.digest(), single.digest())
                self.assertEqual(together.clock.tick(), single.clock.tick())
                check_replica(together)

    def test_only_if_all_are_new(self) -> None:
        replica = new_replica()
        replica.set("known", 1)
        replica.floor_ms = NOW_MS - HOUR_MS
        for key, entry in (
            ("known", set_at(NOW_MS)),
            ("deleted", Entry(Stamp(NOW_MS, 0, "w"), None)),
            ("old", set_at(NOW_MS - HOUR_MS - 1)),
            ("ahead", set_at(NOW_MS + MAX_AHEAD_MS + 1)),
        ):
            self.assertIsNone(replica.merge_new({"a": set_at(NOW_MS), key: entry}), key)
            self.assertEqual(list(replica.entries), ["known"], "nothing was taken")
        good = {"old": set_at(NOW_MS - HOUR_MS), "ahead": set_at(NOW_MS + MAX_AHEAD_MS)}
        updates = replica.merge_new(good)
        self.assertEqual(updates, [Update(key, entry, None) for key, entry in good.items()])
