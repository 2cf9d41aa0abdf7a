"""distmap.connection: the states of a connection on a clock, and real servers that misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from distmap import DistributedMap, WebSocketOptions, connect, errors
from distmap.attempts import Attempt, IConnector
from distmap.connection import Connection
from distmap.connector import WebSocketConnector
from distmap.errors import CannotConnect, ConnectionLost, ConnectionProblem
from distmap.session import Session
from distmap.streams import Stream
from tests.support.peers import free_port
from tests.support.processes import fires, relay, until
from tests.support.resolver import Resolver
from tests.support.sockets import Listener, start_relay

reactor: Any = _reactor
PROBLEM = CannotConnect("cannot connect: refused")


@implementer(IConnector)
class FakeConnector:
    """Attempts that succeed or fail when a test says so."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.abandoned = 0
        self.fails_at_once = False
        self.sent: list[bytes] = []
        self.closed: list[tuple[int, str]] = []

    def __str__(self) -> str:
        return "the test's relay"

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        self.attempts.append(attempt)
        if self.fails_at_once:
            attempt.attempt_failed(PROBLEM)
        return self.abandon

    def abandon(self) -> None:
        self.abandoned += 1
        self.attempts[-1].attempt_failed(PROBLEM)

    def open(self) -> None:
        """The WebSocket is open."""
        self.attempts[-1].attempt_opened(self)

    def fail(self, problem: ConnectionProblem = PROBLEM) -> None:
        """It could not be opened, or is closed."""
        self.attempts[-1].attempt_failed(problem)

    def receive(self, *lines: Any) -> None:
        """Mux frames come."""
        for line in lines:
            self.attempts[-1].attempt_received(json.dumps(line).encode() + b"\n")

    # -- the transport ----------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))

    @property
    def lines(self) -> list[Any]:
        """The mux frames that were sent."""
        return [json.loads(line) for line in b"".join(self.sent).splitlines()]


class Rider:
    """A member of a connection."""

    uri = "/rider"
    let_in: bool | None = None

    def __init__(self, does: Callable[[str], None] = lambda what: None) -> None:
        self.told: list[str] = []
        self._does = does

    def session_opened(self, session: Session) -> None:
        self._note("opened")

    def session_lost(self, problem: ConnectionProblem) -> None:
        self._note("lost")

    def reopen(self) -> None:
        self._note("reopen")

    def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._does(what)


