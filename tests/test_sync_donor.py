"""The donor's side of a sync, one request at a time."""

from __future__ import annotations

from random import Random
from typing import Any
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap import sync_wire as wire
from distmap.clock import MAX_AHEAD_MS, Stamp
from distmap.entries import Entry, decode_entry, encode_entry, entry_hash
from distmap.errors import RemoteProtocolError, VersionMismatch
from distmap.lww import Replica, Update
from distmap.ranges import position_text
from distmap.sync_donor import Donor, cut, encode_hello
from tests.support.replicas import (
    NOW_MS,
    SETTINGS,
    check_nothing_lost,
    check_replica,
    new_replica,
)
from tests.support.sync_messages import junk, requests

HELLO = wire.encode(wire.Hello(wire.VERSION, 0, 0))


def filled(count: int, value: object = 1, name: str = "k") -> Replica:
    """A replica with some keys, one of them deleted."""
    replica = new_replica("donor")
    for n in range(count):
        replica.set(f"{name}{n}", value)
    replica.delete(f"{name}1")
    return replica


def greeted(replica: Replica) -> Donor:
    """A donor that has had its hello."""
    donor = Donor(replica)
    donor.receive(HELLO)
    return donor


def ask(donor: Donor, request: wire.Request) -> Any:
    """The answer to a request."""
    (text,), updates = donor.receive(wire.encode(request))
    assert updates == []
    return wire.decode_answer(text)


def decoded(answer: wire.Entries | wire.Done) -> dict[str, Entry]:
    """The entries of an answer."""
    texts = answer.held if isinstance(answer, wire.Done) else answer.entries
    return dict(decode_entry(text) for text in texts)


class Cut(TestCase):
    """A chunk."""

    def test_ends_with_what_brings_it_over_the_size(self) -> None:
        replica = filled(100, "x" * 5000)
        items = iter(replica.entries.items())
        texts = cut(items)
        self.assertGreaterEqual(sum(map(len, texts)), wire.CHUNK_BYTES)
        self.assertLess(sum(map(len, texts[:-1])), wire.CHUNK_BYTES)
        count = len(texts)
        while texts := cut(items):
            count += len(texts)
        self.assertEqual(count, 100)


class Greeting(TestCase):
    """The first message."""

    def test_tells_the_digest(self) -> None:
        replica = filled(9)
        (text,), updates = Donor(replica).receive(HELLO)
        self.assertEqual(text, encode_hello(replica))
        hello = wire.decode_answer(text)
        assert isinstance(hello, wire.Hello)
        self.assertEqual((hello.count, hello.sum), replica.digest())
        self.assertEqual(hello.version, wire.VERSION)
        self.assertEqual(updates, [])

    def test_comes_first(self) -> None:
        for request in (
            wire.AskSums(1, [""]),
            wire.AskEntries(1, [""]),
            wire.Push(1, []),
            wire.Done(),
        ):
            donor = Donor(filled(3))
            with self.assertRaises(RemoteProtocolError):
                donor.receive(wire.encode(request))
            self.assertFalse(donor.done)

    def test_versions(self) -> None:
        donor = Donor(filled(3))
        with self.assertRaises(VersionMismatch):
            donor.receive(wire.encode(wire.Hello((2, 0), 0, 0)))
        with self.assertRaises(RemoteProtocolError):
            donor.receive(wire.encode(wire.Done()))
        donor.receive(b'{"event":"hello","version":[1,99],"count":0,"sum":0,"more":[1]}')
        donor.receive(wire.encode(wire.Done()))
        self.assertTrue(donor.done)


class Sums(TestCase):
    """Dividing ranges."""

    def test_are_those_of_the_tree(self) -> None:
        replica = filled(700)
        prefixes = ["", "3", "3f", "f" * 12, "0"]
        answer = ask(greeted(replica), wire.AskSums(7, prefixes))
        self.assertEqual(answer.id, 7)
        for prefix, numbers in zip(prefixes, answer.sums, strict=True):
            parts = list(zip(numbers[::2], numbers[1::2], strict=True))
            self.assertEqual(parts, replica.tree.children(prefix))

    def test_are_those_of_now(self) -> None:
        replica = filled(5)
        donor = greeted(replica)
        before = ask(donor, wire.AskSums(1, [""])).sums
        replica.set("k3", 2)
        self.assertNotEqual(ask(donor, wire.AskSums(1, [""])).sums, before)

    def test_the_finest_ranges(self) -> None:
        replica = filled(200)
        for key in ("k5", "k77"):
            answer = ask(greeted(replica), wire.AskSums(1, [position_text(key)[:12]]))
            self.assertEqual(sum(answer.sums[0][::2]), 1)


