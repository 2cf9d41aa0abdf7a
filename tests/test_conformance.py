"""WebSocket conformance of the relay's own socket class: the texts that it takes together."""

from __future__ import annotations

import struct
from typing import Any
from unittest import TestCase

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from distmap.websocket_options import WebSocketOptions
from tests.conformance.echo import Autobahn, Both, WholeTexts, first_frame, make_factory
from tests.support.sockets import BINARY, CLOSE, PING, PONG, RawPeer, frame
from tests.test_texts import CUT, make, server
from tests.test_websocket import Handler, Transport

KEY = b"abcd"
ONE, TWO = make(b'["a","data",1]\n', KEY), make(b'["a","data",2]\n', KEY)
TEXT_ONE, TEXT_TWO = b'["a","data",1]\n', b'["a","data",2]\n'


class TheRelays(TestCase):
    """Whole texts before and after what is none."""

    def setUp(self) -> None:
        self.handler = Handler()
        self.clock = Clock()
        self.socket = server(self.clock, self.handler, WebSocketOptions(message_bytes=1000))
        self.transport: Any = self.socket.transport
        self.transport.clear()
        self.addCleanup(self.nothing_left)

    def nothing_left(self) -> None:
        self.socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def hear(self, *frames: bytes) -> bytes:
        """What is told of frames that come together; those behind a fault are not."""
        self.socket.dataReceived(b"".join(frames))
        return b"".join(each for each in self.handler.told if isinstance(each, bytes))

    def assert_closed(self, code: int) -> None:
        self.assertIn(bytes([0x80 | CLOSE]), self.transport.value()[:1])
        self.assertEqual(self.transport.value()[2:4], struct.pack("!H", code))
        self.assertIn("closing", self.handler.told)

    def test_fragments_with_a_ping_in_between(self) -> None:
        parts = make(CUT[:1], KEY, 0x01), make(CUT[1:], KEY, 0x80)
        told = self.hear(ONE, parts[0], make(b"p", KEY, 0x80 | PING), parts[1], TWO)
        self.assertEqual(told, TEXT_ONE + CUT + TEXT_TWO)
        self.assertEqual(self.transport.value(), frame(b"p", PONG, masked=False))

    def test_a_whole_text_within_fragments(self) -> None:
        self.assertEqual(self.hear(ONE, make(b"x", KEY, 0x01), TWO), TEXT_ONE)
        self.assert_closed(1002)

    def test_the_rest_of_fragments_that_never_began(self) -> None:
        self.assertEqual(self.hear(ONE, make(b"x", KEY, 0x80), TWO), TEXT_ONE)
        self.assert_closed(1002)

    def test_bad_utf8_in_the_middle(self) -> None:
        for bad in (b"\xff", CUT[:2], b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"):
            with self.subTest(bad):
                self.doCleanups()
                self.setUp()
                self.assertEqual(self.hear(ONE, make(bad, KEY), TWO), TEXT_ONE)
                self.assert_closed(1007)

    def test_a_character_over_two_messages(self) -> None:
        self.assertEqual(self.hear(ONE, make(CUT[:1], KEY), make(CUT[1:], KEY)), TEXT_ONE)
        self.assert_closed(1007)

    def test_reserved_bits_and_opcodes(self) -> None:
        for first in (0xC1, 0xA1, 0x91, 0x83, 0x8B):
            with self.subTest(first):
                self.doCleanups()
                self.setUp()
                self.assertEqual(self.hear(ONE, make(b"x", KEY, first), TWO), TEXT_ONE)
                self.assert_closed(1002)

    def test_over_the_limit(self) -> None:
        self.assertEqual(self.hear(ONE, make(b"x" * 1000, KEY))[-1000:], b"x" * 1000)
        self.assertNotIn("closing", self.handler.told)
        self.hear(make(b"y" * 1001, KEY), TWO)
        self.assertNotIn(b"y", b"".join(each for each in self.handler.told if type(each) is bytes))
        self.assert_closed(1009)

    def test_without_a_mask(self) -> None:
        self.assertEqual(self.hear(ONE, make(b"x"), TWO), TEXT_ONE)
        self.assert_closed(1002)

    def test_a_length_that_is_longer_than_it_need_be(self) -> None:
        long = make(b"x" * 5, KEY, length=bytes([0x80 | 126]) + struct.pack("!H", 5))
        self.assertEqual(self.hear(ONE, long, TWO), TEXT_ONE)
        self.assert_closed(1002)

    def test_what_comes_after_the_close(self) -> None:
        self.assertEqual(self.hear(ONE, make(b"\x03\xe8", KEY, 0x80 | CLOSE), TWO), TEXT_ONE)
        self.assert_closed(1000)

    def test_byte_by_byte(self) -> None:
        for byte in ONE + make(b"p", KEY, 0x80 | PING) + TWO:
            self.socket.dataReceived(bytes([byte]))
        self.assertEqual(self.hear(), TEXT_ONE + TEXT_TWO)


class TheEcho(TestCase):
    """What Autobahn|Testsuite is run against."""

    def echo(self, kind: type[Both], *frames: bytes) -> list[tuple[int, bytes]]:
        clock: Any = Clock()
        socket: Any = make_factory(clock, kind).buildProtocol(None)
        socket.makeConnection(Transport())
        peer = RawPeer()
        peer.makeConnection(Transport())
        socket.dataReceived(peer.transport.value())
        socket.dataReceived(b"".join(frames))
        peer.dataReceived(socket.transport.value())
        options = WebSocketOptions()
        self.assertEqual(socket.maxMessagePayloadSize, options.message_bytes)
        self.assertEqual(socket.autoPingInterval, options.ping_seconds)
        socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(clock.getDelayedCalls(), [])
        return peer.frames

    def test_messages_come_back_one_by_one(self) -> None:
        texts = [b"", b"1" * 125, b"2" * 126, b'"%b"' % CUT, b"3" * 3000]
        for kind in (WholeTexts, Autobahn):
            frames = [make(text, KEY) for text in texts]
            parts = make(b"1", KEY, 0x01), make(b"2", KEY, 0x80)
            found = self.echo(kind, *frames, make(b"\xff", KEY, 0x80 | BINARY), *parts)
            self.assertEqual([payload for _, payload in found], [*texts, b"\xff", b"12"])

    def test_the_fast_way_is_taken_or_not(self) -> None:
        data = make(b"one", KEY) + make(b"two", KEY)
        self.assertEqual(WholeTexts._cut_texts(data, 100), (b"one", len(data) // 2))
        self.assertEqual(Autobahn._cut_texts(data, 100), (b"", 0))

    def test_the_first_frame(self) -> None:
        for size in (0, 5, 125, 126, 65535, 65536):
            for key in (b"", KEY):
                one = make(b"x" * size, key)
                self.assertEqual(first_frame(one + b"more"), one)
                self.assertEqual(first_frame(one[:-1]), one[:-1])
        for short in (b"", b"\x81", b"\x81\xfe", b"\x81\xff\0\0\0"):
            self.assertEqual(first_frame(short), short)