class OnAClock(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.connector = FakeConnector()
        self.chance = 0.5
        self.connection = Connection(self.clock, self.connector, lambda: self.chance)
        self.events: list[Any] = []
        for name in ("open", "offline", "close"):
            self.connection.on(name, lambda *args, name=name: self.events.append((name, *args)))
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.connection.close()
        if self.connector.closed:
            self.connector.fail()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def delay(self) -> float:
        """How long it waits for its next try."""
        (call,) = self.clock.getDelayedCalls()
        return call.getTime() - self.clock.seconds()


class States(OnAClock):
    def test_connecting(self) -> None:
        self.assertEqual(self.connection.status, "connecting")
        self.assertEqual((self.connection.status.reason, self.connection.status.code), ("", ""))
        self.assertEqual(len(self.connector.attempts), 1)

    def test_the_relay_says_when_to_come_back(self) -> None:
        self.connector.open()
        problem = ConnectionLost("the relay is going down")
        problem.retry_seconds = 20.0
        self.connector.fail(problem)
        self.assertEqual(self.delay(), 20)
        self.clock.advance(20)
        self.connector.fail()
        self.assertEqual(self.delay(), 0.25, "after that, its own wait from its beginning")

    def test_open_and_lost(self) -> None:
        self.connector.open()
        self.assertEqual(self.connection.status, "open")
        problem = ConnectionLost("gone")
        self.connector.fail(problem)
        status = self.connection.status
        self.assertEqual((status, status.reason, status.code), ("offline", "gone", problem.code))
        self.clock.advance(0.5)
        self.assertEqual(self.connection.status, "offline")
        self.connector.open()
        self.assertEqual((self.connection.status, self.connection.status.reason), ("open", ""))
        self.assertEqual(self.events, [("open",), ("offline", problem), ("open",)])

    def test_backoff(self) -> None:
        """Full jitter over a range that doubles from half a second to ten."""
        self.chance = 1.0
        for wanted in (0.5, 1, 2, 4, 8, 10, 10):
            self.connector.fail()
            self.assertAlmostEqual(self.delay(), wanted)
            attempts = len(self.connector.attempts)
            self.clock.advance(wanted - 0.001)
            self.assertEqual(len(self.connector.attempts), attempts)
            self.clock.advance(0.002)
            self.assertEqual(len(self.connector.attempts), attempts + 1)
        for self.chance in (0.0, 0.25, 0.75):
            self.connector.fail()
            self.assertAlmostEqual(self.delay(), 10 * self.chance)
            self.clock.advance(10)

    def test_backoff_begins_anew_once_it_is_open(self) -> None:
        for _ in range(5):
            self.connector.fail()
            self.clock.advance(10)
        self.connector.open()
        self.connector.fail()
        self.assertAlmostEqual(self.delay(), 0.25)

    def test_connector_that_fails_at_once(self) -> None:
        self.connector.fails_at_once = True
        self.connector.fail()
        for wanted in (0.5, 1, 2):
            self.clock.advance(self.delay())
            self.assertAlmostEqual(self.delay(), wanted)
        self.connection.close()
        self.assertEqual(self.connector.abandoned, 0)

    def test_handlers_that_raise(self) -> None:
        for name in ("open", "offline", "close"):
            self.connection.on(name, lambda *_: 1 / 0)
        self.connector.open()
        self.connector.fail()
        self.successResultOf(self.connection.close())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_handler_is_taken_back(self) -> None:
        told: list[str] = []

        def handler() -> None:
            told.append("open")

        take_back = self.connection.on("open", handler)
        self.connection.on("open", handler)
        take_back()
        self.connector.open()
        self.connection.off("open", handler)
        self.connector.fail()
        self.clock.advance(1)
        self.connector.open()
        self.assertEqual(told, ["open"])
        self.assertRaises(ValueError, self.connection.on, "opened", handler)


class Close(OnAClock):
    """In every state, and from everywhere."""

    def assert_closed(self, closed: Deferred[None]) -> None:
        self.assertIsNone(self.successResultOf(closed))
        self.assertEqual(self.connection.status, "closed")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(self.connection.close()))
        self.assertEqual(self.events.count(("close",)), 1)
        attempts = len(self.connector.attempts)
        self.clock.advance(100)
        self.assertEqual(len(self.connector.attempts), attempts)
        with self.assertRaises(errors.ConnectionClosed):
            self.connection.create_stream("/x")
        with self.assertRaises(errors.ConnectionClosed):
            DistributedMap(self.connection)

    def test_while_it_connects(self) -> None:
        closed = self.connection.close()
        self.assertEqual(self.connector.abandoned, 1)
        self.assert_closed(closed)

    def test_while_it_waits_for_the_next_try(self) -> None:
        self.connector.fail()
        self.assert_closed(self.connection.close())
        self.assertEqual(self.connector.abandoned, 0)

    def test_while_it_is_open(self) -> None:
        self.connector.open()
        first, second = self.connection.close(), self.connection.close()
        self.assertEqual(self.connection.status, "closed")
        self.assertEqual(self.connector.closed, [(1000, "")])
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.connector.fail()
        self.assert_closed(first)
        self.assertIsNone(self.successResultOf(second))

    def test_relay_does_not_answer(self) -> None:
        self.connector.open()
        closed = self.connection.close()
        self.clock.advance(1.9)
        self.assertNoResult(closed)
        self.clock.advance(0.2)
        self.assertEqual(self.connector.abandoned, 1)
        self.assert_closed(closed)

    def test_nobody_waits(self) -> None:
        closed = self.connection.close()
        closed.cancel()
        self.assert_closed(self.connection.close())

    def test_the_wait_is_cancelled(self) -> None:
        self.connector.open()
        closed = self.connection.close()
        closed.addErrback(lambda _: None)
        closed.cancel()
        self.connector.fail()
        self.assert_closed(self.connection.close())

    def test_what_was_written_is_sent_first(self) -> None:
        self.connector.open()
        self.connection.create_stream("/x").write("last words")
        self.connection.close()
        self.assertEqual([line[1] for line in self.connector.lines], ["new", "data"])

    def closed_by_a_handler(self, event: str) -> list[Any]:
        """What close() returned, as soon as it was called."""
        closed: list[Any] = []
        self.connection.on(event, lambda *_: closed.append(self.connection.close()))
        return closed

    def test_by_a_handler_when_it_opens(self) -> None:
        closed = self.closed_by_a_handler("open")
        self.connector.open()
        self.assertNoResult(closed[0])
        self.connector.fail()
        self.assert_closed(closed[0])

    def test_by_a_handler_when_it_is_lost(self) -> None:
        closed = self.closed_by_a_handler("offline")
        self.connector.fail()
        self.assert_closed(closed[0])

    def test_by_a_handler_when_it_is_closed(self) -> None:
        closed = self.closed_by_a_handler("close")
        self.assert_closed(self.connection.close())
        self.assertIsNone(self.successResultOf(closed[0]))

    def test_by_a_member(self) -> None:
        """Whatever it is told when it closes everything, nobody is told anything afterwards."""
        for what, happens in (("opened", "open"), ("lost", "fail"), ("close", "close")):
            with self.subTest(what=what):
                self.connector = FakeConnector()
                self.connection = Connection(self.clock, self.connector, lambda: 0.5)
                riders: list[Rider] = []

                def close(told: str, what: str = what, riders: list[Rider] = riders) -> None:
                    if told == what:
                        self.connection.close()

                riders += [Rider(), Rider(close), Rider()]
                for rider in riders:
                    rider._does = _leaving(self.connection, rider, rider._does)
                    self.connection.attach(rider)
                if happens == "close":
                    self.connector.open()
                    self.connection.close()
                else:
                    getattr(self.connector, happens)()
                if self.connector.closed:
                    self.assertEqual(self.connector.closed, [(1000, "")])
                    self.connector.fail()
                self.assertIsNone(self.successResultOf(self.connection.close()))
                self.assertEqual([rider.told[-1] for rider in riders], ["close"] * 3)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_by_a_stream(self) -> None:
        """When the connection is lost, before that is told to anybody else."""
        self.connector.open()
        stream = self.connection.create_stream("/x")
        closed: list[Any] = []
        stream.on("close", lambda: closed.append(self.connection.close()))
        self.connector.fail()
        self.assert_closed(closed[0])


