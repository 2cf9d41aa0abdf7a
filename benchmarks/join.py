"""A newcomer joins a map of many entries, beside Yjs with y-websocket, as a Markdown table.

Run it from the root of the repository: ``python -m benchmarks.join``. Relay, donor and newcomer
are processes of their own on real sockets; values are 60 bytes of JSON. Each time is the
newcomer's, from the begin of its connection until it has all (interpreter and imports excluded);
medians of five runs, the two systems in turn. ``--million`` joins 1,000,000 entries with distmap
only and tells the peak memory of both peers.

Yjs, y-websocket and ws are installed from npm into benchmarks/node_modules, which git ignores;
where npm is missing, only distmap is measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PACKAGES = ("yjs@13.6.27", "y-websocket@2.1.0", "ws@8.18.3")
RUNS = 5
COUNTS = (10_000, 100_000)


class Join(NamedTuple):
    """One newcomer's join."""

    seconds: float
    newcomer_mib: int
    donor_mib: int


class System(NamedTuple):
    """How to start the three processes; PORT and URL are put in, COUNT follows."""

    name: str
    relay: list[str]
    peer: list[str]
    environment: dict[str, str]


DISTMAP = System(
    "distmap",
    [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd';"
     "from twisted.scripts.twistd import run; run()",
     "-n", "--pidfile=", "distmap", "--port", "PORT"],
    [sys.executable, "-m", "benchmarks.join_peer"],
    {},
)  # fmt: skip
YJS = System(
    "Yjs, y-websocket",
    ["node", "node_modules/y-websocket/bin/server.cjs"],
    ["node", "yjs_peer.mjs"],
    {"HOST": "127.0.0.1"},
)


def install() -> bool:
    """Installs the packages of npm; False, with a word, where that cannot be."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("npm is missing: Yjs is skipped", file=sys.stderr)
        return False
    if not (HERE / "node_modules/y-websocket").is_dir():
        command = ["npm", "install", "--silent", "--no-save", "--no-package-lock", *PACKAGES]
        if subprocess.run(command, cwd=HERE, check=False).returncode:
            print("npm install failed: Yjs is skipped", file=sys.stderr)
            return False
    return True


@contextmanager
def running(system: System, command: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """A process of a system, killed at the end."""
    environment = {**os.environ, "PORT": str(port), **system.environment}
    process = subprocess.Popen(
        command,
        cwd=HERE if command[0] == "node" else HERE.parent,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    """The next line of output."""
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise SystemExit(f"{process.args} has ended")
    return text.strip()


def wait_for(port: int) -> None:
    """Waits until somebody listens."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the relay does not listen")


def join(system: System, count: int) -> Join:
    """Starts a relay, a donor with so many entries, and a newcomer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    relay = [str(port) if word == "PORT" else word for word in system.relay]
    with running(system, relay, port):
        wait_for(port)
        with running(system, [*system.peer, "donor", url, str(count)], port) as donor:
            while line(donor) != "ready":
                pass
            with running(system, [*system.peer, "newcomer", url, str(count)], port) as newcomer:
                seconds, newcomer_mib = float(line(newcomer)), int(line(newcomer))
            assert donor.stdin is not None
            donor.stdin.close()
            donor_mib = int(line(donor))
            donor.stdin = None
    return Join(seconds, newcomer_mib, donor_mib)


def compare() -> None:
    systems = [DISTMAP, YJS] if install() else [DISTMAP]
    print("| entries | " + " | ".join(system.name for system in systems) + " | ratio |")
    print("|---" * (len(systems) + 2) + "|")
    for count in COUNTS:
        found: dict[str, list[float]] = {system.name: [] for system in systems}
        for _ in range(RUNS):
            for system in systems:
                found[system.name].append(join(system, count).seconds)
        medians = [median(found[system.name]) for system in systems]
        cells = [f"{seconds:.3f} s" for seconds in medians]
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) == 2 else ""
        print(f"| {count:,} | " + " | ".join(cells) + f" | {ratio} |", flush=True)


def million() -> None:
    result = join(DISTMAP, 1_000_000)
    print("| entries | join | newcomer's peak | donor's peak |")
    print("|---|---|---|---|")
    peaks = f"{result.newcomer_mib:,} MiB | {result.donor_mib:,} MiB"
    print(f"| 1,000,000 | {result.seconds:.2f} s | {peaks} |")


if __name__ == "__main__":
    million() if "--million" in sys.argv[1:] else compare()
