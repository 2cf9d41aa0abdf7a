"""distmap.relay_status: `distmap status`, as real processes against a real relay."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase as PlainTestCase

from twisted.trial.unittest import TestCase

from distmap.relay_server import RelayOptions
from distmap.relay_status import http_url, lines, read_samples
from tests.support.peers import free_port
from tests.support.processes import Finished, distmap, until
from tests.support.sockets import Listener, raw_peer, start_relay


class Reading(PlainTestCase):
    def test_urls(self) -> None:
        for url, wanted in (
            ("ws://localhost:8080/", "http://localhost:8080/metrics"),
            ("ws://localhost:8080", "http://localhost:8080/metrics"),
            ("wss://a.example/maps/?token=x", "https://a.example/maps/metrics"),
            ("ws://[::1]:8080/maps", "http://[::1]:8080/maps/metrics"),
        ):
            self.assertEqual(http_url(url, "metrics"), wanted)
        for url in ("", "http://localhost/", "ws://", "localhost:8080", "ws://a:0/", "ws://a:x/"):
            with self.assertRaises(ValueError, msg=url):
                http_url(url, "metrics")

    def test_samples(self) -> None:
        text = 'a_total{cause="x"} 3.0\na_total{cause="y"} 4.0\nb 5.0\nc_bucket{le="1"} 2.0\n'
        self.assertEqual(read_samples(text), {"a_total": {"x": 3, "y": 4}, "b": {"": 5}})
        self.assertEqual(read_samples("no metrics at all {"), {})

    def test_text_of_a_busy_relay(self) -> None:
        names = {"connections": 2.0, "maps": 1, "members": 2, "turn_seconds_count": 4}
        names |= {"turn_seconds_sum": 0.01, "queue_bytes": 5e6, "bytes_in_total": 1e13}
        samples = {f"distmap_{name}": {"": number} for name, number in names.items()}
        samples["distmap_evictions_total"] = {"queue": 3.0, "ping": 1.0}
        text = "\n".join(lines("ws://a/", samples))
        for part in ("2 open", "1, with 2 members", "2.50 ms each", "queue 3, ping 1", "4.8 MiB"):
            self.assertIn(part, text)


class Command(TestCase):
    timeout = 120

    async def run_status(self, *args: str) -> Finished:
        return await distmap(self, "status", *args).finished()

    def assert_fails(self, done: Finished, *words: str) -> None:
        self.assertEqual((done.code, done.out, done.err.count("\n")), (1, "", 1), done)
        for word in ("distmap: ", *words):
            self.assertIn(word, done.err)

    async def test_for_people(self) -> None:
        service, port = start_relay(self)
        peer = await raw_peer(self, port)
        peer.open("/u/channel", {"route": "/u/channel", "version": [1, 0]})
        await until(lambda: service.server.core.hub.members)
        done = await self.run_status(f"ws://127.0.0.1:{port}/")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertRegex(done.out, r"(?m)^connections +1 open, 1 in all$")
        self.assertRegex(done.out, r"(?m)^maps +1, with 1 members$")
        self.assertRegex(done.out, r"(?m)^syncs +1 alone$")

    async def test_json(self) -> None:
        _, port = start_relay(self)
        done = await self.run_status(f"ws://127.0.0.1:{port}/", "--json")
        told: dict[str, Any] = json.loads(done.out)
        self.assertEqual((done.code, told["distmap_connections"]), (0, 0))

    async def test_metrics_of_others(self) -> None:
        """Whoever may not see them still learns that the relay is well."""
        _, port = start_relay(self, RelayOptions(metrics="off"))
        done = await self.run_status(f"ws://127.0.0.1:{port}/")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertRegex(done.out, r"(?m)^connections +0$")
        self.assertIn("--metrics all", done.out)

    async def test_nobody_there(self) -> None:
        self.assert_fails(await self.run_status(f"ws://127.0.0.1:{free_port()}/"), "no answer")

    async def test_somebody_else(self) -> None:
        async def answer(text: bytes) -> Finished:
            listener = Listener(self, received=lambda connection, _: say(connection))

            def say(connection: Any) -> None:
                connection.transport.write(text)
                connection.transport.loseConnection()

            return await self.run_status(f"ws://127.0.0.1:{await listener.listen()}/")

        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        for text in (head + b"<html>", head + b'{"connections":[]}', head, b"SSH-2.0\r\n", b""):
            self.assert_fails(await answer(text))
        self.assert_fails(await answer(head + b"[1]"), "no relay of distmap")

    async def test_silence(self) -> None:
        listener = Listener(self)
        url = f"ws://127.0.0.1:{await listener.listen()}/"
        self.assert_fails(await self.run_status(url, "--timeout", "0.5"), "within 0.5 s")

    async def test_usage(self) -> None:
        for args in ((), ("http://localhost/",), ("ws://a/", "--timeout", "-1"), ("ws://a/", "b")):
            done = await self.run_status(*args)
            self.assertEqual((done.code, done.out), (2, ""), done)
