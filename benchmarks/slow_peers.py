"""Peers of one map, some of which stop reading: ``python -m benchmarks.slow_peers``.

It takes the commands of :mod:`benchmarks.slow_readers` as lines of JSON.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from benchmarks.driver import Driver
from benchmarks.peer import Commands, Distmap
from distmap import Connection, DistributedMap, Status, WebSocketOptions, connect

LIMIT_SECONDS = 900
URI = "/slow"
# A client that reads nothing hears no answer to its pings, and would try another connection.
PATIENT = WebSocketOptions(ping_seconds=LIMIT_SECONDS)


class SlowDriver(Driver):
    """The commands."""

    def __init__(self) -> None:
        super().__init__(Distmap())
        self._connections: list[Connection] = []
        self._maps: list[DistributedMap] = []
        self._ages_ms: list[float] = []
        self._told: Counter[str] = Counter()

    async def do_open(self, url: str, replicas: int = 1) -> dict[str, float]:
        """Opens so many maps, each on a connection of its own."""
        for _ in range(replicas):
            connection = connect(reactor, url, options=PATIENT)
            self._connections.append(connection)
            shared = DistributedMap(connection, URI)
            shared.on("status", self._note)
            self._maps.append(shared)
        await gatherResults([shared.ready() for shared in self._maps])
        return {}

    def _note(self, status: Status) -> None:
        if status.code:
            self._told[status.code] += 1

    async def do_flood(
        self, bytes_per_second: float, seconds: float, value_bytes: int, keys: int
    ) -> dict[str, float]:
        """Writes values that tell the time, evenly."""
        began, number = time.monotonic(), 0
        interval = value_bytes / bytes_per_second
        while (now := time.monotonic()) < began + seconds:
            while began + number * interval <= now:
                value = f"{time.monotonic_ns()} ".ljust(value_bytes, "x")
                self._maps[0][f"key-{number % keys}"] = value
                number += 1
            await deferLater(reactor, interval / 2)
        await self._maps[0].set("last", number)
        return {"writes": number}

    async def do_listen(self, count: int = 0) -> dict[str, list[float]]:
        """Notes from now on how old each value is when it comes."""

        def told(value: Any, key: str, shared: DistributedMap) -> None:
            if isinstance(value, str):
                self._ages_ms.append((time.monotonic_ns() - int(value.split()[0])) / 1e6)

        for shared in self._maps:
            shared.on("set", told)
        return {}

    async def do_ages(self) -> dict[str, Any]:
        """The middle and the 99th percentile since the last call, and of how many values."""
        ages, self._ages_ms = sorted(self._ages_ms), []
        return {
            "count": len(ages),
            "median_ms": ages[len(ages) // 2],
            "p99_ms": ages[len(ages) * 99 // 100],
        }

    async def do_stop(self) -> dict[str, float]:
        """Reads nothing more."""
        self._told.clear()
        for connection in self._connections:
            _transport(connection).pauseProducing()
        return {}

    async def do_go(self) -> dict[str, float]:
        """Reads again."""
        for connection in self._connections:
            if connection._transport is not None:
                _transport(connection).resumeProducing()
        return {}

    async def do_state(self) -> dict[str, Any]:
        """The digests that there are, how many maps are ready, and what they were told."""
        digests = Counter(str(shared.digest()) for shared in self._maps)
        ready = sum(shared.status == "ready" for shared in self._maps)
        return {"digests": digests, "ready": ready, "told": self._told}


def _transport(connection: Connection) -> Any:
    socket: Any = connection._transport
    return socket.transport


class SlowCommands(Commands):
    """Standard input."""

    def __init__(self) -> None:
        self._driver = SlowDriver()  # type: ignore[assignment]


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    stdio.StandardIO(SlowCommands())
    reactor.run()
