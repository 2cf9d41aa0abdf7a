"""distmap.cli: every command and every exit code, as real processes against a real relay."""

from __future__ import annotations

import json
import signal
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, __version__, connect
from distmap.cli import main
from tests.support.peers import free_port
from tests.support.processes import Finished, Process, distmap, relay, until
from tests.support.sockets import Listener


class WithRelay(TestCase):
    """A relay process, and a peer in this process that keeps the map alive."""

    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]
        self.relay = await relay(self)
        self.url = f"ws://127.0.0.1:{self.relay.port}/"

    async def open(self, uri: str = "/fruits") -> DistributedMap:
        """A peer in this process."""
        connection = connect(reactor, self.url)
        self.addCleanup(connection.close)
        return await DistributedMap(connection, uri).ready()

    def start(self, command: str, *args: str, uri: str = "/fruits") -> Process:
        """Starts a command on the relay and the map."""
        return distmap(self, command, self.url, uri, *args)

    async def run_command(self, command: str, *args: str, uri: str = "/fruits") -> Finished:
        """Runs one to its end."""
        return await self.start(command, *args, uri=uri).finished()

    def assert_fails(self, finished: Finished, *words: str) -> None:
        """It ended with 1, and one line on stderr that has these words in it."""
        self.assertEqual((finished.code, finished.out), (1, ""), finished)
        self.assertTrue(finished.err.startswith("distmap: "), finished)
        self.assertEqual(finished.err.count("\n"), 1, finished)
        for word in words:
            self.assertIn(word, finished.err)


class Commands(WithRelay):
    async def test_set(self) -> None:
        fruits = await self.open()
        fruits["apple"] = "before"
        done = await self.run_command("set", "apple", '{"n": 3, "at": [1.50, null]}')
        self.assertEqual(done, (0, "", ""))
        self.assertEqual(dict(fruits), {"apple": {"n": 3, "at": [1.5, None]}})

    async def test_set_wins_over_what_is_there(self) -> None:
        """Also over a value of a peer whose clock is ahead."""
        fruits = await self.open()
        fruits._replica.clock._wall_ms = lambda: reactor.seconds() * 1000 + 30_000
        await fruits.set("apple", "from the future")
        self.assertEqual(await self.run_command("set", "apple", "1"), (0, "", ""))
        self.assertEqual(fruits["apple"], 1)

    async def test_set_with_nobody_there(self) -> None:
        done = await self.run_command("set", "apple", "3")
        self.assertEqual((done.code, done.out), (0, ""))
        self.assertEqual(
            done.err, "distmap: nobody else has /fruits open: the value is gone\n", done
        )

    async def test_get(self) -> None:
        fruits = await self.open()
        fruits["apple"] = {"b": [1, 2.5, "ü"], "a": None}
        done = await self.run_command("get", "apple")
        self.assertEqual(done, (0, '{"a":null,"b":[1,2.5,"ü"]}\n', ""))

    async def test_a_key_that_is_missing(self) -> None:
        await self.open()
        got, deleted = await gatherResults(
            [
                Deferred.fromCoroutine(self.run_command("get", "pear\n")),
                Deferred.fromCoroutine(self.run_command("delete", "pear")),
            ]
        )
        self.assert_fails(got, r"no key 'pear\n' in /fruits")
        self.assert_fails(deleted, "no key 'pear' in /fruits")

    async def test_delete(self) -> None:
        fruits = await self.open()
        fruits.update(apple=1, pear=2)
        self.assertEqual(await self.run_command("delete", "apple"), (0, "", ""))
        self.assertEqual(dict(fruits), {"pear": 2})

    async def test_dump(self) -> None:
        fruits = await self.open()
        deep: Any = 1
        for _ in range(32):
            deep = [deep]
        fruits.update({"pear": 2.0, "apple": {"n": 3}, 'ü"': True, "deep": deep})
        done = await self.run_command("dump")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(json.loads(done.out), dict(fruits))
        self.assertTrue(done.out.startswith('{"apple":{"n":3},"deep":[[['), done.out)

    async def test_dump_of_an_empty_map(self) -> None:
        self.assertEqual(await self.run_command("dump"), (0, "{}\n", ""))

    async def test_dash_and_utf8(self) -> None:
        fruits = await self.open()
        self.assertEqual(await self.run_command("set", "temperature", "-5"), (0, "", ""))
        self.assertEqual(await self.run_command("set", "--", "-x", "-1e2"), (0, "", ""))
        self.assertEqual(await self.run_command("set", "ключ", '"żółw"'), (0, "", ""))
        self.assertEqual(dict(fruits), {"temperature": -5, "-x": -100, "ключ": "żółw"})

    async def test_verbose_shows_the_log(self) -> None:
        done = await self.run_command("dump", "--verbose")
        self.assertEqual((done.code, done.out), (0, "{}\n"))
        self.assertIn(f"connected to {self.url}", done.err)
        self.assertNotIn("ResourceWarning", done.err)


