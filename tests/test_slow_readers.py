"""Readers that stop reading, on real sockets: what they cost is bounded, they are told, and equal
again once they read; the others lose nothing. The seconds are found by benchmarks/slow_readers.py.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, Status, connect
from distmap.relay_server import RelayOptions
from tests.support.processes import fires, until
from tests.support.sockets import start_relay

reactor: Any = _reactor
SLOW, OTHERS = 12, 3
QUEUE_BYTES = 256 * 1024
VALUE = "x" * 10_000
KEYS = 20
UNREAD_BYTES = 64 * 1024
MOST_BYTES = QUEUE_BYTES + 1024 * 1024  # what both systems keep unread is bounded too


class SlowReaders(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        self.service, self.port = start_relay(
            self, RelayOptions(queue_bytes=QUEUE_BYTES, stall_seconds=60)
        )
        self.server = self.service.server
        self.told: list[str] = []
        self.seen = 0

    async def open(self) -> DistributedMap:
        connection = connect(reactor, f"ws://127.0.0.1:{self.port}/")
        self.addCleanup(connection.close)
        shared = DistributedMap(connection, "/u")
        await fires(shared.ready())
        return shared

    def transport(self, shared: DistributedMap) -> Any:
        socket: Any = shared.connection._transport
        return socket.transport

    def count(self, value: Any, key: str, shared: DistributedMap) -> None:
        self.seen += 1

    async def test_slow_readers(self) -> None:
        writer, *others = [await self.open() for _ in range(OTHERS)]
        slow = [await self.open() for _ in range(SLOW)]
        for shared in others:
            shared.on("set", self.count)
        for shared in slow:
            shared.on("status", self.note)
            self.transport(shared).pauseProducing()
            handle = self.transport(shared).getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        evictions = self.server.counts.evictions
        writes = largest = held = 0
        while evictions["queue"] < SLOW and writes * len(VALUE) < MOST_BYTES:
            for _ in range(5):
                writer[f"k{writes % KEYS}"] = VALUE + str(writes)
                writes += 1
            await deferLater(reactor, 0)
            largest = max(largest, *(each.queued_bytes for each in self.server.connections))
            held = max(held, self.held_bytes())
        self.assertEqual(evictions, {"queue": SLOW}, f"after {writes} writes")
        self.assertLessEqual(largest, QUEUE_BYTES)
        self.assertLess(held, 3 * QUEUE_BYTES, "what waits for several is kept once")
        await until(lambda: self.seen == writes * len(others))
        self.assertEqual(self.told, [])
        members = self.server.core.hub.members
        self.assertEqual(members, OTHERS)
        for shared in slow:
            self.transport(shared).resumeProducing()
        await until(lambda: len(self.told) >= SLOW, what=lambda: self.told)
        self.assertEqual(set(self.told), {"slow"})
        await fires(gatherResults([Deferred.fromCoroutine(self.equal(each)) for each in slow]))
        for shared in (*others, *slow):
            self.assertEqual(shared.digest(), writer.digest())
            self.assertEqual(dict(shared), dict(writer))
        self.assertEqual(self.server.core.hub.members, OTHERS + SLOW)

    def note(self, status: Status) -> None:
        if status.code:
            self.told.append(status.code)

    async def equal(self, shared: DistributedMap) -> None:
        await until(lambda: shared.status == "ready")

    def held_bytes(self) -> int:
        """What all queues hold together: what stands in several of them is there once."""
        queues = [each._queue.frames for each in self.server.connections if each._queue]
        frames = {id(frame): len(frame) for queue in queues for frame in queue}
        held_bytes = sum(frames.values())
        self.assertEqual(self.server.backlog.queued_bytes, held_bytes)
        return held_bytes
