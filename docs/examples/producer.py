"""A sender that stops while the receiver asks it to.

python producer.py [URL]
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import react
from zope.interface import implementer

from distmap import connect

OPEN = "[stream-server]:open"
COUNT = 5000


@implementer(IPullProducer)
class Counter:
    """Writes 0, 1, 2 ... as the stream asks for more, one number in a turn of the reactor."""

    def __init__(self, stream):
        self.stream = stream
        self.next = 0

    def resumeProducing(self):
        if self.next < COUNT:
            self.stream.write(self.next)
            self.next += 1
        else:
            self.stream.unregisterProducer()
            self.stream.end()

    def stopProducing(self):
        """The stream is closed."""


async def main(reactor, url="ws://localhost:8080/"):
    connection = connect(reactor, url)
    listener = connection.create_stream("/count/proxy/server/counter")

    def take(client):
        stream = connection.create_stream(f"/count/proxy/server/counter/client/{client}/1")

        def on_open(value):
            if value == OPEN:
                stream.registerProducer(Counter(stream), streaming=False)

        stream.on("data", on_open)

    listener.on("data", take)

    numbers = []
    ended = Deferred()
    stream = connection.create_stream("/count/proxy/client/counter/me")

    def on_data(value):
        if value == OPEN:
            return
        numbers.append(value)
        if len(numbers) == 100:
            stream.pauseProducing()
            reactor.callLater(0.5, go_on)

    def go_on():
        print("some are still to come:", len(numbers) < COUNT)
        stream.resumeProducing()

    stream.on("data", on_data)
    stream.on("end", lambda: ended.callback(None))
    await ended
    print("all are there:", numbers == list(range(COUNT)))
    await connection.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
