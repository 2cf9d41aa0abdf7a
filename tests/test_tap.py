"""distmap.tap: the command line of the relay."""

from __future__ import annotations

import socket
from typing import Any

from twisted import __version__
from twisted.application.service import IServiceMaker
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import TestCase

from distmap.passwords import PasswordAuthorizer
from distmap.relay import RelayOptions, RelayService
from distmap.tap import BACKLOG, Options, endpoint_string, listens_on_loopback, makeService
from tests.support.processes import folder, twistd

TWISTED = tuple(map(int, __version__.split(".")[:2]))


class EndpointString(TestCase):
    def test_port_number_means_loopback(self) -> None:
        for port in ("8080", "0", "65535"):
            wanted = f"tcp:{port}:interface=127.0.0.1:backlog={BACKLOG}"
            self.assertEqual(endpoint_string(port), wanted)

    def test_endpoint_string(self) -> None:
        for text in ("tcp:8080:interface=0.0.0.0", "tcp6:8080", "ssl:443:privateKey=a.pem"):
            self.assertEqual(endpoint_string(text), f"{text}:backlog={BACKLOG}")
        text = "haproxy:tcp:8080:interface=127.0.0.1"
        self.assertEqual(endpoint_string(text), f"{text}:backlog={BACKLOG}")
        for text in (
            "tcp:80:backlog=5",
            "haproxy:unix:/run/relay",
            "haproxy:tcp:80:backlog=5",
            "systemd:domain=INET:index=0",
            "unix:/run/relay",
        ):
            self.assertEqual(endpoint_string(text), text)

    def test_neither(self) -> None:
        for text in ("", "http", "65536", "99999999", "-1", "8080 ", "٨٠"):
            with self.assertRaises(ValueError):
                endpoint_string(text)


