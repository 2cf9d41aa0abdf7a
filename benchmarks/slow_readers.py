"""What readers that stop reading cost the relay and the others.

Run it by ``python -m benchmarks.slow_readers``. There are one writer, a few readers that read, and
many that stop: each kind in a process of its own, all on one map. First without those that stop,
then with them. It prints a table for docs/operations.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from benchmarks import machine
from benchmarks.processes import Process, cleanup, end_on_signals, free_port, relay
from benchmarks.sockets import allow_sockets

VALUE_BYTES = 10_000
KEYS = 50
READERS = 5
CATCH_UP_SECONDS = 300.0
MIB = 1024 * 1024


def peers() -> Process:
    """A process for some peers."""
    return Process(sys.executable, "-m", "benchmarks.slow_peers")


def metrics(port: int) -> dict[str, float]:
    """What the relay counts."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"
    }


def flood(writer: Process, seconds: float, rate: float, look: Callable[[], None]) -> float:
    """Has the writer write for so long; looks at the relay meanwhile. Returns how many writes."""
    writer.tell(
        "flood", bytes_per_second=rate * 1e6, seconds=seconds, value_bytes=VALUE_BYTES, keys=KEYS
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        look()
        time.sleep(0.1)
    return float(writer.answer(seconds + 60)["writes"])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run; what was found."""
    allow_sockets(options.readers)
    port = free_port()
    url = f"ws://127.0.0.1:{port}/"
    more = [f"--queue-bytes={options.queue_bytes}"]
    if options.stay:
        more += [f"--{name}-seconds={options.seconds * 2 + 60:g}" for name in ("stall", "pong")]
    server = relay(port, *more)
    writer, readers, slow = peers(), peers(), peers()
    writer.ask("open", url=url)
    readers.ask("open", url=url, replicas=READERS)
    readers.ask("listen")
    flood(writer, 2, options.rate, lambda: None)  # all code has run once
    readers.ask("ages")
    flood(writer, options.seconds / 3, options.rate, lambda: None)
    without = readers.ask("ages")
    slow.ask("open", url=url, replicas=options.readers, seconds=CATCH_UP_SECONDS)
    time.sleep(2)
    before = server.rss_bytes
    most = before

    def look() -> None:
        nonlocal most
        most = max(most, server.rss_bytes)

    slow.ask("stop")
    writes = flood(writer, options.seconds, options.rate, look)
    with_slow = readers.ask("ages")
    counted = metrics(port)
    slow.ask("go")
    began = time.monotonic()
    state: Any = {}
    while time.monotonic() < began + CATCH_UP_SECONDS:
        state = slow.ask("state", CATCH_UP_SECONDS)
        digests = {*state["digests"], *readers.ask("state")["digests"]}
        if state["ready"] == options.readers and len(digests) == 1:
            break
        time.sleep(0.2)
    else:
        raise SystemExit(f"not equal after {CATCH_UP_SECONDS:g} s: {state}")
    return {
        "grown": most - before,
        "writes": writes,
        "without": without,
        "with": with_slow,
        "counted": counted,
        "told": state["told"],
        "equal_seconds": time.monotonic() - began,
    }


def table(options: argparse.Namespace, found: dict[str, Any]) -> str:
    """The table of a run."""
    evicted = {
        cause: int(found["counted"].get(f'distmap_evictions_total{{cause="{cause}"}}', 0))
        for cause in ("queue", "stall", "drop", "ping")
    }
    without, slow = found["without"], found["with"]
    told = ", ".join(f"`{code}` {count}" for code, count in sorted(found["told"].items()))
    bound = options.readers * options.queue_bytes / MIB
    rows = [
        ("what was written", f"{found['writes'] * VALUE_BYTES / options.seconds / 1e6:.1f} MB/s"),
        ("the relay's memory grew by, at most", f"{found['grown'] / MIB:.1f} MiB"),
        ("all queues together may have", f"{bound:.0f} MiB"),
        ("p99 of the others, without them", f"{without['p99_ms']:.2f} ms"),
        ("p99 of the others, with them", f"{slow['p99_ms']:.2f} ms"),
        ("that is", f"{slow['p99_ms'] / without['p99_ms']:.2f} times"),
        ("median without and with", f"{without['median_ms']:.2f} and {slow['median_ms']:.2f} ms"),
        ("cut from the map", f"{evicted['queue'] + evicted['stall']}"),
        ("and dropped later", f"{evicted['drop'] + evicted['ping']}"),
        ("they were told", told or "nothing"),
        ("all equal again after", f"{found['equal_seconds']:.1f} s"),
    ]
    title = f"{options.readers} that stop reading for {options.seconds:g} s"
    return f"| {title} | |\n|---|---:|\n" + "".join(f"| {a} | {b} |\n" for a, b in rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=200, help="those that stop reading")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=5, help="MB/s that are written")
    parser.add_argument("--queue-bytes", type=int, default=8 * MIB, help="of the relay")
    parser.add_argument(
        "--stay", action="store_true", help="the relay waits for them, and does not drop them"
    )
    options = parser.parse_args()
    end_on_signals()
    with cleanup():
        print(machine.text(machine.facts(), {}).splitlines()[0] + "\n")
        print(table(options, run(options)))


if __name__ == "__main__":
    main()
