"""A real browser for the tests: runs the scripts tests/js/browser_*.mjs beside a relay."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from inspect import isawaitable
from typing import Any
from unittest import SkipTest

import msgspec
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, connect
from distmap.relay import RelayOptions, RelayService
from tests.support.peers import ROOT, Program
from tests.support.processes import fires, until

JS = ROOT / "tests" / "js"
WAIT_SECONDS = 120.0
reactor: Any = global_reactor


def chromium() -> str:
    """Where Chromium is, as CHROMIUM names it or as Debian installs it; skips the test if it is
    nowhere.
    """
    found = shutil.which(os.environ.get("CHROMIUM") or "chromium")
    if found is None:
        raise SkipTest("needs Chromium (Debian: apt-get install chromium)")
    return found


def node() -> str:
    """Where Node.js is; skips the test if it, or the package that drives Chromium, is missing."""
    found = shutil.which("node")
    if found is None:
        raise SkipTest("needs Node.js (Debian: apt-get install nodejs npm)")
    if not (JS / "node_modules" / "playwright-core").is_dir():
        raise SkipTest("needs the packages of tests/js: run `npm ci` there")
    return found


class BrowserTestCase(TestCase):
    """A relay in this process, so that a test can stop it, for peers of Python and a browser."""

    timeout = 300
    options = RelayOptions()

    def setUp(self) -> None:
        chromium()
        node()
        self.port = 0
        self.start_relay()

    def start_relay(self) -> None:
        """Starts it, on the same port as before."""
        endpoint = TCP4ServerEndpoint(reactor, self.port, interface="127.0.0.1")
        self.service = service = RelayService(reactor, endpoint, self.options)
        service.startService()
        self.addCleanup(lambda: service.running and service.stopService())
        port: Any = service.port
        self.port = port.getHost().port
        self.url = f"ws://127.0.0.1:{self.port}/"

    def open(self, uri: str) -> DistributedMap:
        """A map of Python on a connection of its own."""
        connection = connect(reactor, self.url)
        self.addCleanup(connection.close)
        return DistributedMap(connection, uri)

    async def open_ready(self, uri: str) -> DistributedMap:
        """The same, once it is ready."""
        opened = self.open(uri)
        await fires(opened.ready())
        return opened

    async def run_script(self, name: str, **deeds: Callable[..., Any]) -> None:
        """Runs a script to its end, and does what it asks for."""
        script = BrowserScript(self, name, self.url)
        while (asked := await script.asked()) is not None:
            what, *args = asked
            answer = deeds[what.replace(" ", "_")](*args)
            script.answer(await answer if isawaitable(answer) else answer)
        await script.finished()

    def deeds(self, shared: DistributedMap) -> dict[str, Callable[..., Any]]:
        """What most scripts ask for; an answer that is nothing comes at once."""
        return {
            "set": shared.__setitem__,
            "get": shared.get,
            "delete": shared.__delitem__,
        }


class BrowserScript(Program):
    """A script with a browser; the two can talk, see ask() and tell() in chromium.mjs.

    Args:
        test: that runs it; at its end nothing is left of the script and its browser.
        name: of the script in tests/js.
        url: the relay's, `ws://`.
        args: for the script.
    """

    def __init__(self, test: TestCase, name: str, url: str, *args: str) -> None:
        self._heard = 0
        program = [node(), str(JS / name)]
        # What a browser that was killed leaves behind goes with this folder.
        folder = tempfile.mkdtemp(prefix="distmap-")
        test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        environ = {"CHROMIUM": chromium(), "RELAY": url, "TMPDIR": folder}
        super().__init__(*args, program=program, environ=environ)
        test.addCleanup(self.end)

    def end(self) -> Deferred[int | None]:
        """Ends it, if it has not ended, and the browser; fires when it has."""
        if not self.done:
            late = reactor.callLater(10, self.kill)
            self.exited.addBoth(_cancel, late)
            self.signal(signal.SIGTERM)
        return self.exited

    async def hear(self, name: str) -> list[Any]:
        """Waits until the script tells something of this name; returns the rest of it."""
        heard = self.line(lambda line: _decode(line)[0] == name, 2 * WAIT_SECONDS)
        await until(lambda: heard.called, WAIT_SECONDS, lambda: f"no {name}:\n{self.said()}")
        return _decode(await heard)[1:]

    async def asked(self) -> list[Any] | None:
        """The next thing that the script tells or asks, with its name; None if it has ended."""
        await until(lambda: self.done or len(self.lines) > self._heard, WAIT_SECONDS, self.said)
        if len(self.lines) == self._heard:
            return None
        self._heard += 1
        return _decode(self.lines[self._heard - 1])

    def answer(self, value: object = None) -> None:
        """Answers what the script asked."""
        self.process.write(msgspec.json.encode(value) + b"\n")

    async def finished(self, seconds: float = WAIT_SECONDS) -> None:
        """Waits for its end; fails, with all that it said, if the script failed."""
        await until(lambda: self.done, seconds, self.said)
        if self.exited.result != 0:
            raise AssertionError(f"the script failed:\n{self.said()}")

    def said(self) -> str:
        """All that it wrote."""
        return "\n".join([*self.lines, self.errors.decode(errors="replace")])


def _decode(line: str) -> list[Any]:
    try:
        heard = msgspec.json.decode(line)
    except msgspec.DecodeError:
        heard = None
    return heard if isinstance(heard, list) and heard else [None]


def _cancel(result: int | None, late: Any) -> int | None:
    if late.active():
        late.cancel()
    return result
