"""What a peer of a benchmark does, whatever system it is of: takes commands, and measures.

Only the standard library is used here: this runs in the environments of the rivals too. The
JavaScript peers have the same commands in js/driver.mjs.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

VALUE = "x" * 58  # 60 bytes of JSON
FILL_AT_ONCE = 500


class Replica(Protocol):
    """One copy of the map, with a connection of its own."""

    def set(self, key: str, value: str) -> None:
        """Sets a value."""

    def set_all(self, entries: list[tuple[str, str]]) -> None:
        """Sets values in one transaction, if the system has such a thing."""

    def size(self) -> int:
        """How many keys it has."""

    def on_set(self, handler: Callable[[str], None]) -> None:
        """Adds what is called with each value that another peer has set."""

    def on_news(self, handler: Callable[[], None]) -> None:
        """Adds what is called when something may have come."""

    async def room(self) -> None:
        """Waits while much that was written is not yet on its way."""

    async def drained(self) -> None:
        """Waits until all that was written is on its way."""


class System(Protocol):
    """What opens replicas, and the loop that runs them."""

    async def open(self, url: str, ready: bool = True) -> Replica:
        """Opens a replica; waits until it is synced, unless it is not to be ready."""

    async def turn(self) -> None:
        """Waits for the next turn of the loop."""

    async def sleep(self, seconds: float) -> None:
        """Waits."""

    def event(self) -> tuple[Awaitable[None], Callable[[], None]]:
        """What can be awaited once, and what ends the wait."""


class Driver:
    """The commands of a peer. Each answers with one line.

    Args:
        system: whose peer it is.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._replicas: list[Replica] = []
        self._url = ""

    async def command(self, line: bytes) -> None:
        """Carries out one line of input."""
        message = json.loads(line)
        try:
            found = await getattr(self, "do_" + message.pop("do"))(**message)
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()

    async def do_open(self, url: str, replicas: int = 1) -> dict[str, float]:
        """Opens replicas, and waits until they are synced."""
        self._url = url
        for _ in range(replicas):
            self._replicas.append(await self._system.open(url))
        return {}

    async def do_fill(self, count: int) -> dict[str, float]:
        """Sets so many keys, as fast as they are taken."""
        replica = self._replicas[0]
        for start in range(0, count, FILL_AT_ONCE):
            some = range(start, min(start + FILL_AT_ONCE, count))
            replica.set_all([(f"key-{at}", VALUE) for at in some])
            await self._system.turn()
            await replica.room()
        await replica.drained()
        return {}

    async def do_write(self, count: int, at_once: int) -> dict[str, float]:
        """Sets so many keys, some in each turn; tells when it began."""
        replica = self._replicas[0]
        began = time.monotonic()
        for start in range(0, count, at_once):
            some = range(start, min(start + at_once, count))
            if at_once == 1:
                replica.set(f"key-{start}", VALUE)
            else:
                replica.set_all([(f"key-{at}", VALUE) for at in some])
            await self._system.turn()
            await replica.room()
        return {"began": began, "seconds": time.monotonic() - began}

    async def do_take(self, count: int) -> dict[str, float]:
        """Waits until each replica was told of so many sets; tells when that was."""
        done, end = self._system.event()
        missing = len(self._replicas)

        def counting(replica: Replica) -> None:
            seen = 0

            def count_one(value: str) -> None:
                nonlocal seen, missing
                seen += 1
                if seen == count:
                    missing -= 1
                    if not missing:
                        end()

            replica.on_set(count_one)

        for replica in self._replicas:
            counting(replica)
        say_begun()
        await done
        return {"ended": time.monotonic()}

    async def do_pace(self, rate: float, count: int) -> dict[str, float]:
        """Sets so many values that tell the time, at a rate per second."""
        replica = self._replicas[0]
        began = time.monotonic()
        for number in range(count):
            await self._system.sleep(max(0.0, began + number / rate - time.monotonic()))
            replica.set(f"key-{number % 100}", f"{time.monotonic_ns():058}")
        return {}

    async def do_listen(self, count: int) -> dict[str, list[float]]:
        """Waits until so many such values have come; tells how old each was, in ms."""
        done, end = self._system.event()
        ages_ms: list[float] = []

        def told(value: str) -> None:
            ages_ms.append((time.monotonic_ns() - int(value)) / 1e6)
            if len(ages_ms) == count:
                end()

        self._replicas[0].on_set(told)
        say_begun()
        await done
        return {"ages_ms": ages_ms}

    async def do_join(self, url: str, count: int) -> dict[str, float]:
        """Opens a replica, and waits until it has so many keys; tells the seconds."""
        began = time.monotonic()
        replica = await self._system.open(url, ready=False)
        done, end = self._system.event()
        ended = 0.0

        def look() -> None:
            nonlocal ended
            if not ended and replica.size() >= count:
                ended = time.monotonic()
                end()

        replica.on_news(look)
        look()
        await done
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": ended - began, "peak_mib": peak}


def say_begun() -> None:
    """Tells that a command that waits has begun to."""
    sys.stdout.write("{}\n")
    sys.stdout.flush()
