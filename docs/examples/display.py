"""Shows the map /fruits, and each change that another peer makes, until somebody sets "closed".

python display.py [URL]
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from distmap import DistributedMap, connect


async def main(reactor, url="ws://localhost:8080/"):
    connection = connect(reactor, url)
    fruits = DistributedMap(connection, "/fruits")
    closed = Deferred()

    def on_set(value, key, fruits):
        print("set", key, value, flush=True)
        if key == "closed":
            closed.callback(None)

    def on_delete(old_value, key, fruits):
        print("deleted", key, old_value, flush=True)

    fruits.on("set", on_set)
    fruits.on("delete", on_delete)

    await fruits.ready()
    print("ready:", fruits.synced, dict(fruits), flush=True)
    await closed
    await connection.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
