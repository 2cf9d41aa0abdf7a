"""distmap.routes: what a stream's meta says it is."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from distmap.errors import StreamError
from distmap.frames import DEFAULT_LIMITS
from distmap.routes import (
    ACCEPT,
    CHANNEL,
    CONNECT,
    CREDENTIALS,
    LISTEN,
    Route,
    parse_route,
    route_of,
)


class Routes(TestCase):
    def test_kinds(self) -> None:
        for text, *parts in (
            ("/u/channel", CHANNEL, "/u"),
            ("/u/proxy/server/s", LISTEN, "/u", "s"),
            ("/u/proxy/client/s/c", CONNECT, "/u", "s", "c"),
            ("/u/proxy/server/s/client/c/1", ACCEPT, "/u", "s", "c"),
            ("credentials", CREDENTIALS),
            ("credentials/channel", CHANNEL, "credentials"),
            # The map is what stands before the last of these words, whatever it is called.
            ("/u/proxy/client/1/x/channel", CHANNEL, "/u/proxy/client/1/x"),
            ("/u/channel/proxy/client/1/x", CONNECT, "/u/channel", "1", "x"),
        ):
            for meta in (text, {"route": text, "more": 1}):
                self.assertEqual(parse_route(meta), Route(text, *parts))

    def test_none(self) -> None:
        others: list[Any] = [None, 5, [], {}, {"route": None}]
        for meta, code in (
            *((other, "protocol") for other in others),
            ("", "unknown-route"),
            ("/channel", "unknown-route"),
            ("/credentials", "unknown-route"),
            ("credentials/", "unknown-route"),
            ("/" + "u" * (DEFAULT_LIMITS.route_bytes - len("/channel")) + "/channel", "limit"),
        ):
            with self.subTest(meta), self.assertRaises(StreamError) as caught:
                parse_route(meta)
            self.assertEqual(caught.exception.code, code)

    def test_route_of(self) -> None:
        self.assertEqual(route_of({"route": "x"}), "x")
        self.assertEqual(route_of("x"), "x")
        self.assertIsNone(route_of({}))
