"""distmap.correction: what a wrong clock has stamped is put right, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any
from unittest import TestCase
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap import correction
from distmap.clock import MAX_AHEAD_MS, Stamp
from distmap.correction import STEP_ENTRIES, STEP_HELD, Correction
from distmap.entries import Entry
from distmap.lww import Update
from distmap.outbox import Outbox
from tests.simulation.plan import replaced
from tests.support.replicas import NOW_MS, Wall, check_replica, new_replica

HOUR_MS = 3_600_000


class _Port:
    """How much was told in the last step."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def updated(self, updates: list[Update]) -> None:
        self.told += [update.key for update in updates]

    restamped = updated


class Side:
    """A replica whose clock is an hour ahead, and its outbox."""

    def __init__(self) -> None:
        self.wall = Wall(NOW_MS + HOUR_MS)
        self.replica = new_replica("mine", self.wall)
        self.outbox = Outbox()
        self.port = _Port()
        port: Any = self.port
        self.correction = Correction(self.replica, self.outbox, port, {"mine"})

    def write(self, *keys: str) -> Stamp:
        """A write, or a batch."""
        olds = [self.replica.entries[key].stamp for key in keys if key in self.replica.entries]
        stamp = self.replica.clock.tick(max(olds, default=None))
        for key in keys:
            update = self.replica.rewrite(key, b"1", stamp)
            self.correction.wrote(update)
            self.outbox.add(key, update.entry)
        return stamp

    def merge(self, key: str, ms: int) -> None:
        self.replica.merge(key, Entry(Stamp(ms, 0, "theirs"), b"0"))

    def send(self) -> None:
        """All that waits; the relay takes it."""
        self.outbox.go_online()
        while self.outbox.next_message() is not None:
            pass
        self.outbox.acknowledge(10**6)

    def begin(self, ms: int = NOW_MS) -> None:
        self.wall.ms = ms
        assert self.replica.clock.correct(0)
        self.correction.begin()

    def finish(self) -> int:
        """Takes all steps; returns how many they were."""
        steps = 1
        while not self.correction.work():
            steps += 1
        return steps