def _leaving(
    connection: Connection, rider: Rider, does: Callable[[str], None]
) -> Callable[[str], None]:
    """As a map does: leaves the connection when it is closed."""

    def told(what: str) -> None:
        if what == "close":
            connection.detach(rider)
        does(what)

    return told


class Members(OnAClock):
    def test_told_of_each_session(self) -> None:
        early = Rider()
        self.connection.attach(early)
        self.connector.fail()
        self.clock.advance(1)
        self.connector.open()
        late = Rider()
        self.connection.attach(late)
        self.connector.fail()
        self.connection.detach(late)
        self.connection.close()
        self.assertEqual(early.told, ["lost", "opened", "lost", "close"])
        self.assertEqual(late.told, ["opened", "lost"])

    def test_one_leaves_when_another_is_told(self) -> None:
        """A map that a handler of another one closed must not come back to life."""
        leaving = Rider()
        other = Rider(lambda _: self.connection.detach(leaving))
        self.connection.attach(other)
        self.connection.attach(leaving)
        self.connector.open()
        self.assertEqual((other.told, leaving.told), (["opened"], []))
        self.connection.detach(other)
        self.connection.attach(leaving)
        leaving.told.clear()
        self.connector.fail()
        self.assertEqual(leaving.told, ["lost"])

    def test_one_leaves_when_another_is_told_of_the_loss(self) -> None:
        leaving = Rider()
        other = Rider(lambda _: self.connection.detach(leaving))
        self.connection.attach(other)
        self.connection.attach(leaving)
        self.connector.fail()
        self.assertEqual((other.told, leaving.told), (["lost"], []))


