"""distmap.channel_wire: what a peer gets on a channel."""

from __future__ import annotations

from unittest import TestCase

import msgspec

from distmap.channel_wire import Welcome, decode_control, decode_message
from distmap.values import NOT_JSON


class Wire(TestCase):
    def test_welcome(self) -> None:
        details = {"version": [1, 0], "peer": "7", "time_ms": 5.5, "members": 2, "more": 1}
        welcome = msgspec.convert(details, Welcome)
        self.assertEqual((welcome.peer, welcome.access), ("7", "write"))
        self.assertEqual(msgspec.convert({**details, "access": "read"}, Welcome).access, "read")
        with self.assertRaises(NOT_JSON):
            msgspec.convert({**details, "access": 5}, Welcome)

    def test_messages(self) -> None:
        self.assertEqual(decode_control(b'["ack",1]'), ["ack", 1])
        message = decode_message(b'{"event":"entries","entries":[{"a":1}]}')
        self.assertEqual([bytes(each) for each in message.entries], [b'{"a":1}'])
        for text in (b"{}", b'{"event":5}', b"[", b'{"event":"digest","count":"x"}'):
            with self.assertRaises(NOT_JSON):
                decode_message(text)
