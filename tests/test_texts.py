"""distmap.texts: small messages at once, and never another outcome than Autobahn's own."""

from __future__ import annotations

import struct
from typing import Any
from unittest import TestCase
from unittest.mock import patch

from autobahn.twisted.websocket import WebSocketServerProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from distmap.relay_socket import ServerFactory
from distmap.texts import SMALL_BYTES, cut_texts
from distmap.websocket import WebSocketOptions
from tests.support.sockets import BINARY, CLOSE, PING, PONG, TEXT, RawPeer
from tests.test_websocket import Handler, Transport

CUT = "\N{SNOWMAN}".encode()


def masked(payload: bytes, key: bytes, first: int = 0x80 | TEXT, length: bytes = b"") -> bytes:
    """One masked frame; its length is written as briefly as it can be, unless it is given."""
    size = len(payload)
    if not length:
        if size < 126:
            length = struct.pack("!B", 0x80 | size)
        elif size < 65536:
            length = struct.pack("!BH", 0x80 | 126, size)
        else:
            length = struct.pack("!BQ", 0x80 | 127, size)
    text = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes([first]) + length + key + text


LIMITS = [1000, 70_000]
KEYS = st.one_of(st.just(bytes(4)), st.binary(min_size=4, max_size=4))
SIZES = st.sampled_from(
    [*range(6), *range(124, 129), 1000, 1001, SMALL_BYTES, SMALL_BYTES + 1, 65536, 70_001]
)
TEXTS = st.one_of(st.text(max_size=40).map(str.encode), SIZES.map(lambda size: b"x" * size))
BROKEN = st.sampled_from([b"\xff", CUT[:1], CUT[:2], CUT[1:], b"\xed\xa0\x80", b"\xc0\x80"])
GOOD = st.builds(masked, TEXTS, KEYS)
NOT_UTF8 = st.builds(masked, st.builds(bytes.__add__, TEXTS, BROKEN), KEYS)
FIRSTS = st.sampled_from([0x01, 0x80, 0x82, 0x83, 0x8B, 0x91, 0xA1, 0xC1, 0xF1])
OTHERS = st.builds(masked, TEXTS, KEYS, FIRSTS)
CONTROL = st.builds(
    masked, st.binary(max_size=10), KEYS, st.sampled_from([0x80 | CLOSE, 0x80 | PING, 0x80 | PONG])
)
FRAGMENTS = st.builds(
    lambda key, text, middle: masked(text[:1], key, TEXT) + middle + masked(text[1:], key, 0x80),
    KEYS,
    st.one_of(TEXTS, BROKEN),
    st.one_of(st.just(b""), CONTROL, GOOD),
)
LENGTHS = st.builds(
    lambda text, key, length: masked(text, key, length=length),
    st.text("xy", min_size=5, max_size=5).map(str.encode),
    KEYS,
    st.sampled_from(
        [
            b"\x05",  # not masked
            b"\x7e" + struct.pack("!H", 126),
            b"\xfe" + struct.pack("!H", 5),  # longer than it need be
            b"\xff" + struct.pack("!Q", 5),
            b"\xff" + struct.pack("!Q", 65535),
            b"\xff" + struct.pack("!Q", 2**63),
        ]
    ),
)
WIRE = st.lists(
    st.one_of(GOOD, GOOD, GOOD, NOT_UTF8, OTHERS, CONTROL, FRAGMENTS, LENGTHS, st.binary()),
    min_size=1,
    max_size=8,
).map(b"".join)