class Watch(WithRelay):
    async def watch(self, fruits: DistributedMap, *args: str) -> Process:
        """Starts to watch; it is ready once it shows a change."""
        watching = self.start("watch", *args)
        at = 0
        while not watching.lines:
            fruits["counter"] = at = at + 1
            await deferLater(reactor, 0.05)
            self.assertFalse(watching.done, watching.errors)
        await until(lambda: json.loads(watching.lines[-1])["value"] == at)
        watching.lines.clear()
        return watching

    async def test_a_line_for_each_change(self) -> None:
        fruits = await self.open()
        fruits["apple"] = 1
        watching = await self.watch(fruits)
        fruits["apple"] = {"b": [1.5], "a": "ü"}
        del fruits["apple"]
        await until(lambda: len(watching.lines) == 2, what=lambda: watching.lines)
        changed, deleted = map(json.loads, watching.lines)
        self.assertLess(abs(changed.pop("time_ms") / 1000 - reactor.seconds()), 60)
        self.assertIsInstance(deleted.pop("time_ms"), int)
        writer = fruits._replica.clock.writer
        self.assertEqual(
            changed,
            {"event": "set", "key": "apple", "value": {"a": "ü", "b": [1.5]}, "writer": writer},
        )
        self.assertEqual(deleted, {"event": "delete", "key": "apple", "writer": writer})
        # Each is there at once, in the order of the documentation.
        self.assertTrue(watching.lines[0].startswith('{"event":"set","key":"apple","value":{"a":'))
        done = await watching.interrupted(signal.SIGINT)
        self.assertEqual((done.code, done.err), (0, ""))
        await until(lambda: fruits.peers == 0)

    async def test_terminated(self) -> None:
        watching = await self.watch(await self.open())
        done = await watching.interrupted(signal.SIGTERM)
        self.assertEqual((done.code, done.err), (0, ""))

    async def test_interrupted_before_it_is_ready(self) -> None:
        hanging = Listener(self)
        port = await hanging.listen()
        watching = distmap(self, "watch", f"ws://127.0.0.1:{port}/", "/fruits")
        await until(lambda: hanging.accepted)
        self.assertEqual(await watching.interrupted(), (0, "", ""))

    async def test_whoever_reads_has_gone(self) -> None:
        fruits = await self.open()
        watching = await self.watch(fruits)
        watching.process.closeStdout()
        fruits["apple"] = 1
        done = await watching.finished()
        self.assertEqual((done.code, done.err), (0, ""))

    async def test_survives_the_relay(self) -> None:
        fruits = await self.open()
        watching = await self.watch(fruits)
        await self.relay.kill()
        fruits["meanwhile"] = 1
        self.relay = await relay(self, port=self.relay.port)
        await until(lambda: len(watching.lines) == 1, what=lambda: watching.lines)
        self.assertEqual(json.loads(watching.lines[0])["key"], "meanwhile")
        self.assertFalse(watching.done)


