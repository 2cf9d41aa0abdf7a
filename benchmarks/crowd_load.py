"""Idle connections, or idle maps: ``python -m benchmarks.crowd_load WHAT PORT PID COUNT``.

Prints what each costs the server with that process id, as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable

from benchmarks.processes import cpu_seconds, rss_bytes
from benchmarks.sockets import (
    WELCOME,
    connect,
    join_frame,
    read_until,
)

LIMIT_SECONDS = 90
SETTLE_SECONDS = 0.5
ON_ONE = 1000  # maps on a connection: the relay takes no more than 1,024 streams
MAPS_AT_ONCE = 50
WARM = 100  # connections that come before: what the first ones cost alone is not counted


def connections(port: int, count: int) -> Callable[[], object]:
    """Opens connections that say nothing."""
    return lambda: connect(port, count)


def maps(port: int, count: int) -> Callable[[], object]:
    """Opens maps on few connections."""
    sockets = connect(port, -(-count // ON_ONE))

    def join() -> None:
        for start in range(0, count, MAPS_AT_ONCE):
            some = range(start, min(start + MAPS_AT_ONCE, count))
            opened = sockets[start // ON_ONE]
            opened.sendall(b"".join(join_frame(f"/map-{at}") for at in some))
            rest = b""
            for _ in some:
                rest = read_until(opened, WELCOME, rest)

    return join


def main(what: str, port: int, pid: int, count: int) -> dict[str, object]:
    warm = connect(port, WARM)
    act = {"connections": connections, "maps": maps}[what](port, count)
    time.sleep(SETTLE_SECONDS)
    rss, cpu, began = rss_bytes(pid), cpu_seconds(pid), time.monotonic()
    kept = act()
    seconds = time.monotonic() - began
    cpu = cpu_seconds(pid) - cpu
    time.sleep(SETTLE_SECONDS)
    grown = rss_bytes(pid) - rss
    del kept, warm
    return {
        "bytes": grown / count,
        "per_second": count / seconds,
        "server_us": cpu / count * 1e6,
    }


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    try:
        found = main(sys.argv[1], *map(int, sys.argv[2:5]))
    except OSError as error:
        found = {"failed": str(error) or type(error).__name__}
    print(json.dumps(found), flush=True)
