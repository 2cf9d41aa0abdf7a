"""distmap.relay_process: how a relay's process ends, and how its peers come back."""

from __future__ import annotations

import functools
import json
import signal
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, connect
from distmap.errors import ConnectionProblem
from distmap.restart import FIRST_RETURN_MS, RETURNS_A_SECOND
from tests.support.peers import RelayProcess
from tests.support.processes import fires, relay, until
from tests.support.sockets import CLOSE, RawPeer, raw_peer

reactor: Any = _reactor
LONG = "600"
"""A grace that no test waits for."""
ROUTE = {"route": "/u/channel", "version": [1, 0]}


class Asks(Protocol):
    """An HTTP client that stays connected."""

    transport: Any

    def __init__(self) -> None:
        self.answer = b""
        self.lost = False

    def connectionMade(self) -> None:
        self.transport.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.answer += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Stop(TestCase):
    timeout = 60

    async def ended(self, process: RelayProcess) -> None:
        """It ends, and has nothing to complain of."""
        await until(lambda: process.done, what=lambda: process.lines[-3:])
        text = "\n".join(process.lines) + process.errors.decode()
        for word in ("Traceback", "Unhandled", "ResourceWarning", "ReactorNotRunning", "defect"):
            self.assertNotIn(word, text)
        self.assertIn("Server Shut Down", process.lines[-1])

    async def slow_reader(self, process: RelayProcess, count: int = 60) -> tuple[RawPeer, RawPeer]:
        """One that does not read, and that more waits for than the system's buffers hold; and who
        wrote that, and has had all of it acknowledged.
        """
        reader, writer = [await raw_peer(self, process.port) for _ in range(2)]
        for peer in (reader, writer):
            peer.open("c", ROUTE)
            await until(functools.partial(getattr, peer, "lines"))
        reader.stop_reading()
        for at in range(count):
            writer.send_mux("c", "data", {"event": "set", "at": at, "x": "x" * 100_000})
        await until(
            lambda: writer.lines[-1][2][:2] == ["ack", count], what=lambda: writer.lines[-1]
        )
        return reader, writer

    async def test_with_nobody_there(self) -> None:
        process = await relay(self, "--grace", LONG)
        peer = await raw_peer(self, process.port)  # it handles signals now
        await peer.drop()
        process.signal(signal.SIGTERM)
        await self.ended(process)

    async def test_with_a_browser_that_keeps_its_connection(self) -> None:
        process = await relay(self, "--grace", LONG)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", process.port)
        asks = await connectProtocol(endpoint, Asks())
        await until(lambda: b"connections" in asks.answer)
        self.assertFalse(asks.lost)
        process.signal(signal.SIGTERM)
        await until(lambda: asks.lost)
        await self.ended(process)

    async def test_slow_reader_gets_all_that_was_acknowledged(self) -> None:
        process = await relay(self, "--grace", LONG)
        reader, writer = await self.slow_reader(process)
        process.signal(signal.SIGTERM)
        self.assertEqual(await writer.closed(), 1012)
        writer.say_goodbye(1012)
        await writer.lost()
        self.assertIsNone(reader.close_code)
        self.assertFalse(process.done)
        reader.read_again()
        self.assertEqual(await reader.closed(), 1012)
        payloads = [line[2] for line in reader.lines if line[1] == "data"]
        numbers = [each["at"] for each in payloads if "at" in each]
        self.assertEqual(numbers, list(range(60)))
        self.assertEqual(reader.frames[-1][0], CLOSE)
        reader.say_goodbye(1012)
        await self.ended(process)

    async def test_second_signal(self) -> None:
        for second in (signal.SIGTERM, signal.SIGINT):
            process = await relay(self, "--grace", LONG)
            reader, writer = await self.slow_reader(process)
            process.signal(signal.SIGTERM)
            await writer.closed()
            self.assertFalse(process.done)
            process.signal(second)
            await self.ended(process)
            self.assertTrue(any("told to stop again" in line for line in process.lines))
            reader.read_again()
            await reader.lost()
            self.assertIsNone(reader.close_code, "it was dropped")


class Restart(TestCase):
    timeout = 120
    PEERS = 110

    async def test_a_crowd_is_spread_and_comes_back(self) -> None:
        process = await relay(self)
        told: list[float | None] = []

        def offline(problem: ConnectionProblem) -> None:
            if "going down" in str(problem):
                told.append(problem.retry_seconds)

        maps: list[DistributedMap] = []
        for _ in range(self.PEERS):
            connection = connect(reactor, f"ws://127.0.0.1:{process.port}/")
            self.addCleanup(connection.close)
            connection.on("offline", offline)
            maps.append(DistributedMap(connection, "/fruits"))
        for each in maps:
            await fires(each.ready())
        await fires(maps[0].set("apple", 3))
        process.signal(signal.SIGTERM)
        await until(lambda: len(told) == self.PEERS, what=lambda: len(told))
        await until(lambda: process.done)
        times_ms = [round(1000 * seconds) for seconds in told if seconds is not None]
        self.assertEqual(len(set(times_ms)), self.PEERS, "each its own")
        self.assertEqual(min(times_ms), FIRST_RETURN_MS)
        window_ms = max(times_ms) - min(times_ms)
        self.assertEqual(window_ms, (self.PEERS - 1) * 1000 // RETURNS_A_SECOND)
        await relay(self, port=process.port)
        await until(
            lambda: all(each.status == "ready" and each.peers == self.PEERS - 1 for each in maps),
            what=lambda: [json.dumps(str(each.status)) for each in maps[:5]],
        )
        self.assertEqual({each["apple"] for each in maps}, {3})
