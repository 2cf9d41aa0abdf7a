"""Real peers and relays for the tests: processes, and what they said."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-X", "dev")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program(ProcessProtocol):
    """A child process whose output can be waited for, line by line.

    Args:
        args: for the program.
        program: the interpreter, or another program and its first arguments.
        environ: what is added to the environment.
    """

    def __init__(
        self, *args: str, program: Sequence[str] = PYTHON, environ: Mapping[str, str] | None = None
    ) -> None:
        self.lines: list[str] = []
        self.errors = b""
        self.exited: Deferred[int | None] = Deferred()
        self.done = False
        self._rest = b""
        self._waiting: list[tuple[Callable[[str], bool], Deferred[str]]] = []
        ours = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environ or {})}
        command = [*program, *args]
        self.process: Any = reactor.spawnProcess(
            self, command[0], command, env={**os.environ, **ours}, path=str(ROOT)
        )

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode()
            self.lines.append(text)
            for wanted, deferred in list(self._waiting):
                if wanted(text):
                    self._waiting.remove((wanted, deferred))
                    deferred.callback(text)

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        self.done = True
        ended: Any = reason.value
        self.exited.callback(ended.exitCode)
        for _, deferred in self._waiting:
            said = f"it ended with {ended}; it said {self.lines[-20:]} {self.errors!r}"
            deferred.errback(RuntimeError(said))

    def line(self, wanted: Callable[[str], bool], seconds: float = 30) -> Deferred[str]:
        """Fires with the next line that is wanted."""
        deferred: Deferred[str] = Deferred()
        self._waiting.append((wanted, deferred))
        return deferred.addTimeout(seconds, reactor)

    def signal(self, number: int) -> Deferred[int | None]:
        """Sends a signal; fires when the process has ended."""
        try:
            self.process.signalProcess(number)
        except ProcessExitedAlready:
            pass
        return self.exited

    def kill(self) -> Deferred[int | None]:
        """kill -9; fires when the process has ended."""
        return self.signal(signal.SIGKILL)


class RelayProcess(Program):
    """`twistd -n distmap` on a port."""

    def __init__(self, port: int, *options: str) -> None:
        self.port = port
        args = ("-m", "twisted", "distmap", "--port", str(port), *options)
        super().__init__("-c", _TWISTD, *args[2:])
        self.started = self.line(lambda line: "listening on" in line)


# What the `twistd` script does, with the interpreter of the tests.
_TWISTD = (
    "import sys; sys.argv[1:1] = ['-n', '--pidfile=']; "
    "from twisted.scripts.twistd import run; run()"
)


class PeerProcess(Program):
    """A peer in a process of its own; see :mod:`tests.support.peer_process`."""

    def __init__(self, url: str, uri: str) -> None:
        super().__init__("-m", "tests.support.peer_process", url, uri)
        self.ready = self.answer("ready")

    def answer(self, name: str) -> Deferred[Any]:
        """Fires with the next answer of that name."""
        return self.line(lambda line: msgspec.json.decode(line)[0] == name).addCallback(
            msgspec.json.decode
        )

    def command(self, name: str, *args: Any, answer: str | None = None) -> Deferred[Any]:
        """Sends a command; fires with its answer."""
        answered = self.answer(answer or name)
        self.process.write(msgspec.json.encode([name, *args]) + b"\n")
        return answered
