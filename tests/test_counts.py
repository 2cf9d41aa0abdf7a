"""distmap.counts: what counts by itself, and what a relay on sockets counts."""

from __future__ import annotations

from typing import Any
from unittest import TestCase as PlainTestCase

from twisted.trial.unittest import TestCase

from distmap.counts import MAX_CAUSES, OTHER, TURN_SECONDS, Causes, Counts, Histogram, Traffic
from distmap.frames import Limits
from distmap.relay_server import RelayOptions
from distmap.websocket_options import WebSocketOptions
from tests.support.processes import until
from tests.support.sockets import frame, raw_peer, start_relay

VERSIONED = {"route": "/u/channel", "version": [1, 0]}


class Numbers(PlainTestCase):
    def test_histogram(self) -> None:
        histogram = Histogram((0.1, 1))
        for value in (0, 0.1, 0.11, 1, 1.5, 100):
            histogram.add(value)
        self.assertEqual(histogram.counts, [2, 2, 2])
        self.assertAlmostEqual(histogram.total, 102.71)

    def test_causes_do_not_grow_for_ever(self) -> None:
        causes = Causes()
        for at in range(MAX_CAUSES + 10):
            causes.add(f"c{at}")
        causes.add("c0", 5)
        self.assertEqual(len(causes), MAX_CAUSES + 1)
        self.assertEqual((causes["c0"], causes[OTHER]), (6, 10))

    def test_events(self) -> None:
        counts = Counts()
        counts.observe("opened", {"route": "/u/channel"})
        for event in ("refused", "faulted", "evicted", "handshake", "paused"):
            counts.observe(event, {"code": event})
        counts.observe("refused", {})
        counts.observe("closed", {"code": "x"})
        self.assertEqual(counts.streams, 1)
        self.assertEqual(counts.refusals, {"refused": 1, OTHER: 1})
        self.assertEqual(counts.faults, {"faulted": 1})
        self.assertEqual(counts.evictions, {"evicted": 1})
        self.assertEqual(counts.handshake_failures, {"handshake": 1})
        self.assertEqual(counts.pauses, {"paused": 1})

    def test_traffic(self) -> None:
        counts, one = Counts(), Traffic()
        one.bytes_in, one.frames_in, one.bytes_out, one.frames_out = 1, 2, 3, 4
        counts.gone.add(one)
        total = counts.traffic([one, one])
        self.assertEqual(
            (total.bytes_in, total.frames_in, total.bytes_out, total.frames_out), (3, 6, 9, 12)
        )
        self.assertEqual(counts.gone.bytes_in, 1)

    def test_bounds_ascend(self) -> None:
        self.assertEqual(sorted(set(TURN_SECONDS)), list(TURN_SECONDS))


class OfARelay(TestCase):
    """What a relay on sockets counts."""

    timeout = 60

    def setUp(self) -> None:
        limits = Limits(streams=2)
        self.service, self.port = start_relay(
            self, RelayOptions(limits=limits, websocket=WebSocketOptions(handshake_seconds=0.2))
        )
        self.server = self.service.server
        self.counts = self.server.counts

    def traffic(self) -> Traffic:
        return self.counts.traffic(each.traffic for each in self.server.connections)

    async def test_traffic(self) -> None:
        peer = await raw_peer(self, self.port)
        self.assertEqual((self.counts.connections, self.traffic().frames_in), (1, 0))
        line = b'["/u/channel","data",{}]\n'
        peer.open("/u/channel", VERSIONED)
        sent = len(frame(line * 3)) * 2
        peer.send(line * 3)
        peer.send(line * 3)
        await until(lambda: self.traffic().frames_in == 7)
        acknowledged = '["ack",6,'
        await until(lambda: any(acknowledged.encode() in text for _, text in peer.frames))
        total = self.traffic()
        self.assertGreater(total.bytes_in, sent)
        self.assertEqual(total.frames_out, len(peer.lines))
        self.assertEqual(
            total.bytes_out, sum(len(frame(text, masked=False)) for _, text in peer.frames)
        )
        self.assertGreater(sum(self.counts.turns.counts), 0)
        (connection,) = self.server.connections
        self.assertEqual(connection.maps, 1)
        await peer.drop()
        await until(lambda: not self.server.connections)
        self.assertEqual(vars_of(self.traffic()), vars_of(total), "of one that is gone")

    async def test_refusals_and_faults(self) -> None:
        peer = await raw_peer(self, self.port)
        peer.open("a", "nonsense")
        peer.open("b", 5)
        await until(lambda: peer.got("b", "close"))
        peer.open("c", "/u/channel")
        peer.open("d", VERSIONED)
        peer.open("e", VERSIONED)
        await until(lambda: peer.got("e", "close"))
        self.assertEqual(self.counts.refusals, {"unknown-route": 1, "protocol": 1, "limit": 1})
        peer.send_mux("d", "data", 5)
        peer.send_mux("c", "nonsense")
        await until(lambda: peer.got("c", "close") and peer.got("d", "close"))
        self.assertEqual(self.counts.faults, {"protocol": 2})
        self.assertEqual(self.counts.streams, 2)

    async def test_evictions(self) -> None:
        peer = await raw_peer(self, self.port)
        peer.send(b"junk\n")
        await peer.closed()
        self.assertEqual(self.counts.evictions, {"protocol": 1})

    async def test_syncs(self) -> None:
        peers = [await raw_peer(self, self.port) for _ in range(2)]
        for peer in peers:
            peer.open("/u/channel", VERSIONED)
            await until(lambda: len(peer.lines) >= 2)  # noqa: B023
        syncs = self.server.core.hub.donors.syncs
        self.assertEqual(syncs, {"alone": 1, "begun": 1})
        peers[1].send_mux("/u/channel", "data", ["sync", peers[0].lines[0][2][1]["peer"]])
        await until(lambda: syncs["failed"])
        self.assertEqual(syncs, {"alone": 2, "begun": 1, "failed": 1})


def vars_of(traffic: Traffic) -> dict[str, Any]:
    return {name: getattr(traffic, name) for name in traffic.__slots__}
