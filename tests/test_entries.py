"""Entries: their texts on the wire, their hashes, and which of two wins."""

from __future__ import annotations

import json
from functools import cmp_to_key
from hashlib import sha256
from itertools import pairwise, permutations
from typing import Any
from unittest import TestCase

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from distmap import values
from distmap.clock import Stamp
from distmap.entries import (
    MAX_EXTRAS_BYTES,
    Entry,
    decode_entry,
    encode_entry,
    entry_hash,
    hash52,
    position,
    wins,
)
from distmap.errors import RemoteProtocolError
from tests.support.replicas import SETTINGS, entries, json_values
from tests.vectors import make_vectors

VECTORS = make_vectors.load("entries")
STAMP = Stamp(5, 0, "w")

any_stamp = st.builds(
    Stamp,
    st.integers(0, 2**53 - 1),
    st.integers(0, 2**53 - 1),
    st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
)
any_key = st.text(min_size=1, max_size=40)
any_extras = st.none() | st.dictionaries(
    st.text(max_size=9).filter(lambda name: name not in {"event", "key", "value", "stamp"}),
    json_values,
    min_size=1,
    max_size=4,
).filter(lambda extras: len(values.encode(extras)) <= MAX_EXTRAS_BYTES).map(values.encode)
any_entry = st.builds(Entry, any_stamp, st.none() | json_values.map(values.encode), any_extras)


