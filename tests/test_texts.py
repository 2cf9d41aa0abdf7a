"""distmap.texts: messages at once, and never another outcome than Autobahn's own."""

from __future__ import annotations

import struct
from typing import Any
from unittest import TestCase
from unittest.mock import patch

from autobahn.websocket.protocol import WebSocketProtocol
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from distmap.relay_socket import ServerFactory, ServerSocket
from distmap.texts import SENT_BYTES, SMALL_BYTES, cut_masked, cut_unmasked, make_masked
from distmap.websocket import ClientFactory, ClientSocket
from distmap.websocket_options import WebSocketOptions
from tests.support.sockets import BINARY, CLOSE, PING, PONG, TEXT, RawPeer
from tests.test_websocket import Handler, Transport, answer

CUT = "\N{SNOWMAN}".encode()


def make(payload: bytes, key: bytes = b"", first: int = 0x80 | TEXT, length: bytes = b"") -> bytes:
    """One frame, masked if there is a key; its length as brief as can be, unless it is given."""
    size, mask = len(payload), 0x80 if key else 0
    if not length:
        if size < 126:
            length = struct.pack("!B", mask | size)
        elif size < 65536:
            length = struct.pack("!BH", mask | 126, size)
        else:
            length = struct.pack("!BQ", mask | 127, size)
    text = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if key else payload
    return bytes([first]) + length + key + text


def odd_lengths(mask: int) -> list[bytes]:
    """Of five bytes: all of them wrong."""
    return [
        bytes([mask ^ 0x80 | 5]),
        bytes([mask ^ 0x80 | 126]) + struct.pack("!H", 126),
        bytes([mask | 126]) + struct.pack("!H", 5),  # longer than it need be
        bytes([mask | 127]) + struct.pack("!Q", 5),
        bytes([mask | 127]) + struct.pack("!Q", 65535),
        bytes([mask | 127]) + struct.pack("!Q", 2**63),
    ]


LIMITS = [1000, 70_000]
SIZES = st.sampled_from(
    [*range(6), *range(124, 129), 1000, 1001, SMALL_BYTES, SMALL_BYTES + 1, 65535, 65536, 70_001]
)
TEXTS = st.one_of(st.text(max_size=40).map(str.encode), SIZES.map(lambda size: b"x" * size))
BROKEN = st.sampled_from([b"\xff", CUT[:1], CUT[:2], CUT[1:], b"\xed\xa0\x80", b"\xc0\x80"])
FIRSTS = st.sampled_from([0x01, 0x80, 0x82, 0x83, 0x8B, 0x91, 0xA1, 0xC1, 0xF1])
CONTROLS = st.sampled_from([0x80 | CLOSE, 0x80 | PING, 0x80 | PONG])


def wires(keys: st.SearchStrategy[bytes], mask: int) -> st.SearchStrategy[bytes]:
    """Frames of all kinds."""
    good = st.builds(make, TEXTS, keys)
    not_utf8 = st.builds(make, st.builds(bytes.__add__, TEXTS, BROKEN), keys)
    others = st.builds(make, TEXTS, keys, FIRSTS)
    control = st.builds(make, st.binary(max_size=10), keys, CONTROLS)
    fragments = st.builds(
        lambda key, text, middle: make(text[:1], key, TEXT) + middle + make(text[1:], key, 0x80),
        keys,
        st.one_of(TEXTS, BROKEN),
        st.one_of(st.just(b""), control, good),
    )
    lengths = st.builds(
        lambda text, key, length: make(text, key, length=length),
        st.text("xy", min_size=5, max_size=5).map(str.encode),
        keys,
        st.sampled_from(odd_lengths(mask)),
    )
    each = st.one_of(good, good, good, not_utf8, others, control, fragments, lengths, st.binary())
    return st.lists(each, min_size=1, max_size=8).map(b"".join)


MASKED = wires(st.one_of(st.just(bytes(4)), st.binary(min_size=4, max_size=4)), 0x80)
UNMASKED = wires(st.just(b""), 0)


def server(clock: Clock, handler: Handler, options: WebSocketOptions) -> Any:
    """The relay's end, open."""
    socket: Any = ServerFactory(clock, lambda *_: handler, options).buildProtocol(None)
    socket.makeConnection(Transport())
    peer = RawPeer()
    with patch("os.urandom", return_value=bytes(16)):
        peer.makeConnection(StringTransport())
    socket.dataReceived(peer.transport.value())
    return socket


def client(clock: Clock, handler: Handler, options: WebSocketOptions) -> Any:
    """The client's end, open; it masks nothing."""
    socket: Any = ClientFactory(clock, "ws://localhost/", handler, options).buildProtocol(None)
    socket.makeConnection(Transport())
    socket.dataReceived(answer(socket.transport.value()))
    socket.applyMask = socket.maskClientFrames = False
    socket.transport.clear()
    return socket


def outcome(make_socket: Any, chunks: list[bytes], max_bytes: int = 1000) -> list[Any]:
    """What a socket sends; if it is dropped; the timers it has left; and what it tells, to its end,
    with text that comes together joined.
    """
    clock, handler = Clock(), Handler()
    socket = make_socket(clock, handler, WebSocketOptions(message_bytes=max_bytes))
    transport = socket.transport
    for chunk in chunks:
        socket.dataReceived(chunk)
    timers = sorted(call.getTime() for call in clock.getDelayedCalls())
    socket.connectionLost(Failure(ConnectionDone()))
    told: list[Any] = [transport.value(), transport.disconnecting, timers]
    for each in handler.told:
        if isinstance(each, bytes) and isinstance(told[-1], bytes):
            told[-1] += each
        else:
            told.append(each if isinstance(each, bytes) else repr(each))
    return told


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    """The wire in parts."""
    at = sorted({place % (len(wire) + 1) for place in places})
    parts = [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]
    return [part for part in parts if part]


