"""distmap.metrics: what a relay on sockets tells Prometheus, and whom it tells."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.web.test.requesthelper import DummyRequest

from distmap.metrics import FORWARDED, is_local
from distmap.relay_server import RelayOptions
from distmap.relay_status import read_samples
from tests.support.processes import until
from tests.support.sockets import raw_peer, start_relay
from tests.test_site import SiteTestCase

VERSIONED = {"route": "/u/channel", "version": [1, 0]}


class Told(SiteTestCase):
    def setUp(self) -> None:
        self.service, self.port = start_relay(self)

    async def read(self) -> dict[str, dict[str, float]]:
        answer = await self.fetch(self.port, "/metrics")
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.headers["content-type"].partition(";")[0], "text/plain")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        return read_samples(answer.body.decode())

    async def test_an_idle_relay(self) -> None:
        samples = await self.read()
        for name in ("connections", "maps", "members", "queue_bytes", "frames_in_total"):
            self.assertEqual(samples[f"distmap_{name}"], {"": 0})
        self.assertEqual((await self.fetch(self.port, "/metrics", "HEAD")).body, b"")

    async def test_after_some_work(self) -> None:
        peers = [await raw_peer(self, self.port) for _ in range(3)]
        for peer in peers[:2]:
            peer.open("/u/channel", VERSIONED)
        peers[2].open("x", "/no-such-route")
        await until(lambda: peers[2].got("x", "error"))
        await until(lambda: all(len(peer.lines) >= 2 for peer in peers[:2]))
        samples = await self.read()
        for name, value in (
            ("connections", 3),
            ("connections_opened_total", 3),
            ("maps", 1),
            ("members", 2),
            ("streams_opened_total", 2),
            ("frames_in_total", 3),
        ):
            self.assertEqual(samples[f"distmap_{name}"], {"": value}, name)
        self.assertEqual(samples["distmap_refusals_total"], {"unknown-route": 1})
        self.assertEqual(samples["distmap_syncs_total"], {"alone": 1, "begun": 1})
        self.assertGreater(samples["distmap_bytes_out_total"][""], 100)
        self.assertGreater(samples["distmap_turn_seconds_count"][""], 0)
        peers[0].transport.abortConnection()
        await until(lambda: len(self.service.server.connections) == 2)
        after = await self.read()
        self.assertEqual(after["distmap_connections"], {"": 2})
        self.assertGreaterEqual(
            after["distmap_bytes_in_total"][""], samples["distmap_bytes_in_total"][""]
        )

    async def test_two_relays_of_one_process(self) -> None:
        _, other = start_relay(self)
        await raw_peer(self, other)
        self.assertEqual((await self.read())["distmap_connections"], {"": 0})

    async def test_behind_a_proxy(self) -> None:
        """One that passes requests of anybody on to this machine."""
        answer = await self.fetch(self.port, "/metrics", more="X-Forwarded-For: 192.0.2.7\r\n")
        self.assertEqual(answer.code, 403)
        self.assertNotIn(b"distmap_", answer.body)

    async def test_by_another_name(self) -> None:
        """A page of somebody's whose name was turned to this machine could read them there."""
        for host, code in (
            ("evil.example", 403),
            ("\xff", 403),
            ("127.0.0.1:80", 200),
            ("[::1]", 200),
        ):
            answer = await self.fetch(self.port, "/metrics", host=host)
            self.assertEqual(answer.code, code, host)

    async def test_off_and_all(self) -> None:
        _, port = start_relay(self, RelayOptions(metrics="off"))
        self.assertEqual((await self.fetch(port, "/metrics")).code, 403)
        _, port = start_relay(self, RelayOptions(metrics="all"))
        answer = await self.fetch(port, "/metrics", more="Via: 1.1 proxy\r\n")
        self.assertEqual(answer.code, 200)
        health = await self.fetch(port, "/healthz")
        self.assertEqual(json.loads(health.body), {"status": "ok", "connections": 0})


class Local(SiteTestCase):
    def asks(self, address: Any, **headers: str) -> bool:
        request: Any = DummyRequest([b""])
        request.client = address
        for name, value in headers.items():
            request.requestHeaders.addRawHeader(name.replace("_", "-"), value)
        return is_local(request)

    def test_addresses(self) -> None:
        for host in ("127.0.0.1", "127.3.2.1"):
            self.assertTrue(self.asks(IPv4Address("TCP", host, 1)))
        self.assertTrue(self.asks(IPv6Address("TCP", "::1", 1)))
        self.assertTrue(self.asks(UNIXAddress("/run/relay")))
        for host in ("192.0.2.7", "10.0.0.1"):
            self.assertFalse(self.asks(IPv4Address("TCP", host, 1)))
        self.assertFalse(self.asks(IPv6Address("TCP", "2001:db8::1", 1)))

    def test_forwarded(self) -> None:
        for name in FORWARDED:
            self.assertFalse(
                self.asks(IPv4Address("TCP", "127.0.0.1", 1), **{name.decode(): "192.0.2.7"})
            )
