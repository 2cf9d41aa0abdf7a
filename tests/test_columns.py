"""Columns: what both languages make of them, and that they hold what single entries would."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from distmap import values
from distmap.clock import Stamp
from distmap.columns import ENTRY_BYTES, MAX_SETS, Columns, make_columns, read_columns
from distmap.entries import Entry, decode_entries, decode_entry, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.sync_wire import CHUNK_BYTES
from tests.support.replicas import SETTINGS, json_values
from tests.test_entries import any_entry, any_key
from tests.vectors import make_vectors

VECTORS = make_vectors.load("columns")

decode = msgspec.json.Decoder(Columns).decode
any_set = any_entry.filter(lambda entry: entry.value is not None).map(
    lambda entry: entry.replace(extras=None)
)
json_texts = json_values.map(values.encode) | st.sampled_from(
    [
        *(b"1e999", b"9007199254740992", b"1.0", b"1e3", b"-0", b'"\\u0041"', b'"\\n"', b'"\x7f"'),
        *(b'{"b":1, "a":2}', b"[" * 33 + b"]" * 33, b'[",",","]', b'","'),
    ]
)
sets = st.dictionaries(any_key, any_set, max_size=20)


def read(
    text: str | bytes, max_value_bytes: int = values.MAX_VALUE_BYTES
) -> tuple[dict[str, Entry], int]:
    """What some columns hold, and how many are left out."""
    try:
        columns = decode(text)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(str(error)) from None
    return read_columns(columns, max_value_bytes)


def made(entries: dict[str, Entry]) -> bytes:
    """The text of the columns of some entries."""
    return msgspec.json.encode(make_columns(list(entries), list(entries.values())))


class Vectors(TestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        text = make_vectors.text_of(make_vectors.make_columns())
        self.assertEqual(text, make_vectors.path("columns").read_text("ascii"))

    def entries(self, case: Any) -> dict[str, Entry]:
        return dict(decode_entry(text.encode()) for text in case["entries"])

    def test_made(self) -> None:
        for case in VECTORS["made"]:
            entries = self.entries(case)
            self.assertEqual(made(entries).decode(), case["text"])
            self.assertEqual(read(case["text"]), (entries, 0))

    def test_read(self) -> None:
        for case in VECTORS["read"]:
            found, refused = read(case["text"], VECTORS["max_value_bytes"])
            self.assertEqual((found, refused), (self.entries(case), case["refused"]), case)

    def test_refused(self) -> None:
        for text in VECTORS["refused"]:
            with self.assertRaises(RemoteProtocolError, msg=text):
                read(text)
        self.assertEqual(RemoteProtocolError.code, VECTORS["refused_code"])


class Limits(TestCase):
    """How much one message can ask of who reads it."""

    def test_sets(self) -> None:
        for count in (MAX_SETS, MAX_SETS + 1):
            text = made({f"k{n}": Entry(Stamp(n, 0, "w"), b"1") for n in range(count)})
            if count == MAX_SETS:
                self.assertEqual(len(read(text)[0]), count)
            else:
                self.assertRaises(RemoteProtocolError, read, text)

    def test_names(self) -> None:
        columns = make_columns(["a"], [Entry(Stamp(1, 0, "w"), b"1")])
        columns.names *= MAX_SETS + 1
        self.assertRaises(RemoteProtocolError, read, msgspec.json.encode(columns))

    def test_a_chunk_has_fewer(self) -> None:
        self.assertLess(CHUNK_BYTES // ENTRY_BYTES, MAX_SETS // 2)


class Same(TestCase):
    """As one by one."""

    @SETTINGS
    @given(sets)
    def test_round_trip(self, entries: dict[str, Entry]) -> None:
        self.assertEqual(read(made(entries)), (entries, 0))

    @SETTINGS
    @given(st.lists(json_texts, max_size=8), st.sampled_from([3, 20, values.MAX_VALUE_BYTES]))
    def test_values_of_any_form(self, texts: list[bytes], max_value_bytes: int) -> None:
        keys = [f"k{n}" for n in range(len(texts))]
        stamps = [Stamp(5, n, "w") for n in range(len(texts))]
        columns = make_columns(keys, [Entry(stamp, b"1") for stamp in stamps])
        columns.values = Raw(b"[ %b]" % b" ,".join(texts))
        found, refused = read_columns(columns, max_value_bytes)
        wires = [
            b'{"event":"set","key":"k%d","value":%b,"stamp":[5,%d,"w"]}' % (n, text, n)
            for n, text in enumerate(texts)
        ]
        single = list(decode_entries(wires, max_value_bytes))
        self.assertEqual(list(found.items()), [item for item in single if item is not None])
        self.assertEqual(refused, single.count(None))

    def test_strings_that_look_like_several(self) -> None:
        texts = [
            b'"a"',
            b'","',
            b'"],["',
            b'",\\""',
            b'"\\\\"',
            b'""',
            b'","',
            b'"\xc3\xa9"',
            b'"\x7f"',
        ]
        entries = {f"k{n}": Entry(Stamp(n, 0, "w"), text) for n, text in enumerate(texts)}
        self.assertEqual(read(made(entries)), (entries, 0))

    def test_writers_share_their_names(self) -> None:
        entries = {f"k{n}": Entry(Stamp(n, 0, "vw"[n % 2]), b"1") for n in range(9)}
        self.assertEqual(decode(made(entries)).names, ["v", "w"])
        found, _ = read(made(entries))
        self.assertIs(found["k0"].stamp.writer, found["k2"].stamp.writer)

    def test_columns_are_shorter(self) -> None:
        entries = {f"key-{n}": Entry(Stamp(10**12 + n, n, "w" * 12), b'"x"') for n in range(500)}
        single = sum(len(encode_entry(key, entry)) for key, entry in entries.items())
        self.assertLess(len(made(entries)), single / 2)
