"""The codec of frames: the shared vectors, every way to cut a stream, and junk."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import TestCase

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from distmap import frames
from distmap.errors import LimitExceeded, RemoteProtocolError
from distmap.frames import (
    NO_PAYLOAD,
    Frame,
    FrameDecoder,
    Limits,
    Options,
    are_objects,
    change_prefix,
    data_prefix,
    decode_fault,
    decode_frame,
    decode_new,
    encode_fault,
    encode_frame,
    encode_json,
    gather,
)

VECTORS = Path(__file__).resolve().parent / "vectors" / "frames.json"

bounded = settings(deadline=None, max_examples=200)

# Text that UTF-8 can hold, with what breaks careless codecs more often than chance would.
texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["", "constructor", "__proto__", "a\nb", "\u2028", "\u0085", "\x00", "🍎", '"]\n["', "\\"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
events = st.sampled_from(sorted(frames.EVENTS)) | st.from_regex(r"[a-z]{1,8}", fullmatch=True)
payloads = st.none() | json_values.map(encode_json)
encodable_frames = st.tuples(texts, events, payloads)

# Bytes that look like frames, are cut in odd places, and hide newlines where none may be.
brackets = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"]\n[", b"]\n", b"{\n}", b"[\n"]
values = [b"1", b"01", b"1e999", b"null", b'"k"', b'"x\ny"', b"\\ud800", b"\xff", b"\xf0"]
heads = [b'["a","data",', b'["a","end"', b"\n", b"\r\n", b" "]
wholes = [b'["a","data",1]', b'["a","data",1]\n', b'["b","end"]\n']
pieces = st.sampled_from([*brackets, *values, *heads, *wholes])
junk = st.lists(pieces | st.binary(max_size=6), max_size=14).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cuts data at these places, taken modulo its length."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def plain(found: list[Frame]) -> list[tuple[str, str, bytes]]:
    return [(stream_id, event, bytes(payload)) for stream_id, event, payload in found]


def feed_all(
    chunks: list[bytes], limits: Limits = frames.DEFAULT_LIMITS
) -> tuple[list[tuple[str, str, bytes]], RemoteProtocolError | None]:
    """Feeds chunk after chunk, until one is at fault."""
    decoder = FrameDecoder(limits)
    found: list[Frame] = []
    for chunk in chunks:
        more, fault = decoder.feed(chunk)
        found += more
        if fault is not None:
            return plain(found), fault
    return plain(found), None


def is_json_text(payload: bytes) -> bool:
    try:
        json.loads(payload.decode())
    except ValueError:
        return False
    return True


class VectorTests(TestCase):
    """tests/vectors/frames.json, which the JavaScript twin reads as well."""

    def test_vectors(self) -> None:
        cases = json.loads(VECTORS.read_text("utf-8"))["cases"]
        self.assertGreater(len(cases), 80)
        for case in cases:
            with self.subTest(case["name"]):
                chunks = [b"".join(map(self.part, parts)) for parts in case["chunks"]]
                expected = [
                    (stream_id, event, self.payload(*payload))
                    for stream_id, event, *payload in case["frames"]
                ]
                limits = Limits(**case.get("limits", {}))
                found, fault = feed_all(chunks, limits)
                self.assertEqual(found, expected)
                self.assertEqual(fault and fault.code, case["error"])
                # However it is cut, it is the same stream.
                for again in ([b"".join(chunks)], [bytes([byte]) for byte in b"".join(chunks)]):
                    found, fault = feed_all(again, limits)
                    self.assertEqual(found, expected)
                    self.assertEqual(fault and fault.code, case["error"])

    def test_names_are_unique(self) -> None:
        names = [case["name"] for case in json.loads(VECTORS.read_text("utf-8"))["cases"]]
        self.assertEqual(len(names), len(set(names)))

    @staticmethod
    def part(part: Any) -> bytes:
        if isinstance(part, str):
            return part.encode()
        if "hex" in part:
            return bytes.fromhex(str(part["hex"]))
        return str(part["repeat"]).encode() * int(part["times"])

    @staticmethod
    def payload(text: Any = "") -> bytes:
        if isinstance(text, str):
            return text.encode()
        times = int(text["times"])
        return (str(text["repeat"]) * times + str(text.get("then", "")) * times).encode()


class RoundTripTests(TestCase):
    @bounded
    @given(encodable_frames)
    def test_one_frame(self, frame: tuple[str, str, bytes | None]) -> None:
        stream_id, event, payload = frame
        encoded = encode_frame(stream_id, event, payload or b"")
        self.assertEqual(encoded.count(b"\n"), 1)
        self.assertTrue(encoded.endswith(b"\n"))
        self.assertEqual(plain([decode_frame(encoded[:-1])]), [(stream_id, event, payload or b"")])
        # Any reader of JSON sees the same.
        elements = [stream_id, event, *([] if payload is None else [json.loads(payload)])]
        self.assertEqual(json.loads(encoded), elements)

    @bounded
    @given(st.lists(encodable_frames, max_size=8), st.lists(st.integers(0, 10_000), max_size=8))
    def test_a_stream_in_any_chunks(
        self, sent: list[tuple[str, str, bytes | None]], places: list[int]
    ) -> None:
        data = b"".join(encode_frame(*frame[:2], frame[2] or b"") for frame in sent)
        expected = [(stream_id, event, payload or b"") for stream_id, event, payload in sent]
        self.assertEqual(feed_all(cut(data, places)), (expected, None))

    @bounded
    @given(texts, json_values)
    def test_the_data_prefix_makes_the_same_frame(self, stream_id: str, value: object) -> None:
        payload = encode_json(value)
        self.assertEqual(
            data_prefix(stream_id) + payload + b"]\n", encode_frame(stream_id, frames.DATA, payload)
        )

    def test_no_payload_is_told_from_null(self) -> None:
        self.assertIs(decode_frame(b'["a","data"]')[2], NO_PAYLOAD)
        self.assertEqual(bytes(decode_frame(b'["a","data",null]')[2]), b"null")

    def test_a_chunk_with_no_newline_waits(self) -> None:
        decoder = FrameDecoder()
        self.assertEqual(decoder.feed(b'["a","data",1]'), ([], None))
        found, fault = decoder.feed(b"\n")
        self.assertEqual((plain(found), fault), ([("a", "data", b"1")], None))


class JunkTests(TestCase):
    @bounded
    @given(junk, st.lists(st.integers(0, 10_000), max_size=6))
    def test_any_bytes_in_any_chunks(self, data: bytes, places: list[int]) -> None:
        found, fault = feed_all([data])
        for stream_id, event, payload in found:
            self.assertNotIn(b"\n", payload)
            self.assertTrue(payload == b"" or is_json_text(payload), payload)
            # What goes out again is one frame, and the same one.
            again = encode_frame(stream_id, event, payload)
            self.assertEqual(feed_all([again]), ([(stream_id, event, payload)], None))
        cut_found, cut_fault = feed_all(cut(data, places))
        self.assertEqual(cut_found, found)
        self.assertIs(type(cut_fault), type(fault))

    @bounded
    @given(junk)
    def test_a_line_is_decoded_or_refused(self, line: bytes) -> None:
        assume(b"\n" not in line)
        try:
            stream_id, event, payload = decode_frame(line)
        except RemoteProtocolError:
            return
        elements = json.loads(line.decode())
        self.assertEqual(elements[:2], [stream_id, event])
        if len(elements) == 3:
            self.assertEqual(json.loads(bytes(payload)), elements[2])
        else:
            self.assertIs(payload, NO_PAYLOAD)

    def test_newlines_that_count_right_but_stand_wrong(self) -> None:
        # As many frames as newlines, and yet one newline is inside a payload.
        for data in (
            b'["a","b",1]["a","b",{\n}]\n',
            b'\n["a","b",1]["a","b",2]\n',
            b'["a","b",{\n}]["a","b",1]\n',
            b'["a","b",[1\n]]["a","b",1]\n',
            b'["a","b",1]\n["a","b",[1]["a","b",{\n}]\n',
        ):
            with self.subTest(data):
                found, fault = feed_all([data])
                self.assertIsInstance(fault, RemoteProtocolError)
                self.assertTrue(all(b"\n" not in payload for _, _, payload in found))

    def test_endless_nesting_is_an_error_and_no_crash(self) -> None:
        for line in (b"[" * 1_000_000, b'["a","data",' + b"[" * 500_000 + b"]" * 500_001):
            with self.subTest(line[:20]):
                found, fault = feed_all([line + b"\n"])
                self.assertEqual(found, [])
                self.assertIs(type(fault), RemoteProtocolError)

    def test_the_reason_is_told(self) -> None:
        for line, reason in (
            (b'["a"]', "length 3"),
            (b'["a","data",1,2]', "length 3"),
            (b'["a","data",01]', "invalid number"),
            (b'[1,"data",2]', "Expected `str`, got `int`"),
            (b'["a","data","\xff"]', "invalid start byte"),
            (b"{}", "Expected `array`, got `object`"),
        ):
            with self.subTest(line), self.assertRaisesRegex(RemoteProtocolError, reason):
                decode_frame(line)

    def test_the_frame_after_a_chunk_at_fault_is_not_mixed_with_it(self) -> None:
        found, fault = feed_all([b'["a","data",1]\n["b"', b"\xff\n", b'["c","end"]\n'])
        self.assertEqual(found, [("a", "data", b"1")])
        self.assertIsInstance(fault, RemoteProtocolError)


class FrameLimitTests(TestCase):
    @bounded
    @given(st.integers(20, 60), st.integers(0, 80), st.lists(st.integers(0, 200), max_size=5))
    def test_the_edge(self, limit: int, length: int, places: list[int]) -> None:
        frame = encode_frame("a", frames.DATA, encode_json("x" * length))
        chunks = cut(frame, places)
        found, fault = feed_all(chunks, Limits(frame_bytes=limit))
        if len(frame) - 1 <= limit:
            self.assertEqual((len(found), fault), (1, None))
        else:
            self.assertEqual(found, [])
            self.assertIsInstance(fault, LimitExceeded)
            self.assertIn(str(limit), str(fault))

    @bounded
    @given(st.integers(1, 40), st.integers(0, 60))
    def test_what_waits_for_its_newline_is_bounded(self, limit: int, length: int) -> None:
        _, fault = feed_all([b"x"] * length, Limits(frame_bytes=limit))
        self.assertEqual(fault is not None, length > limit)

    def test_the_default_takes_a_megabyte_and_no_more(self) -> None:
        frame = encode_frame("a", frames.DATA, b'"%b"' % (b"x" * (1024 * 1024 - 15)))
        self.assertEqual(len(frame), 1024 * 1024 + 1)
        found, fault = feed_all([frame])
        self.assertEqual((len(found), fault), (1, None))
        found, fault = feed_all([frame[:-3] + b'x"]\n'])
        self.assertEqual(found, [])
        self.assertIsInstance(fault, LimitExceeded)


class NewTests(TestCase):
    """What opens a stream."""

    @bounded
    @given(json_values, st.booleans(), st.booleans(), st.booleans() | st.none())
    def test_round_trip(
        self, meta: object, writable: bool, readable: bool, half_open: bool | None
    ) -> None:
        opts = {"writable": writable, "readable": readable}
        if half_open is not None:
            opts["allowHalfOpen"] = half_open
        decoded, options = decode_new(Raw(encode_json({"meta": meta, "opts": opts})), 10_000)
        self.assertEqual(decoded, meta)
        self.assertEqual(options, Options(writable, readable, bool(half_open)))

    def test_what_npm_leaves_out(self) -> None:
        # createStream() has no meta; createStream(meta, {writable: true}) no readable.
        self.assertEqual(
            decode_new(Raw(b'{"opts":{"writable":true,"readable":true}}'), 100),
            (None, Options(True, True, False)),
        )
        self.assertEqual(
            decode_new(Raw(b'{"meta":1,"opts":{"readable":true}}'), 100),
            (1, Options(False, True, False)),
        )
        self.assertEqual(decode_new(Raw(b'{"opts":{}}'), 100), (None, Options(False, False, False)))

    def test_unknown_options_are_left_alone(self) -> None:
        payload = Raw(b'{"meta":0,"opts":{"writable":true,"later":[1]},"also":{"opts":null}}')
        self.assertEqual(decode_new(payload, 100), (0, Options(True, False, False)))

    def test_what_is_refused(self) -> None:
        yes = b'{"writable":true,"readable":true}'
        for payload in (
            b"",
            b"null",
            b"1",
            b'"new"',
            b"[]",
            b"{}",
            b'{"meta":1}',
            b'{"opts":null}',
            b'{"opts":[]}',
            b'{"opts":{"writable":1,"readable":true}}',
            b'{"opts":{"writable":"true","readable":true}}',
            b'{"opts":{"writable":null,"readable":true}}',
            b'{"opts":{"writable":true,"readable":true,"allowHalfOpen":null}}',
            b'{"meta":1e999,"opts":%b}' % yes,
            b'{"meta":"\xff","opts":%b}' % yes,
            b'{"meta":"\\ud800","opts":%b}' % yes,
            b'{"meta":%b%b,"opts":%b}' % (b"[" * 2000, b"]" * 2000, yes),
        ):
            with self.subTest(payload[:60]), self.assertRaises(RemoteProtocolError) as caught:
                decode_new(Raw(payload), 10_000)
            self.assertEqual(caught.exception.code, "protocol")

    def test_vectors_of_metas(self) -> None:
        """tests/vectors/frames.json, which the JavaScript twin reads as well."""
        for case in json.loads(VECTORS.read_text("utf-8"))["metas"]:
            with self.subTest(case["name"]):
                text = b"".join(map(VectorTests.part, case["meta"]))
                payload = Raw(b'{"meta":%b,"opts":{"writable":true}}' % text)
                if case["error"] is None:
                    self.assertEqual(decode_new(payload, 4096)[0], json.loads(text))
                else:
                    with self.assertRaises(RemoteProtocolError) as caught:
                        decode_new(payload, 4096)
                    self.assertEqual(caught.exception.code, case["error"])

    @bounded
    @given(st.integers(2, 40), st.integers(0, 50))
    def test_the_edge_of_the_meta(self, limit: int, length: int) -> None:
        payload = Raw(encode_json({"meta": "x" * length, "opts": {"writable": True}}))
        if length + 2 <= limit:
            self.assertEqual(decode_new(payload, limit)[0], "x" * length)
        else:
            with self.assertRaises(LimitExceeded) as caught:
                decode_new(payload, limit)
            self.assertIn(str(limit), str(caught.exception))

    @bounded
    @given(junk)
    def test_junk(self, payload: bytes) -> None:
        try:
            _, options = decode_new(Raw(payload), 100)
        except RemoteProtocolError:
            return
        self.assertIsInstance(options, Options)


class FaultTests(TestCase):
    """The payload of an error."""

    @bounded
    @given(texts, texts)
    def test_round_trip(self, message: str, code: str) -> None:
        self.assertEqual(decode_fault(Raw(encode_fault(message, code))), (message, code))

    @bounded
    @given(texts)
    def test_a_text(self, message: str) -> None:
        self.assertEqual(decode_fault(Raw(encode_json(message))), (message, "error"))

    def test_what_npm_sends(self) -> None:
        for payload, fault in (
            (b'{"message":"lost"}', ("lost", "error")),
            (b'{"message":"lost","code":"ECONNRESET","errno":-104}', ("lost", "ECONNRESET")),
            (b'{"message":"lost","code":7}', ("lost", "7")),
            # The message of an Error is not among what JSON.stringify takes.
            (b"{}", ("", "error")),
            (b'{"code":"ECONNRESET"}', ("", "ECONNRESET")),
        ):
            with self.subTest(payload):
                self.assertEqual(decode_fault(Raw(payload)), fault)

    def test_what_is_refused(self) -> None:
        for payload in (
            b"",
            b"null",
            b"1",
            b"true",
            b"[]",
            b'["lost"]',
            b'{"message":1}',
            b'{"message":null}',
            b'{"message":"lost","code":null}',
            b'{"message":"lost","code":1.5}',
            b'{"message":"lost","code":true}',
            b'{"message":"lost","code":%b}' % (b"9" * 5000),
            b'"\\ud800"',
            b'"\xff"',
            b"[" * 5000,
        ):
            with self.subTest(payload[:60]), self.assertRaises(RemoteProtocolError) as caught:
                decode_fault(Raw(payload))
            self.assertEqual(caught.exception.code, "protocol")

    @bounded
    @given(junk)
    def test_junk(self, payload: bytes) -> None:
        try:
            message, code = decode_fault(Raw(payload))
        except RemoteProtocolError:
            return
        self.assertIsInstance(message, str)
        self.assertIsInstance(code, str)


class GatherTests(TestCase):
    """Frames gathered to messages."""

    @bounded
    @given(st.lists(st.integers(1, frames.MESSAGE_BYTES), max_size=12))
    def test_no_message_is_much_too_large_and_none_small_without_need(
        self, sizes: list[int]
    ) -> None:
        parts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
        messages = gather(parts)
        self.assertEqual(b"".join(messages), b"".join(parts))
        for message in messages:
            last = len(message) - len(message.rstrip(message[-1:]))
            self.assertLess(len(message) - last, frames.MESSAGE_BYTES)
        for message in messages[:-1]:
            self.assertGreaterEqual(len(message), frames.MESSAGE_BYTES)
        self.assertNotIn(b"", messages)


class TogetherTests(TestCase):
    """Data frames of one stream, as one text."""

    prefix = data_prefix("a")
    lines = [b'["a","data",{}]\n', b'["a","data",{"n": 1 } ]\n', b'["a","data",{"]":"\\n"}]\n']
    others = [
        *(b'["a","data",1]\n', b'["a","data",[{}]]\n', b'["a","data", {}]\n', b'["a","end"]\n'),
        *(b'["a","data"]\n', b'["b","data",{}]\n', b' ["a","data",{}]\n', b"\n", b" \r\n"),
        *(b'["a", "data",{}]\n', b'["a","data",{}] \n', b'["a","data",{}]', b'["a","data",{},1]\n'),
        *(b'["a","data",{\n}]\n', b'["a","data",{}]]\n', b"]\n", b"{}]\n", b'["a","data",'),
    ]

    def test_objects_alone(self) -> None:
        text = b"".join(self.lines)
        self.assertTrue(are_objects(text, 3, self.prefix))
        self.assertFalse(are_objects(text, 3, data_prefix("b")))

    @bounded
    @given(st.lists(st.sampled_from(lines * 4 + others), max_size=6).map(b"".join) | junk)
    def test_what_is_taken_for_objects_is_just_that(self, text: bytes) -> None:
        found, fault = FrameDecoder().feed(text)
        if found and fault is None and are_objects(text, len(found), self.prefix):
            for line, (stream_id, event, payload) in zip(
                text.splitlines(keepends=True), found, strict=True
            ):
                self.assertEqual((stream_id, event), ("a", "data"))
                self.assertEqual(bytes(payload)[:1], b"{")
                self.assertTrue(line.startswith(self.prefix + bytes(payload)), line)

    @bounded
    @given(st.lists(st.sampled_from([b"{}", b'{"n":1}', b'"[]"', b'["a","data",{}]']), min_size=1))
    def test_another_prefix(self, payloads: list[bytes]) -> None:
        one, other = (
            b"".join(b"%b%b]\n" % (data_prefix(each), payload) for payload in payloads)
            for each in ("a", "/fruits/channel")
        )
        self.assertEqual(change_prefix(one, self.prefix, data_prefix("/fruits/channel")), other)
        self.assertIs(change_prefix(one, self.prefix, data_prefix("a")), one)


class Deep(TestCase):
    """Payloads nested so deeply that how much can be checked depends on the stack."""

    deep = b'{"a":%b}' % (b"[" * 5000 + b"]" * 5000)

    def test_not_at_a_relay(self) -> None:
        found, fault = FrameDecoder().feed(b'["a","data",%b]\n["a","data",1]\n' % self.deep)
        self.assertEqual(found, [])
        self.assertIsInstance(fault, RemoteProtocolError)

    def test_the_business_of_the_stream_where_it_ends(self) -> None:
        decoder = FrameDecoder(is_last=True)
        text = b'["a\\"b\xc3\xa9","data",%b]\n["a","data",1]\n' % self.deep
        found, fault = decoder.feed(text)
        self.assertIsNone(fault)
        self.assertEqual([each[:2] for each in found], [('a"b\xe9', "data"), ("a", "data")])
        self.assertEqual([bytes(each[2]) for each in found], [self.deep, b"1"])

    def test_only_data(self) -> None:
        for line in (
            b'["a","new",%b]\n' % self.deep,
            b'["a","data",%b\n' % self.deep,
            b"[%b]\n" % self.deep,
            b'["a","data","\xff",%b]\n' % self.deep,
        ):
            found, fault = FrameDecoder(is_last=True).feed(line)
            self.assertEqual(found, [])
            self.assertIsInstance(fault, RemoteProtocolError)
