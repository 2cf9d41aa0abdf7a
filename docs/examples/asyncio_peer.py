"""A peer in a program that is written for asyncio.

python asyncio_peer.py [URL]
"""

import asyncio
import sys

from twisted.internet import asyncioreactor

asyncioreactor.install()  # before anything imports twisted.internet.reactor

from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import react  # noqa: E402

from distmap import DistributedMap, connect  # noqa: E402


async def share(reactor, url):
    """Runs as an asyncio task."""
    connection = connect(reactor, url)
    fruits = DistributedMap(connection, "/fruits")
    async with asyncio.timeout(10):
        await fruits.ready()
    await asyncio.gather(fruits.set("apple", 3), fruits.set("pear", 1))
    print(dict(fruits))
    await connection.close()


def main(reactor, url="ws://localhost:8080/"):
    return Deferred.fromFuture(asyncio.ensure_future(share(reactor, url)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
