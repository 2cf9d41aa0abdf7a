"""The load of the fan-out row, in a process of its own: one writer, and readers that only count.

``python -m benchmarks.fanout_load`` with a JSON object of :class:`Load`'s fields; prints one with
what it found. The writer sends as fast as the server takes it, but is never more than
:data:`AHEAD` values ahead of the slowest reader, so that no server can win by queueing.
"""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from dataclasses import dataclass

from benchmarks.processes import cpu_seconds
from benchmarks.sockets import (
    WELCOME,
    Counter,
    connect,
    distmap_message,
    entry,
    frame,
    join_frame,
)

URI = "/bench"
MARKER = "~#v:"
AHEAD = 10_000
AHEAD_BYTES = 8 << 20
KEYS = 1000
SEND_BYTES = 1 << 18
REST_SECONDS = 0.0005  # between two looks: much is read at once, and the server gets the processor
WARM_SECONDS = 0.4
LIMIT_SECONDS = 90


@dataclass
class Load:
    """What to do.

    Attributes:
        system: ``distmap`` or ``ws``.
        port: the server's.
        pid: the server's, to tell its processor time.
        readers: how many.
        gather: values in a message.
        value_bytes: of one value, as JSON text.
        seconds: how long to count.
    """

    system: str
    port: int
    pid: int
    readers: int
    gather: int
    value_bytes: int
    seconds: float


def messages(load: Load) -> tuple[bytes, int]:
    """The writer's frames, to be sent over and over, and the length of each: all have the same."""
    value = MARKER + "x" * (load.value_bytes - len(MARKER) - 2)
    values = min(KEYS, max(load.gather, (1 << 20) // load.value_bytes)) // load.gather
    frames = []
    for number in range(values):
        if load.system == "distmap":
            each = range(number * load.gather, (number + 1) * load.gather)
            sets = (entry(f"key-{at:04}", at, value) for at in each)
            frames.append(frame(distmap_message(URI, sets)))
        else:
            frames.append(frame(b",".join([f'"{value}"'.encode()] * load.gather)))
    lengths = {len(each) for each in frames}
    assert len(lengths) == 1, lengths
    return b"".join(frames), lengths.pop()


class Pump:
    """The writer and the readers on one epoll."""

    def __init__(self, load: Load) -> None:
        first, until = (join_frame(URI), WELCOME) if load.system == "distmap" else (b"", b"")
        sockets = connect(load.port, load.readers + 1, first, until)
        self._writer, *readers = sockets
        self._load = load
        self._counter = Counter(MARKER.encode())
        self._reads = {each.fileno(): self._counter.reader(each) for each in readers}
        self._got = dict.fromkeys(self._reads, 0)
        self._poll = select.epoll()
        for each in sockets:
            each.setblocking(False)
            self._poll.register(each, select.EPOLLIN)
        self._reads[self._writer.fileno()] = self._counter.reader(self._writer)
        frames, self._length = messages(load)
        self._frames = memoryview(frames * 2)
        self._period = len(frames)
        self._sent_bytes = 0
        self._ahead = min(AHEAD, max(AHEAD_BYTES // load.value_bytes, load.gather))

    def settle(self) -> None:
        """Takes what the server says of joins, until it is silent."""
        quiet = time.monotonic() + 0.3
        while time.monotonic() < quiet:
            if self._turn(0.05, write=False):
                quiet = time.monotonic() + 0.3

    def run(self, seconds: float) -> tuple[int, float]:
        """Writes and reads for so long; returns the deliveries and the seconds."""
        before, began = self._counter.total, time.monotonic()
        while time.monotonic() < began + seconds:
            for _ in range(8):
                self._turn(0.005, write=True)
                time.sleep(REST_SECONDS)
        return self._counter.total - before, time.monotonic() - began

    def _turn(self, wait_seconds: float, write: bool) -> int:
        ready = self._poll.poll(wait_seconds)
        for number, _ in ready:
            try:
                found = self._reads[number]()
            except BlockingIOError:
                continue
            if found:
                self._got[number] += found
        if write:
            self._write()
        return len(ready)

    def _write(self) -> None:
        load = self._load
        delivered = min(self._got.values())
        room = self._ahead - (self._sent_bytes // self._length * load.gather - delivered)
        if room < load.gather:
            return
        start = self._sent_bytes % self._period
        most = min(SEND_BYTES, room // load.gather * self._length, self._period)
        try:
            self._sent_bytes += self._writer.send(self._frames[start : start + most])
        except BlockingIOError:
            pass


def main() -> None:
    signal.alarm(LIMIT_SECONDS)
    load = Load(**json.loads(sys.argv[1]))
    try:
        pump = Pump(load)
        pump.settle()
        pump.run(WARM_SECONDS)
        before, own = cpu_seconds(load.pid), time.process_time()
        deliveries, seconds = pump.run(load.seconds)
        found = {
            "deliveries_per_second": deliveries / seconds,
            "server_us": (cpu_seconds(load.pid) - before) / max(deliveries, 1) * 1e6,
            "server_share": (cpu_seconds(load.pid) - before) / seconds,
            "load_share": (time.process_time() - own) / seconds,
        }
        print(json.dumps(found), flush=True)
    except OSError as error:
        print(json.dumps({"failed": str(error) or type(error).__name__}), flush=True)


if __name__ == "__main__":
    main()
