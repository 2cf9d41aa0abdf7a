"""Writes to the map /fruits.

python shop.py [URL]
"""

import sys

from twisted.internet.task import react

from distmap import DistributedMap, connect


async def main(reactor, url="ws://localhost:8080/"):
    connection = connect(reactor, url)
    fruits = DistributedMap(connection, "/fruits")
    await fruits.ready()

    await fruits.set("apple", {"n": 3})
    await fruits.set("pear", {"n": 1})
    was_there = await fruits.delete("pear")
    print("deleted the pear:", was_there)
    print(dict(fruits))

    await fruits.set("closed", True)
    await connection.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