class Streams(OnAClock):
    def test_opened_once_there_is_a_connection(self) -> None:
        stream = self.connection.create_stream({"route": "/x"})
        stream.write("early")
        self.connector.fail()
        self.clock.advance(1)
        self.connector.open()
        stream.write("late")
        self.clock.advance(0)
        new, early, late = self.connector.lines
        self.assertEqual((new[1], new[2]["meta"]), ("new", {"route": "/x"}))
        self.assertEqual((early[1:], late[1:]), (["data", "early"], ["data", "late"]))

    def test_misuse_is_told_at_the_call(self) -> None:
        """And harms neither the other streams nor the connection, also when it opens later."""
        with self.assertRaises(errors.InvalidValue):
            self.connection.create_stream(object())
        with self.assertRaises(errors.LocalProtocolError):
            self.connection.create_stream("/x", writable=False, readable=False)
        reading = self.connection.create_stream("/x", writable=False)
        with self.assertRaises(errors.LocalProtocolError):
            reading.write(1)
        ended = self.connection.create_stream("/y")
        ended.end()
        with self.assertRaises(errors.LocalProtocolError):
            ended.write(1)
        other = self.connection.create_stream("/z")
        other.write("hello")
        self.connector.open()
        self.clock.advance(0)
        self.assertEqual(self.connection.status, "open")
        self.assertIn("hello", [line[2] for line in self.connector.lines if len(line) == 3])

    def test_does_not_outlive_the_connection(self) -> None:
        self.connector.open()
        stream = self.connection.create_stream("/x")
        closed = stream.when_closed()
        self.connector.fail()
        self.failureResultOf(closed, ConnectionLost)
        self.assertRaises(errors.LocalProtocolError, stream.write, 1)

    def test_never_opened(self) -> None:
        stream = self.connection.create_stream("/x")
        closed = stream.when_closed()
        self.connection.close()
        self.failureResultOf(closed, errors.ConnectionClosed)

    def opened_by_the_relay(self) -> None:
        self.connector.receive(
            ["s", "new", {"meta": {"a": 1}, "opts": {"readable": True, "writable": True}}]
        )
        self.clock.advance(0)

    def test_of_the_relay(self) -> None:
        streams: list[Stream] = []
        data: list[Any] = []
        self.connection.on("stream", streams.append)
        self.connector.open()
        self.opened_by_the_relay()
        (stream,) = streams
        self.assertEqual((stream.meta, stream.id), ({"a": 1}, "s"))
        stream.on("data", data.append)
        self.connector.receive(["s", "data", [1]])
        stream.write(2)
        self.clock.advance(0)
        self.assertEqual((data, self.connector.lines), ([[1]], [["s", "data", 2]]))

    def test_of_the_relay_and_nobody_listens(self) -> None:
        self.connector.open()
        self.opened_by_the_relay()
        error, close = self.connector.lines
        self.assertEqual((error[1], error[2]["code"]), ("error", "no-listener"))
        self.assertEqual(close, ["s", "close"])

    def test_of_the_relay_and_the_handler_closes_it(self) -> None:
        closed: list[Any] = []

        def close(stream: Stream) -> None:
            closed.append(stream.when_closed())
            stream.close()

        self.connection.on("stream", close)
        self.connector.open()
        self.opened_by_the_relay()
        self.assertIsNone(self.successResultOf(closed[0]))
        self.assertEqual(self.connector.lines, [["s", "close"]])

    def test_relay_breaks_the_protocol(self) -> None:
        """The connection is over at once for all that rides on it, and another one is made."""
        self.connector.open()
        stream = self.connection.create_stream("/x")
        closed = stream.when_closed()
        self.attempt_received(b"no frame\n")
        self.assertEqual([code for code, _ in self.connector.closed], [1002])
        self.failureResultOf(closed, ConnectionLost)
        later = self.connection.create_stream("/later")
        DistributedMap(self.connection, "/fruits")
        self.attempt_received(b'["x","new",{"opts":{"readable":true}}]\n')
        self.clock.advance(0)
        sent = len(self.connector.sent)
        self.connector.fail(ConnectionLost("closed with 1002"))
        self.connector.closed.clear()
        self.clock.advance(0.5)
        self.connector.open()
        self.clock.advance(0)
        routes = [
            line[2]["meta"]
            for message in self.connector.sent[sent:]
            for line in map(json.loads, message.splitlines())
            if line[1] == "new"
        ]
        self.assertEqual(len(routes), 2)
        self.assertIn("/later", routes)
        self.assertNotEqual(later.id, "")

    def attempt_received(self, message: bytes) -> None:
        self.connector.attempts[-1].attempt_received(message)


class Logged(TestCase):
    """A base: what is logged while a test runs."""

    timeout = 60

    def setUp(self) -> None:
        self.log: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace", "").startswith("distmap"):
                self.log.append(f"{event['log_level'].name} {formatEvent(event)}")

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def open(self, url: str, options: WebSocketOptions | None = None) -> Connection:
        """A connection whose waits are short."""
        connector = WebSocketConnector(reactor, url, options)
        connection = Connection(reactor, connector, lambda: 0.01)
        self.addCleanup(connection.close)
        return connection


