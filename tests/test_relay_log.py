"""distmap.relay_log: a line of JSON for each event; and what a relay logs of a connection."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, connect
from distmap.relay_log import json_observer
from tests.support.peers import free_port
from tests.support.processes import fires, twistd, until
from tests.support.sockets import raw_peer, start_relay

reactor: Any = _reactor
SECRET = "wo7Bl8uPhrase"


class JsonLine(TestCase):
    def setUp(self) -> None:
        self.file = StringIO()
        self.log = Logger("a.name", observer=json_observer(self.file))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.getvalue().splitlines(keepends=True)]

    def test_fields(self) -> None:
        self.log.info("{name} has {count} of {what}", name="ü", count=3, what=object, other=1)
        (line,) = self.lines()
        self.assertRegex(line.pop("time"), r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00\Z")
        wanted = {"level": "info", "logger": "a.name", "name": "ü", "count": 3, "what": str(object)}
        self.assertEqual(line, {**wanted, "text": f"ü has 3 of {object}"})

    def test_debug_is_left_out(self) -> None:
        self.log.debug("a")
        self.log.warn("b")
        self.assertEqual([line["level"] for line in self.lines()], ["warn"])

    def test_one_line_each(self) -> None:
        self.log.info("{text}", text="a\nb\u2028c")
        self.assertEqual(self.file.getvalue().count("\n"), 1)
        self.assertEqual(self.lines()[0]["text"], "a\nb\u2028c")

    def test_failure(self) -> None:
        self.log.failure("it broke", Failure(RuntimeError("why")))
        (line,) = self.lines()
        self.assertEqual((line["level"], line["text"]), ("critical", "it broke"))
        self.assertIn("RuntimeError", line["traceback"])

    def test_what_cannot_be_formatted(self) -> None:
        self.log.info("{nothing}")
        self.log.info("{number}", number=float("nan"))
        self.assertEqual([line.get("number") for line in self.lines()], [None, "nan"])


class OfARelay(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.service, self.port = start_relay(self)

    def closed(self) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if str(event.get("log_format")).startswith("{name} closed after")
        ]

    async def test_one_line_a_connection(self) -> None:
        peer = await raw_peer(self, self.port)
        peer.open("/u/channel", {"route": "/u/channel", "version": [1, 0]})
        await until(lambda: len(peer.lines) > 1)
        peer.say_goodbye(1000)
        await peer.lost()
        await until(self.closed)
        (line,) = self.closed()
        self.assertEqual((line["cause"], line["code"], line["maps"]), ("peer", 1000, 1))
        self.assertEqual((line["frames_in"], line["log_level"].name), (1, "info"))
        self.assertGreater(line["bytes_in"], 50)
        self.assertGreater(line["bytes_out"], 50)
        self.assertIn("127.0.0.1:", line["name"])

    async def test_causes(self) -> None:
        lost = await raw_peer(self, self.port)
        await lost.drop()
        await until(lambda: len(self.closed()) == 1)
        wrong = await raw_peer(self, self.port)
        wrong.send(b"junk\n")
        await wrong.closed()
        await wrong.drop()
        await until(lambda: len(self.closed()) == 2)
        told = [(line["cause"], line["code"]) for line in self.closed()]
        self.assertEqual(told, [("lost", 1006), ("protocol", 1002)])

    async def test_no_key_and_no_value(self) -> None:
        """In no line of any level, also of what is refused and of what is nonsense."""
        maps = []
        for _ in range(2):
            connection = connect(reactor, f"ws://127.0.0.1:{self.port}/")
            self.addCleanup(connection.close)
            maps.append(DistributedMap(connection, "/u"))
            await fires(maps[-1].ready())
        await fires(maps[0].set(f"k{SECRET}", {"v": SECRET}))
        await until(lambda: len(maps[1]) == 1)
        await fires(maps[1].delete(f"k{SECRET}"))
        for nonsense in (
            f'["/u/channel","data",{{"event":"set","key":"{SECRET}","value":{SECRET}}}]\n',
            f'["/u/channel","data",["{SECRET}"]]\n',
            f'["late","data",{{"key":"{SECRET}"}}]\n',
            f'["x","new",{{"meta":"{SECRET}"}}]\n',
            f"{SECRET}\n",
        ):
            peer = await raw_peer(self, self.port)
            peer.open("/u/channel", {"route": "/u/channel", "version": [1, 0]})
            peer.send(nonsense.encode())
            peer.send_mux("no", "new", {"meta": "/nowhere", "opts": {"writable": True}})
            await until(lambda: peer.got("no") or peer.close_code)  # noqa: B023
            await peer.drop()
        await until(lambda: len(self.closed()) >= 5)
        for event in self.events:
            self.assertNotIn(SECRET, repr(event).replace("log_source", ""), event["log_format"])


class Process(TestCase):
    """A relay as a process, with its log in JSON."""

    timeout = 60

    async def test_each_line_is_json(self) -> None:
        port = free_port()
        relay = twistd(self, "distmap", "--port", str(port), "--log-format", "json")
        await until(lambda: "listening on" in relay.out)
        peer = await raw_peer(self, port)
        peer.send(b"junk\n")
        await peer.closed()
        await peer.drop()
        await until(lambda: "closed after" in relay.out)
        done = await relay.interrupted()
        lines = [json.loads(line) for line in done.out.splitlines()]
        self.assertTrue(all({"time", "level", "text"} <= line.keys() for line in lines))
        (closed,) = [line for line in lines if "closed after" in line["text"]]
        self.assertEqual((closed["cause"], closed["code"]), ("protocol", 1002))
        self.assertEqual(done.err, "")
