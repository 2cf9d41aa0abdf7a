"""A stream between two peers: one adds numbers, the other asks it to.

python peer_streams.py [URL]
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from distmap import connect
from distmap.errors import StreamError

OPEN = "[stream-server]:open"  # the relay's first message on both ends, once they are joined


def serve_sums(connection):
    """Listens under the name "adder", and takes each client that comes."""
    listener = connection.create_stream("/sums/proxy/server/adder")

    def take(client):
        stream = connection.create_stream(f"/sums/proxy/server/adder/client/{client}/1")

        def on_data(numbers):
            if numbers != OPEN:
                stream.write(sum(numbers))

        stream.on("data", on_data)

    listener.on("data", take)


async def ask_for_sum(connection, numbers):
    """Connects to the adder, asks once, and closes."""
    stream = connection.create_stream("/sums/proxy/client/adder/me")
    answer = Deferred()

    def on_data(value):
        if value == OPEN:
            stream.write(numbers)  # not before: the relay drops what comes too early
        else:
            answer.callback(value)

    stream.on("data", on_data)
    stream.on("error", answer.errback)
    try:
        return await answer
    finally:
        stream.close()


async def main(reactor, url="ws://localhost:8080/"):
    server, client = connect(reactor, url), connect(reactor, url)
    serve_sums(server)
    while True:
        try:
            print("the sum is", await ask_for_sum(client, [1, 2, 3]))
            break
        except StreamError as error:
            if error.code != "404":  # nobody listens there yet
                raise
            await deferLater(reactor, 0.1)
    await client.close()
    await server.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
