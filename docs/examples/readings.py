"""Feeds live readings of this process to the map /readings, until it is stopped.

python readings.py [URL]

The relay's page has a chart of them, at /examples/chart.html.
"""

import math
import os
import sys
import time

from twisted.internet.task import LoopingCall, react

from distmap import DistributedMap, connect

PERIOD_SECONDS = 0.25


async def main(reactor, url="ws://localhost:8080/"):
    connection = connect(reactor, url)
    readings = DistributedMap(connection, "/readings")
    due = reactor.seconds()

    def read():
        nonlocal due
        late_seconds = max(0.0, reactor.seconds() - due)
        due = reactor.seconds() + PERIOD_SECONDS
        readings["reactor late, ms"] = round(late_seconds * 1000, 3)
        readings["wave"] = round(math.sin(time.time() / 3), 4)
        if hasattr(os, "getloadavg"):  # not on Windows
            readings["load of the machine"] = round(os.getloadavg()[0], 3)

    await readings.ready()
    print("feeding /readings, ctrl-C to stop", flush=True)
    feeding = LoopingCall(read)
    feeding.clock = reactor
    await feeding.start(PERIOD_SECONDS)


if __name__ == "__main__":
    react(main, sys.argv[1:])
