"""The JavaScript client: maps that it shares with Python peers. More is in tests/test_node.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, connect
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.relay import RelayOptions, RelayService
from distmap.tickets import Key, TicketAuthorizer, mint

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "tests" / "js"
TSC = JS / "node_modules" / "typescript" / "bin" / "tsc"
WAIT_SECONDS = 60.0
HOUR_MS = 3_600_000
reactor: Any = global_reactor

# Names that objects of JavaScript inherit, and texts that break careless codecs.
HOSTILE = [
    *("__proto__", "constructor", "toString", "hasOwnProperty", "then", "0", "-1", " "),
    *("🍎", "\u2028\u2029", "\x00\x1f\x7f", '"]\n["', "\\", "é" * 512, "\ue000", "\uffff"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 0.1, 1e21, -1.5e-9, 2**53 - 1, 1 - 2**53, "", "🍎\u2028\x00"),
    *([], [[None], {}], {"__proto__": {"x": 1}, "constructor": 1}, {"\ue000": 1, "🍎": 2, "é": 3}),
]


def node() -> str:
    """Where Node.js is; skips the test if it, or a package that it needs, is missing."""
    found = shutil.which("node")
    if found is None:
        raise SkipTest("needs Node.js")
    if not TSC.is_file() or not (JS / "node_modules" / "ws").is_dir():
        raise SkipTest("needs the packages of tests/js: run `npm ci` there")
    return found


class NodePeer(ProcessProtocol):
    """A Node process with maps; see tests/js/map_peer.mjs."""

    def __init__(self, test: TestCase, url: str, *credentials: str) -> None:
        self.answers: list[Any] = []
        self.errors = b""
        self.refused = 0  # so many entries each map is to refuse
        self.exited: Deferred[int | None] = Deferred()
        self._rest = b""
        self._waiting: list[tuple[list[Any], Deferred[Any]]] = []
        program = [node(), str(JS / "map_peer.mjs"), url, *credentials]
        self.process: Any = reactor.spawnProcess(self, program[0], program, env=None)
        test.addCleanup(self.kill)

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.answers.append(answer)
            for wanted, deferred in list(self._waiting):
                if answer[: len(wanted)] == wanted:
                    self._waiting.remove((wanted, deferred))
                    deferred.callback(answer)

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        ended: Any = reason.value
        self.exited.callback(ended.exitCode)
        for wanted, deferred in self._waiting:
            deferred.errback(RuntimeError(f"it ended before {wanted}: {self.errors!r}"))

    def kill(self) -> Deferred[int | None]:
        """Ends it if it has not ended; fires when it has."""
        if not self.exited.called:
            self.process.signalProcess("KILL")
        return self.exited

    def next(self, *wanted: Any) -> Deferred[Any]:
        """Fires with the next answer that begins so."""
        deferred: Deferred[Any] = Deferred()
        self._waiting.append((list(wanted), deferred))
        return deferred.addTimeout(WAIT_SECONDS, reactor)

    def ask(self, command: str, name: str, *args: Any) -> Deferred[Any]:
        """Sends a command; fires with its answer."""
        answered = self.next(command, name)
        self.send(command, name, *args)
        return answered

    def send(self, *command: Any) -> None:
        """Sends a command."""
        self.process.write(json.dumps(command).encode() + b"\n")

    async def dump(self, name: str) -> tuple[dict[str, Any], str, int]:
        """A map, its status and how many others it knows of; nothing may have gone wrong."""
        _, _, items, status, peers, refused, divergences = await self.ask("dump", name)
        assert (refused, divergences) == (self.refused, 0), (refused, divergences)
        return dict(items), status, peers


class WithAnAuthorizer(TestCase):
    """JavaScript peers whom a real relay lets in, or not."""

    timeout = 240

    async def test_a_reader_and_a_writer(self) -> None:
        node()
        key = Key(b"a secret of thirty-two bytes at least")
        options = RelayOptions(authorizer=TicketAuthorizer(key, reactor))
        service = RelayService(
            reactor, TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), options
        )
        service.startService()
        self.addCleanup(service.stopService)
        port: Any = service.port
        url = f"ws://127.0.0.1:{port.getHost().port}/"

        def ticket(access: str) -> str:
            return mint(key, {"/shared/": access}, reactor.seconds(), 60, None)

        connection = connect(reactor, url, credentials=ticket("write"))
        self.addCleanup(connection.close)
        shared = DistributedMap(connection, "/shared/map")
        await shared.set("apple", 1)
        writer, reader = (NodePeer(self, url, ticket(each)) for each in ("write", "read"))
        await writer.ask("open", "w", "/shared/map")
        await writer.ask("set", "w", "pear", 2)
        await reader.ask("open", "r", "/shared/map")
        self.assertEqual((await reader.dump("r"))[0], {"apple": 1, "pear": 2})
        answer = await reader.ask("refused", "r", "apple", 3)
        self.assertEqual(answer[2:], ["refused", "read"])
        heard = reader.next("heard", "r", "set", "plum")
        await shared.set("plum", 4)
        await heard
        self.assertEqual((await reader.dump("r"))[0], {"apple": 1, "pear": 2, "plum": 4})
        offline = reader.next("status", "x", "offline")
        reader.send("open", "x", "/other")
        await offline


class BesidePython(TestCase):
    """JavaScript and Python peers on one real relay."""

    timeout = 240

    async def setUp(self) -> Any:  # type: ignore[override]
        node()
        self.service = await self.start_relay(0)
        port: Any = self.service.port
        self.port: int = port.getHost().port
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.node = NodePeer(self, self.url)

    async def start_relay(self, port: int) -> RelayService:
        endpoint = TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")
        service = RelayService(reactor, endpoint)
        service.startService()
        self.addCleanup(lambda: service.running and service.stopService())
        return service

    def open(self, uri: str = "/shared", **options: Any) -> DistributedMap:
        """A map of Python on a connection of its own."""
        connection = connect(reactor, self.url, **options)
        self.addCleanup(connection.close)
        return DistributedMap(connection, uri)

    async def until(self, condition: Callable[[], bool], what: Callable[[], object]) -> None:
        deadline = reactor.seconds() + WAIT_SECONDS
        while not condition():
            if reactor.seconds() > deadline:
                raise AssertionError(what())
            await deferLater(reactor, 0.01)

    async def until_equal(self, python: DistributedMap, *names: str) -> dict[str, Any]:
        """Waits until all are ready and hold the same; returns it."""
        deadline = reactor.seconds() + WAIT_SECONDS
        while True:
            dumps = [await self.node.dump(name) for name in names]
            here = dict(python)
            if python.status == "ready" and all(
                status == "ready" and there == here for there, status, _ in dumps
            ):
                return here
            if reactor.seconds() > deadline:
                sizes = [(len(there), status) for there, status, _ in dumps]
                raise AssertionError(f"here {len(here)} {python.status}, there {sizes}")
            await deferLater(reactor, 0.02)

    async def test_set_and_delete_both_ways(self) -> None:
        here = self.open()
        await here.ready()
        for name in ("one", "two"):
            opened = await self.node.ask("open", name, "/shared")
            self.assertEqual(opened, ["open", name, "peer"])
        heard: list[Any] = []
        here.on("set", lambda value, key, _: heard.append(("set", key, value)))
        here.on("delete", lambda value, key, _: heard.append(("delete", key, value)))

        told = self.both_hear("set", "apple", {"n": 3})
        await here.set("apple", {"n": 3})
        await told
        told = self.node.next("heard", "two", "set", "pear", [1, None])
        await self.node.ask("set", "one", "pear", [1, None])
        await told
        await self.until_equal(here, "one", "two")
        self.assertEqual(heard, [("set", "pear", [1, None])])

        told = self.node.next("heard", "one", "delete", "apple", {"n": 3})
        self.assertTrue((await self.node.ask("delete", "two", "apple"))[3])
        await told
        told = self.both_hear("delete", "pear", [1, None])
        await here.delete("pear")
        await told
        self.assertEqual(await self.until_equal(here, "one", "two"), {})
        self.assertEqual(heard[1:], [("delete", "apple", {"n": 3})])
        self.assertFalse((await self.node.ask("delete", "two", "none"))[3])
        _, _, peers = await self.node.dump("one")
        self.assertEqual((peers, here.peers), (2, 2))

    async def test_batches_both_ways(self) -> None:
        """One list for each, though it is longer than what single writes are cut into."""
        here = self.open()
        await here.ready()
        await self.node.ask("open", "one", "/shared")
        await self.node.ask("lists", "one")
        heard: list[dict[str, Any]] = []
        here.observe_batch(lambda changes: heard.append({each.key: each.value for each in changes}))
        fruits = {f"é{n}": "🍎" * 100 for n in range(500)}
        told = self.node.next("list", "one")
        here.update(fruits)
        self.assertEqual((await told)[2], fruits)
        told = self.node.next("list", "one")
        with here.batch() as batch:
            del here["é0"]
            here["fig"] = 1
        await batch.taken()
        self.assertEqual((await told)[2], {"é0": "gone", "fig": 1})
        heard.clear()
        await self.node.ask("update", "one", {**fruits, "plum": 2}, ["fig"])
        await self.until(lambda: "plum" in here, lambda: len(here))
        self.assertEqual(heard, [{**fruits, "plum": 2, "fig": None}])
        await self.until_equal(here, "one")

    def both_hear(self, *what: Any) -> Deferred[Any]:
        return gatherResults([self.node.next("heard", name, *what) for name in ("one", "two")])

    async def test_it_ends_when_all_is_closed(self) -> None:
        """Nothing is left in the process that would keep it alive."""
        await self.node.ask("open", "one", "/shared")
        await self.node.ask("open", "two", "/other")
        await self.node.ask("set", "one", "k", 1)
        await self.node.ask("close", "one")
        await self.node.ask("close", "two")
        self.node.process.closeStdin()
        self.assertEqual(await self.node.exited, 0)
        self.assertEqual(self.node.errors, b"")

    async def test_newcomers(self) -> None:
        """Thousands of keys: from Python to JavaScript, and from JavaScript to Python."""
        first = self.open()
        await first.ready()
        for n in range(5000):
            first[f"p{n}"] = {"n": n, "é": [n / 7, None]}
        for n in range(0, 5000, 10):
            del first[f"p{n}"]
        self.assertEqual(await self.node.ask("open", "one", "/shared"), ["open", "one", "peer"])
        self.assertEqual(len(await self.until_equal(first, "one")), 4500)
        await self.node.ask("write", "one", "j", 3000)
        await first.connection.close()
        second = self.open()
        await second.ready()
        self.assertEqual(second.synced, "peer")
        self.assertEqual(len(await self.until_equal(second, "one")), 7500)
        self.assertNotIn("p0", second)
        # What was deleted before it came stays deleted, also for one that still has it.
        await self.node.ask("delete", "one", "p1")
        await self.until_equal(second, "one")

    async def test_rejoin_costs_what_differs(self) -> None:
        """10 keys of 6000 changed while a peer was away: kilobytes, either side the newcomer."""
        here = self.open()
        await here.ready()
        for n in range(6000):
            here[f"k{n}"] = f"value {n}"
        await self.node.ask("open", "one", "/shared")
        await self.until_equal(here, "one")

        offline = self.node.next("status", "one", "offline")
        await self.node.ask("cut", "one")
        await offline
        await self.node.ask("bytes", "one")
        ready = self.node.next("status", "one", "ready")
        for n in range(5):
            here[f"k{n * 1000}"] = "changed here"
            self.node.send("set", "one", f"k{n * 1000 + 1}", "changed there")
        await ready
        everything = await self.until_equal(here, "one")
        self.assertEqual((everything["k0"], everything["k4001"]), ("changed here", "changed there"))
        bytes_both_ways = (await self.node.ask("bytes", "one"))[2]
        self.assertLess(bytes_both_ways, 40_000)

        # The newcomer is Python now, and JavaScript the donor.
        await self.node.ask("bytes", "one")
        statuses: list[str] = []
        here.on("status", statuses.append)
        await self.stop_relay()
        for n in range(5):
            here[f"k{n * 1000 + 2}"] = "changed here again"
            self.node.send("delete", "one", f"k{n * 1000 + 3}")
        await self.start_relay(self.port)
        await self.until(lambda: "ready" in statuses, lambda: statuses)
        everything = await self.until_equal(here, "one")
        self.assertEqual(len(everything), 5995)
        bytes_both_ways = (await self.node.ask("bytes", "one"))[2]
        self.assertLess(bytes_both_ways, 40_000)

    async def stop_relay(self) -> None:
        await self.service.stopService()

    async def test_relay_restarts(self) -> None:
        """All write while there is no relay; all have everything when it is back."""
        here = self.open()
        await self.node.ask("open", "one", "/shared")
        await self.node.ask("open", "two", "/shared")
        await here.ready()
        await self.node.ask("set", "one", "deleted", 1)
        await self.until_equal(here, "one", "two")
        offline = [self.node.next("status", name, "offline") for name in ("one", "two")]
        await self.stop_relay()
        for each in offline:
            await each
        pending = here.set("python", 1)
        taken = self.node.next("set", "one", "javascript")
        self.node.send("set", "one", "javascript", 2)
        self.node.send("delete", "two", "deleted")
        self.node.send("write", "two", "many", 500)
        await self.start_relay(self.port)
        await pending
        await taken
        everything = await self.until_equal(here, "one", "two")
        while len(everything) != 502:
            everything = await self.until_equal(here, "one", "two")
        self.assertNotIn("deleted", everything)

    def open_with(self, *entries: tuple[str, Entry]) -> DistributedMap:
        """A map of Python that has these entries when it comes; tombstones live for an hour."""
        shared = self.open(retention_seconds=HOUR_MS / 1000)
        for key, entry in entries:
            self.assertIsNotNone(shared._replica.merge(key, entry))
        return shared

    def old_entries(self) -> tuple[tuple[str, Entry], tuple[str, Entry], tuple[str, Entry]]:
        """A value that stays, one that was deleted, and its tombstone; all over an hour old."""
        ms = int(reactor.seconds() * 1000) - 2 * HOUR_MS
        kept, deleted = Entry(Stamp(ms, 0, "w"), b"1"), Entry(Stamp(ms, 1, "w"), b"2")
        return ("kept", kept), ("deleted", deleted), ("deleted", Entry(Stamp(ms, 2, "w"), None))

    async def test_a_stale_peer_of_javascript(self) -> None:
        """What was deleted and forgotten while it was away is gone for it too."""
        kept, deleted, tombstone = self.old_entries()
        await self.node.ask("open", "one", "/shared", HOUR_MS / 1000)
        seed = self.open_with(kept, deleted)
        await seed.ready()
        self.assertEqual(await self.until_equal(seed, "one"), {"kept": 1, "deleted": 2})
        offline = self.node.next("status", "one", "offline")
        await self.node.ask("leave", "one")
        await offline
        await seed.connection.close()

        here = self.open_with(kept, tombstone)
        await here.ready()
        self.assertEqual(here.synced, "alone")
        here._replica.gaps.clear()  # as if it were there for over an hour
        here._replica.digest()
        self.assertEqual(list(here._replica.entries), ["kept"], "the tombstone is forgotten")
        told = self.node.next("heard", "one", "delete", "deleted", 2)
        await self.node.ask("return", "one")
        await told
        self.assertEqual(await self.until_equal(here, "one"), {"kept": 1})

    async def test_a_stale_peer_of_python(self) -> None:
        """The same the other way round: JavaScript was told that the delete is forgotten."""
        kept, deleted, tombstone = self.old_entries()
        seed = self.open_with(kept, tombstone)
        await seed.ready()
        seed._replica.gaps.clear()  # as if it were there for over an hour
        seed._replica.digest()
        await self.node.ask("open", "one", "/shared", HOUR_MS / 1000)
        await self.until_equal(seed, "one")
        await seed.connection.close()

        here = self.open_with(kept, deleted)
        self.node.refused = 1
        await here.ready()
        self.assertEqual(await self.until_equal(here, "one"), {"kept": 1})
        # Of the stamp of what was deleted: so it was buried, and its tombstone not known any more.
        buried = here._replica.entries["deleted"]
        self.assertEqual((buried.stamp, buried.value), (deleted[1].stamp, None))

    async def test_hostile_keys_and_values(self) -> None:
        here = self.open()
        await here.ready()
        await self.node.ask("open", "one", "/shared")
        for n, key in enumerate(HOSTILE):
            if n % 2:
                await here.set(key, VALUES)
            else:
                await self.node.ask("set", "one", key, VALUES)
        for n, value in enumerate(VALUES):
            here[f"value {n}"] = value
        everything = await self.until_equal(here, "one")
        self.assertEqual([everything[key] for key in HOSTILE], [VALUES] * len(HOSTILE))
        self.assertEqual([everything[f"value {n}"] for n in range(len(VALUES))], VALUES)
        # Hashes agree, or a newcomer would not find that nothing differs.
        await self.node.ask("bytes", "one")
        self.assertEqual(await self.node.ask("open", "late", "/shared"), ["open", "late", "peer"])
        await self.until_equal(here, "one", "late")
        for n, key in enumerate(HOSTILE):
            if n % 2:
                await self.node.ask("delete", "one", key)
            else:
                await here.delete(key)
        everything = await self.until_equal(here, "one", "late")
        self.assertEqual(len(everything), len(VALUES))

    async def test_the_same_keys_at_the_same_time(self) -> None:
        """Three peers write and delete the same few keys, and connections are cut now and then; all
        choose the same writes.
        """
        here = self.open()
        await here.ready()
        await self.node.ask("open", "one", "/shared")
        await self.node.ask("open", "two", "/shared")
        for n in range(200):
            key = f"k{n % 7}"
            self.node.send("set", "one", key, {"one": n})
            self.node.send("delete" if n % 5 == 0 else "set", "two", key, {"two": n})
            if n % 4 == 0:
                here.delete(key)
            else:
                here[key] = {"here": n}
            if n % 60 == 30:
                self.node.send("cut", "one")
            if n % 10 == 0:
                await deferLater(reactor, 0.002)
        await self.node.ask("set", "one", "end", 1)
        await self.node.ask("set", "two", "end", 2)
        await here.set("end", 3)
        everything = await self.until_equal(here, "one", "two")
        self.assertIn("end", everything)