class Entries(TestCase):
    """Asking for what is in some ranges."""

    def all_of(self, donor: Donor, prefixes: list[str], hashes: list[int]) -> dict[str, Entry]:
        """Asks until there is no more, chunk by chunk."""
        found: dict[str, Entry] = {}
        start = ""
        while True:
            answer = ask(donor, wire.AskEntries(1, prefixes, start, hashes))
            chunk = decoded(answer)
            self.assertTrue(chunk.keys().isdisjoint(found))
            found.update(chunk)
            if answer.next is None:
                return found
            self.assertGreater(answer.next, start)
            self.assertGreaterEqual(sum(map(len, map(bytes, answer.entries))), wire.CHUNK_BYTES)
            self.assertLess(max(map(position_text, chunk)), answer.next)
            start = answer.next

    def test_everything(self) -> None:
        replica = filled(3000, "x" * 100)
        self.assertEqual(self.all_of(greeted(replica), [""], []), replica.entries)

    def test_large_values(self) -> None:
        replica = filled(12, "x" * 200_000)
        self.assertEqual(self.all_of(greeted(replica), [""], []), replica.entries)

    @settings(SETTINGS, max_examples=40)
    @given(
        st.lists(st.text("0123456789abcdef", min_size=1, max_size=2), max_size=6, unique=True),
        st.integers(0, 500),
        st.randoms(use_true_random=False),
    )
    def test_some_ranges_without_some_hashes(
        self, wanted: list[str], count: int, random: Random
    ) -> None:
        replica = filled(500, "x" * 500)
        prefixes = [p for p in sorted(wanted) if len(p) == 1 or p[0] not in wanted]
        within = {
            key: entry
            for key, entry in replica.entries.items()
            if position_text(key).startswith(tuple(prefixes))
        }
        known = random.sample(sorted(replica.entries), count)
        hashes = [entry_hash(key, replica.entries[key]) for key in known]
        found = self.all_of(greeted(replica), prefixes, hashes)
        self.assertEqual(found, {key: e for key, e in within.items() if key not in known})

    def test_names_the_hashes_it_does_not_have(self) -> None:
        replica = filled(50)
        own = [entry_hash(key, entry) for key, entry in replica.entries.items()]
        answer = ask(greeted(replica), wire.AskEntries(1, [""], "", [5, *own[:20], 6, 5]))
        self.assertEqual(set(answer.missing), {5, 6})
        self.assertEqual(len(answer.entries), 30)

    def test_hashes_of_other_ranges_are_missing(self) -> None:
        replica = filled(50)
        own = {entry_hash(key, e): position_text(key)[0] for key, e in replica.entries.items()}
        answer = ask(greeted(replica), wire.AskEntries(1, ["3"], "", list(own)))
        self.assertEqual(answer.entries, [])
        self.assertEqual(set(answer.missing), {h for h, digit in own.items() if digit != "3"})

    def test_no_ranges(self) -> None:
        answer = ask(greeted(filled(5)), wire.AskEntries(1, []))
        self.assertEqual((answer.entries, answer.next), ([], None))

    def test_ranges_that_overlap_or_are_out_of_order(self) -> None:
        donor = greeted(filled(5))
        for prefixes in (["1", "0"], ["0", "0"], ["", "0"], ["0", "00"], ["a", "ab1", "b"]):
            with self.assertRaises(RemoteProtocolError):
                ask(donor, wire.AskEntries(1, prefixes))
        ask(donor, wire.AskEntries(1, ["00", "01", "1", "a0", "b"]))


class Push(TestCase):
    """What the newcomer hands over."""

    def test_is_merged_and_told(self) -> None:
        replica = filled(2)
        entry = Entry(Stamp(NOW_MS, 0, "w"), b"1")
        push = wire.Push(3, wire.raw_list([encode_entry("new", entry), b"{}"]))
        donor = greeted(replica)
        (text,), updates = donor.receive(wire.encode(push))
        self.assertEqual(wire.decode_answer(text), wire.Taken(3))
        self.assertEqual(updates, [Update("new", entry, None)])
        self.assertEqual(donor.receive(wire.encode(push))[1], [])


class Done(TestCase):
    """The end."""

    def test_gives_what_is_held(self) -> None:
        replica = filled(3)
        for n in range(5):
            stamp = Stamp(NOW_MS + MAX_AHEAD_MS + 10 - n, 0, "w")
            replica.merge(f"held{n}", Entry(stamp, b"1"))
        donor = greeted(replica)
        self.assertFalse(donor.done)
        answer = ask(donor, wire.Done())
        self.assertTrue(donor.done)
        self.assertEqual(list(decoded(answer).items()), list(replica.held)[::-1])

    def test_is_never_one_giant_message(self) -> None:
        replica = filled(3)
        for n in range(50):
            stamp = Stamp(NOW_MS + MAX_AHEAD_MS + 50 - n, 0, "w")
            replica.merge(f"held{n}", Entry(stamp, b'"%b"' % (b"x" * 20_000)))
        answer = ask(greeted(replica), wire.Done())
        self.assertLess(len(wire.encode(answer)), 2 * wire.CHUNK_BYTES)
        # Those that are due first.
        self.assertEqual(list(decoded(answer)), [f"held{n}" for n in (49, 48, 47, 46)])


class Hostile(TestCase):
    """Whatever a newcomer sends, there is an answer or a refusal, and nothing is lost."""

    @SETTINGS
    @given(st.lists(requests.map(wire.encode) | junk, max_size=12))
    def test_any_messages(self, texts: list[bytes]) -> None:
        replica = filled(150)
        before = dict(replica.entries)
        donor = greeted(replica)
        for text in texts:
            try:
                answers, updates = donor.receive(text)
            except (RemoteProtocolError, VersionMismatch) as error:
                self.assertTrue(str(error))
                continue
            self.assertEqual(len(answers), 1)
            wire.decode_answer(answers[0])
            for key, entry in {update.key: update.entry for update in updates}.items():
                self.assertIs(replica.entries[key], entry)
        check_nothing_lost(before, replica)
        check_replica(replica)
