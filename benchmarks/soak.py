"""A relay under tabs that come and go, for as long as you like: ``python -m benchmarks.soak``.

A real relay process; cheap raw WebSockets for most of the tabs, some of them slow or broken; a few
real clients, in Python and in Node.js, on maps of their own. It passes if nothing is left of them:
memory level, as many open files as before, no member, no error in the log, the real clients equal.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from benchmarks import machine, table
from benchmarks.processes import (
    JS,
    ROOT,
    Failed,
    Process,
    cleanup,
    end_on_signals,
    free_port,
    wait_for,
)
from benchmarks.soak_report import TITLE, Check, Sample, checks_of, draw, report
from benchmarks.soak_tabs import FULL_MAPS, MAPS, full_url_of, url_of
from benchmarks.sockets import allow_sockets, connect, join_frame, read_until

MINUTES: Final = 30.0
RATE: Final = 55.0
"""Tabs a second: about 100,000 joins in half an hour."""
SAMPLES: Final = 360
SETTLE_SECONDS: Final = 0.5
EMPTY_SECONDS: Final = 60.0
"""Until the relay has seen everybody go: a slow one that was told of its end needs 10."""
EQUAL_SECONDS: Final = 60.0
DOCUMENT: Final = ROOT / "docs" / "operations.md"
TWISTD: Final = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
ERRORS: Final = ("#critical", "#error", "Traceback", "Unhandled", "defect")


class Soak:
    """One run.

    Args:
        options: of the command line.
        folder: for the relay's log.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.samples: list[Sample] = []
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        self._options = options
        self._log = folder / "relay.log"
        self._port = free_port()
        self._peers: list[Process] = []
        allow_sockets(4000)
        self._relay = self._start_relay()
        self._connections()  # once it answers, it has opened all that it needs itself
        time.sleep(SETTLE_SECONDS)
        self._idle_files = self._open_files()
        self._began = time.monotonic()

    def _start_relay(self) -> Process:
        command = ("-n", "--pidfile=", f"--logfile={self._log}", "distmap")
        port = str(self._port)
        options = (sys.executable, "-c", TWISTD, *command, "--port", port, *self._options.relay)
        relay = Process(*options, silent=True)
        wait_for(self._port, relay)
        return relay

    def run(self) -> list[Check]:
        """Runs all of it; returns what was found."""
        seed = str(self._options.seed)
        rate = str(self._options.rate)
        tabs = Process(sys.executable, "-m", "benchmarks.soak_tabs", str(self._port), rate, seed)
        if not self._options.tabs_only:
            self._start_peers(seed)
        self._began = time.monotonic()
        seconds = self._options.minutes * 60
        step = max(0.5, seconds / SAMPLES)
        while (gone := time.monotonic() - self._began) < seconds:
            time.sleep(min(step, seconds - gone))
            self._sample(tabs)
        equal = self._are_equal()
        self._count(tabs)
        tabs.ask("stop")
        for peer in self._peers:
            peer.ask("end")
        empty = self._wait(lambda: tabs.ask("count")["tabs"] == 0 and self._connections() <= 1)
        members = tabs.ask("count")["members"]
        if self.counts["census lost"]:
            self.notes.append("the census was cut off, so the members were not counted")
        tabs.ask("end")
        empty = self._wait(lambda: self._connections() == 0) and empty
        left = members + sum(self._members(uri) for uri in self._uris())
        self._wait(lambda: self._open_files() <= self._idle_files)
        return checks_of(
            self.samples,
            equal=equal,
            connections=0 if empty else self._connections(),
            members=left,
            files=(self._idle_files, self._open_files()),
            ended_seconds=self._end(),
            errors=self._errors() + self.counts.get("errors", 0),
            not_joined=self.counts.get("tabs that could not join", 0)
            + self.counts.get("connections refused", 0)
            + self.counts.get("tabs too many", 0),
        )

    def _start_peers(self, seed: str) -> None:
        port = str(self._port)
        self._peers.append(Process(sys.executable, "-m", "benchmarks.soak_peers", port, seed))
        node = ("node", str(JS / "soak.mjs"), port, seed, str(FULL_MAPS))
        try:
            peer = Process(*node)
            peer.ask("count")
            self._peers.append(peer)
        except (Failed, OSError):
            self.notes.append("there were no clients in Node.js: it, or npm's ws, is missing")

    # -- what the relay says ----------------------------------------------------------------------

    def _sample(self, tabs: Process) -> None:
        self._count(tabs)
        relay = self._relay
        self.samples.append(
            Sample(
                seconds=time.monotonic() - self._began,
                joins=self.counts["joins"],
                connections=self._connections(),
                members=self.counts["members"],
                files=self._open_files(),
                rss_bytes=relay.rss_bytes,
                cpu_seconds=relay.cpu_seconds,
            )
        )

    def _count(self, tabs: Process) -> None:
        counts: dict[str, int] = {"joins": 0}
        for process in (tabs, *self._peers):
            for name, count in process.ask("count").items():
                counts[name] = counts.get(name, 0) + count
        self.counts = counts

    def _connections(self) -> int:
        with urlopen(f"http://127.0.0.1:{self._port}/healthz", timeout=30) as answer:
            return int(json.load(answer)["connections"])

    def _open_files(self) -> int:
        return len(list(Path(f"/proc/{self._relay.pid}/fd").iterdir()))

    def _uris(self) -> list[str]:
        return [url_of(at) for at in range(MAPS)] + [full_url_of(at) for at in range(FULL_MAPS)]

    def _members(self, uri: str) -> int:
        """How many others a newcomer finds."""
        (opened,) = connect(self._port, 1)
        with opened:
            opened.sendall(join_frame(uri))
            data = read_until(opened, b'"members":')
            while (found := re.match(rb"([0-9]+)[,}]", data)) is None:
                data += opened.recv(1 << 16)
            return int(found[1]) - 1

    # -- the end ----------------------------------------------------------------------------------

    def _are_equal(self) -> bool:
        if not self._peers:
            return True
        for peer in self._peers:
            peer.ask("quiet")

        def equal() -> bool:
            found = [peer.ask("contents") for peer in self._peers]
            return all(
                len({json.dumps(each, sort_keys=True) for each in copies}) == 1
                and copies[0] is not None
                for copies in (
                    [each for of_peer in found for each in of_peer[at]] for at in range(FULL_MAPS)
                )
            )

        return self._wait(equal, EQUAL_SECONDS)

    def _wait(self, condition: Callable[[], bool], seconds: float = EMPTY_SECONDS) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def _end(self) -> float:
        began = time.monotonic()
        self._relay.signal(signal.SIGTERM)
        return time.monotonic() - began

    def _errors(self) -> int:
        found = 0
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if any(word in line for word in ERRORS):
                    found += 1
                    self.notes.append(f"in the log: {line.strip()}")
        return found


