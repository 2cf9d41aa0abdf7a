"""A peer with distmap's Python client: ``python -m benchmarks.peer``; the commands of driver.py."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.driver import Driver, say_begun
from distmap import DistributedMap, connect

URI = "/bench"
MOST_UNTAKEN = 5000
LIMIT_SECONDS = 600


class MapReplica:
    """A DistributedMap on a connection of its own.

    Args:
        url: the relay's.
    """

    def __init__(self, url: str) -> None:
        self.map = DistributedMap(connect(reactor, url), URI)
        self._untaken = 0
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def set(self, key: str, value: str) -> None:
        self._untaken += 1
        self.map.set(key, value).addCallback(self._taken)

    def set_all(self, entries: list[tuple[str, str]]) -> None:
        for key, value in entries:
            self.set(key, value)

    def _taken(self, _: object) -> None:
        self._untaken -= 1
        waiting = [each for each in self._waiting if self._untaken <= each[0]]
        for each in waiting:
            self._waiting.remove(each)
            each[1].callback(None)

    def size(self) -> int:
        return len(self.map)

    def on_set(self, handler: Callable[[str], None]) -> None:
        self.map.on("set", lambda value, key, shared: handler(value))

    def on_news(self, handler: Callable[[], None]) -> None:
        self.map.on("ready", lambda shared: handler())

    async def room(self) -> None:
        await self._until(MOST_UNTAKEN)

    async def drained(self) -> None:
        await self._until(0)
        # The sums, too, as the first digest would have brought them up to date.
        while not self.map._replica.fold(2000):
            await deferLater(reactor, 0)

    async def _until(self, most: int) -> None:
        if self._untaken > most:
            done: Deferred[None] = Deferred()
            self._waiting.append((most, done))
            await done


class Distmap:
    """The system: Twisted's loop."""

    async def open(self, url: str, ready: bool = True) -> MapReplica:
        replica = MapReplica(url)
        if ready:
            await replica.map.ready()
        return replica

    async def turn(self) -> None:
        await deferLater(reactor, 0)

    async def sleep(self, seconds: float) -> None:
        await deferLater(reactor, seconds)

    def event(self) -> tuple[Awaitable[None], Callable[[], None]]:
        done: Deferred[None] = Deferred()
        return done, lambda: done.callback(None)


class MapDriver(Driver):
    """With commands that only distmap's peers have."""

    def _maps(self) -> list[DistributedMap]:
        return [replica.map for replica in self._replicas if isinstance(replica, MapReplica)]

    async def do_digest(self) -> dict[str, Any]:
        """The digest of the first replica."""
        return {"digest": self._maps()[0]._replica.digest()}

    async def do_back(self) -> dict[str, float]:
        """Waits until all have lost the connection, and are synced again; tells when."""
        done, end = self._system.event()
        away: set[int] = set()
        back: set[int] = set()

        def told(number: int, status: object) -> None:
            if status != "ready":
                away.add(number)
            elif number in away and number not in back:
                back.add(number)
                if len(back) == len(self._replicas):
                    end()

        for number, shared in enumerate(self._maps()):
            shared.on("status", partial(told, number))
        say_begun()
        await done
        return {"ended": time.monotonic()}


class Commands(LineOnlyReceiver):
    """Standard input; when it ends the peer ends."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self._driver = MapDriver(Distmap())

    def lineReceived(self, line: bytes) -> None:
        Deferred.fromCoroutine(self._driver.command(line))

    def connectionLost(self, reason: Any = None) -> None:
        if reactor.running:
            reactor.stop()


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    stdio.StandardIO(Commands())
    reactor.run()