class Service(TestCase):
    def make(self, *args: str) -> Any:
        options = Options()
        options.parseOptions(list(args))
        service = makeService(options)
        self.assertIsInstance(service, RelayService)
        return service

    def test_defaults(self) -> None:
        service = self.make()
        endpoint: Any = service._endpoint
        self.assertIsInstance(endpoint, TCP4ServerEndpoint)
        self.assertEqual((endpoint._port, endpoint._interface), (8080, "127.0.0.1"))
        self.assertEqual(endpoint._backlog, BACKLOG)
        self.assertFalse(service.server.options.log_streams)
        self.assertTrue(service.server.options.page)

    def test_no_page(self) -> None:
        self.assertFalse(self.make("--no-page").server.options.page)

    def test_port(self) -> None:
        for option in ("--port", "-p"):
            endpoint = self.make(option, "tcp:1234:interface=0.0.0.0", "--open")._endpoint
            self.assertEqual((endpoint._port, endpoint._interface), (1234, "0.0.0.0"))

    def test_other_endpoints(self) -> None:
        endpoint = self.make("--port", "tcp6:8080", "--open")._endpoint
        self.assertIsInstance(endpoint, TCP6ServerEndpoint)
        endpoint = self.make("--port", "unix:relay.sock")._endpoint
        self.assertIsInstance(endpoint, UNIXServerEndpoint)

    def test_who_may_come_in(self) -> None:
        """Where others can reach the relay somebody has to say who may."""
        users = folder(self) / "users"
        users.write_text("anna:secret\n")
        for port in (
            "tcp:8080",
            "tcp:8080:interface=0.0.0.0",
            "tcp:8080:interface=192.0.2.1",
            "tcp6:8080",
            "tcp6:8080:interface=\\:\\:",
            "systemd:domain=INET:index=0",
            "haproxy:tcp:8080:interface=127.0.0.1",
        ):
            self.assertFalse(listens_on_loopback(port), port)
        with self.assertRaisesRegex(UsageError, "--auth, or --open"):
            self.make("--port", "tcp:8080")
        with self.assertRaisesRegex(UsageError, "--trusted-proxy: .* --auth, or --open"):
            self.make("--trusted-proxy", "127.0.0.1")
        self.assertTrue(self.make("--port", "tcp:8080", "--open").server.options.open)
        service = self.make("--port", "tcp:8080", "--auth", f"file:{users}", "--reader", "anna")
        authorizer = service.server.options.authorizer
        self.assertIsInstance(authorizer, PasswordAuthorizer)
        self.assertEqual(authorizer._readers, {"anna"})
        for port in (
            "8080",
            "tcp:8080:interface=127.0.0.1",
            "tcp:8080:interface=localhost",
            "tcp6:8080:interface=\\:\\:1",
            "unix:relay.sock",
        ):
            self.assertTrue(listens_on_loopback(port), port)
            self.make("--port", port)

    def test_origins_and_proxies(self) -> None:
        service = self.make(
            "--open",
            *("--allow-origin", "https://Example.com", "--allow-origin", "*"),
            *("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "unix"),
        )
        options = service.server.options
        self.assertEqual(list(options.origins), ["https://example.com", "*"])
        self.assertEqual(list(options.trusted_proxies), ["10.0.0.0/8", "unix"])

    def test_log(self) -> None:
        for option in ("--log", "-l"):
            self.assertTrue(self.make(option).server.options.log_streams)

    def test_grace(self) -> None:
        self.assertEqual(self.make().server.options.grace_seconds, RelayOptions().grace_seconds)
        for text, seconds in (("0", 0), ("7.5", 7.5), ("1e2", 100)):
            self.assertEqual(self.make("--grace", text).server.options.grace_seconds, seconds)

    def test_wrong(self) -> None:
        """What the endpoint's own parser does not like is as much a fault of the command line."""
        for args in (
            ("--port", "nonsense"),
            ("--port", "99999"),
            ("--port", "carrier-pigeon:8080"),
            ("--port", "tcp:http"),
            ("--port", "tcp:8080:speed=11"),
            ("--port", "ssl:8443:privateKey=no-such-file.pem"),
            ("--grace", "soon"),
            ("--grace", ""),
            ("--grace", "-1"),
            ("--grace", "inf"),
            ("--grace", "nan"),
            ("--speed", "11"),
            ("surplus",),
            ("--auth", "nonsense"),
            ("--auth", "tickets:/no/such/file"),
            ("--auth", "file:users", "--open"),
            ("--reader", "anna"),
            ("--allow-origin", "example.com"),
            ("--trusted-proxy", "example.com"),
        ):
            with self.assertRaises(UsageError):
                self.make(*args)

    async def test_listens(self) -> None:
        service = self.make("--port", "0")
        service.startService()
        self.addCleanup(service.stopService)
        with socket.create_connection(("127.0.0.1", service.port.getHost().port)):
            pass

    def test_plugin(self) -> None:
        makers: list[Any] = [
            each for each in getPlugins(IServiceMaker) if each.tapname == "distmap"
        ]
        self.assertEqual(len(makers), 1)
        self.assertIs(makers[0].makeService, makeService)
        self.assertIs(makers[0].options, Options)


class Twistd(TestCase):
    """How twistd tells what is wrong: a text for people, and a code for programs."""

    timeout = 60

    async def test_wrong(self) -> None:
        for port, word in (
            ("carrier-pigeon:8080", "Unknown endpoint type: 'carrier-pigeon'"),
            ("ssl:8443:privateKey=no-such-file.pem", "no-such-file.pem"),
        ):
            done = await twistd(self, "distmap", "--port", port).finished()
            # Older versions of Twisted end with 0 whatever is wrong with a command line.
            self.assertIn(done.code, {1} if TWISTED >= (26, 10) else {0, 1}, done)
            self.assertEqual(done.err, "", done)
            last = done.out.strip().splitlines()[-1]
            self.assertIn("--port: ", last)
            self.assertIn(word, last)
            self.assertNotIn("Traceback", done.out)

    async def test_help(self) -> None:
        done = await twistd(self, "distmap", "--help").finished()
        self.assertEqual((done.code, done.err), (0, ""), done)
        for word in (
            "--port",
            "--grace",
            "--log",
            "--no-page",
            "tcp:8080:interface=0.0.0.0",
            "keeps no state",
        ):
            self.assertIn(word, " ".join(done.out.split()))
