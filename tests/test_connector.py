"""distmap.connector: real sockets, good and bad servers, with and without TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.trial.unittest import SkipTest, TestCase

from distmap import errors
from distmap.connector import WebSocketConnector
from distmap.errors import ConnectionProblem
from distmap.relay import RelayService
from distmap.websocket_options import WebSocketOptions
from distmap.writing import UNSENT_BYTES
from tests.support.certificates import make_certificate, trust
from tests.support.peers import free_port
from tests.support.processes import folder, until
from tests.support.resolver import Resolver
from tests.support.sockets import Listener, start_relay, unsent_bytes

reactor: Any = _reactor


class Attempt:
    """Notes what comes of an attempt."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.abandon: Any = None
        self.congested = False
        self.messages: list[bytes] = []
        self.problems: list[ConnectionProblem] = []

    def attempt_opened(self, transport: Any) -> None:
        self.transport = transport

    def attempt_received(self, message: bytes) -> None:
        self.messages.append(message)

    def attempt_congested(self, congested: bool) -> None:
        self.congested = congested

    def attempt_failed(self, problem: ConnectionProblem) -> None:
        self.problems.append(problem)

    async def opened(self) -> None:
        """Waits until it is open."""
        await until(lambda: self.transport, what=lambda: self.problems)

    async def failed(self) -> ConnectionProblem:
        """Waits until it has failed, which is told once."""
        await until(lambda: self.problems)
        (problem,) = self.problems
        return problem


class ConnectorTestCase(TestCase):
    timeout = 60

    def connect(self, url: str, options: WebSocketOptions | None = None) -> Attempt:
        """Begins an attempt; what it opened is closed at the end of the test."""
        attempt = Attempt()
        attempt.abandon = WebSocketConnector(reactor, url, options).connect(attempt)

        async def close() -> None:
            if not attempt.problems:
                attempt.abandon()
                await attempt.failed()

        self.addCleanup(close)
        return attempt

    async def problem(self, url: str, options: WebSocketOptions | None = None) -> ConnectionProblem:
        """Why an attempt fails."""
        attempt = self.connect(url, options)
        problem = await attempt.failed()
        self.assertIsNone(attempt.transport)
        return problem


class Urls(TestCase):
    def test_bad(self) -> None:
        for url in (
            *("", "localhost", "http://localhost/", "ws://", "ws:///x", "ws://localhost:0/"),
            *("ws://localhost:x/", "ws://localhost:65536/", "ws://localhost/#x", "ws://[::1/"),
            "ws://unix:/tmp/x",
        ):
            with self.assertRaises(errors.InvalidValue) as raised:
                WebSocketConnector(reactor, url)
            self.assertIn(f"not a WebSocket URL: {url!r}", str(raised.exception))

    def test_text(self) -> None:
        url = "wss://me:secret@[::1]:8080/maps/?ticket=secret"
        self.assertEqual(str(WebSocketConnector(reactor, url)), "wss://[::1]:8080/maps/")


