"""A peer with pycrdt: ``python -m benchmarks.rivals.pycrdt_peer``; the commands of driver.py."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import websockets
from pycrdt import Doc, Map, Provider

from benchmarks.driver import Driver

NAME = "bench"
LIMIT_SECONDS = 300
MOST_UNSENT = 2000


class Socket:
    """The channel that pycrdt's provider wants, on a WebSocket."""

    def __init__(self, socket: Any) -> None:
        self.path = NAME
        self.unsent = 0
        self._socket = socket

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except websockets.ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        await self._socket.send(message)
        self.unsent -= 1

    async def recv(self) -> bytes:
        message: bytes = await self._socket.recv()
        return message


class DocReplica:
    """A document with a map, on a connection of its own."""

    def __init__(self) -> None:
        self.doc: Any = Doc()
        self.map: Any = self.doc.get("map", type=Map)
        self.socket: Socket | None = None
        self.provider: Any = None
        self._own = False

    async def open(self, url: str) -> None:
        """Connects, and goes on in the background."""
        connection = await websockets.connect(
            f"{url}/{NAME}", max_size=None, compression=None, ping_interval=None
        )
        self.socket = Socket(connection)
        self.provider = Provider(self.doc, self.socket)
        self._task = asyncio.create_task(self.provider.start())
        await self.provider.started.wait()

    def set(self, key: str, value: str) -> None:
        self.set_all([(key, value)])

    def set_all(self, entries: list[tuple[str, str]]) -> None:
        self._own = True
        with self.doc.transaction():
            for key, value in entries:
                self.map[key] = value
        self._own = False
        assert self.socket is not None
        self.socket.unsent += 1

    def size(self) -> int:
        return len(self.map)

    def on_set(self, handler: Callable[[str], None]) -> None:
        def observed(event: Any) -> None:
            if not self._own:
                for change in event.keys.values():
                    handler(change["newValue"])

        self._observer = self.map.observe(observed)

    def on_news(self, handler: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        # An observer may not look into the document.
        self._observer = self.doc.observe(lambda event: loop.call_soon(handler))

    async def room(self) -> None:
        await self._until(MOST_UNSENT)

    async def drained(self) -> None:
        await self._until(0)
        await asyncio.sleep(1)  # the server says nothing when it has taken an update

    async def _until(self, most: int) -> None:
        assert self.socket is not None
        while self.socket.unsent > most:
            await asyncio.sleep(0.001)


class Pycrdt:
    """The system: asyncio's loop."""

    async def open(self, url: str, ready: bool = True) -> DocReplica:
        replica = DocReplica()
        await replica.open(url)
        if ready:
            await replica.provider.synced.wait()
        return replica

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def event(self) -> tuple[Awaitable[Any], Callable[[], None]]:
        done = asyncio.Event()
        return done.wait(), done.set


async def main() -> None:
    driver = Driver(Pycrdt())
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(driver.command(line))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    asyncio.run(main())
