"""A peer whose program is asyncio code, on Twisted's asyncio reactor.

Run as ``python -m tests.support.asyncio_peer URL``; says what it did, a line each.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from twisted.internet import asyncioreactor

loop = asyncio.new_event_loop()
loop.slow_callback_duration = 60  # a busy machine is nothing to report
asyncioreactor.install(loop)

# ruff: noqa: E402  (the reactor must be there first)
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, inlineCallbacks

from distmap import DistributedMap, connect, errors


def say(*what: object) -> None:
    sys.stdout.write(" ".join(map(str, what)) + "\n")
    sys.stdout.flush()


async def of_asyncio(url: str) -> None:
    """Everything that returns a Deferred is awaited in a task."""
    connection = connect(reactor, url)
    fruits = DistributedMap(connection, "/fruits")
    say("ready", await fruits.ready() is fruits, await fruits.ready() is fruits)
    await fruits.set("apple", 3)
    await fruits.set("pear", 4)
    say("deleted", await fruits.delete("pear"), await fruits.delete("none"))
    await asyncio.gather(*(_set(fruits, f"key{at}") for at in range(10)))
    say("gathered", len(fruits))
    stream = connection.create_stream("/no/such/route")
    try:
        await stream.when_closed()
    except errors.StreamError as error:
        say("error", error.code)
    await cancelled(connection)
    await twisted_inside(connection)
    await fruits.close()
    await connection.close()
    await connection.close()
    say("left", len(reactor.getDelayedCalls()))


async def _set(fruits: DistributedMap, key: str) -> None:
    await fruits.set(key, 1)


async def cancelled(connection: Any) -> None:
    """A task is cancelled while it waits, or runs out of time; the write goes on."""
    other = DistributedMap(connection, "/other")
    await other.ready()
    try:
        async with asyncio.timeout(0):
            await other.set("a", 1)
    except TimeoutError:
        say("timeout")
    task = asyncio.ensure_future(_set(other, "b"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await other.set("c", 1)
    say("cancelled", task.cancelled(), len(other))
    await other.close()


async def twisted_inside(connection: Any) -> None:
    """A task calls coroutines that Twisted runs, and the other way round."""
    inside = DistributedMap(connection, "/inside")

    async def of_twisted() -> str:
        await inside.ready()
        await inside.set("a", 1)
        return "coroutine"

    @inlineCallbacks
    def generator() -> Any:
        yield inside.set("b", 2)
        again = yield inside.ready()
        return f"inlineCallbacks {again is inside}"

    async def calls_asyncio() -> str:
        await inside.set("c", 3)
        return "nested " + await Deferred.fromFuture(asyncio.ensure_future(in_a_task()))

    async def in_a_task() -> str:
        await inside.set("d", 4)
        return "task"

    for deferred in (ensureDeferred(of_twisted()), generator(), ensureDeferred(calls_asyncio())):
        say(await deferred.asFuture(loop))
    say("inside", len(inside))
    await inside.close()


async def main(url: str) -> None:
    try:
        await asyncio.wait_for(of_asyncio(url), 20)
    finally:
        reactor.stop()


if __name__ == "__main__":
    task = loop.create_task(main(sys.argv[1]))
    reactor.run()
    task.result()
    loop.close()
    say("done")
