"""distmap.doubts: old entries that come while a peer syncs are taken after it, step by step."""

from __future__ import annotations

import json
from unittest import TestCase

from distmap.clock import Stamp
from distmap.doubts import STEP_ENTRIES
from distmap.entries import Entry, encode_entry
from distmap.peer import BY_PEER
from tests.support.replicas import check_replica
from tests.test_peer import START_MS, YEAR_MS, Network, Side

COUNT = 2 * STEP_ENTRIES + 500


class DoubtsTest(TestCase):
    def setUp(self) -> None:
        self.side = Side(Network(), "me")
        self.peer = self.side.peer
        self.replica = self.side.replica
        self.welcome()

    def welcome(self) -> None:
        self.peer.opened()
        details = {"version": [1, 0], "peer": "7", "time_ms": START_MS, "members": 2}
        self.peer.receive(json.dumps(["welcome", details]).encode())

    def others(self, count: int, ms: float = START_MS - YEAR_MS, value: bytes = b'"old"') -> None:
        """Another peer tells of so many keys, as it writes or passes them on."""
        for at in range(count):
            entry = Entry(Stamp(int(ms), at, "x"), value)
            self.peer.receive(encode_entry(f"k{at:04}", entry))

    def turns(self) -> list[int]:
        """Takes all turns; returns how many entries were taken in each."""
        taken = []
        while self.side.works:
            self.side.works = 0
            before = len(self.replica.entries)
            self.peer.work()
            taken.append(len(self.replica.entries) - before)
        return taken

    def test_some_in_each_turn(self) -> None:
        self.others(COUNT)
        self.assertEqual((self.replica.entries, self.side.updates), ({}, []))
        self.peer.synced()
        self.assertEqual(len(self.replica.entries), STEP_ENTRIES)
        self.assertEqual((self.peer.is_busy, self.side.how), (True, []), "not ready before the end")
        self.assertEqual(self.turns(), [STEP_ENTRIES, 500])
        self.assertEqual((self.peer.is_busy, self.side.how), (False, [BY_PEER]))
        keys = [update.key for update in self.side.updates]
        self.assertEqual(keys, [f"k{at:04}" for at in range(COUNT)])
        check_replica(self.replica)

    def test_few(self) -> None:
        self.others(3)
        self.peer.synced()
        self.assertEqual((self.side.how, len(self.replica.entries)), ([BY_PEER], 3))
        self.assertEqual((self.peer.is_busy, self.side.works), (False, 0))

    def test_what_the_donor_knows_to_be_deleted(self) -> None:
        self.others(COUNT)
        floor_ms = int(START_MS - YEAR_MS / 2)
        self.replica.adopt_floor(floor_ms)
        self.peer.synced()
        self.turns()
        self.assertEqual((self.replica.entries, self.replica.refused), ({}, COUNT))

    def test_what_is_written_meanwhile_stays(self) -> None:
        self.others(COUNT)
        self.peer.synced()
        self.others(COUNT, START_MS - 5, b'"new"')
        mine = self.side.set("k2400", "mine")
        self.turns()
        self.assertEqual(self.replica.entries["k2400"].stamp, mine)
        del self.replica.entries["k2400"]
        self.assertEqual({entry.value for entry in self.replica.entries.values()}, {b'"new"'})

    def test_the_connection_is_lost_before_it_is_ready(self) -> None:
        """Nothing was decided yet: what the others have comes with the next sync."""
        self.others(COUNT)
        self.peer.lost()
        self.welcome()
        self.peer.synced()
        self.assertEqual((self.turns(), self.replica.entries), ([], {}))

    def test_the_connection_is_lost_meanwhile(self) -> None:
        """It knew by then what was deleted: it goes on. What comes from then on waits again."""
        self.others(COUNT)
        self.peer.synced()
        self.peer.lost()
        self.assertEqual(self.side.how, [])
        self.welcome()
        self.peer.receive(encode_entry("late", Entry(Stamp(1, 0, "x"), b"1")))
        self.assertEqual(self.turns(), [500], "one step with the welcome, one in a turn of its own")
        self.assertEqual((len(self.replica.entries), self.side.how), (COUNT, []))
        self.peer.synced()
        self.assertEqual((len(self.replica.entries), self.side.how), (COUNT + 1, [BY_PEER]))

    def test_ready_again_meanwhile(self) -> None:
        self.others(COUNT)
        self.peer.synced()
        self.peer.lost()
        self.welcome()
        self.peer.receive(encode_entry("late", Entry(Stamp(1, 0, "x"), b"1")))
        self.peer.synced()
        self.turns()
        self.assertEqual((len(self.replica.entries), self.side.how), (COUNT + 1, [BY_PEER]))
