"""Real processes for the tests: `distmap` commands, and `twistd` with any options."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.support.peers import ROOT, Program, RelayProcess, free_port

WAIT_SECONDS = 30.0

_DISTMAP = "from distmap.cli import main; main()"
_TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"


def start_module(test: unittest.TestCase, *args: str, **more: str) -> subprocess.Popen[str]:
    """Starts ``python -m`` in a process group of its own, which is killed when the test ends.

    Args:
        test: that starts it.
        args: the module and its arguments.
        more: for its environment.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    test.addCleanup(process.communicate)
    test.addCleanup(process.kill)
    return process


class Finished(NamedTuple):
    """How a process ended; the code is None if a signal ended it."""

    code: int | None
    out: str
    err: str


class Process(Program):
    """A Python process that is killed when the test ends.

    Args:
        test: that starts it.
        args: for the interpreter.
    """

    def __init__(self, test: TestCase, *args: str) -> None:
        super().__init__(*args)
        test.addCleanup(self.kill)

    @property
    def out(self) -> str:
        """All that it wrote to stdout."""
        return "".join(f"{line}\n" for line in self.lines) + self._rest.decode()

    async def finished(self) -> Finished:
        """Waits for its end."""
        await until(lambda: self.done, what=lambda: f"end: {self.out} {self.errors!r}")
        code: int | None = self.exited.result  # type: ignore[assignment]
        return Finished(code, self.out, self.errors.decode())

    async def interrupted(self, number: int = signal.SIGINT) -> Finished:
        """Sends it a signal and waits for its end."""
        self.signal(number)
        return await self.finished()


def folder(test: TestCase) -> Path:
    """A new folder that is gone after the test; trial's mktemp() would leave one in a checkout."""
    path = Path(mkdtemp(prefix="distmap-")).resolve()
    test.addCleanup(shutil.rmtree, path)
    return path


def distmap(test: TestCase, *args: str) -> Process:
    """Starts a `distmap` command."""
    return Process(test, "-c", _DISTMAP, *args)


def twistd(test: TestCase, *args: str) -> Process:
    """Starts `twistd -n` with no file for its pid, and more arguments."""
    return Process(test, "-c", _TWISTD, "-n", "--pidfile=", *args)


async def relay(test: TestCase, *options: str, port: int = 0) -> RelayProcess:
    """Starts a relay on a free port, or the given one, and waits until it listens."""
    process = RelayProcess(port or free_port(), *options)
    test.addCleanup(process.kill)
    await process.started
    return process


async def until(
    condition: Callable[[], Any],
    seconds: float = WAIT_SECONDS,
    what: Callable[[], object] = lambda: "",
) -> None:
    """Waits until a condition holds.

    Args:
        condition: is asked every few milliseconds.
        seconds: how long.
        what: tells, if it takes longer, what there was.
    """
    deadline = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what()}")
        await deferLater(reactor, 0.005)


def fires(deferred: Deferred[Any]) -> Deferred[Any]:
    """The Deferred, with a bound for how long it may take."""
    return deferred.addTimeout(WAIT_SECONDS, reactor)
