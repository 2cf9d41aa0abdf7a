"""Messages of a sync as Hypothesis makes them up: of the right form, with anything in them."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from distmap import sync_wire as wire
from distmap.columns import Columns, make_columns
from distmap.entries import encode_entry
from distmap.ranges import DIGITS
from tests.support.replicas import entries, keyed_entries

counts = st.integers(0, 200) | st.integers(0, 2**53 - 1)
prefixes = st.text(DIGITS, max_size=3) | st.text(DIGITS, max_size=13)
versions = st.tuples(st.sampled_from([1, 1, 1, 0, 2]), st.integers(0, 9))

raw_entries = st.lists(
    keyed_entries.map(lambda item: encode_entry(*item))
    | st.sampled_from(
        [
            *(b"1", b"{}", b"null", b'"set"', b"[[[[]]]]"),
            b'{"event":"set","key":"","value":1,"stamp":[1,0,"w"]}',
            b'{"event":"set","key":"k1","value":1e999,"stamp":[1,0,"w"]}',
            b'{"event":"set","key":"k1","value":"\xff","stamp":[1,0,"w"]}',
            b'{"event":"set","key":"k1","value":9007199254740993,"stamp":[1,0,"w"]}',
            b'{"event":"set","key":"k1","value":1,"stamp":[9007199254740991,0,"w"]}',
            b'{"event":"set","key":"k1","value":1,"stamp":[1,0,"w"],"x":[1.0,{"z":1,"a":2}]}',
        ]
    ),
    max_size=6,
).map(lambda texts: [msgspec.Raw(text) for text in texts])

good_columns = st.dictionaries(
    st.sampled_from([f"k{n}" for n in range(8)]),
    entries.filter(lambda entry: entry.value is not None and entry.extras is None),
    max_size=6,
).map(lambda sets: make_columns(list(sets), list(sets.values())))
few_counts = st.lists(st.integers(0, 2) | counts, max_size=2)
odd_columns = st.builds(
    Columns,
    keys=st.lists(st.sampled_from(["k1", "k2", "", "k" * 2000]), max_size=2),
    values=st.sampled_from([b"[]", b"[1]", b"[1,2]", b"[1e999,2]", b"1"]).map(msgspec.Raw),
    since_ms=counts,
    ms=few_counts,
    counters=few_counts,
    names=st.lists(st.sampled_from(["w", "v", "", "a b"]), max_size=2),
    writers=few_counts,
)

hellos = st.builds(wire.Hello, versions, counts, counts)
pushes = st.builds(wire.Push, counts, raw_entries)
sums_asked = st.builds(
    wire.AskSums, counts, st.lists(st.text(DIGITS, max_size=12) | prefixes, max_size=6)
)
entries_asked = st.builds(
    wire.AskEntries,
    counts,
    st.lists(prefixes, max_size=6) | st.lists(prefixes, max_size=6).map(sorted),
    st.just("") | prefixes,
    st.lists(counts, max_size=6),
    st.booleans(),
)

sums = st.builds(
    wire.Sums,
    st.integers(1, 9),
    st.lists(st.lists(counts, min_size=32, max_size=32), min_size=1, max_size=3),
)
some_entries = st.builds(
    wire.Entries,
    st.integers(1, 9),
    raw_entries,
    st.none() | prefixes,
    st.lists(counts, max_size=6),
    st.just(msgspec.UNSET) | good_columns | odd_columns,
)
takens = st.builds(wire.Taken, st.integers(1, 9))
dones = st.builds(wire.Done, raw_entries)

junk = st.binary(max_size=40) | st.sampled_from(
    [
        *(b"", b"{}", b"[]", b"null", b'{"event":"no-such-event"}', b'{"event":"taken"}'),
        *(b'{"event":"taken","id":-1}', b'{"event":"taken","id":1.5}', b"[" * 100_000),
        b'{"event":"ask-sums","id":1,"prefixes":["0\\n"]}',
        b'{"event":"ask-sums","id":1,"prefixes":["0123456789abc"]}',
        b'{"event":"entries","id":1,"entries":[],"next":"0\\n"}',
        b'{"event":"entries","id":1,"entries":[{]}',
    ]
)

requests = hellos | pushes | sums_asked | entries_asked | st.just(wire.Done())
answers = hellos | sums | some_entries | takens | dones
