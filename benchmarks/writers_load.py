"""Peers that all write: ``python -m benchmarks.writers_load PORT PID PEERS RATE SECONDS``.

They are raw sockets that write valid entries, all to the same keys, and count what comes. What
others write beside them has no marker and is not counted. Prints JSON.
"""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from collections.abc import Iterator
from statistics import mean

from benchmarks.fanout_load import MARKER, URI
from benchmarks.processes import cpu_seconds
from benchmarks.sockets import WELCOME, Counter, connect, distmap_message, frame, join_frame

LIMIT_SECONDS = 90
DRAIN_SECONDS = 20.0
KEYS = 1000
VALUE = MARKER + "x" * (58 - len(MARKER))


class Crowd:
    """The raw peers on one epoll."""

    def __init__(self, port: int, peers: int) -> None:
        self._sockets = connect(port, peers, join_frame(URI), WELCOME)
        self._counter = Counter(MARKER.encode())
        self._poll = select.epoll()
        self._reads = {}
        for each in self._sockets:
            self._poll.register(each, select.EPOLLIN)
            self._reads[each.fileno()] = self._counter.reader(each)
        self.written = 0

    def read(self, wait_seconds: float) -> None:
        """Takes what has come."""
        for number, _ in self._poll.poll(wait_seconds):
            self._reads[number]()

    def write(self) -> None:
        """The next peer writes one entry."""
        at = self.written % len(self._sockets)
        stamp = f'[{int(time.time() * 1000)},{self.written},"raw-{at}"]'
        key = f"key-{self.written * 7919 % KEYS}"
        entry = f'{{"event":"set","key":"{key}","value":"{VALUE}","stamp":{stamp}}}'
        self._sockets[at].sendall(frame(distmap_message(URI, [entry])))
        self.written += 1

    @property
    def behind(self) -> float:
        """How many entries of the raw peers are on their way to each of them, on average."""
        others = len(self._sockets) - 1
        return self.written - self._counter.total / others

    def run(self, per_second: float, seconds: float) -> Iterator[float]:
        """Writes evenly; tells now and then how far the readers are behind."""
        began = time.monotonic()
        looked = 0.0
        while (now := time.monotonic() - began) < seconds:
            while self.written < now * per_second:
                self.write()
            self.read(0.001)
            if now > looked + 0.05:
                looked = now
                yield self.behind

    def drain(self) -> float:
        """Waits until all have everything; returns the seconds that took."""
        if self.behind <= 0:
            return 0.0
        began = time.monotonic()
        while self.behind > 0:
            self.read(0.05)
            if time.monotonic() > began + DRAIN_SECONDS:
                raise TimeoutError(f"{self.behind:.0f} entries did not come")
        return time.monotonic() - began


def main(port: int, pid: int, peers: int, rate: int, seconds: int) -> dict[str, float]:
    crowd = Crowd(port, peers)
    print("{}", flush=True)
    cpu, own = cpu_seconds(pid), time.process_time()
    behind = list(crowd.run(peers * rate, seconds))
    share = (cpu_seconds(pid) - cpu) / seconds
    third = len(behind) // 3
    return {
        "server_share": share,
        "load_share": (time.process_time() - own) / seconds,
        "behind_first_ms": mean(behind[:third]) / (peers * rate) * 1000,
        "behind_last_ms": mean(behind[-third:]) / (peers * rate) * 1000,
        "drain_seconds": crowd.drain(),
    }


if __name__ == "__main__":
    signal.alarm(LIMIT_SECONDS)
    try:
        print(json.dumps(main(*map(int, sys.argv[1:6]))), flush=True)
        sys.stdin.read()  # stays a member until the real peers are compared
    except OSError as error:
        print(json.dumps({"failed": str(error) or type(error).__name__}), flush=True)