def outcome(chunks: list[bytes], max_bytes: int = 1000) -> tuple[list[Any], bytes, bool]:
    """What a socket tells, with text that comes together joined; what it sends; if it is dropped.

    What it tells at the end, and the timers that it has left, are looked at too.
    """
    clock, handler, transport = Clock(), Handler(), Transport()
    factory = ServerFactory(clock, lambda *_: handler, WebSocketOptions(message_bytes=max_bytes))
    socket = factory.buildProtocol(None)
    socket.makeConnection(transport)
    peer = RawPeer()
    with patch("os.urandom", return_value=bytes(16)):
        peer.makeConnection(StringTransport())
    socket.dataReceived(peer.transport.value())
    for chunk in chunks:
        socket.dataReceived(chunk)
    timers = sorted(call.getTime() for call in clock.getDelayedCalls())
    socket.connectionLost(Failure(ConnectionDone()))
    told: list[Any] = [timers]
    for each in handler.told:
        if isinstance(each, bytes) and isinstance(told[-1], bytes):
            told[-1] += each
        else:
            told.append(each if isinstance(each, bytes) else repr(each))
    return told, transport.value(), transport.disconnecting


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    """The wire in parts."""
    at = sorted({place % (len(wire) + 1) for place in places})
    parts = [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]
    return [part for part in parts if part]


class AsAutobahn(TestCase):
    """The same text, the same answers and the same end as without it."""

    @settings(max_examples=300)
    @given(WIRE, st.lists(st.integers(0, 400), max_size=6), st.sampled_from(LIMITS))
    def test_any_frames_in_any_parts(self, wire: bytes, places: list[int], max_bytes: int) -> None:
        chunks = cut(wire, places)
        ours = outcome(chunks, max_bytes)
        with patch("distmap.relay_socket.cut_texts", return_value=(b"", 0)) as asked:
            theirs = outcome(chunks, max_bytes)
        self.assertEqual(ours, theirs)
        self.assertTrue(asked.called or not wire)

    def test_a_character_is_not_cut_between_messages(self) -> None:
        wire = b"".join(masked(part, b"abcd") for part in (b"[1]\n", CUT[:2], CUT[2:]))
        told, sent, _ = outcome([wire])
        self.assertIn(b"[1]\n", told)
        self.assertIn(struct.pack("!H", 1007), sent)


class Counts(TestCase):
    """How often somebody is called."""

    def test_messages_that_came_together_are_told_at_once(self) -> None:
        handler = Handler()
        factory = ServerFactory(Clock(), lambda *_: handler, WebSocketOptions())
        socket: Any = factory.buildProtocol(None)
        socket.makeConnection(Transport())
        peer = RawPeer()
        peer.makeConnection(StringTransport())
        socket.dataReceived(peer.transport.value())
        wire = b"".join(masked(b"[%d]\n" % number, b"abcd") for number in range(500))
        with patch.object(
            WebSocketServerProtocol, "onMessageFrameBegin", autospec=True
        ) as by_autobahn:
            socket.dataReceived(wire)
        self.assertEqual(
            handler.told, ["opened", b"".join(b"[%d]\n" % number for number in range(500))]
        )
        by_autobahn.assert_not_called()
        socket.connectionLost(Failure(ConnectionDone()))


class Cut(TestCase):
    """The function by itself."""

    def test_nothing(self) -> None:
        for data in (b"", b"\x81", masked(b"text", b"abcd")[:-1]):
            self.assertEqual(cut_texts(data, 100), (b"", 0))

    def test_up_to_what_is_not_whole(self) -> None:
        one = masked("\N{SNOWMAN}".encode(), b"abcd")
        self.assertEqual(cut_texts(one + one[:-1], 100), (CUT, len(one)))

    def test_up_to_what_is_no_text(self) -> None:
        one, ping = masked(b"one", b"abcd"), masked(b"", b"abcd", 0x80 | PING)
        for other in (ping, masked(b"", b"abcd", 0x80 | BINARY), b"\x81\xff\x00\x7f" + bytes(140)):
            self.assertEqual(cut_texts(one + other + one, 100), (b"one", len(one)))

    def test_up_to_what_is_too_long(self) -> None:
        one = masked(b"x" * 126, b"abcd")
        self.assertEqual(cut_texts(one + one, 126), (b"x" * 252, 2 * len(one)))
        self.assertEqual(cut_texts(one, 125), (b"", 0))

    def test_up_to_what_is_not_utf8(self) -> None:
        one = masked(CUT, b"abcd")
        self.assertEqual(cut_texts(one + masked(CUT[:1], b"abcd") + one, 99), (CUT, len(one)))
        self.assertEqual(cut_texts(masked(CUT[:1], b"abcd") + one, 99), (b"", 0))