class Attempts(ConnectorTestCase):
    async def test_relay(self) -> None:
        _, port = start_relay(self)
        attempt = self.connect(f"ws://127.0.0.1:{port}/")
        await attempt.opened()
        self.assertTrue(attempt.transport.transport.getTcpNoDelay())
        attempt.transport.send(b'["a","new",{"meta":"/x","opts":{"readable":true}}]\n')
        await until(lambda: attempt.messages)
        self.assertIn(b"unknown-route", attempt.messages[0])
        attempt.transport.close(1000, "")
        problem = await attempt.failed()
        self.assertEqual(str(problem), "the connection was closed with 1000")

    async def test_name(self) -> None:
        resolver = Resolver("127.0.0.1")
        resolver.install(self)
        _, port = start_relay(self)
        await self.connect(f"ws://relay.example:{port}/").opened()
        self.assertEqual(resolver.asked, ["relay.example"])

    async def test_ipv6(self) -> None:
        endpoint = serverFromString(reactor, "tcp6:0:interface=\\:\\:1")
        service: Any = RelayService(reactor, endpoint)
        try:
            service.startService()
        except SystemExit:
            raise SkipTest("this machine has no IPv6") from None
        self.addCleanup(service.stopService)
        attempt = self.connect(f"ws://[::1]:{service.port.getHost().port}/")
        await attempt.opened()
        (connection,) = service.server.connections
        self.assertTrue(connection.name.startswith("[::1]:"), connection.name)

    async def test_nobody_listens(self) -> None:
        problem = await self.problem(f"ws://127.0.0.1:{free_port()}/")
        self.assertIs(type(problem), errors.CannotConnect)
        self.assertIn("refused", str(problem))

    async def test_unknown_name(self) -> None:
        Resolver(None).install(self)
        problem = await self.problem("ws://nowhere.example:8080/")
        self.assertIs(type(problem), errors.CannotConnect)
        self.assertIn("nowhere.example", str(problem))

    async def test_impossible_name(self) -> None:
        problem = await self.problem(f"ws://{'x' * 300}.example:8080/")
        self.assertIs(type(problem), errors.CannotConnect)

    async def test_accepts_and_drops(self) -> None:
        dropping = Listener(self, connected=lambda each: each.transport.loseConnection())
        problem = await self.problem(f"ws://127.0.0.1:{await dropping.listen()}/")
        self.assertIs(type(problem), errors.HandshakeDropped)

    async def test_accepts_and_resets(self) -> None:
        resetting = Listener(self, received=lambda each, data: each.transport.abortConnection())
        problem = await self.problem(f"ws://127.0.0.1:{await resetting.listen()}/")
        self.assertIs(type(problem), errors.HandshakeDropped)

    async def test_refuses_the_upgrade(self) -> None:
        for status in (b"403 Forbidden", b"404 Not Found", b"200 OK", b"302 Found"):
            answer = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status

            def refuse(each: Any, data: bytes, answer: bytes = answer) -> None:
                each.transport.write(answer)

            refusing = Listener(self, received=refuse)
            problem = await self.problem(f"ws://127.0.0.1:{await refusing.listen()}/")
            self.assertIs(type(problem), errors.UpgradeRefused)
            self.assertIn(status[:3].decode(), str(problem))

    async def test_no_websocket_server(self) -> None:
        other = Listener(self, received=lambda each, data: each.transport.write(data))
        problem = await self.problem(f"ws://127.0.0.1:{await other.listen()}/")
        self.assertIs(type(problem), errors.UpgradeRefused)

    async def test_silent(self) -> None:
        silent = Listener(self)
        options = WebSocketOptions(handshake_seconds=0.2)
        problem = await self.problem(f"ws://127.0.0.1:{await silent.listen()}/", options)
        self.assertIs(type(problem), errors.HandshakeTimeout)
        await until(lambda: not silent.open)


async def congest(service: Any, attempt: Attempt) -> Any:
    """Sends to a relay that does not read, until the network takes no more; returns its end."""
    (connection,) = service.server.connections
    transport = connection.socket.transport
    transport.pauseProducing()

    def is_congested() -> bool:
        if not attempt.congested:
            attempt.transport.send(b"\n" * 100_000)
        return attempt.congested

    await until(is_congested)
    return transport


class Congested(ConnectorTestCase):
    async def test_relay_does_not_read(self) -> None:
        service, port = start_relay(self)
        attempt = self.connect(f"ws://127.0.0.1:{port}/")
        await attempt.opened()
        for _ in range(2):
            transport = await congest(service, attempt)
            transport.resumeProducing()
            await until(lambda: not attempt.congested)

    async def test_closed_meanwhile(self) -> None:
        service, port = start_relay(self)
        attempt = self.connect(f"ws://127.0.0.1:{port}/", WebSocketOptions(close_seconds=0.2))
        await attempt.opened()
        await congest(service, attempt)
        attempt.transport.close(1000, "")
        self.assertIs(type(await attempt.failed()), errors.ConnectionLost)


