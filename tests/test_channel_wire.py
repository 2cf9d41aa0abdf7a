"""distmap.channel_wire: what comes on a channel, checked."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from msgspec import Raw

from distmap.channel_wire import (
    MAX_NAME_CHARS,
    Ack,
    Alone,
    Client,
    Digest,
    Donor,
    Members,
    Time,
    Welcome,
    decode_control,
    decode_said,
    is_name,
)
from distmap.clock import MAX_TIME_MS
from distmap.errors import RemoteProtocolError

DETAILS: dict[str, Any] = {"version": [1, 0], "peer": "7", "time_ms": 5.5, "members": 3}
TOO_LONG = "7" * (MAX_NAME_CHARS + 1)


class OfTheRelay(TestCase):
    """Arrays."""

    def assert_malformed(self, *messages: Any) -> None:
        for message in messages:
            text = message if isinstance(message, bytes) else json.dumps(message).encode()
            with self.subTest(text[:60]), self.assertRaises(RemoteProtocolError):
                decode_control(text)

    def test_what_is_right(self) -> None:
        for text, control in (
            (b'["members",1]', Members(1)),
            (b'["ack",0,1.5]', Ack(0, 1.5)),
            (b'["donor","3"]', Donor("3")),
            (b'["alone"]', Alone()),
            (b'["client","a/b"]', Client("a/b")),
            (b'["time",0,8640000000000000]', Time(0, MAX_TIME_MS)),
        ):
            with self.subTest(text):
                self.assertEqual(decode_control(text), control)
                self.assertEqual(decode_control(text[:-1] + b',"more",{}]'), control)
        welcome = decode_control(json.dumps(["welcome", {**DETAILS, "more": 1}]).encode())
        assert isinstance(welcome, Welcome)
        self.assertEqual((welcome.details.peer, welcome.details.members), ("7", 3))

    def test_names_of_a_newer_relay(self) -> None:
        for text in (b'["nope"]', b'["Alone"]', b'["__proto__",{}]', b'["",1]'):
            with self.subTest(text):
                self.assertIsNone(decode_control(text))

    def test_what_is_no_message(self) -> None:
        self.assert_malformed([], [1], [None], [["alone"]], b"[", b'["ack",]', b'["\xff"]')
        self.assert_malformed(b"[" * 100_000, b'["nope",' + b"[" * 5000)

    def test_bad_details(self) -> None:
        for bad in (
            *({"version": 1}, {"version": [1]}, {"version": ["1", "0"]}, {"version": [True, 0]}),
            *({"peer": 7}, {"peer": ""}, {"peer": "a/b"}, {"peer": TOO_LONG}),
            *({"time_ms": "1"}, {"time_ms": -1}, {"time_ms": MAX_TIME_MS + 1}, {"time_ms": None}),
            *({"members": "3"}, {"members": 0}, {"members": True}, {"members": 2**53}),
        ):
            self.assert_malformed(["welcome", {**DETAILS, **bad}])
        for missing in DETAILS:
            self.assert_malformed(
                ["welcome", {name: each for name, each in DETAILS.items() if name != missing}]
            )
        self.assert_malformed(["welcome"], ["welcome", 1], ["welcome", [1, "7", 5, 3]])

    def test_bad_numbers_and_names(self) -> None:
        self.assert_malformed(["members"], ["members", 0], ["members", True], ["members", 1.5])
        self.assert_malformed(["members", "1"], ["members", 2**53], ["members", -(2**70)])
        self.assert_malformed(["ack"], ["ack", 1], ["ack", -1, 1], ["ack", True, 1])
        self.assert_malformed(["ack", 1, True], ["ack", 1, -1], ["ack", 1, "2"])
        self.assert_malformed(["time", 1], ["time", "a", 1], ["time", 1, 2**53], ["time", True, 1])
        self.assert_malformed(
            b'["time",1e309,1]', b'["time",1,1e309]', b'["time",%s,1]' % (b"9" * 400)
        )
        self.assert_malformed(b'["time",%s,1]' % (b"9" * 5000), b'["ack",%s,1]' % (b"9" * 5000))
        self.assert_malformed(["donor"], ["donor", 1], ["donor", ""], ["donor", "a/b"])
        self.assert_malformed(["donor", TOO_LONG], ["client"], ["client", 1], ["client", None])


class OfMembers(TestCase):
    """Objects."""

    def test_entries(self) -> None:
        one = b'{"event":"set","key":"k","entries":5,"peer":1,"count":"x","sum":null}'
        self.assertEqual([bytes(each) for each in decode_said(one) or []], [one])  # type: ignore[union-attr]
        self.assertEqual(decode_said(b'{"event":"entries"}'), [])
        (entry,) = decode_said(b'{"event":"entries","entries":[[1, 2]],"peer":7}')  # type: ignore[misc]
        self.assertEqual(entry, Raw(b"[1, 2]"))

    def test_a_digest(self) -> None:
        text = b'{"event":"digest","peer":"3","count":0,"sum":5,"entries":"x"}'
        self.assertEqual(decode_said(text), Digest("3", 0, 5))

    def test_of_a_newer_member(self) -> None:
        self.assertIsNone(decode_said(b'{"event":"nope","entries":5,"peer":6}'))

    def test_malformed(self) -> None:
        digest = {"event": "digest", "peer": "3", "count": 0, "sum": 5}
        bad: list[Any] = [
            *(1, None, "set", {}, {"event": 1}, {"event": None}, {"event": ["set"]}),
            *({"event": "entries", "entries": None}, {"event": "entries", "entries": {}}),
            *(
                {**digest, "peer": 3},
                {**digest, "peer": ""},
                {**digest, "peer": "1/proxy/client/2"},
            ),
            *({**digest, "peer": TOO_LONG}, {**digest, "count": True}, {**digest, "count": -1}),
            *({**digest, "sum": 2**53}, {**digest, "sum": 1.5}, {"event": "digest"}),
        ]
        for text in (*map(json.dumps, bad), '{"event":', '{"event":"x","y":' + "[" * 5000):
            with self.subTest(text[:60]), self.assertRaises(RemoteProtocolError):
                decode_said(text.encode())


class Names(TestCase):
    """Of members."""

    def test_names(self) -> None:
        for name in ("1", "a.b", "é" * MAX_NAME_CHARS, " "):
            self.assertTrue(is_name(name))
        for name in ("", "a/b", "/", TOO_LONG):
            self.assertFalse(is_name(name))