class AsAutobahn(TestCase):
    """The same text, the same answers and the same end as without it."""

    places = st.lists(st.integers(0, 400), max_size=6)

    def check(self, make_socket: Any, wire: bytes, places: list[int], max_bytes: int) -> None:
        chunks = cut(wire, places)
        ours = outcome(make_socket, chunks, max_bytes)
        nothing = staticmethod(lambda data, max_bytes: (b"", 0))
        with (
            patch.object(ServerSocket, "_cut_texts", nothing),
            patch.object(ClientSocket, "_cut_texts", nothing),
        ):
            theirs = outcome(make_socket, chunks, max_bytes)
        self.assertEqual(ours, theirs)

    @settings(deadline=None, max_examples=300)
    @given(MASKED, places, st.sampled_from(LIMITS))
    def test_what_clients_send(self, wire: bytes, places: list[int], max_bytes: int) -> None:
        self.check(server, wire, places, max_bytes)

    @settings(deadline=None, max_examples=300)
    @given(UNMASKED, places, st.sampled_from(LIMITS))
    def test_what_servers_send(self, wire: bytes, places: list[int], max_bytes: int) -> None:
        self.check(client, wire, places, max_bytes)

    def test_a_character_is_not_cut_between_messages(self) -> None:
        for make_socket, key in ((server, b"abcd"), (client, b"")):
            wire = b"".join(make(part, key) for part in (b"[1]\n", CUT[:2], CUT[2:]))
            sent, _, _, *told = outcome(make_socket, [wire])
            self.assertIn(b"[1]\n", told)
            self.assertIn(struct.pack("!H", 1007), sent)


class Counts(TestCase):
    """How often somebody is called."""

    def test_messages_that_came_together_are_told_at_once(self) -> None:
        texts = [b"[%d]\n" % number for number in range(500)]
        for make_socket, key in ((server, b"abcd"), (client, b"")):
            handler = Handler()
            socket = make_socket(Clock(), handler, WebSocketOptions())
            with patch.object(WebSocketProtocol, "onFrameBegin") as by_autobahn:
                socket.dataReceived(b"".join(make(text, key) for text in texts))
            self.assertEqual(handler.told, ["opened", b"".join(texts)])
            by_autobahn.assert_not_called()
            socket.connectionLost(Failure(ConnectionDone()))


class Made(TestCase):
    """What a client sends is what the relay takes."""

    @settings(deadline=None)
    @given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
    @example(b"x" * 125, b"abcd")
    @example(b"x" * 126, b"abcd")
    @example(b"x" * 65535, b"abcd")
    def test_as_by_hand(self, text: bytes, mask: bytes) -> None:
        self.assertEqual(make_masked(text, mask), make(text, mask))

    def test_from_socket_to_socket(self) -> None:
        heard = Handler()
        mine, relay = (
            make_socket(Clock(), handler, WebSocketOptions())
            for make_socket, handler in ((client, Handler()), (server, heard))
        )
        mine.applyMask = mine.maskClientFrames = True
        sizes = [0, 1, 125, 126, SENT_BYTES, SENT_BYTES + 1, 65536]
        for size in sizes:
            mine.send(b"x" * size)
        relay.dataReceived(mine.transport.value())
        text = b"".join(each for each in heard.told if isinstance(each, bytes))
        self.assertEqual(text, b"x" * sum(sizes))
        self.assertNotIn("closing", heard.told)
        mine.transport.clear()
        mine.send(b"same")
        mine.send(b"same")
        first, second = mine.transport.value()[:10], mine.transport.value()[10:]
        self.assertNotEqual(first, second, "the masks are not by chance")
        mine.close(1000, "")
        mine.transport.clear()
        mine.send(b"late")
        self.assertEqual(mine.transport.value(), b"")
        for socket in (mine, relay):
            socket.connectionLost(Failure(ConnectionDone()))


class Cut(TestCase):
    """The functions by themselves."""

    both = ((cut_masked, b"abcd"), (cut_unmasked, b""))

    def test_nothing(self) -> None:
        for take, key in self.both:
            whole = make(b"x" * 200, key)
            for end in range(len(whole)):
                self.assertEqual(take(whole[:end], 1000), (b"", 0))

    def test_up_to_what_is_not_whole(self) -> None:
        for take, key in self.both:
            one = make(CUT, key)
            self.assertEqual(take(one + one[:-1], 100), (CUT, len(one)))

    def test_up_to_what_is_no_text(self) -> None:
        for take, key in self.both:
            one = make(b"one", key)
            others = [make(b"", key, 0x80 | PING), make(b"", key, 0x80 | BINARY)]
            lengths = odd_lengths(0x80 if key else 0)
            for other in others + [b"\x81" + length + bytes(140) for length in lengths]:
                self.assertEqual(take(one + other + one, 100), (b"one", len(one)))

    def test_up_to_what_is_too_long(self) -> None:
        for take, key in self.both:
            one = make(b"x" * 126, key)
            self.assertEqual(take(one + one, 126), (b"x" * 252, 2 * len(one)))
            self.assertEqual(take(one, 125), (b"", 0))

    def test_up_to_what_is_not_utf8(self) -> None:
        for take, key in self.both:
            one, broken = make(CUT, key), make(CUT[:1], key)
            self.assertEqual(take(one + broken + one, 99), (CUT, len(one)))
            self.assertEqual(take(broken + one, 99), (b"", 0))

    def test_large_ones(self) -> None:
        text = b"x" * 70_000
        self.assertEqual(cut_unmasked(make(text), 1 << 20), (text, 10 + len(text)))
        self.assertEqual(cut_masked(make(text, b"abcd"), 1 << 20), (b"", 0))