class Vectors(TestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        made = make_vectors.text_of(make_vectors.make_entries())
        self.assertEqual(made, make_vectors.path("entries").read_text("ascii"))

    def test_accepted(self) -> None:
        for case in VECTORS["accepted"]:
            key, entry = decode_entry(case["text"].encode())
            self.assertEqual(key, case["key"])
            self.assertEqual(encode_entry(key, entry).decode(), case["sent"])
            self.assertEqual(decode_entry(case["sent"].encode()), (key, entry))
            self.assertEqual(f"{position(key):013x}", case["position"])
            self.assertEqual(entry_hash(key, entry), case["hash"])

    def test_refused(self) -> None:
        for text in VECTORS["refused"]:
            with self.assertRaises(RemoteProtocolError, msg=text):
                decode_entry(text.encode())
        self.assertEqual(RemoteProtocolError.code, VECTORS["refused_code"])

    def test_order(self) -> None:
        found = [decode_entry(text.encode()) for text in VECTORS["ordered"]]
        for number, (key, lesser) in enumerate(found):
            for _, greater in found[number + 1 :]:
                self.assertTrue(wins(key, greater, lesser))
                self.assertFalse(wins(key, lesser, greater))


class Wire(TestCase):
    """To the wire and back."""

    @SETTINGS
    @given(any_key, any_entry)
    def test_round_trip(self, key: str, entry: Entry) -> None:
        text = encode_entry(key, entry)
        self.assertEqual(decode_entry(text), (key, entry))
        self.assertEqual(decode_entry(msgspec.Raw(text)), (key, entry))
        fields = json.loads(text)
        self.assertEqual(fields["key"], key)
        self.assertEqual(fields["stamp"], list(msgspec.structs.astuple(entry.stamp)))
        self.assertEqual(fields["event"], "delete" if entry.value is None else "set")
        self.assertEqual("value" in fields, entry.value is not None)

    @SETTINGS
    @given(any_key, any_entry, st.randoms(use_true_random=False))
    def test_the_order_of_the_fields_does_not_matter(
        self, key: str, entry: Entry, random: Any
    ) -> None:
        fields = list(json.loads(encode_entry(key, entry)).items())
        random.shuffle(fields)
        self.assertEqual(decode_entry(json.dumps(dict(fields)).encode()), (key, entry))

    @SETTINGS
    @given(any_key, any_entry)
    def test_hash(self, key: str, entry: Entry) -> None:
        wire = json.loads(encode_entry(key, entry))
        text = make_vectors.content(wire).encode()
        self.assertEqual(entry_hash(key, entry), int(sha256(text).hexdigest()[:13], 16))

    def test_unknown_fields_are_kept_hashed_and_passed_on(self) -> None:
        plain = b'{"event":"set","key":"a","value":1,"stamp":[5,0,"w"]}'
        text = plain[:-1] + b',"expires_ms" : 9.0, "by":{"z":1,"y":[]} }'
        key, entry = decode_entry(text)
        self.assertEqual(entry, Entry(STAMP, b"1", b'{"by":{"y":[],"z":1},"expires_ms":9}'))
        self.assertEqual(
            encode_entry(key, entry), plain[:-1] + b',"by":{"y":[],"z":1},"expires_ms":9}'
        )
        self.assertNotEqual(entry_hash(key, entry), entry_hash(*decode_entry(plain)))
        other = decode_entry(plain[:-1] + b',"by":{"y":[],"z":1},"expires_ms":8}')[1]
        self.assertNotEqual(entry_hash(key, entry), entry_hash(key, other))

    def test_extras_have_a_limit(self) -> None:
        def text(length: int) -> bytes:
            return b'{"event":"delete","key":"a","stamp":[5,0,"w"],"x":"%b"}' % (b"y" * length)

        most = MAX_EXTRAS_BYTES - len('{"x":""}')
        self.assertEqual(len(decode_entry(text(most))[1].extras or b""), MAX_EXTRAS_BYTES)
        for length in (most + 1, 10 * most):
            with self.assertRaises(RemoteProtocolError):
                decode_entry(text(length))

    def test_values_have_a_limit(self) -> None:
        text = b'{"event":"set","key":"a","value":"1234","stamp":[5,0,"w"]}'
        for wire in (text, text[:-1] + b',"x":1}'):
            self.assertEqual(decode_entry(wire, 6)[1].value, b'"1234"')
            with self.assertRaises(RemoteProtocolError):
                decode_entry(wire, 5)

    def test_what_looks_plain_is_what_it_would_be_anyway(self) -> None:
        """Most entries are read by their look; around it nothing else must be taken for one."""
        form = b'{"event":"set","key":"%b","value":%b,"stamp":[%b]}'
        keys = (
            b"a",
            b"",
            b"~ !",
            b"k" * 1024,
            b"k" * 1025,
            b"\xc3\xa9",
            b"\x7f",
            b"\\n",
            b"\\u0061",
        )
        found = (
            *(b'"x"', b'""', b'"\x7f"', b'"\\u0061"', b'"\xc3\xa9"', b"0", b"-0", b"01", b"-7"),
            *(b"9" * 15, b"9" * 16, b"1.0", b"1e3", b"true", b"null", b"[1]", b'"a"b"', b" 1"),
        )
        stamps = (
            *(b'1,0,"w"', b'01,0,"w"', b'1,0,"w w"', b'1,0,"%b"' % (b"w" * 32), b'-1,0,"w"'),
            *(b'1,0,"%b"' % (b"w" * 33), b'%b,0,"w"' % (b"9" * 16), b'1,0,"w",2', b'1.0,0,"w"'),
        )
        for key in keys:
            for value in found:
                for stamp in stamps:
                    text = form % (key, value, stamp)
                    self.assertEqual(self.outcome(text), self.outcome(b" " + text), text)

    def outcome(self, text: bytes) -> tuple[str, Entry] | None:
        """What comes of a text; a space before it keeps it from being read by its look."""
        try:
            return decode_entry(text)
        except RemoteProtocolError:
            return None

    def test_writers_share_their_text(self) -> None:
        text = b'{"event":"delete","key":"a","stamp":[5,0,"some-writer"]}'
        first, second = decode_entry(text)[1], decode_entry(text)[1]
        self.assertIs(first.stamp.writer, second.stamp.writer)

    def test_a_field_that_comes_twice(self) -> None:
        # Read as ECMAScript does: the last one counts.
        text = b'{"event":"delete","key":"a","key":"b","stamp":[5,0,"w"]}'
        self.assertEqual(decode_entry(text), ("b", Entry(STAMP, None)))
        text = b'{"event":"set","event":"delete","key":"b","stamp":[5,0,"w"]}'
        self.assertEqual(decode_entry(text), ("b", Entry(STAMP, None)))


class Junk(TestCase):
    """Whatever comes, there is an entry or a RemoteProtocolError."""

    def decoded_or_refused(self, text: bytes) -> None:
        try:
            key, entry = decode_entry(text)
        except RemoteProtocolError as error:
            self.assertTrue(str(error))
            return
        self.assertEqual(decode_entry(encode_entry(key, entry)), (key, entry))

    @SETTINGS
    @given(st.binary(max_size=80))
    @example(b"\xff")
    @example(b"[" * 200_000)
    @example(b'{"event":"set","key":"a","stamp":[1,0,"w"],"value":' + b"[" * 200_000)
    @example(b'{"event":"set","key":"a","stamp":[1,0,"w"],"value":1,"x":' + b'{"a":' * 100_000)
    @example(b'{"event":"set","key":"a","stamp":[1,0,"w"],"value":' + b"9" * 5000 + b"}")
    @example(b'{"event":"set","key":"a","stamp":[1,0,"w"],"value":1,"x":' + b"9" * 5000 + b"}")
    @example(b'{"event":"delete","key":"a","stamp":[' + b"9" * 5000 + b',0,"w"]}')
    @example(b'{"event":"delete","key":"a\xff","stamp":[1,0,"w"]}')
    @example(b'{"event":"delete","key":"a","stamp":[1,0,"w"],"x":"\xff"}')
    @example(b'{"event":"delete","key":"a","stamp":[1,0,"w"],"\xff":1}')
    @example(b'{"event":"delete","key":"a","stamp":[1,0,"w"],"\\ud800":1}')
    def test_bytes(self, text: bytes) -> None:
        self.decoded_or_refused(text)

    @SETTINGS
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "event": st.sampled_from(["set", "delete", "get"]) | json_values,
                "key": st.text(max_size=5) | json_values,
                "value": json_values,
                "stamp": st.tuples(st.integers(-1, 9), st.integers(-1, 9), st.text(max_size=3))
                | json_values,
                "x": json_values,
            },
        )
    )
    def test_fields_with_anything(self, fields: dict[str, Any]) -> None:
        self.decoded_or_refused(json.dumps(fields).encode())

    @SETTINGS
    @given(any_key, any_entry, st.randoms(use_true_random=False))
    def test_damaged_entries(self, key: str, entry: Entry, random: Any) -> None:
        text = bytearray(encode_entry(key, entry))
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(text) + 1)
            text[at : at + random.randrange(3)] = random.choice([b"", b'"', b"\\", b"\xed", b"1e9"])
        self.decoded_or_refused(bytes(text))