def arguments(args: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long (%(default)g)")
    parser.add_argument("--rate", type=float, default=RATE, help="tabs a second (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of what is random (%(default)s)")
    parser.add_argument(
        "--relay",
        action="append",
        default=[],
        metavar="OPTION",
        help="of the relay; may come again",
    )
    parser.add_argument("--tabs-only", action="store_true", help="without the real clients")
    parser.add_argument("--docs", action="store_true", help="puts the result into docs/")
    options = parser.parse_args(args)
    if not (0 < options.minutes < 1e6 and 0 < options.rate <= 1000):
        parser.error("--minutes is more than 0, and --rate not over 1000")
    if options.docs and options.tabs_only:
        parser.error("--docs goes with no --tabs-only")
    return options


def main(args: list[str]) -> int:
    """Runs the soak; returns the exit code."""
    options = arguments(args)
    end_on_signals()
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="distmap-soak-") as folder, cleanup():
        soak = Soak(options, Path(folder))
        try:
            checks = soak.run()
        except (SystemExit, Failed) as why:
            if soak.samples:
                print(report(soak.samples, [], soak.counts))
            print(f"not finished: {why}", *soak.notes, sep="\n", file=sys.stderr)
            raise SystemExit(why.code if isinstance(why, SystemExit) else 1) from None
    when = f"{options.minutes:g} minutes on {time.strftime('%Y-%m-%d')}."
    text = f"{report(soak.samples, checks, soak.counts)}\n{when} {machine.text(facts, {})}"
    text = text.replace("\n\nRivals: none.\n", "\n")
    print(text, *soak.notes, sep="\n")
    if options.docs:
        table.paste(DOCUMENT, "soak", f"![{TITLE}](soak.svg)\n\n{text}")
        (DOCUMENT.parent / "soak.svg").write_text(draw(soak.samples), "utf-8")
    return 0 if all(check.held for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