class CorrectionTest(TestCase):
    def setUp(self) -> None:
        self.side = Side()

    def test_a_small_map_takes_one_step(self) -> None:
        side = self.side
        side.merge("near", NOW_MS + MAX_AHEAD_MS - 5)
        side.merge("far", NOW_MS + HOUR_MS)
        side.write("sent")
        side.send()
        side.write("a", "b")
        side.begin()
        self.assertEqual(side.finish(), 1)
        self.assertEqual((side.correction.is_on, side.correction.to_fetch), (False, True))
        entries = side.replica.entries
        self.assertEqual(entries.keys(), {"near", "a", "b", "sent"})
        self.assertEqual(entries["a"].stamp, entries["b"].stamp)
        self.assertGreater(entries["a"].stamp.ms, NOW_MS + MAX_AHEAD_MS - 6, "later than all here")
        self.assertEqual({key for key, _ in side.replica.held}, {"far", "sent"})
        self.assertEqual(side.outbox.unsent, ["a", "b", "sent"])
        self.assertFalse(side.replica.clock.is_correcting)

    def test_how_much_one_step_does(self) -> None:
        side = self.side
        for at in range(2500):
            side.write(f"sent-{at}")
        side.send()
        for at in range(3500):
            side.write(f"unsent-{at}")
        side.begin()
        most = 0
        while not side.correction.work():
            most = max(most, len(side.port.told))
            side.port.told.clear()
        self.assertLessEqual(most, STEP_ENTRIES + STEP_HELD)
        self.assertEqual(len(side.outbox), 6000)
        self.assertTrue(all(e.stamp.ms == NOW_MS for e in side.replica.entries.values()))
        check_replica(side.replica)

    def test_what_was_sent_is_put_into_order_some_in_each_step(self) -> None:
        """Also where the keys came in another order, long before."""
        side = self.side
        keys = [f"k{at}" for at in range(2 * STEP_ENTRIES + 500)]
        for key in reversed(keys):
            side.merge(key, NOW_MS - 1)
        for at in range(0, len(keys), 5):
            side.write(*keys[at : at + 5])
        side.send()
        side.begin()
        looked: list[int] = []

        def counting(item: tuple[str, Entry]) -> Stamp:
            looked[-1] += 1
            return item[1].stamp

        with patch.object(correction, "_stamp_of", counting):
            while side.correction.is_on:
                looked.append(0)
                side.correction.work()
        self.assertLessEqual(max(looked), STEP_ENTRIES + 4 * STEP_HELD)
        self.assertGreater(sum(looked), len(keys))
        batches = [int(key[1:]) // 5 for key in side.outbox.unsent]
        self.assertEqual(batches, [at // 5 for at in range(len(keys))])
        stamps = [side.replica.entries[key].stamp for key in keys]
        self.assertEqual(stamps, sorted(stamps))
        self.assertEqual(len(set(stamps)), len(keys) // 5)

    def test_a_key_that_is_written_meanwhile(self) -> None:
        side = self.side
        for at in range(STEP_ENTRIES):
            side.merge(f"k{at}", NOW_MS)
        side.merge("theirs", NOW_MS + HOUR_MS)
        side.write("mine")
        side.begin()
        self.assertFalse(side.correction.work())
        for key in ("theirs", "mine"):
            self.assertEqual(side.write(key).ms, NOW_MS, "it does not follow what is to go")
        side.finish()
        held = [key for key, _ in side.replica.held]
        self.assertEqual(held, ["theirs"], "as with the others; nobody has seen the other")
        self.assertEqual(set(side.outbox.unsent), {"theirs", "mine"})
        self.assertTrue(side.correction.to_fetch, "something may have lost meanwhile")

    def test_a_second_correction_begins_again(self) -> None:
        side = self.side
        for at in range(2 * STEP_ENTRIES + 1):
            side.write(f"k{at}")
        side.begin()
        for _ in range(4):
            self.assertFalse(side.correction.work())
        side.begin(NOW_MS - HOUR_MS)
        side.finish()
        stamps = [entry.stamp.ms for entry in side.replica.entries.values()]
        self.assertEqual(set(stamps), {NOW_MS - HOUR_MS})
        self.assertEqual(len(side.outbox.unsent), 2 * STEP_ENTRIES + 1)

    steps = st.lists(
        st.one_of(
            st.tuples(
                st.just("write"), st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)
            ),
            st.tuples(st.just("merge"), st.sampled_from("abcdef"), st.sampled_from([0, 50, 3600])),
            st.tuples(st.just("lose")),
            st.tuples(st.just("again")),
        ),
        max_size=12,
    )

    @settings(max_examples=200, deadline=None)
    @given(steps, steps, st.integers(0, 12))
    def test_whatever_happens_between_two_steps(
        self, before: list[Any], between: list[Any], sent: int
    ) -> None:
        """In the end nothing here is from the future, each own write is here or has lost to a later
        entry, and what waits is what is here.
        """
        side = Side()

        def do(what: str, *args: Any) -> None:
            if what == "write":
                side.write(*args[0])
            elif what == "merge":
                side.merge(args[0], NOW_MS + 1000 * args[1])
            elif what == "lose":
                side.outbox.go_offline()
            elif side.correction.is_on:
                side.correction.begin()

        with replaced({"correction.STEP_ENTRIES": 2, "correction.STEP_HELD": 1}):
            for at, step in enumerate(before):
                do(*step)
                if at == sent:
                    side.send()
            written = {key for step in before if step[0] == "write" for key in step[1]}
            side.wall.ms = NOW_MS
            if not side.replica.clock.correct(0):
                return
            side.correction.begin()
            for step in between:
                side.correction.work()
                do(*step)
                written |= set(step[1]) if step[0] == "write" else set()
            side.finish()
        clock, entries = side.replica.clock, side.replica.entries
        self.assertFalse([key for key, entry in entries.items() if clock.is_ahead(entry.stamp)])
        held = {key for key, _ in side.replica.held}
        for key in written:
            self.assertTrue(key in entries or key in held)
        for key in side.outbox.unsent:
            write = side.outbox._waiting[key]
            there = entries.get(key)
            self.assertTrue(there is write.entry or key in held or there.stamp > write.entry.stamp)  # type: ignore[union-attr]
        stamps = [side.outbox._waiting[key].entry.stamp for key in side.outbox.unsent]
        ours = [stamp for stamp in stamps if not clock.is_ahead(stamp)]
        self.assertLess(max(ours, default=Stamp(0, 0, "")), clock.tick())
        check_replica(side.replica)