class Abandoned(ConnectorTestCase):
    """Whenever an attempt is given up, it fails once and leaves no socket."""

    async def test_while_the_name_is_looked_up(self) -> None:
        Resolver(None, silent=True).install(self)
        attempt = self.connect("ws://relay.example:8080/")
        attempt.abandon()
        problem = await attempt.failed()
        self.assertEqual(str(problem), "cannot connect: given up")

    async def test_while_tcp_connects(self) -> None:
        attempt = self.connect("ws://192.0.2.1:8080/")
        await until(lambda: reactor.getWriters() or attempt.problems)
        attempt.abandon()
        await attempt.failed()

    async def test_in_the_handshake(self) -> None:
        silent = Listener(self)
        attempt = self.connect(f"ws://127.0.0.1:{await silent.listen()}/")
        await until(lambda: silent.open)
        attempt.abandon()
        self.assertIs(type(await attempt.failed()), errors.HandshakeDropped)
        await until(lambda: not silent.open)

    async def test_once_it_is_open(self) -> None:
        service, port = start_relay(self)
        attempt = self.connect(f"ws://127.0.0.1:{port}/")
        await attempt.opened()
        attempt.abandon()
        self.assertIs(type(await attempt.failed()), errors.ConnectionLost)
        await until(lambda: not service.server.connections)


class Tls(ConnectorTestCase):
    """wss://, against a relay with a certificate of the test's own."""

    def setUp(self) -> None:
        self.key, self.certificate = make_certificate(folder(self), "localhost")

    def start(self) -> Any:
        description = f"ssl:0:interface=127.0.0.1:privateKey={self.key}:certKey={self.certificate}"
        service: Any = RelayService(reactor, serverFromString(reactor, description))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    async def test_relay(self) -> None:
        trust(self, self.certificate)
        service = self.start()
        attempt = self.connect(f"wss://localhost:{service.port.getHost().port}/")
        await attempt.opened()
        big = b'["a","new",{"meta":"/x/channel","opts":{"readable":true,"writable":true}}]\n'
        attempt.transport.send(big + b'["a","data","%b"]\n' % (b"x" * 500_000))
        other = self.connect(f"wss://localhost:{service.port.getHost().port}/")
        await other.opened()
        other.transport.send(big + b'["a","data","%b"]\n' % (b"y" * 500_000))
        await until(lambda: sum(map(len, attempt.messages)) > 500_000)
        self.assertEqual({type(each) for each in attempt.messages}, {bytes})
        ends = [each.socket.transport for each in service.server.connections]
        for end in [*ends, attempt.transport.transport]:
            self.assertEqual(unsent_bytes(end.transport), UNSENT_BYTES)

    async def test_closing_takes_no_time(self) -> None:
        trust(self, self.certificate)
        service = self.start()
        for closes in ("client", "relay"):
            await self.close_tls(service, closes)

    async def close_tls(self, service: Any, closes: str) -> None:
        # With timers that outlast the test: nobody waits for them.
        options = WebSocketOptions(close_seconds=1000)
        attempt = self.connect(f"wss://localhost:{service.port.getHost().port}/", options)
        await attempt.opened()
        (await congest(service, attempt)).resumeProducing()
        await until(lambda: not attempt.congested)
        if closes == "client":
            attempt.transport.close(1000, "")
        else:
            (connection,) = service.server.connections
            connection.socket.closeHandshakeTimeout = 1000
            connection.close(1001, "")
        self.assertIn("closed with 100", str(await attempt.failed()))
        await until(lambda: not service.server.connections)

    async def test_certificate_that_nobody_trusts(self) -> None:
        service = self.start()
        problem = await self.problem(f"wss://localhost:{service.port.getHost().port}/")
        self.assertIs(type(problem), errors.HandshakeDropped)
        self.assertIn("certificate verify failed", str(problem))

    async def test_certificate_of_another(self) -> None:
        trust(self, self.certificate)
        Resolver("127.0.0.1").install(self)
        service = self.start()
        problem = await self.problem(f"wss://other.example:{service.port.getHost().port}/")
        self.assertIs(type(problem), errors.HandshakeDropped)
        self.assertIn("other.example", str(problem))

    async def test_server_without_tls(self) -> None:
        other = Listener(self, received=lambda each, data: each.transport.write(b"220 hello\r\n"))
        problem = await self.problem(f"wss://localhost:{await other.listen()}/")
        self.assertIs(type(problem), errors.HandshakeDropped)
        self.assertIn("TLS", str(problem))
