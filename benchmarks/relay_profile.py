"""Where the relay's time goes, and what another reactor gives.

``python -m benchmarks.relay_profile`` prints the tables of docs/profile.md. uvloop is compared if
it can be imported.
"""

from __future__ import annotations

import argparse
import json
import pstats
import signal
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks.fanout_load import Load
from benchmarks.frame import Values
from benchmarks.processes import Process, cleanup, end_on_signals, free_port, wait_for

CASES = [(1, 1), (1, 20), (100, 1), (1000, 1)]
"""Readers, and values in a message."""
SECONDS = 3.0
VALUE_BYTES = 60
REACTORS = {"epoll": "epoll", "asyncio": "asyncio", "asyncio, on uvloop": "asyncio"}

TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
ON_UVLOOP = "import asyncio, uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); "

PARTS: list[tuple[str, tuple[str, ...]]] = [
    ("the kernel: send", ("'send'",)),
    ("the kernel: the rest", ("'recv'", "'modify'", "'register'", "'fileno'")),
    ("cutting messages and unmasking", ("texts.py", "from_bytes", "to_bytes")),
    ("checking frames", ("frames.py", "mux.py", "states.py", "decode_lines", "'count'")),
    ("channels, and the end of the turn", ("distmap",)),
    ("Autobahn", ("autobahn", "nvx", "txaio")),
    ("Twisted", ("twisted",)),
]
OTHERS = "other built-in functions"
WAITING = "'poll' of"


def start(reactor: str, port: int, *options: str) -> Process:
    """Starts a relay on one of :data:`REACTORS`, with options of twistd."""
    code = ON_UVLOOP + TWISTD if "uvloop" in reactor else TWISTD
    command = ["-n", "--pidfile=", f"--reactor={REACTORS[reactor]}", *options]
    relay = Process(
        *(sys.executable, "-c", code, *command, "distmap", "--port", str(port)), silent=True
    )
    wait_for(port, relay)
    return relay


def load(relay: Process, port: int, readers: int, gather: int) -> Values:
    """Has one writer send to so many readers."""
    what = Load("distmap", port, relay.pid, readers, gather, VALUE_BYTES, SECONDS)
    client = Process(sys.executable, "-m", "benchmarks.fanout_load", json.dumps(asdict(what)))
    found: Values = client.answer(100)
    return found


def part_of(name: str) -> str:
    """Which of :data:`PARTS` a function belongs to, by its file and name."""
    return next((part for part, words in PARTS if any(word in name for word in words)), OTHERS)


def profile(readers: int, gather: int) -> dict[str, float]:
    """The share of each part in the time that the relay did not wait."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile"
        port = free_port()
        relay = start("epoll", port, "--profiler=cprofile", f"--profile={path}", "--savestats")
        load(relay, port, readers, gather)
        relay.signal(signal.SIGTERM)
        stats = pstats.Stats(str(path))
    shares = dict.fromkeys([*(part for part, _ in PARTS), OTHERS], 0.0)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        name = f"{file} {function}"
        if WAITING not in name and "/importlib" not in name:
            shares[part_of(name)] += own
    total = sum(shares.values())
    return {part: seconds / total for part, seconds in shares.items()}


def print_table(title: str, rows: dict[str, list[str]]) -> None:
    """Prints a table with a column for each case."""
    print(f"| {title} | " + " | ".join(f"{r:,}, {g} a message" for r, g in CASES) + " |")
    print("|---|" + "---:|" * len(CASES))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(flush=True)


def main() -> None:
    """Prints both tables."""
    prog = "python -m benchmarks.relay_profile"
    argparse.ArgumentParser(prog=prog, description=__doc__).parse_args()
    end_on_signals()
    with cleanup():
        found = [profile(*case) for case in CASES]
        print_table("readers", {part: [f"{each[part]:.0%}" for each in found] for part in found[0]})
        rows: dict[str, list[str]] = {}
        for reactor in REACTORS:
            if "uvloop" in reactor and find_spec("uvloop") is None:
                continue
            rows[reactor] = []
            for case in CASES:
                port = free_port()
                relay = start(reactor, port)
                rows[reactor].append(f"{load(relay, port, *case)['server_us']:.3g}")
                relay.kill()
        print_table("the relay's CPU, µs a delivery", rows)


if __name__ == "__main__":
    main()