class BadServers(Logged):
    """Each way to have no connection is told apart, in the status and in the log."""

    async def assert_told(
        self, url: str, code: str, text: str, options: WebSocketOptions | None = None
    ) -> Connection:
        """Why there is no connection to a URL; a second try has failed as well."""
        connection = self.open(url, options)
        problems: list[ConnectionProblem] = []
        connection.on("offline", problems.append)
        await until(lambda: len(problems) >= 2)
        self.assertEqual({problem.code for problem in problems}, {code})
        status = connection.status
        self.assertEqual((status, status.code), ("offline", code))
        self.assertIn(text, status.reason)
        warnings = [line for line in self.log if line.startswith("warn no connection")]
        # The first may have come before the handler did.
        self.assertIn(len(warnings) - len(problems), (0, 1))
        for line in warnings:
            self.assertIn(f"no connection to {url} ({code}): {status.reason}; the next try", line)
        await fires(connection.close())
        return connection

    async def test_nobody_listens(self) -> None:
        url = f"ws://127.0.0.1:{free_port()}/"
        await self.assert_told(url, "cannot-connect", "refused")

    async def test_name_is_unknown(self) -> None:
        Resolver(None).install(self)
        await self.assert_told("ws://nowhere.example/", "cannot-connect", "nowhere.example")

    async def test_accepts_and_drops(self) -> None:
        server = Listener(self, connected=lambda each: each.transport.loseConnection())
        url = f"ws://127.0.0.1:{await server.listen()}/"
        connection = await self.assert_told(url, "handshake-dropped", "dropped the connection")
        # A TCP connection is no success: the waits have grown.
        self.assertGreaterEqual(connection._tries._backoff._range_seconds, 2)

    async def test_refuses_the_upgrade(self) -> None:
        for status in ("403 Forbidden", "404 Not Found"):
            self.log.clear()

            def refuse(each: Any, data: bytes, status: str = status) -> None:
                each.transport.write(f"HTTP/1.1 {status}\r\n\r\n".encode())

            server = Listener(self, received=refuse)
            url = f"ws://127.0.0.1:{await server.listen()}/"
            await self.assert_told(url, "upgrade-refused", status.split()[1])

    async def test_is_another_kind_of_server(self) -> None:
        server = Listener(self, connected=lambda each: each.transport.write(b"+OK POP3\r\n\r\n"))
        url = f"ws://127.0.0.1:{await server.listen()}/"
        await self.assert_told(url, "upgrade-refused", "the server refused the upgrade")

    async def test_is_silent(self) -> None:
        server = Listener(self)
        url = f"ws://127.0.0.1:{await server.listen()}/"
        options = WebSocketOptions(handshake_seconds=0.2)
        await self.assert_told(url, "handshake-timeout", "did not finish", options)

    async def test_dies_without_a_word(self) -> None:
        """As when the network is gone: no FIN, and no answer to pings."""

        def answer(each: Any, data: bytes) -> None:
            if data.startswith(b"GET"):
                each.upgrade(data)

        server = Listener(self, received=answer)
        url = f"ws://127.0.0.1:{await server.listen()}/"
        options = WebSocketOptions(ping_seconds=0.1, pong_seconds=0.1)
        await self.assert_told(url, "ping-timeout", "did not answer a ping", options)
        self.assertIn(f"info connected to {url}", self.log)

    async def test_opens_and_drops(self) -> None:
        def answer(each: Any, data: bytes) -> None:
            each.upgrade(data)
            each.transport.loseConnection()

        server = Listener(self, received=answer)
        url = f"ws://127.0.0.1:{await server.listen()}/"
        await self.assert_told(url, "connection-lost", "1006")

    async def test_breaks_the_protocol(self) -> None:
        def answer(each: Any, data: bytes) -> None:
            if data.startswith(b"GET"):
                each.upgrade(data)
                each.transport.write(b"\x81\x06hello\n")
            else:
                each.transport.loseConnection()

        server = Listener(self, received=answer)
        url = f"ws://127.0.0.1:{await server.listen()}/"
        await self.assert_told(url, "connection-lost", "closed with")
        self.assertIn("warn the other side broke the protocol", "\n".join(self.log))

    async def test_comes_back(self) -> None:
        """The relay is killed, and another one started in its place."""
        process = await relay(self)
        connection = self.open(f"ws://127.0.0.1:{process.port}/")
        await until(lambda: connection.status == "open")
        problems: list[ConnectionProblem] = []
        connection.on("offline", problems.append)  # a busy machine may skip over a status
        await process.kill()
        await until(lambda: any(problem.code == "cannot-connect" for problem in problems))
        self.assertEqual(problems[0].code, "connection-lost")
        await relay(self, port=process.port)
        await until(lambda: connection.status == "open")
        self.assertEqual(connection._tries._backoff._range_seconds, 0.5)