class Failures(WithRelay):
    async def test_nobody_listens(self) -> None:
        url = f"ws://127.0.0.1:{free_port()}/"
        done = await distmap(
            self, "set", url, "/fruits", "apple", "3", "--timeout", "0.7"
        ).finished()
        self.assert_fails(done, f"no connection to {url}: ", "refused")

    async def test_not_a_relay(self) -> None:
        url = f"{self.url}nothing-here"
        done = await distmap(self, "dump", url, "/fruits", "--timeout", "0.7").finished()
        self.assert_fails(done, f"no connection to {url}: ", "refused the upgrade", "404")

    async def test_no_answer(self) -> None:
        port = await Listener(self).listen()
        url = f"ws://127.0.0.1:{port}/"
        done = await distmap(self, "watch", url, "/fruits", "--timeout", "0.7").finished()
        self.assert_fails(done, f"no connection to {url}: no answer")

    async def test_a_map_that_does_not_become_ready(self) -> None:
        """The relay opens the WebSocket and says nothing."""

        def answer(server: Any, data: bytes) -> None:
            if data.startswith(b"GET"):
                server.upgrade(data)

        silent = Listener(self, received=answer)
        url = f"ws://127.0.0.1:{await silent.listen()}/"
        done = await distmap(self, "get", url, "/fruits", "apple", "--timeout", "0.7").finished()
        self.assert_fails(done, "/fruits took too long: it is syncing")

    async def test_access_refused(self) -> None:
        """It does not wait for the time-out: the answer will not change."""

        def answer(server: Any, data: bytes) -> None:
            if data.startswith(b"GET"):
                server.upgrade(data)
            else:
                error = b'["/fruits/channel","error",{"message":"not for you","code":"refused"}]\n'
                server.transport.write(bytes([0x81, len(error)]) + error)

        refusing = Listener(self, received=answer)
        url = f"ws://127.0.0.1:{await refusing.listen()}/"
        started = reactor.seconds()
        done = await distmap(self, "dump", url, "/fruits", "--timeout", "60").finished()
        self.assert_fails(done, "/fruits: not for you")
        self.assertLess(reactor.seconds() - started, 30)

    async def test_interrupted(self) -> None:
        hanging = Listener(self)
        url = f"ws://127.0.0.1:{await hanging.listen()}/"
        setting = distmap(self, "set", url, "/fruits", "apple", "3")
        await until(lambda: hanging.accepted)
        self.assert_fails(await setting.interrupted(), "interrupted")

    async def test_output_that_nobody_reads(self) -> None:
        fruits = await self.open()
        fruits.update({f"key{at}": "x" * 1000 for at in range(100)})
        dumping = self.start("dump")
        dumping.process.closeStdout()
        done = await dumping.finished()
        self.assertEqual((done.code, done.err), (0, ""))

    async def test_large_output(self) -> None:
        fruits = await self.open()
        for at in range(2000):
            fruits[f"key{at}"] = "x" * 1000
        done = await self.run_command("dump")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(len(json.loads(done.out)), 2000)


class Usage(TestCase):
    """What argparse says, in this process."""

    timeout = 60

    def fails(self, *args: str) -> str:
        """The command line is wrong; returns what is said."""
        errors = StringIO()
        with redirect_stderr(errors):
            raised = self.assertRaises(SystemExit, main, args)
        self.assertEqual(raised.code, 2, errors.getvalue())
        return errors.getvalue()

    def test_commands_and_arguments(self) -> None:
        self.assertIn("COMMAND", self.fails())
        self.assertIn("invalid choice", self.fails("fetch", "ws://localhost/", "/fruits"))
        self.assertIn("KEY", self.fails("get", "ws://localhost/", "/fruits"))
        self.assertIn("VALUE", self.fails("set", "ws://localhost/", "/fruits", "apple"))
        self.assertIn("unrecognized", self.fails("dump", "ws://localhost/", "/fruits", "apple"))

    def test_values(self) -> None:
        for value in ("", "apple", "{", "NaN", "Infinity", "1e999", str(2**53), "[1,]", "'a'"):
            said = self.fails("set", "ws://localhost/", "/fruits", "apple", value)
            self.assertIn("argument VALUE: ", said)
        for value in ("[" * 33 + "]" * 33, "[" * 100_000, '"\\ud800"', '"\udcff"'):
            said = self.fails("set", "ws://localhost/", "/fruits", "apple", value)
            self.assertIn("argument VALUE: ", said)

    def test_keys(self) -> None:
        for key in ("", "x" * 1025, "\udcff"):
            for command in (("get",), ("delete",), ("set",)):
                value = ("1",) if command == ("set",) else ()
                said = self.fails(*command, "ws://localhost/", "/fruits", key, *value)
                self.assertIn("argument KEY: a key ", said)

    def test_timeout(self) -> None:
        for seconds in ("0", "-1", "soon", "nan", "inf"):
            said = self.fails("dump", "ws://localhost/", "/fruits", f"--timeout={seconds}")
            self.assertIn(f"'{seconds}' is no number of seconds", said)

    async def test_url_and_uri(self) -> None:
        """These are looked at when the reactor runs."""
        for args, word in (
            (("http://localhost/", "/fruits"), "not a WebSocket URL: 'http://localhost/'"),
            (("localhost:8080", "/fruits"), "not a WebSocket URL"),
            (("ws://localhost:99999/", "/fruits"), "not a WebSocket URL"),
            (("ws://unix:/tmp/relay", "/fruits"), "not a WebSocket URL"),
            (("ws://localhost/", ""), "a URI is "),
            (("ws://localhost/", "x" * 901), "a URI is "),
        ):
            done = await distmap(self, "dump", *args).finished()
            self.assertEqual((done.code, done.out), (2, ""), done)
            self.assertIn(word, done.err)
            self.assertNotIn("Traceback", done.err)
            self.assertNotIn("ResourceWarning", done.err)

    async def test_version_and_help(self) -> None:
        done = await distmap(self, "--version").finished()
        self.assertEqual(done, (0, f"distmap {__version__}\n", ""))
        done = await distmap(self, "set", "--help").finished()
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("--timeout", done.out)
