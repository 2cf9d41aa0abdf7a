"""What npm would publish: packed, installed into an empty folder, and used from there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

import distmap
from distmap import DistributedMap, connect
from distmap.relay import RelayService
from tests.support.peers import Program
from tests.support.processes import fires, folder, until

WEB = Path(distmap.__file__).resolve().parent / "web"
ROOT = Path(__file__).resolve().parent.parent
WS = ROOT / "tests" / "js" / "node_modules" / "ws" / "wrapper.mjs"
SCRIPT = """
import WebSocket from "ws"
import { DistributedMap, connect, errors } from "distmap"

const [url] = process.argv.slice(2)
const connection = connect(url, { WebSocket })
const fruits = new DistributedMap(connection, "/fruits", { persist: true })
await fruits.ready()
await fruits.set("pear", fruits.get("apple") + 1)
if (!(fruits.persisted === "failed" && errors.DistMapError)) process.exitCode = 1
await connection.close()
"""
reactor: Any = global_reactor


def npm(*args: str, cwd: Path) -> str:
    """Runs npm without a network, settings and a cache; returns its output."""
    home = {"HOME": str(cwd), "npm_config_cache": str(cwd / ".npm"), "npm_config_offline": "true"}
    quiet = {"npm_config_update_notifier": "false", "npm_config_audit": "false"}
    command = [shutil.which("npm") or "npm", *args]
    environ = {"PATH": os.environ["PATH"], **home, **quiet}
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{args} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class NpmPackage(TestCase):
    """The package, as npm makes it."""

    timeout = 240

    def setUp(self) -> None:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise SkipTest("needs npm and Node.js (Debian: apt-get install nodejs npm)")
        if not WS.is_file():
            raise SkipTest("needs the packages of tests/js: run `npm ci` there")
        self.folder = folder(self)

    def pack(self) -> dict[str, Any]:
        """Makes the package; returns what npm says of it."""
        (packed,) = json.loads(
            npm("pack", "--json", str(WEB), "--pack-destination", str(self.folder), cwd=self.folder)
        )
        assert isinstance(packed, dict)
        return packed

    async def test_files(self) -> None:
        """All modules, the types, what npm shows of them, and nothing else."""
        packed = await deferToThread(self.pack)
        modules = [f"js/{path.name}" for path in WEB.glob("js/*.js")]
        expected = ["distmap.js", "distmap.d.ts", "package.json", "README.md", "LICENSE", *modules]
        self.assertEqual(sorted(each["path"] for each in packed["files"]), sorted(expected))
        self.assertEqual((packed["name"], packed["version"]), ("distmap", distmap.__version__))
        self.assertEqual((WEB / "LICENSE").read_bytes(), (ROOT / "LICENSE").read_bytes())

    async def test_readme(self) -> None:
        """The program that README.md shows runs."""
        (shown,) = re.findall(
            r"(?ms)^```javascript\n(.*?)^```$", (WEB / "README.md").read_text("utf-8")
        )
        fruits, url = self.share()
        program = await self.run_installed(shown.replace("ws://localhost:8080/", url))
        self.assertEqual((program.exited.result, program.lines), (0, []), program.errors)
        self.assertEqual(dict(fruits), {"apple": 3})

    async def test_use(self) -> None:
        """A program with the package from the tarball shares a map with one of Python."""
        fruits, url = self.share()
        await fires(fruits.set("apple", 3))
        program = await self.run_installed(SCRIPT, url)
        self.assertEqual((program.exited.result, program.lines), (0, []), program.errors)
        self.assertIn(b"no IndexedDB", program.errors)
        await until(lambda: "pear" in fruits)
        self.assertEqual(dict(fruits), {"apple": 3, "pear": 4})

    def share(self) -> tuple[DistributedMap, str]:
        """A map of Python, and the URL of its relay."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        service = RelayService(reactor, endpoint)
        service.startService()
        self.addCleanup(service.stopService)
        port: Any = service.port
        url = f"ws://127.0.0.1:{port.getHost().port}/"
        connection = connect(reactor, url)
        self.addCleanup(connection.close)
        return DistributedMap(connection, "/fruits"), url

    async def run_installed(self, code: str, *args: str) -> Program:
        """Installs the package, and runs a program with it to its end."""
        packed = await deferToThread(self.pack)
        (self.folder / "package.json").write_text('{"type": "module"}', "utf-8")
        tarball = f"./{packed['filename']}"
        await deferToThread(npm, "install", "--no-fund", tarball, cwd=self.folder)
        installed = self.folder / "node_modules"
        self.assertEqual(
            [path.name for path in installed.iterdir() if path.name[0] != "."], ["distmap"]
        )
        script = self.folder / "use.js"
        script.write_text(code, "utf-8")
        (installed / "ws").symlink_to(WS.parent)
        program = Program(str(script), *args, program=[shutil.which("node") or "node"])
        self.addCleanup(program.kill)
        await until(lambda: program.done, 60, lambda: program.errors)
        return program
