"""The same calls with inlineCallbacks.

python inline_callbacks.py [URL]
"""

import sys

from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import react

from distmap import DistributedMap, connect


@inlineCallbacks
def main(reactor, url="ws://localhost:8080/"):
    connection = connect(reactor, url)
    fruits = DistributedMap(connection, "/fruits")
    yield fruits.ready()
    yield fruits.set("apple", 3)
    print(fruits["apple"])
    yield connection.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
