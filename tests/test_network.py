"""The main job on a real network: a relay process, peer processes, kill -9, cut connections."""

from __future__ import annotations

import signal
from functools import partial
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from distmap import DistributedMap
from distmap.connection import Connection
from distmap.connector import WebSocketConnector
from distmap.relay import RelayService
from tests.support.peers import PeerProcess, RelayProcess, free_port
from tests.support.proxy import CuttingProxy


def contains(text: str, line: str) -> bool:
    return text in line


async def equal(maps: list[DistributedMap], seconds: float = 20.0) -> None:
    """Waits until all maps are ready and equal; the last assertion tells what differs."""
    deadline = reactor.seconds() + seconds
    while reactor.seconds() < deadline:
        if all(m.status == "ready" and dict(m) == dict(maps[0]) for m in maps):
            return
        await deferLater(reactor, 0.005)
    raise AssertionError([(str(m.status), m.status.reason, dict(m)) for m in maps])


class ProcessesTest(TestCase):
    """A real relay and three real peers."""

    timeout = 120

    async def _spawn_relay(self, port: int) -> RelayProcess:
        relay = RelayProcess(port)
        self.addCleanup(relay.kill)
        await relay.started
        return relay

    def _spawn_peer(self, port: int) -> PeerProcess:
        peer = PeerProcess(f"ws://127.0.0.1:{port}/", "/load")
        self.addCleanup(peer.kill)
        return peer

    async def _dumps(self, peers: list[PeerProcess]) -> list[Any]:
        return [await peer.command("dump") for peer in peers]

    async def _until_equal(self, peers: list[PeerProcess], size: int) -> dict[str, Any]:
        dumps: list[Any] = []
        for _ in range(1000):
            dumps = await self._dumps(peers)
            first = dumps[0][1]
            if all(d[1] == first and d[2] == "ready" for d in dumps) and len(first) == size:
                return dict(first)
            await deferLater(reactor, 0.02)
        sizes = [(len(d[1]), *d[2:]) for d in dumps]
        raise AssertionError(f"not equal: {sizes}, wanted {size} keys")

    async def test_relay_killed_under_load(self) -> None:
        """One writes, one joins late, one is killed; the relay is killed -9 and restarted."""
        port = free_port()
        relay = await self._spawn_relay(port)
        writer, doomed = self._spawn_peer(port), self._spawn_peer(port)
        await gatherResults([writer.ready, doomed.ready])
        for at in range(20):
            await doomed.command("set", f"gone{at}", at)
        await writer.command("set", "kept", {"by": "writer"})
        for at in range(20):
            await writer.command("delete", f"gone{at}")
        await doomed.command("set", "last", "words")
        await self._until_equal([writer, doomed], 2)
        await doomed.kill()

        written = writer.command("write", "load", 1000, answer="written")
        await writer.line(lambda line: '"load200"' in line)
        await relay.kill()
        await deferLater(reactor, 0.3)
        await self._spawn_relay(port)
        late = self._spawn_peer(port)
        await late.ready
        await written
        everything = await self._until_equal([writer, late], 1002)
        self.assertEqual(everything["last"], "words")
        self.assertEqual([everything[f"load{at}"] for at in range(1000)], list(range(1000)))
        self.assertFalse([key for key in everything if key.startswith("gone")])

        await late.command("delete", "load0")
        third = self._spawn_peer(port)
        await third.ready
        everything = await self._until_equal([writer, late, third], 1001)
        self.assertNotIn("load0", everything)
        for peer in (writer, late, third):
            answer = await peer.command("close", answer="closed")
            self.assertEqual(answer, ["closed", 0], "a delayed call was left")
            self.assertEqual(await peer.exited, 0)
            self.assertNotIn(b"ResourceWarning", peer.errors)
            self.assertNotIn(b"Traceback", peer.errors)

    async def test_every_acknowledged_write_survives(self) -> None:
        """What was acknowledged before the relay died is there after it, with its writer alive."""
        port = free_port()
        relay = await self._spawn_relay(port)
        writer, reader = self._spawn_peer(port), self._spawn_peer(port)
        await gatherResults([writer.ready, reader.ready])
        written = writer.command("write", "k", 600, answer="written")
        for kill_at in (100, 300):
            await writer.line(partial(contains, f'"k{kill_at}"'))
            await relay.kill()
            relay = await self._spawn_relay(port)
        await written
        await self._until_equal([writer, reader], 600)

    async def test_relay_terminated(self) -> None:
        """SIGTERM: the peers are told, the port is free, and a new relay finds them again."""
        port = free_port()
        relay = await self._spawn_relay(port)
        one, two = self._spawn_peer(port), self._spawn_peer(port)
        await gatherResults([one.ready, two.ready])
        await relay.signal(signal.SIGTERM)
        self.assertIn("Server Shut Down", relay.lines[-1])
        one.process.write(b'["set","meanwhile",1]\n')
        await self._spawn_relay(port)
        everything = await self._until_equal([one, two], 1)
        self.assertEqual(everything, {"meanwhile": 1})
        self.assertIn(b"1012", one.errors)


class CutConnectionsTest(TestCase):
    """Two peers write and delete the same keys while their connections are cut at any byte."""

    timeout = 240

    def setUp(self) -> Any:
        self.random = Random(2012)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.service = RelayService(reactor, endpoint)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.cutting = True

    def _budget(self) -> int | None:
        return self.random.randrange(1, 3000) if self.cutting else None

    def _open(self, proxy_port: int) -> DistributedMap:
        url = f"ws://127.0.0.1:{proxy_port}/"
        # The jitter is of this test's own choice: short waits, or 200 rounds would take minutes.
        connection = Connection(reactor, WebSocketConnector(reactor, url), _short(self.random))
        self.addCleanup(connection.close)
        return DistributedMap(connection, "/contested")

    async def test_two_hundred_rounds(self) -> None:
        relay_port: Any = self.service.port
        proxy = CuttingProxy(reactor, relay_port.getHost().port, self._budget)
        listening: Any = reactor.listenTCP(0, proxy, interface="127.0.0.1")  # type: ignore[arg-type]
        self.addCleanup(listening.stopListening)
        maps = [self._open(listening.getHost().port) for _ in range(2)]
        keys = ["a", "b", "c"]
        for round_number in range(200):
            self.cutting = True
            proxy.renew_budgets()
            pending: list[Deferred[Any]] = []
            for step in range(self.random.randrange(4, 12)):
                chosen = self.random.choice(maps)
                key = self.random.choice(keys)
                if self.random.random() < 0.4:
                    pending.append(chosen.delete(key))
                else:
                    value = [round_number, step, "x" * self.random.randrange(200)]
                    pending.append(chosen.set(key, value))
                if self.random.random() < 0.3:
                    await deferLater(reactor, 0)
            await gatherResults(pending)
            self.cutting = False
            proxy.cut_all()
            await equal(maps)
        self.assertGreater(proxy.cuts, 100)


def _short(random: Random) -> Any:
    return lambda: random.random() * 0.05