class CloseForReal(Logged):
    """Trial looks for sockets and calls that a test leaves behind."""

    async def test_while_it_connects(self) -> None:
        connection = self.open("ws://127.0.0.1:1/")
        await fires(connection.close())

    async def test_in_the_handshake(self) -> None:
        server = Listener(self)
        connection = self.open(f"ws://127.0.0.1:{await server.listen()}/")
        await until(lambda: server.open)
        await fires(connection.close())
        await until(lambda: not server.open)

    async def test_in_use(self) -> None:
        service, port = start_relay(self)
        connection = connect(reactor, f"ws://127.0.0.1:{port}/")
        fruits = DistributedMap(connection, "/fruits")
        stream = connection.create_stream("/chat/channel")
        await fires(fruits.ready())
        written = fruits.set("apple", 3)
        await fires(connection.close())
        self.assertEqual(fruits.status, "closed")
        self.assertRaises(errors.LocalProtocolError, stream.write, 1)
        await until(lambda: written.called)
        written.addErrback(lambda failure: failure.trap(errors.MapClosed))
        await until(lambda: not service.server.connections)

    async def test_relay_does_not_answer(self) -> None:
        def answer(each: Any, data: bytes) -> None:
            if data.startswith(b"GET"):
                each.upgrade(data)

        server = Listener(self, received=answer)
        connector = WebSocketConnector(reactor, f"ws://127.0.0.1:{await server.listen()}/")
        connection = Connection(reactor, connector, lambda: 0.01, close_seconds=0.1)
        await until(lambda: connection.status == "open")
        await fires(connection.close())
        await until(lambda: not server.open)


