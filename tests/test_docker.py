"""docs/howto/docker: the Dockerfile is linted, and what it says is tried without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase, TestCase

from distmap.tap import Options
from tests.support.peers import ROOT, Program, free_port
from tests.support.processes import Process, relay, until
from tests.support.sockets import raw_peer

FOLDER = ROOT / "docs" / "howto" / "docker"
FILE = FOLDER / "Dockerfile"
VENV = "/srv/distmap/bin/"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as pairs of an instruction and its arguments."""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text("utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    pairs = [line.strip().partition(" ") for line in lines if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in pairs]


def last(name: str) -> str:
    """The arguments of the last instruction of that name: the one that counts."""
    return [rest for each, rest in instructions() if each == name][-1]


def health() -> list[str]:
    """The command of the health check."""
    command: list[str] = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    return command


class Dockerfile(SynchronousTestCase):
    def test_linted(self) -> None:
        program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
        if program is None:
            raise SkipTest("no hadolint here; it comes with distmap[test]")
        done = subprocess.run(
            [program, "--no-color", str(FILE)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_stages(self) -> None:
        stages = [rest for name, rest in instructions() if name == "FROM"]
        self.assertEqual(len(stages), 2)
        for stage in stages:
            self.assertRegex(stage, r"^python:3\.\d+-slim( AS build)?$")
        self.assertEqual(stages[0].removesuffix(" AS build"), stages[1])

    def test_it_is_not_root_in_the_end(self) -> None:
        user, group = last("USER").split(":")
        self.assertGreater(min(int(user), int(group)), 0)
        names = [name for name, _ in instructions()]
        self.assertLess(len(names) - names[::-1].index("USER"), names.index("ENTRYPOINT"))

    def test_it_gets_its_signals(self) -> None:
        """A shell in between would get them instead."""
        self.assertEqual(json.loads(last("ENTRYPOINT"))[0], VENV + "twistd")
        self.assertEqual(last("STOPSIGNAL"), "SIGTERM")

    def test_options(self) -> None:
        """It needs no file, and listens where it says, once it is told who may come in."""
        _, *arguments = json.loads(last("ENTRYPOINT"))
        at = arguments.index("distmap") + 1
        self.assertEqual(arguments[:at], ["--nodaemon", "--pidfile=", "distmap"])
        options = Options()
        options.parseOptions([*arguments[at:], "--open"])
        port = options["endpoint"]._port
        self.assertEqual(str(port), last("EXPOSE"))
        self.assertIn(f"127.0.0.1:{port}/healthz", health()[-1])

    def test_what_is_copied_is_there(self) -> None:
        ignored = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
        for name, rest in instructions():
            if name == "COPY" and not rest.startswith("--from"):
                *sources, _ = rest.split()
                for source in sources:
                    self.assertTrue((ROOT / source).exists(), source)
                    self.assertIn(f"!{source}", ignored)

    def test_where_it_is_run(self) -> None:
        self.assertIn(f"{VENV}pip install", last("RUN"))
        self.assertIn(f"venv {VENV.removesuffix('/bin/')}", last("RUN"))


class Run(TestCase):
    timeout = 60

    def check(self, port: int) -> Process:
        """Runs the health check."""
        program, *arguments = [each.replace(":8080/", f":{port}/") for each in health()]
        self.assertEqual(program, VENV + "python")
        return Process(self, *arguments)

    async def test_health(self) -> None:
        process = await relay(self)
        self.assertEqual((await self.check(process.port).finished()).code, 0)
        self.assertNotEqual((await self.check(free_port()).finished()).code, 0)

    async def test_process_1(self) -> None:
        """To process 1 the kernel gives no signal that it has not asked for."""
        apart = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
            apart = []  # we may not; then it is a process as any other
        code = (
            "import os, sys; print(os.getpid()); sys.argv[0] = 'twistd'; "
            "from twisted.scripts.twistd import run; run()"
        )
        port = free_port()
        _, *given = json.loads(last("ENTRYPOINT"))
        arguments = [*given, "--port", str(port)]  # the last one counts
        prefix = [shutil.which(apart[0]) or "", *apart[1:]] if apart else []
        process = Program("-c", code, *arguments, program=[*prefix, sys.executable])
        self.addCleanup(process.kill)
        await process.line(lambda line: "listening on" in line)
        pid = process.process.pid
        if apart:
            self.assertIn("1", process.lines)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
            pid = int(children[0])
            self.addCleanup(kill, pid)
        peer = await raw_peer(self, port)
        kill(pid, signal.SIGTERM)
        self.assertEqual(await peer.closed(), 1012)
        peer.say_goodbye(1012)
        await until(lambda: process.done, what=lambda: process.lines[-3:])
        self.assertIn("Server Shut Down", process.lines[-1])


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a process, if it is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
