"""The messages of a sync: what is taken for one, and what is not."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

import msgspec
from hypothesis import given

from distmap import sync_wire as wire
from distmap.clock import Stamp
from distmap.columns import make_columns
from distmap.entries import Entry
from distmap.errors import RemoteProtocolError, VersionMismatch
from distmap.values import MAX_INTEGER
from tests.support.replicas import SETTINGS
from tests.support.sync_messages import answers, junk, requests


def same(message: Any) -> Any:
    """A message as plain data, which compares."""
    return json.loads(wire.encode(message))


class Messages(TestCase):
    """To the wire and back."""

    def refused(self, **fields: object) -> None:
        """Fails unless this is neither a request nor an answer."""
        text = json.dumps(fields).encode()
        for decode in (wire.decode_request, wire.decode_answer):
            with self.assertRaises(RemoteProtocolError, msg=text):
                decode(text)

    def request(self, **fields: object) -> wire.Request:
        return wire.decode_request(json.dumps(fields).encode())

    def test_round_trips(self) -> None:
        raws = wire.raw_list([b'{"event":"set"}', b"1"])
        for request in (
            wire.Hello(wire.VERSION, 3, MAX_INTEGER),
            wire.AskSums(1, ["", "0", "abcdef012345"]),
            wire.AskEntries(2, ["0", "1f"], "0123456789abc", [0, MAX_INTEGER]),
            wire.Push(3, raws),
            wire.Done(),
        ):
            self.assertEqual(same(wire.decode_request(wire.encode(request))), same(request))
        for answer in (
            wire.Hello(wire.VERSION, 3, MAX_INTEGER),
            wire.Sums(1, [[0] * 32, [MAX_INTEGER] * 32]),
            wire.Entries(2, raws, "0", [1, 2]),
            wire.Entries(2, []),
            wire.Taken(3),
            wire.Done(raws),
        ):
            self.assertEqual(same(wire.decode_answer(wire.encode(answer))), same(answer))

    def test_names_on_the_wire(self) -> None:
        self.assertEqual(
            wire.encode(wire.AskEntries(1, [""])),
            b'{"event":"ask-entries","id":1,"prefixes":[""],"start":"","hashes":[],'
            b'"columns":false}',
        )
        self.assertEqual(
            wire.encode(wire.Entries(1, wire.raw_list([b"{}"]))),
            b'{"event":"entries","id":1,"entries":[{}],"next":null,"missing":[]}',
        )
        columns = make_columns(["a"], [Entry(Stamp(5, 0, "w"), b"1")])
        self.assertEqual(
            wire.encode(wire.Entries(1, [], columns=columns)),
            b'{"event":"entries","id":1,"entries":[],"next":null,"missing":[],"columns":{'
            b'"keys":["a"],"values":[1],"since_ms":5,"ms":[0],"counters":[0],"names":["w"],'
            b'"writers":[0]}}',
        )

    def test_what_may_be_left_out(self) -> None:
        request = self.request(event="ask-entries", id=1, prefixes=["a"])
        self.assertEqual(same(request), same(wire.AskEntries(1, ["a"], "", [])))
        answer = wire.decode_answer(b'{"event":"entries","id":1,"entries":[]}')
        self.assertEqual(same(answer), same(wire.Entries(1, [], None, [])))
        answer = wire.decode_answer(b'{"event":"entries","id":1,"entries":[],"columns":null}')
        assert isinstance(answer, wire.Entries)
        self.assertFalse(answer.columns)
        self.assertEqual(same(wire.decode_answer(b'{"event":"done"}')), same(wire.Done([])))

    def test_unknown_fields_are_ignored(self) -> None:
        hello = self.request(
            event="hello", version=[1, 7], count=1, sum=2, floor_ms=3, cursor=["a", 1, 2], x=None
        )
        self.assertEqual(same(hello), same(wire.Hello((1, 7), 1, 2, 3)))
        asked = self.request(event="ask-sums", id=1, prefixes=[], x={"y": 1})
        self.assertEqual(same(asked), same(wire.AskSums(1, [])))

    def test_each_side_has_its_messages(self) -> None:
        for text in (b'{"event":"taken","id":1}', b'{"event":"sums","id":1,"sums":[]}'):
            wire.decode_answer(text)
            with self.assertRaises(RemoteProtocolError):
                wire.decode_request(text)
        for text in (b'{"event":"push","id":1,"entries":[]}',):
            wire.decode_request(text)
            with self.assertRaises(RemoteProtocolError):
                wire.decode_answer(text)

    def test_prefixes(self) -> None:
        good = ["", "0", "f" * 12]
        self.request(event="ask-sums", id=1, prefixes=good)
        self.request(event="ask-entries", id=1, prefixes=[*good, "f" * 13], start="0" * 13)
        for bad in ("A", "g", "0\n", "0 ", "é", "0" * 14, "\x00", 0, None):
            self.refused(event="ask-sums", id=1, prefixes=[bad])
            self.refused(event="ask-entries", id=1, prefixes=[bad])
            self.refused(event="ask-entries", id=1, prefixes=[], start=bad)
            if bad is not None:
                self.refused(event="entries", id=1, entries=[], next=bad)
        # A range of one position does not divide.
        self.refused(event="ask-sums", id=1, prefixes=["f" * 13])

    def test_limits(self) -> None:
        most = wire.MAX_PREFIXES
        for event in ("ask-sums", "ask-entries"):
            self.request(event=event, id=1, prefixes=["0"] * most)
            self.refused(event=event, id=1, prefixes=["0"] * (most + 1))
        most = wire.MAX_HASHES
        self.request(event="ask-entries", id=1, prefixes=[], hashes=[0] * most)
        self.refused(event="ask-entries", id=1, prefixes=[], hashes=[0] * (most + 1))
        self.refused(event="entries", id=1, entries=[], missing=[0] * (most + 1))
        self.refused(event="sums", id=1, sums=[[0] * 32] * (wire.MAX_PREFIXES + 1))

    def test_numbers(self) -> None:
        for bad in (-1, MAX_INTEGER + 1, 1.5, "1", None, True):
            self.refused(event="taken", id=bad)
            self.refused(event="ask-sums", id=bad, prefixes=[])
            self.refused(event="hello", version=[1, 0], count=bad, sum=0)
            self.refused(event="hello", version=[1, bad], count=0, sum=0)
            self.refused(event="sums", id=1, sums=[[bad] * 32])
            self.refused(event="ask-entries", id=1, prefixes=[], hashes=[bad])

    def test_forms(self) -> None:
        for bad in ([], [1], [1, 0, 0], "1.0", None, 1):
            self.refused(event="hello", version=bad, count=0, sum=0)
        for row in ([0] * 31, [0] * 33, [], 0, None):
            self.refused(event="sums", id=1, sums=[row])
        for event in ("hello", "ask-sums", "ask-entries", "sums", "entries", "push", "taken"):
            self.refused(event=event)
        self.refused(event="compare", id=1)
        self.refused(id=1)

    @SETTINGS
    @given(junk)
    def test_junk(self, text: bytes) -> None:
        for decode in (wire.decode_request, wire.decode_answer):
            for form in (text, b'{"event":"push","id":1,"entries":[%b]}' % text):
                try:
                    decode(form)
                except RemoteProtocolError as error:
                    self.assertTrue(str(error))

    @SETTINGS
    @given(requests, answers)
    def test_what_tests_make_up(self, request: Any, answer: Any) -> None:
        for message, decode in ((request, wire.decode_request), (answer, wire.decode_answer)):
            try:
                again = decode(msgspec.Raw(wire.encode(message)))
            except RemoteProtocolError:
                continue
            self.assertIs(type(again), type(message))


class Version(TestCase):
    """The major version decides."""

    def test_minor_versions_are_taken(self) -> None:
        for minor in (0, 1, 999):
            wire.check_version((wire.VERSION[0], minor))

    def test_major_versions_are_refused(self) -> None:
        for major in (0, wire.VERSION[0] + 1, MAX_INTEGER):
            with self.assertRaises(VersionMismatch) as caught:
                wire.check_version((major, 7))
            self.assertIn(f"{major}.7", str(caught.exception))
            self.assertIn("{}.{}".format(*wire.VERSION), str(caught.exception))