class OwnStreams(Logged):
    """Streams of one's own, through a real relay."""

    async def setUp(self) -> None:  # type: ignore[override]
        super().setUp()
        self.service, port = start_relay(self)
        self.url = f"ws://127.0.0.1:{port}/"

    def collect(self, stream: Stream) -> list[Any]:
        """What comes on a stream."""
        data: list[Any] = []
        stream.on("data", data.append)
        return data

    async def test_broadcast(self) -> None:
        """Plain members of a channel get what the others send, and nothing else."""
        streams = [self.open(self.url).create_stream("/chat/channel") for _ in range(3)]
        data = [self.collect(stream) for stream in streams]
        await until(lambda: self.service.server.core.hub.members == 3)
        for number, stream in enumerate(streams):
            stream.write({"from": number})
            stream.write(f"hello from {number}")
        await until(lambda: all(len(each) == 4 for each in data))
        for number, each in enumerate(data):
            others = [other for other in range(3) if other != number]
            wanted = [{"from": other} for other in others]
            wanted += [f"hello from {other}" for other in others]  # type: ignore[misc]
            self.assertEqual(sorted(map(str, each)), sorted(map(str, wanted)))
        for stream in streams[1:]:
            stream.close()
        await until(lambda: self.service.server.core.hub.members == 1)

    async def test_beside_a_map(self) -> None:
        """One connection carries both."""
        connection, other = self.open(self.url), self.open(self.url)
        fruits = DistributedMap(connection, "/fruits")
        theirs = DistributedMap(other, "/fruits")
        stream, their_stream = (each.create_stream("/chat/channel") for each in (connection, other))
        data = self.collect(their_stream)
        await fires(fruits.ready())
        await fires(theirs.ready())
        fruits["apple"] = 3
        stream.write("hello")
        await until(lambda: data == ["hello"] and dict(theirs) == {"apple": 3})
        self.assertEqual(len(self.service.server.connections), 2)

    async def joined(self) -> tuple[Stream, Stream]:
        """A stream between two peers, from both ends."""
        server, client = self.open(self.url), self.open(self.url)
        listening = server.create_stream("/x/proxy/server/s")
        names = self.collect(listening)
        await until(lambda: listening.id and self.service.server.core.switchboard._listeners)
        theirs = client.create_stream("/x/proxy/client/s/someone")
        their_data = self.collect(theirs)
        await until(lambda: names)
        self.assertEqual(names, ["someone"])
        ours = server.create_stream("/x/proxy/server/s/client/someone/1")
        data = self.collect(ours)
        await until(lambda: data and their_data)
        self.assertEqual((data, their_data), (["[stream-server]:open"], ["[stream-server]:open"]))
        return ours, theirs

    async def test_joined(self) -> None:
        ours, theirs = await self.joined()
        data, their_data = self.collect(ours), self.collect(theirs)
        ours.write([1])
        theirs.write({"two": 2})
        await until(lambda: data and their_data)
        self.assertEqual((data, their_data), ([{"two": 2}], [[1]]))
        closed = theirs.when_closed()
        ours.error("enough", "bored")
        error: Any = await fires(closed.addErrback(lambda failure: failure.value))
        self.assertIs(type(error), errors.StreamError)
        self.assertEqual((str(error), error.code), ("enough", "bored"))

    async def test_joined_end_is_lost(self) -> None:
        ours, theirs = await self.joined()
        closed = theirs.when_closed()
        session: Any = ours._session
        session._transport.abort()
        await fires(closed)

    async def test_nobody_listens(self) -> None:
        stream = self.open(self.url).create_stream("/x/proxy/client/nobody/me")
        error: Any = await fires(stream.when_closed().addErrback(lambda failure: failure.value))
        self.assertEqual((type(error), error.code), (errors.StreamError, "404"))

    async def test_unknown_route(self) -> None:
        connection = self.open(self.url)
        stream = connection.create_stream("/no/such/route")
        error: Any = await fires(stream.when_closed().addErrback(lambda failure: failure.value))
        self.assertEqual((type(error), error.code), (errors.StreamError, "unknown-route"))
        self.assertEqual(connection.status, "open")

    async def test_producer_and_consumer(self) -> None:
        """A quick producer is held back by a consumer at the other end that pauses."""
        ours, theirs = await self.joined()
        verifyObject(IConsumer, ours)
        verifyObject(IPushProducer, theirs)
        data = self.collect(theirs)
        theirs.pauseProducing()
        await until(lambda: ours.paused)
        producer = Counting(ours, 500)
        ours.registerProducer(producer, True)
        self.assertEqual(producer.asked, ["pause"])
        theirs.resumeProducing()
        await until(lambda: data)
        theirs.pauseProducing()
        await until(lambda: producer.asked[-1] == "pause")
        count = len(data)
        self.assertLess(count, 500)
        theirs.resumeProducing()
        await until(lambda: len(data) == 500, what=lambda: len(data))
        self.assertEqual(data, list(range(500)))
        ours.unregisterProducer()
        again = Counting(ours, 0)
        ours.registerProducer(again, True)
        theirs.stopProducing()
        await until(lambda: "stop" in again.asked)

    async def test_pull_producer(self) -> None:
        ours, theirs = await self.joined()
        data = self.collect(theirs)
        ours.registerProducer(Pulled(ours, 20), False)
        await until(lambda: len(data) == 20)
        self.assertEqual(data, list(range(20)))


@implementer(IPushProducer)
class Counting:
    """Writes numbers, one a turn, while it may."""

    def __init__(self, consumer: Stream, last: int) -> None:
        self.asked: list[str] = []
        self._consumer = consumer
        self._next = 0
        self._last = last
        self._running = False

    def pauseProducing(self) -> None:
        self.asked.append("pause")
        self._running = False

    def resumeProducing(self) -> None:
        self.asked.append("resume")
        if not self._running:
            self._running = True
            self._write()

    def stopProducing(self) -> None:
        self.asked.append("stop")
        self._running = False

    def _write(self) -> None:
        if self._running and self._next < self._last:
            self._consumer.write(self._next)
            self._next += 1
            reactor.callLater(0, self._write)


class Pulled:
    """Writes one number each time it is asked."""

    def __init__(self, consumer: Stream, last: int) -> None:
        self._consumer = consumer
        self._numbers = iter(range(last))

    def resumeProducing(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            self._consumer.unregisterProducer()
        else:
            self._consumer.write(number)

    def stopProducing(self) -> None:
        """Nothing to tidy up."""
