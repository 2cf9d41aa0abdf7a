"""A plain channel: what one writes, all others who are there get.

python plain_channel.py [URL]
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from distmap import connect


async def main(reactor, url="ws://localhost:8080/"):
    here, there = connect(reactor, url), connect(reactor, url)
    speaker = here.create_stream("/news/channel")
    listener = there.create_stream("/news/channel")

    heard = Deferred()
    stop = listener.on("data", heard.callback)

    # A channel keeps nothing: who is not there yet does not hear it. So this says it again.
    saying = LoopingCall(speaker.write, {"headline": "rain"})
    saying.start(0.5)
    print("heard:", await heard)

    saying.stop()
    stop()
    await here.close()
    await there.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
