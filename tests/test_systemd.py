"""docs/howto/systemd: the units say what the relay takes, and the relay runs as they have it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from distmap.tap import Options
from tests.support.peers import ROOT, Program
from tests.support.processes import folder, until
from tests.support.sockets import raw_peer

reactor: Any = _reactor
UNITS = ROOT / "docs" / "howto" / "systemd"
PROGRAM = "/srv/distmap/bin/twistd"
NOBODY = 65534
WORST_EXPOSURE = 1.0
"""What systemd-analyze calls safe is below 2; a unit without any protection has 9.6."""

# systemd gives the process id of the program that it starts; here that is known to it alone.
ACTIVATED = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); sys.argv[0] = 'twistd'; "
    "from twisted.scripts.twistd import run; run()"
)


def unit(name: str) -> list[tuple[str, str]]:
    """The settings of a unit file, in their order."""
    text = (UNITS / name).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    pairs = [line.partition("=") for line in lines]
    return [(name, " ".join(value.split())) for name, _, value in pairs]


def command() -> list[str]:
    """The arguments of twistd in the unit."""
    (line,) = [value for name, value in unit("distmap.service") if name == "ExecStart"]
    program, *arguments = line.split()
    assert program == PROGRAM
    return arguments


class ActivatedProcess(Program):
    """The relay as the unit starts it, with a socket that listens already.

    Args:
        listener: the socket.
        program: what runs Python.
    """

    def __init__(self, test: TestCase, listener: socket.socket, program: list[str]) -> None:
        environ = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "distmap.socket"}
        spawn = reactor.spawnProcess
        fds = {0: "w", 1: "r", 2: "r", 3: listener.fileno()}
        test.patch(
            reactor,
            "spawnProcess",
            lambda *args, **kwargs: spawn(*args, **kwargs, childFDs=fds),
        )
        super().__init__("-c", ACTIVATED, *command(), program=program, environ=environ)
        test.patch(reactor, "spawnProcess", spawn)
        test.addCleanup(self.kill)
        self.started = self.line(lambda line: "listening on" in line)


class Activation(TestCase):
    """A socket that is inherited."""

    timeout = 60

    def listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        listener.set_inheritable(True)
        self.addCleanup(listener.close)
        return listener

    async def check(self, program: list[str]) -> None:
        listener = self.listen()
        port = listener.getsockname()[1]
        first = ActivatedProcess(self, listener, program)
        await first.started
        peer = await raw_peer(self, port)
        first.signal(signal.SIGTERM)
        self.assertEqual(await peer.closed(), 1012)
        peer.say_goodbye(1012)
        await until(lambda: first.done)
        # Nobody is refused while there is no relay: the connection waits for the next.
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            second = ActivatedProcess(self, listener, program)
            await second.started
            waiting.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer: list[bytes] = []
            reactor.callInThread(lambda: answer.append(waiting.recv(100)))
            await until(lambda: answer)
            self.assertIn(b" 200 ", answer[0])
        for process in (first, second):
            self.assertNotIn("Traceback", "\n".join(process.lines) + process.errors.decode())

    async def test_handed_over_twice(self) -> None:
        await self.check([sys.executable])

    async def test_without_a_network(self) -> None:
        """As PrivateNetwork= has it, where we may take it away: the socket is enough."""
        apart = [shutil.which("unshare") or "false", "--net"]
        may = subprocess.run([*apart, "true"], check=False, capture_output=True).returncode == 0
        await self.check([*(apart if may else []), sys.executable])


class ReadOnly(TestCase):
    """No right to write anywhere, and nobody in particular."""

    timeout = 60

    def unprivileged(self) -> list[str]:
        """What runs Python so; root would write wherever it likes."""
        if os.getuid() != 0:
            return [sys.executable]
        if shutil.which("setpriv") is None:
            raise SkipTest("root without setpriv")
        # To read is allowed, or nobody could run an interpreter in root's home.
        rights = "-all,+dac_read_search"
        return [
            shutil.which("setpriv") or "",
            *(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"),
            *(f"--inh-caps={rights}", f"--ambient-caps={rights}", f"--bounding-set={rights}"),
            sys.executable,
        ]

    def make_writable(self, top: Path) -> None:
        for path in (top, *top.rglob("*")):
            path.chmod(0o755)

    def tree(self, top: Path) -> list[str]:
        return sorted(str(path.relative_to(top)) for path in top.rglob("*"))

    async def test_starts_and_leaves_nothing(self) -> None:
        top = folder(self)
        for name in ("distmap", "twisted"):
            ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
            shutil.copytree(ROOT / name, top / name, ignore=ignored)
        for path in [top, *top.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222 | 0o444)
        self.addCleanup(self.make_writable, top)
        before = self.tree(top)
        code = (
            "import os, sys; os.chdir(sys.argv.pop(1)); sys.argv[0] = 'twistd'; "
            "from twisted.scripts.twistd import run; run()"
        )
        arguments = [each for each in command() if not each.startswith("systemd:")]
        arguments.insert(arguments.index("--port") + 1, "0")
        process = Program(
            *("-c", code, str(top), *arguments),
            program=self.unprivileged(),
            environ={"PYTHONPATH": str(top), "HOME": "/nonexistent"},
        )
        self.addCleanup(process.kill)
        line = await process.line(lambda line: "listening on" in line)
        found = re.search(r"listening on \S+?:([0-9]+)", line)
        assert found is not None, line
        peer = await raw_peer(self, int(found[1]))
        peer.open("x", "/no-such-route")
        await until(lambda: peer.got("x", "error"))
        process.signal(signal.SIGTERM)
        await peer.closed()
        peer.say_goodbye(1012)
        await until(lambda: process.done)
        self.assertIn("Server Shut Down", process.lines[-1])
        self.assertNotIn("Traceback", "\n".join(process.lines) + process.errors.decode())
        self.assertEqual(self.tree(top), before)


class Units(SynchronousTestCase):
    def test_options(self) -> None:
        """The relay takes what the unit gives it; its grace ends before systemd's patience."""
        arguments = command()
        self.assertIn("--nodaemon", arguments)
        self.assertIn("--pidfile=", arguments)
        settings = dict(unit("distmap.service"))
        at = arguments.index("distmap") + 1
        options = Options()
        options.parseOptions(
            [each.replace("systemd:domain=INET:index=0", "0") for each in arguments[at:]]
        )
        self.assertLess(options["grace"] + 2, float(settings["TimeoutStopSec"]))

    def test_socket(self) -> None:
        from distmap.tap import BACKLOG

        settings = dict(unit("distmap.socket"))
        self.assertEqual(settings["Backlog"], str(BACKLOG))
        self.assertEqual(settings["ListenStream"], "127.0.0.1:8080")

    def analyze(self, *arguments: str) -> str:
        """What systemd-analyze says of the units."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("no systemd-analyze here")
        top = Path(mkdtemp(prefix="distmap-units-"))
        self.addCleanup(shutil.rmtree, top)
        for name in ("distmap.service", "distmap.socket"):
            text = (UNITS / name).read_text("utf-8")
            (top / name).write_text(text.replace(PROGRAM, "/bin/true"), "utf-8")
        files = [str(top / each) if each.startswith("distmap.") else each for each in arguments]
        done = subprocess.run(
            [program, *files], capture_output=True, text=True, check=False, timeout=60
        )
        if "Unknown command" in done.stderr or "unrecognized option" in done.stderr:
            raise SkipTest("an old systemd-analyze")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_verified(self) -> None:
        said = self.analyze("verify", "distmap.service", "distmap.socket")
        self.assertEqual([line for line in said.splitlines() if "distmap" in line], [])

    def test_exposure(self) -> None:
        said = self.analyze("security", "--offline=yes", "--no-pager", "distmap.service")
        (line,) = [line for line in said.splitlines() if "Overall exposure level" in line]
        level = line.partition("distmap.service: ")[2].split()[0]
        self.assertLess(float(level), WORST_EXPOSURE)
