"""A thousand newcomers at once: nobody serves more than its share, and no conversation is long."""

from __future__ import annotations

from collections import Counter
from typing import Any

from distmap.donors import MAX_SERVING
from distmap.switchboard import OPEN
from distmap.syncing import Serving
from distmap.syncs import Syncs
from distmap.testing import START_SECONDS, Network
from tests.support.memory import NetworkTestCase
from tests.support.quick_clock import QuickClock

NEWCOMERS = 1000
KEYS = 1000
VALUE = "x" * 20
ENTRY_BYTES = 120
"""An entry with its key, stamp and writer has fewer."""
GENERATIONS = 5
"""One ready peer serves 4, then all 5 serve 4 each: after five times it would be over 3,000."""


class CrowdTest(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.network = Network(QuickClock(START_SECONDS))
        self.served: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.heard_messages: Counter[Serving] = Counter()
        self.heard_bytes: Counter[Serving] = Counter()
        self.said_bytes: Counter[Serving] = Counter()
        serve, heard, say = Syncs.serve, Serving.stream_data, Serving._send

        def serving(syncs: Syncs, session: Any, client: str, *, reader: bool = False) -> None:
            serve(syncs, session, client, reader=reader)
            self.served[syncs.peer.id] += 1
            busy = len(syncs.serving)
            self.at_once[syncs.peer.id] = max(busy, self.at_once[syncs.peer.id])

        def hearing(conversation: Serving, payload: Any) -> None:
            if bytes(payload) != OPEN:
                self.heard_messages[conversation] += 1
                self.heard_bytes[conversation] += len(payload)
            heard(conversation, payload)

        def saying(conversation: Serving, messages: list[bytes]) -> None:
            self.said_bytes[conversation] += sum(map(len, messages))
            say(conversation, messages)

        self.patch(Syncs, "serve", serving)
        self.patch(Serving, "stream_data", hearing)
        self.patch(Serving, "_send", saying)

    def test_a_thousand_newcomers(self) -> None:
        (first,) = self.open(1)
        first.update({f"key-{at}": VALUE for at in range(KEYS)})
        self.network.settle()
        crowd = [self.network.open("/fruits") for _ in range(NEWCOMERS)]
        self.network.settle(1)

        self.assertEqual({each.synced for each in crowd}, {"peer"})
        entries = first._replica.entries
        self.assertEqual(len(entries), KEYS)
        self.assertTrue(all(each._replica.entries == entries for each in crowd))
        # Each newcomer had one conversation, and no peer many of them.
        self.assertEqual(sum(self.served.values()), NEWCOMERS)
        self.assertLessEqual(max(self.at_once.values()), MAX_SERVING)
        self.assertLessEqual(max(self.served.values()), GENERATIONS * MAX_SERVING)
        self.assertGreater(len(self.served), NEWCOMERS // (GENERATIONS * MAX_SERVING))
        # What one conversation costs depends on the map alone, not on how many came.
        self.assertEqual(len(self.heard_messages), NEWCOMERS)
        chunks = 16  # the ranges of a map that is fetched whole
        self.assertLessEqual(max(self.heard_messages.values()), chunks + 4)
        self.assertLess(max(self.heard_bytes.values()), 2000)
        self.assertLess(max(self.said_bytes.values()), KEYS * ENTRY_BYTES)
        self.assertGreater(min(self.said_bytes.values()), KEYS * len(VALUE))
