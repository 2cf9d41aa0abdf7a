"""Two replicas talk, and are equal afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple
from unittest import TestCase

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from distmap import sync_wire as wire
from distmap import values
from distmap.clock import MAX_AHEAD_MS, Stamp
from distmap.columns import Columns, make_columns
from distmap.entries import Entry, decode_entry
from distmap.errors import RemoteProtocolError, VersionMismatch
from distmap.lww import Replica
from distmap.ranges import position_text
from distmap.sync import GATHER, SLACK, SPLIT_ABOVE, WINDOW, Donor, Newcomer
from tests.support.replicas import (
    NOW_MS,
    SETTINGS,
    Traffic,
    check_nothing_lost,
    check_replica,
    converse,
    held_by,
    new_replica,
)
from tests.support.sync_messages import answers, junk, prefixes

# Once in a while a value is larger than a chunk.
SMALL = [values.encode(value) for value in (1, None, "some text", {"a": [0.5, True]})]
LARGE = values.encode("x" * 70_000)


class Pair(NamedTuple):
    """What two replicas have."""

    seed: int
    common: int = 0
    only_newcomer: int = 0
    only_donor: int = 0
    changed: int = 0
    clashes: int = 0
    held: int = 0
    large: float = 0.0

    def build(self) -> tuple[Replica, Replica]:
        """The newcomer's and the donor's replica."""
        random = Random(self.seed)
        both = newcomer, donor = new_replica("n"), new_replica("d")

        def entry(ms: int, writer: str = "w") -> Entry:
            stamp = Stamp(ms, random.randrange(3), writer)
            if random.random() < 0.15:
                return Entry(stamp, None)
            value = LARGE if random.random() < self.large else random.choice(SMALL)
            return Entry(stamp, value, b'{"e":1}' if random.random() < 0.1 else None)

        for n in range(self.common):
            one = entry(NOW_MS - 1000)
            for replica in both:
                replica.merge(f"common {n}", one)
        for replica, count in ((newcomer, self.only_newcomer), (donor, self.only_donor)):
            for n in range(count):
                replica.merge(f"{replica.clock.writer} {n}", entry(NOW_MS - 1000))
        for _ in range(self.changed):
            key, ms = f"common {random.randrange(self.common + 1)}", NOW_MS - random.randrange(900)
            for replica in random.choice([both, both[:1], both[1:]]):
                replica.merge(key, entry(ms, random.choice("wxyz")))
        for n in range(self.clashes):
            one = entry(NOW_MS - 1000)
            newcomer.merge(f"clash {n}", one.replace(value=b"1"))
            donor.merge(f"clash {n}", one.replace(value=random.choice([b"2", None])))
        for n in range(self.held):
            one = entry(NOW_MS + MAX_AHEAD_MS + 1000)
            random.choice(both).merge(f"common {n}", one)
        return newcomer, donor


few = st.integers(0, 6)
many = st.sampled_from([0, 1, SPLIT_ABOVE // 2, 150, 400])
pairs = st.builds(
    Pair,
    seed=st.integers(0, 2**32),
    common=many,
    only_newcomer=few | many,
    only_donor=few | many,
    changed=few | many,
    clashes=few,
    held=few,
    large=st.sampled_from([0.0, 0.0, 0.03]),
)


class SyncTestCase(TestCase):
    """A test with two replicas."""

    def become_equal(self, newcomer: Replica, donor: Replica) -> Traffic:
        """Lets two replicas talk, and fails unless they are equal afterwards."""
        before = dict(newcomer.entries), dict(donor.entries)
        asking, answering = Newcomer(newcomer), Donor(donor)
        traffic = converse(asking, answering)
        self.assertTrue(asking.done and answering.done)
        self.assertEqual(newcomer.entries, donor.entries)
        self.assertEqual(newcomer.digest(), donor.digest())
        for replica, entries in zip((newcomer, donor), before, strict=True):
            check_nothing_lost(entries, replica)
            check_replica(replica)
        return traffic


class Conversation(SyncTestCase):
    """Between two who keep to the protocol."""

    @SETTINGS
    @given(pairs)
    def test_ends_with_equal_replicas(self, pair: Pair) -> None:
        newcomer, donor = pair.build()
        held = set(held_by(donor.held))
        entries = len(newcomer.entries) + len(donor.entries)
        traffic = self.become_equal(newcomer, donor)
        # Rounds to divide, chunks of many entries, and a chunk for each that is large.
        large = sum(len(entry.value or b"") > 9999 for entry in donor.entries.values())
        self.assertLessEqual(traffic.messages, 36 + entries // 20 + 4 * large)
        self.assertLess(traffic.biggest_bytes, 2 * wire.CHUNK_BYTES + 9999)
        if not pair.large:
            self.assertLessEqual(held, held_by(newcomer.held).keys())
        # What is equal needs no more than the two greetings and the end.
        self.assertEqual(converse(Newcomer(newcomer), Donor(donor)).messages, 4)

    @settings(SETTINGS, max_examples=60)
    @given(pairs, st.randoms(use_true_random=False))
    def test_while_both_go_on_changing(self, pair: Pair, random: Random) -> None:
        newcomer, donor = pair.build()
        live: dict[str, deque[tuple[str, Entry]]] = {"n": deque(), "d": deque()}
        sides = {"n": newcomer, "d": donor}
        writes = 0

        def write() -> None:
            nonlocal writes
            writer = random.choice("nd3")
            key = f"common {random.randrange(pair.common + 5)}"
            if writer == "3":  # a third peer, which both hear
                stamp = Stamp(NOW_MS + writes, 9, "third")
                entry = Entry(stamp, random.choice([b"3", None]))
            else:
                update = sides[writer].set(key, writes)
                key, entry = update.key, update.entry
            for side, queue in live.items():
                if side != writer:
                    queue.append((key, entry))
            writes += 1

        def between() -> None:
            if writes < 200 and random.random() < 0.6:
                write()
            for side, queue in live.items():
                while queue and random.random() < 0.4:
                    sides[side].merge(*queue.popleft())

        asking, answering = Newcomer(newcomer), Donor(donor)
        converse(asking, answering, random=random, between=between)
        self.assertTrue(asking.done and answering.done)
        for side, queue in live.items():
            while queue:
                sides[side].merge(*queue.popleft())
        self.assertEqual(newcomer.entries, donor.entries)
        self.assertEqual(newcomer.digest(), donor.digest())
        check_replica(newcomer)

    def test_abandoned_at_any_message_and_continued_with_another(self) -> None:
        pair = Pair(5, 200, only_newcomer=40, only_donor=40, changed=40, clashes=4, large=0.02)
        total = converse(*talk(*pair.build())).messages
        self.assertGreater(total, 12)
        for at_most in range(total):
            newcomer, first = pair.build()
            _, second = pair._replace(seed=6, only_donor=60).build()
            before = dict(newcomer.entries)
            converse(*talk(newcomer, first), at_most=at_most)
            check_nothing_lost(before, newcomer)
            check_replica(newcomer)
            check_replica(first)
            self.become_equal(newcomer, second)
            check_nothing_lost(before, newcomer)
            self.become_equal(newcomer, first)

    def test_a_large_conflict_that_one_side_wins(self) -> None:
        # All that the donor sends is old, chunk after chunk; the end comes all the same.
        newcomer, donor = new_replica("n"), new_replica("d")
        for n in range(1500):
            newcomer.merge(f"k{n}", Entry(Stamp(2, 0, "w"), b'"%b"' % (b"x" * 200)))
            donor.merge(f"k{n}", Entry(Stamp(1, 0, "w"), b'"%b"' % (b"y" * 200)))
        won = dict(newcomer.entries)
        self.become_equal(newcomer, donor)
        self.assertEqual(donor.entries, won)

    def test_nothing_is_said_twice(self) -> None:
        # Chunk after chunk: each side gets what it lacks once, and no more than that.
        newcomer, donor = new_replica("n"), new_replica("d")
        for n in range(900):
            entry = Entry(Stamp(5, 0, "w"), b'"%b"' % (b"x" * 500))
            later = entry.replace(stamp=Stamp(6, 0, "w"))
            here, there = [(entry, entry), (entry, later), (later, entry)][n % 3]
            newcomer.merge(f"k{n}", here)
            donor.merge(f"k{n}", there)
        lacking = {key for key, entry in newcomer.entries.items() if entry.stamp.ms == 6}
        asking, answering = talk(newcomer, donor)
        questions = asking.start()
        pushed: list[str] = []
        continued = 0
        while questions:
            request = wire.decode_request(questions[0])
            if isinstance(request, wire.Push):
                pushed += [decode_entry(text)[0] for text in request.entries]
            elif isinstance(request, wire.AskEntries):
                places = map(position_text, self.keys_of(newcomer, request.hashes))
                self.assertGreaterEqual(min(places, default="f"), request.start)
                continued += request.start > ""
            (text,), _ = answering.receive(questions.pop(0))
            questions += asking.receive(text)[0]
        self.assertGreater(continued, 3)
        self.assertEqual(sorted(pushed), sorted(lacking))
        self.assertEqual(newcomer.entries, donor.entries)

    def keys_of(self, replica: Replica, hashes: list[int]) -> list[str]:
        """The keys whose entries have these hashes."""
        wanted = set(hashes)
        return [key for _, key, entry_hash in replica.tree.items("") if entry_hash in wanted]

    def test_a_conflict_of_large_values(self) -> None:
        newcomer, donor = new_replica("n"), new_replica("d")
        for n in range(12):
            for replica, by in ((newcomer, n % 2), (donor, n % 3)):
                replica.merge(f"k{n}", Entry(Stamp(by, 0, "w"), LARGE))
        self.become_equal(newcomer, donor)

    def test_both_empty(self) -> None:
        self.assertEqual(self.become_equal(new_replica(), new_replica()).messages, 4)

    def test_one_side_empty(self) -> None:
        for pair in (Pair(1, only_donor=3000), Pair(1, only_newcomer=3000)):
            newcomer, donor = pair.build()
            traffic = self.become_equal(newcomer, donor)
            self.assertEqual(len(newcomer.entries), 3000)
            self.assertLess(traffic.messages, 50)

    def test_several_chunks_are_under_way(self) -> None:
        newcomer, donor = Pair(1, only_donor=5 * GATHER).build()
        asking, answering = talk(newcomer, donor)
        (hello,), _ = answering.receive(asking.start()[0])
        self.assertEqual(len(asking.receive(hello)[0]), WINDOW)

    def test_updates_are_told_on_both_sides(self) -> None:
        newcomer, donor = Pair(2, common=100, only_newcomer=50, only_donor=50, changed=60).build()
        told: dict[str, dict[str, Entry]] = {"n": dict(newcomer.entries), "d": dict(donor.entries)}
        asking, answering = talk(newcomer, donor)
        out = asking.start()
        while out:
            back: list[bytes] = []
            for text in out:
                messages, updates = answering.receive(text)
                back += messages
                told["d"].update((update.key, update.entry) for update in updates)
            out = []
            for text in back:
                messages, updates = asking.receive(text)
                out += messages
                told["n"].update((update.key, update.entry) for update in updates)
        self.assertEqual(told["n"], newcomer.entries)
        self.assertEqual(told["d"], donor.entries)

    def test_held_entries_come_to_the_newcomer(self) -> None:
        newcomer, donor = new_replica("n"), new_replica("d")
        later = Entry(Stamp(NOW_MS + 2 * MAX_AHEAD_MS, 0, "w"), b"1")
        donor.merge("a", later)
        self.become_equal(newcomer, donor)
        self.assertEqual(list(newcomer.held), [("a", later)])

    def test_unknown_fields_of_entries_are_passed_on(self) -> None:
        newcomer, donor = new_replica("n"), new_replica("d")
        entry = Entry(Stamp(NOW_MS, 0, "w"), b"1", b'{"expires_ms":5}')
        newcomer.merge("a", entry)
        self.become_equal(newcomer, donor)
        self.assertEqual(donor.entries, {"a": entry})

    def test_an_entry_that_one_side_cannot_hold(self) -> None:
        # It is left out, and the rest is not kept from coming.
        newcomer, donor = new_replica("n", max_value_bytes=100), new_replica("d")
        donor.set("large", "x" * 200)
        donor.set("small", "x")
        newcomer.set("own", 1)
        asking, answering = talk(newcomer, donor)
        converse(asking, answering)
        self.assertTrue(asking.done)
        self.assertEqual(set(newcomer.entries), {"small", "own"})
        self.assertEqual(set(donor.entries), {"small", "own", "large"})


def talk(newcomer: Replica, donor: Replica) -> tuple[Newcomer, Donor]:
    """The two sides of a conversation."""
    return Newcomer(newcomer), Donor(donor)


class Versions(TestCase):
    """Who can talk to whom."""

    def hello(self, **changes: object) -> bytes:
        fields = {"event": "hello", "version": [1, 0], "count": 0, "sum": 0}
        return msgspec.json.encode(fields | changes)

    def test_another_minor_version_and_unknown_fields(self) -> None:
        newcomer = Newcomer(new_replica())
        newcomer.start()
        out, _ = newcomer.receive(self.hello(version=[1, 7], floor_ms=1, cursor=["a", 1, 2]))
        self.assertEqual(out, [wire.encode(wire.Done())])

    def test_another_major_version(self) -> None:
        newcomer = Newcomer(new_replica())
        newcomer.start()
        with self.assertRaises(VersionMismatch):
            newcomer.receive(self.hello(version=[2, 0]))


class WithoutColumns(SyncTestCase):
    """Version 1.0 knew no columns: who speaks it ignores that somebody takes them."""

    def talk(self, pair: Pair, *, asked: bool, old: bytes) -> int:
        """How many answers have columns, if messages of one side are those of version 1.0."""
        newcomer, donor = pair.build()
        asking, answering = talk(newcomer, donor)
        answers = 0
        questions = deque(asking.start())
        while questions:
            text = questions.popleft()
            if old == b"newcomer":
                text = text.replace(b"[1,1]", b"[1,0]")
            if not asked:
                text = text.replace(b',"columns":true', b"")
            for answer in answering.receive(text)[0]:
                answers += b'"columns":{' in answer
                if old == b"donor":
                    answer = answer.replace(b"[1,1]", b"[1,0]")
                questions += asking.receive(answer)[0]
        self.assertTrue(asking.done and answering.done)
        self.assertEqual(newcomer.entries, donor.entries)
        self.assertEqual(newcomer.digest(), donor.digest())
        return answers

    def test_older_donors_and_newcomers(self) -> None:
        for pair in (
            Pair(1, only_donor=1500),
            Pair(2, common=400, only_newcomer=50, only_donor=50, changed=60, clashes=5, held=2),
        ):
            self.assertGreater(self.talk(pair, asked=True, old=b""), 0)
            for old in (b"donor", b"newcomer"):
                self.assertEqual(self.talk(pair, asked=False, old=old), 0)


class Strict(TestCase):
    """A donor that does not keep to the protocol ends the conversation."""

    def setUp(self) -> None:
        self.replica, self.other = Pair(
            3, common=300, only_newcomer=40, only_donor=40, changed=40
        ).build()
        self.newcomer = Newcomer(self.replica)
        self.newcomer.start()

    def greet(self) -> list[wire.Request]:
        """What the newcomer asks first."""
        hello = wire.Hello(wire.VERSION, *self.other.digest())
        return [wire.decode_request(text) for text in self.take(hello)]

    def take(self, answer: wire.Answer) -> list[bytes]:
        return self.newcomer.receive(wire.encode(answer))[0]

    def refused(self, answer: wire.Answer) -> None:
        with self.assertRaises(RemoteProtocolError):
            self.take(answer)
        self.assertFalse(self.newcomer.done)

    def test_a_second_hello(self) -> None:
        self.greet()
        self.refused(wire.Hello(wire.VERSION, 1, 1))

    def test_done_too_early(self) -> None:
        self.refused(wire.Done())
        self.greet()
        self.refused(wire.Done())

    def test_an_answer_to_no_question(self) -> None:
        for answer in (wire.Taken(1), wire.Entries(1, []), wire.Sums(1, [])):
            self.refused(answer)
        self.greet()
        self.refused(wire.Taken(99))

    def test_the_same_answer_twice(self) -> None:
        (asked,) = self.greet()
        assert isinstance(asked, wire.AskSums)
        self.take(wire.Sums(asked.id, [[0] * 32]))
        self.refused(wire.Sums(asked.id, [[0] * 32]))

    def test_another_kind_of_answer(self) -> None:
        for wrong in (wire.Taken, lambda n: wire.Entries(n, []), lambda n: wire.Sums(n, [])):
            self.setUp()
            (asked,) = self.greet()
            assert isinstance(asked, wire.AskSums)
            self.refused(wrong(asked.id))

    def asked_for_entries(self) -> wire.AskEntries:
        """A request for entries."""
        self.replica = new_replica()
        self.newcomer = Newcomer(self.replica)
        self.newcomer.start()
        self.other = Pair(1, only_donor=20).build()[1]
        (asked,) = self.greet()
        assert isinstance(asked, wire.AskEntries)
        return asked

    def test_another_answer_than_entries(self) -> None:
        for wrong in (wire.Taken, lambda n: wire.Sums(n, [])):
            self.refused(wrong(self.asked_for_entries().id))

    def test_another_answer_than_taken(self) -> None:
        self.other = new_replica()
        asked = self.greet()[0]
        assert isinstance(asked, wire.Push)
        self.refused(wire.Entries(asked.id, []))

    def test_chunks_that_do_not_get_ahead(self) -> None:
        some = wire.raw_list([b'{"event":"delete","key":"a","stamp":[1,0,"w"]}'])
        self.refused(wire.Entries(self.asked_for_entries().id, some, ""))
        self.refused(wire.Entries(self.asked_for_entries().id, [], "8"))
        for after in ("8", "7ffff"):
            (text,) = self.take(wire.Entries(self.asked_for_entries().id, some, "8"))
            asked = wire.decode_request(text)
            assert isinstance(asked, wire.AskEntries)
            self.assertEqual(asked.start, "8")
            self.refused(wire.Entries(asked.id, some, after))

    def columns(self, *keys: str) -> Columns:
        stamp = Stamp(NOW_MS, 0, "w")
        return make_columns(list(keys), [Entry(stamp, b"1") for _ in keys])

    def test_columns_get_ahead_too(self) -> None:
        asked = self.asked_for_entries()
        (text,) = self.take(wire.Entries(asked.id, [], "8", columns=self.columns("a")))
        self.assertEqual(wire.decode_request(text), wire.AskEntries(2, [""], "8", [], True))
        self.assertEqual(set(self.replica.entries), {"a"})
        self.refused(wire.Entries(2, [], "9", columns=self.columns()))

    def test_columns_that_do_not_belong_together(self) -> None:
        asked = self.asked_for_entries()
        columns = self.columns("a", "b")
        columns.ms.pop()
        some = wire.raw_list([b'{"event":"set","key":"c","value":1,"stamp":[1,0,"w"]}'])
        self.refused(wire.Entries(asked.id, some, columns=columns))
        self.assertEqual(self.replica.entries, {})  # else nobody would be told of it

    def test_columns_of_more_than_there_are(self) -> None:
        asked = self.asked_for_entries()
        columns = self.columns(*(f"k{n}" for n in range(2 * 20 + SLACK + 1)))
        self.refused(wire.Entries(asked.id, [], columns=columns))
        self.assertEqual(self.replica.entries, {})

    def test_columns_of_old_entries_from_who_is_not_trusted(self) -> None:
        self.replica = new_replica()
        self.replica.floor_ms = self.replica.forgot_ms = NOW_MS
        self.newcomer = Newcomer(self.replica)
        self.newcomer.start()
        asked = wire.decode_request(self.take(wire.Hello(wire.VERSION, 9, 9, known_ms=1))[0])
        assert isinstance(asked, wire.AskEntries)
        columns = make_columns(["old", "new"], [Entry(Stamp(n, 0, "w"), b"1") for n in (5, NOW_MS)])
        (text,) = self.take(wire.Entries(asked.id, [], columns=columns))
        push = wire.decode_request(text)
        assert isinstance(push, wire.Push)
        self.assertEqual(set(self.replica.entries), {"new"})
        self.assertEqual(
            [decode_entry(each) for each in push.entries], [("old", Entry(Stamp(5, 0, "w"), None))]
        )

    def test_missing_hashes_that_nobody_asked_about(self) -> None:
        asked = self.asked_for_entries()
        out = self.take(wire.Entries(asked.id, [], None, [1, 2, 2, 3]))
        self.assertEqual(out, [wire.encode(wire.Done())])


class Hostile(TestCase):
    """Whatever a donor sends, the newcomer ends or goes on, and loses nothing."""

    @settings(SETTINGS, max_examples=150)
    @given(st.data(), st.sampled_from([0, 3, 40, 300]), few | many)
    def test_any_messages_among_true_ones(self, data: Any, common: int, changed: int) -> None:
        replica, other = Pair(
            4, common=common, only_newcomer=changed, only_donor=changed, changed=changed
        ).build()
        before = dict(replica.entries)
        newcomer, donor = talk(replica, other)
        questions = deque(newcomer.start())
        made_up = answers.map(wire.encode) | junk | st.none()
        for _ in range(25):
            if not questions:
                break
            text = data.draw(made_up)
            if text is None:
                (text,), _ = donor.receive(questions.popleft())
            try:
                asked, updates = newcomer.receive(text)
            except (RemoteProtocolError, VersionMismatch) as error:
                self.assertTrue(str(error))
                break
            self.assertLessEqual(len(asked), WINDOW)
            for question in asked:
                wire.decode_request(question)
            for update in updates:
                self.assertIn(update.key, replica.entries)
            questions += asked
        check_nothing_lost(before, replica)
        check_replica(replica)

    def until_done(
        self, replica: Replica, count: int, answer: Callable[[wire.Request], wire.Answer]
    ) -> int:
        """How many messages a newcomer sends to a donor that answers so."""
        newcomer = Newcomer(replica)
        newcomer.start()
        questions, _ = newcomer.receive(wire.encode(wire.Hello(wire.VERSION, count, 1)))
        asked = 0
        while questions:
            asked += 1
            request = wire.decode_request(questions.pop())
            self.assertLessEqual(len(questions), WINDOW)
            questions += newcomer.receive(wire.encode(answer(request)))[0]
        self.assertTrue(newcomer.done)
        return asked

    def test_a_donor_that_claims_much_and_has_nothing(self) -> None:
        def answer(request: wire.Request) -> wire.Answer:
            if isinstance(request, wire.AskSums):
                return wire.Sums(request.id, [[2**53 - 1, 1] * 16 for _ in request.prefixes])
            if isinstance(request, wire.AskEntries):
                return wire.Entries(request.id, [])
            if isinstance(request, wire.Push):
                return wire.Taken(request.id)
            return wire.Done()

        replica = Pair(1, only_newcomer=5).build()[0]
        before = dict(replica.entries)
        # All parts of all ranges around each own key are asked for, down to single positions.
        self.assertLess(self.until_done(replica, 10**6, answer), 5 * 13 * 16 * 16)
        self.assertEqual(replica.entries, before)
        self.assertLess(self.until_done(new_replica(), 10**15, answer), 20)

    def test_a_donor_that_lacks_everything(self) -> None:
        pushed = 0

        def answer(request: wire.Request) -> wire.Answer:
            nonlocal pushed
            if isinstance(request, wire.AskSums):
                return wire.Sums(request.id, [[1, 1] * 16 for _ in request.prefixes])
            if isinstance(request, wire.AskEntries):
                return wire.Entries(request.id, [], None, request.hashes * 2)
            if isinstance(request, wire.Push):
                pushed += len(request.entries)
                return wire.Taken(request.id)
            return wire.Done()

        replica = Pair(1, only_newcomer=500).build()[0]
        self.assertLess(self.until_done(replica, 10, answer), 100)
        self.assertEqual(pushed, 500)

    @SETTINGS
    @given(st.lists(prefixes, min_size=1, max_size=9), st.integers(0, 2**32))
    def test_positions_made_up(self, positions: list[str], seed: int) -> None:
        replica, other = Pair(seed, common=99, only_donor=9, only_newcomer=9).build()
        newcomer, donor = talk(replica, other)
        questions = deque(newcomer.start())
        some = wire.raw_list([b"{}"])
        try:
            while questions:
                (text,), _ = donor.receive(questions.popleft())
                answer = wire.decode_answer(text)
                if isinstance(answer, wire.Entries) and positions:
                    text = wire.encode(wire.Entries(answer.id, some, positions.pop()))
                questions += newcomer.receive(text)[0]
        except RemoteProtocolError:
            pass
        check_replica(replica)


class Budget(TestCase):
    """What a sync may cost."""

    def test_few_differences_among_100000_keys(self) -> None:
        newcomer, donor = new_replica("n"), new_replica("d")
        for n in range(100_000):
            entry = Entry(Stamp(NOW_MS - 9999, n, "writer0000000001"), b'{"n":%d}' % n)
            newcomer.merge(f"key-{n}", entry)
            donor.merge(f"key-{n}", entry)
        random = Random(1)
        for changed_here, changed_there, most_bytes, most_messages in (
            (0, 0, 512, 4),
            (5, 5, 16 * 1024, 30),
            (1000, 0, 700_000, 100),
            (0, 1000, 700_000, 100),
            (500, 500, 700_000, 100),
        ):
            for replica, count in ((newcomer, changed_here), (donor, changed_there)):
                for n in random.sample(range(100_000), count):
                    replica.set(f"key-{n}", "changed")
            asking, answering = talk(newcomer, donor)
            traffic = converse(asking, answering)
            self.assertTrue(asking.done)
            self.assertEqual(newcomer.digest(), donor.digest())
            changed = f"{changed_here} changed here, {changed_there} there"
            self.assertLess(traffic.total_bytes, most_bytes, changed)
            self.assertLessEqual(traffic.messages, most_messages, changed)

    def test_everything_differs(self) -> None:
        # The hashes, which each side tells of the newcomer's, add little to the entries.
        newcomer, donor = Pair(1, only_newcomer=10_000, only_donor=10_000).build()
        bare = sum(
            converse(*talk(*pair.build())).total_bytes
            for pair in (Pair(1, only_newcomer=10_000), Pair(2, only_donor=10_000))
        )
        traffic = converse(*talk(newcomer, donor))
        self.assertEqual(newcomer.digest(), donor.digest())
        self.assertLess(traffic.total_bytes, bare + 20_000 * 25)
