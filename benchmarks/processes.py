"""The processes of a benchmark: started, waited for with a bound, measured, killed at the end."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
JS = ROOT / "benchmarks" / "js"
VENV = ROOT / ".venv-bench"

WAIT_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# What the `twistd` script does, with the interpreter that runs the benchmarks.
_TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
NO_LIMITS = tuple(
    f"--{name}=0"
    for name in ("connections", "bytes-per-second", "frames-per-second", "joins-per-second")
)
_running: set[Process] = set()


class Failed(Exception):
    """A measurement could not be made; the text says why, for the table."""


class Process:
    """A program that takes commands as lines of JSON and answers with such lines.

    Args:
        command: the program and its arguments.
        silent: nobody reads what it prints, so that goes nowhere.
    """

    def __init__(self, *command: str, silent: bool = False) -> None:
        words = [word for word in command if not word.startswith("-") and " " not in word]
        self.name = " ".join(Path(word).name for word in words[:3])
        self._rest = b""
        with _signals_held():
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if silent else subprocess.PIPE,
                # Rivals talk; who looks for a fault sets the variable.
                stderr=None if os.environ.get("BENCH_DEBUG") else subprocess.DEVNULL,
            )
            self.pid = self._process.pid
            _running.add(self)

    def line(self, seconds: float = WAIT_SECONDS) -> str:
        """The next line that it prints.

        Raises:
            Failed: it has ended, or says nothing for so long.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise Failed(f"no answer within {seconds:g} s")
            data = os.read(pipe, 1 << 16)
            if not data:
                raise Failed(f"{self.name} has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def tell(self, name: str, **arguments: Any) -> None:
        """Sends a command."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": name, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(f"{self.name} has ended") from None

    def answer(self, seconds: float = WAIT_SECONDS) -> Any:
        """What it answers to the oldest command that it has not answered yet.

        Raises:
            Failed: as of :meth:`line`, or it answered with an error.
        """
        found = json.loads(self.line(seconds))
        if isinstance(found, dict) and "failed" in found:
            raise Failed(found["failed"])
        return found

    def ask(self, name: str, seconds: float = WAIT_SECONDS, **arguments: Any) -> Any:
        """Sends a command and waits for its answer."""
        self.tell(name, **arguments)
        return self.answer(seconds)

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used, of user and system."""
        return cpu_seconds(self.pid)

    @property
    def rss_bytes(self) -> int:
        """The memory that it holds."""
        return rss_bytes(self.pid)

    def signal(self, number: int) -> None:
        """Sends a signal and waits for the end."""
        self._process.send_signal(number)
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end") from None

    def kill(self) -> None:
        """Ends it at once; may be called again."""
        _running.discard(self)
        self._process.kill()
        self._process.communicate()


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used, of user and system."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:  # in nanoseconds
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """The memory that a process holds."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES


@contextmanager
def cleanup() -> Iterator[None]:
    """Whatever happens, no process that was started within is left."""
    try:
        yield
    finally:
        with _signals_held():
            for process in list(_running):
                process.kill()


# -- signals --------------------------------------------------------------------------------------

_holding: list[None] = []  # who wants no signal now
_came: list[int] = []  # the signals that wait


def end_on_signals() -> None:
    """Makes the signals that end a program raise, so that :func:`cleanup` gets its turn."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    if _holding:
        _came.append(number)
    else:
        raise SystemExit(128 + number)


@contextmanager
def _signals_held() -> Iterator[None]:
    # A process that is just being started is not known yet, and would not be killed.
    _holding.append(None)
    try:
        yield
    finally:
        _holding.pop()
    if _came and not _holding:
        raise SystemExit(128 + _came.pop())


# -- servers --------------------------------------------------------------------------------------


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: Process) -> None:
    """Waits until somebody listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process._process.poll() is not None:
                break
            time.sleep(0.02)
    raise Failed(f"{process.name} does not listen")


def relay(port: int, *options: str) -> Process:
    """Starts a relay of distmap, without limits on load, and waits until it listens.

    Args:
        port: where.
        options: of the relay, instead of those that take the limits away.
    """
    command = (sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "distmap", "--port", str(port))
    return _listening(port, *command, *(options or NO_LIMITS))


def node_server(system: str, port: int) -> Process:
    """Starts one of the servers in benchmarks/js and waits until it listens."""
    return _listening(port, "node", str(JS / "server.mjs"), system, str(port))


def python_server(port: int) -> Process:
    """Starts pycrdt-websocket and waits until it listens."""
    return _listening(
        port, str(VENV / "bin" / "python"), "-m", "benchmarks.rivals.pycrdt_server", str(port)
    )


def _listening(port: int, *command: str) -> Process:
    process = Process(*command, silent=True)
    wait_for(port, process)
    return process