class Order(TestCase):
    """A strict total order, so that all replicas agree."""

    @SETTINGS
    @given(entries, entries)
    def test_one_of_two_wins(self, first: Entry, second: Entry) -> None:
        self.assertEqual(wins("k", first, second) + wins("k", second, first), first != second)

    @SETTINGS
    @given(st.lists(entries, min_size=3, max_size=8))
    def test_transitive(self, found: list[Entry]) -> None:
        distinct = list(dict.fromkeys(found))

        def compare(a: Entry, b: Entry) -> int:
            return wins("k", a, b) - wins("k", b, a)

        ordered = sorted(distinct, key=cmp_to_key(compare))
        for number, lesser in enumerate(ordered):
            for greater in ordered[number + 1 :]:
                self.assertTrue(wins("k", greater, lesser))
                self.assertFalse(wins("k", lesser, greater))

    def test_the_later_stamp_wins(self) -> None:
        stamps = [Stamp(1, 0, "z"), Stamp(1, 1, "a"), Stamp(1, 1, "b"), Stamp(2, 0, "a")]
        for early, late in pairwise(stamps):
            for value, other in permutations([b"1", b"2", None], 2):
                self.assertTrue(wins("k", Entry(late, value), Entry(early, other)))
                self.assertFalse(wins("k", Entry(early, other), Entry(late, value)))

    def test_anything_wins_over_nothing(self) -> None:
        self.assertTrue(wins("k", Entry(STAMP, None), None))

    def test_one_stamp_and_two_values(self) -> None:
        # Which of the two depends on the key, so that no kind of value wins always.
        first, second = Entry(STAMP, b"1"), Entry(STAMP, b"2")
        winners = {wins(f"k{n}", first, second) for n in range(20)}
        self.assertEqual(winners, {True, False})
        for n in range(20):
            greater = max([first, second], key=lambda entry: entry_hash(f"k{n}", entry))
            self.assertEqual(wins(f"k{n}", first, second), greater is first)

    def test_hashes_are_52_bits(self) -> None:
        self.assertEqual(hash52(b""), 0xE3B0C44298FC1)
        self.assertEqual(position("a"), hash52(b"a"))
        self.assertEqual(position("é"), hash52("é".encode()))
