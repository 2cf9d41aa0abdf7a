"""MuxDemux against the living reference: npm's mux-demux in a real Node process, over TCP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from distmap.frames import DEFAULT_LIMITS, Limits, encode_json
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxEvent, MuxStream, State

JS = Path(__file__).resolve().parent / "js"
reactor: Any = global_reactor

ALL_JSON: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e300, 2**53 - 1, -(2**53) + 1),
    *("", "text", "line\nbreak", "\u2028\u2029\u0085", "🍎", "é", '"]\n["', "\x00\x7f", "\\"),
    *([], [[1], []], {}, {"k": {"n": [None]}}, {"": 0, "constructor": 2}),
]

Report = dict[str, Any]


class Journal:
    """What one side reported, in order; each report is waited for once."""

    def __init__(self) -> None:
        self.all: list[Report] = []
        self._unread: list[Report] = []
        self._waiting: list[tuple[Report, Deferred[Report]]] = []
        self._over: Failure | None = None

    def write(self, report: Report) -> None:
        self.all.append(report)
        for index, (wanted, waiter) in enumerate(self._waiting):
            if self._matches(wanted, report):
                del self._waiting[index]
                waiter.callback(report)
                return
        self._unread.append(report)

    def end(self, reason: Failure) -> None:
        """Nothing more will come: who waits, waits in vain."""
        self._over = reason
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            waiter.errback(reason)

    def next(self, event: object, stream: MuxStream | str | None = None) -> Deferred[Report]:
        """The first report of this kind that nobody has waited for, come or yet to come."""
        wanted: Report = {"event": event}
        if stream is not None:
            wanted["stream"] = stream if isinstance(stream, str) else stream.id
        waiter: Deferred[Report] = Deferred()
        for index, report in enumerate(self._unread):
            if self._matches(wanted, report):
                del self._unread[index]
                waiter.callback(report)
                return waiter
        if self._over is not None:
            waiter.errback(self._over)
        else:
            self._waiting.append((wanted, waiter))
        return waiter

    def events(self, stream: MuxStream | str) -> list[Any]:
        """All that was reported about one stream, by its kind."""
        return [report["event"] for report in self._about(stream)]

    def values(self, stream: MuxStream | str) -> list[Any]:
        """The data that came on one stream."""
        return [report["value"] for report in self._about(stream) if "value" in report]

    def _about(self, stream: MuxStream | str) -> list[Report]:
        stream_id = stream if isinstance(stream, str) else stream.id
        return [report for report in self.all if report.get("stream") == stream_id]

    @staticmethod
    def _matches(wanted: Report, report: Report) -> bool:
        return all(report.get(key) == value for key, value in wanted.items())


class Node(ProcessProtocol):
    """The process of tests/js/mux_peer.js."""

    transport: Any

    def __init__(self) -> None:
        self.journal = Journal()
        self.gone: Deferred[None] = Deferred()
        self._partial = b""
        self.complaints = b""

    def do(self, command: str, stream: MuxStream | str = "", **fields: Any) -> None:
        stream_id = stream if isinstance(stream, str) else stream.id
        line = encode_json({"do": command, "stream": stream_id, **fields}) + b"\n"
        self.transport.write(line)

    def outReceived(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self.journal.write(json.loads(line))

    def errReceived(self, data: bytes) -> None:
        self.complaints += data

    def processEnded(self, reason: Failure) -> None:
        self.journal.end(Failure(AssertionError(f"node ended: {self.complaints.decode()}")))
        self.gone.callback(None)

    async def stop(self) -> None:
        if not self.gone.called:
            self.transport.signalProcess("KILL")
        await self.gone


class Peer(Protocol):
    """Our side: a MuxDemux on a TCP connection, and a journal of its events."""

    transport: Any

    def __init__(self, limits: Limits, connected: Deferred[Peer]) -> None:
        self.mux = MuxDemux(limits, id_prefix="ours")
        self.journal = Journal()
        self.gone: Deferred[None] = Deferred()
        self._connected = connected

    def write(self, data: bytes = b"") -> None:
        self.transport.write(b"".join(self.mux.take()) + data)

    def note(self, events: list[MuxEvent]) -> None:
        for kind, stream, detail in events:
            report: Report = {"event": kind, "stream": stream and stream.id, "detail": detail}
            if kind is Kind.DATA:
                report["value"] = json.loads(bytes(detail))
            elif kind is Kind.UNKNOWN:
                report["stream"] = detail[0]
            self.journal.write(report)
        self.write()

    def open(self, meta: Any = "m", **options: Any) -> MuxStream:
        stream = self.mux.open(meta, **options)
        self.write()
        return stream

    def send(self, stream: MuxStream, *values: Any) -> None:
        for value in values:
            self.mux.send(stream, encode_json(value))
        self.write()

    def end(self, stream: MuxStream) -> None:
        self.note(self.mux.end(stream))

    def connectionMade(self) -> None:
        self._connected.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.note(self.mux.receive(data))

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.note(self.mux.disconnect())
        self.gone.callback(None)


class PeerFactory(Factory):
    """Makes one peer, and tells when it is connected."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connected: Deferred[Peer] = Deferred()

    def buildProtocol(self, address: IAddress | None) -> Peer:
        return Peer(self.limits, self.connected)


class NpmCase(TestCase):
    """A Node process and our side, connected by TCP."""

    timeout = 10
    node_does: str

    def setUp(self) -> None:
        self.executable = shutil.which("node")
        if self.executable is None:
            raise SkipTest("node is not installed: no tests against npm's mux-demux")
        if not (JS / "node_modules" / "mux-demux").is_dir():
            raise SkipTest("npm's mux-demux is not installed: run `npm ci` in tests/js")

    async def connect(self, limits: Limits = DEFAULT_LIMITS, *arguments: str) -> tuple[Node, Peer]:
        """Starts Node and connects it with our side, whoever of the two listens."""
        node, factory = Node(), PeerFactory(limits)
        if self.node_does == "listen":
            self.start(node, "listen", *arguments)
            port = (await node.journal.next("listening"))["port"]
            await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
        else:
            server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
            listening: Any = await server.listen(factory)
            self.addCleanup(listening.stopListening)
            self.start(node, "connect", str(listening.getHost().port), *arguments)
        peer = await factory.connected
        await node.journal.next("connected")
        self.addCleanup(lambda: peer.gone)
        self.addCleanup(peer.transport.abortConnection)
        return node, peer

    def assert_content(self, node: Node) -> None:
        """Node met nothing that it did not expect."""
        self.assertEqual(node.complaints.decode(), "")
        self.assertNotIn("broken", [report["event"] for report in node.journal.all])

    def start(self, node: Node, *arguments: str) -> None:
        reactor.spawnProcess(
            node,
            self.executable,
            ["node", str(JS / "mux_peer.js"), *arguments],
            env=None,
        )
        self.addCleanup(self.assert_content, node)
        self.addCleanup(node.stop)

    async def node_opens(self, node: Node, peer: Peer, kind: str, **how: Any) -> MuxStream:
        """Has Node open a stream; returns our end of it."""
        node.do("open", kind=kind, **how)
        stream_id = (await node.journal.next("opened"))["stream"]
        await peer.journal.next(Kind.OPENED, stream_id)
        return peer.mux.streams[stream_id]

    async def round_trip(self, node: Node, peer: Peer) -> None:
        """Comes back when all that either side had sent before has arrived."""
        stream = peer.open("round trip")
        await node.journal.next("stream", stream)
        node.do("end", stream)
        await peer.journal.next(Kind.CLOSED, stream)
        await node.journal.next("close", stream)

    async def talk(self, node: Node, peer: Peer, stream: MuxStream) -> None:
        """Sends a value each way on a stream."""
        peer.send(stream, "to node")
        self.assertEqual((await node.journal.next("data", stream))["value"], "to node")
        node.do("write", stream, values=["from node"])
        self.assertEqual((await peer.journal.next(Kind.DATA, stream))["value"], "from node")

    async def is_closed(self, node: Node, peer: Peer, stream: MuxStream) -> None:
        """Waits until both sides are done with a stream, and have been told so as they should."""
        await node.journal.next("close", stream)
        await peer.journal.next(Kind.CLOSED, stream)
        await self.round_trip(node, peer)
        self.assertIs(stream.state, State.CLOSED)
        self.assertNotIn(stream.id, peer.mux.streams)
        self.assertEqual(peer.journal.events(stream).count(Kind.CLOSED), 1)
        self.assertNotIn(Kind.UNKNOWN, peer.journal.events(stream))


class NodeListensTests(NpmCase):
    """Node is the server, Twisted the client."""

    node_does = "listen"

    # -- data ------------------------------------------------------------------------------------

    async def test_our_stream(self) -> None:
        node, peer = await self.connect()
        stream = peer.open({"k": ["🍎"]})
        report = await node.journal.next("stream", stream)
        self.assertEqual(report["meta"], {"k": ["🍎"]})
        self.assertEqual((report["readable"], report["writable"]), (True, True))
        await self.carries_all_json_both_ways(node, peer, stream)

    async def test_nodes_stream(self) -> None:
        node, peer = await self.connect()
        stream = await self.node_opens(node, peer, "createStream", meta={"k": ["🍎"]})
        self.assertEqual(stream.meta, {"k": ["🍎"]})
        self.assertIs(stream.state, State.OPEN)
        await self.carries_all_json_both_ways(node, peer, stream)

    async def carries_all_json_both_ways(self, node: Node, peer: Peer, stream: MuxStream) -> None:
        peer.send(stream, *ALL_JSON)
        node.do("write", stream, values=ALL_JSON)
        peer.send(stream, "last")
        node.do("write", stream, values=["last"])
        while (await node.journal.next("data", stream))["value"] != "last":
            pass
        while (await peer.journal.next(Kind.DATA, stream))["value"] != "last":
            pass
        self.assertEqual(node.journal.values(stream), [*ALL_JSON, "last"])
        self.assertEqual(peer.journal.values(stream), [*ALL_JSON, "last"])
        self.assertEqual(
            list(map(type, peer.journal.values(stream))), list(map(type, [*ALL_JSON, "last"]))
        )

    async def test_a_message_of_many_segments(self) -> None:
        node, peer = await self.connect()
        stream = peer.open()
        large = "🍎é" * 60_000
        peer.send(stream, large)
        self.assertEqual((await node.journal.next("data", stream))["value"], large)
        node.do("write", stream, values=[large])
        self.assertEqual((await peer.journal.next(Kind.DATA, stream))["value"], large)

    async def test_many_streams_at_one_time(self) -> None:
        node, peer = await self.connect()
        ours = [peer.open(number) for number in range(20)]
        theirs = [await self.node_opens(node, peer, "createStream") for _ in range(20)]
        for stream in ours:
            await node.journal.next("stream", stream)
        numbers = list(range(10))
        for number in numbers:
            for stream in ours + theirs:
                peer.send(stream, number)
                node.do("write", stream, values=[number])
        await self.round_trip(node, peer)
        for stream in ours + theirs:
            self.assertEqual(node.journal.values(stream), numbers)
            self.assertEqual(peer.journal.values(stream), numbers)

    # -- one way ---------------------------------------------------------------------------------

    async def test_our_write_only_stream(self) -> None:
        node, peer = await self.connect()
        stream = peer.open(readable=False)
        report = await node.journal.next("stream", stream)
        self.assertEqual((report["readable"], report["writable"]), (True, False))
        peer.send(stream, 1, 2)
        peer.end(stream)
        await self.is_closed(node, peer, stream)
        self.assertEqual(node.journal.values(stream), [1, 2])
        self.assertEqual(
            node.journal.events(stream)[:5], ["stream", "data", "data", "end", "close"]
        )

    async def test_our_read_only_stream(self) -> None:
        node, peer = await self.connect()
        stream = peer.open(writable=False)
        report = await node.journal.next("stream", stream)
        self.assertEqual((report["readable"], report["writable"]), (False, True))
        node.do("write", stream, values=[1, 2])
        node.do("end", stream)
        await self.is_closed(node, peer, stream)
        self.assertEqual(peer.journal.values(stream), [1, 2])
        self.assertEqual(peer.journal.events(stream)[-2:], [Kind.ENDED, Kind.CLOSED])

    async def test_nodes_write_only_streams(self) -> None:
        node, peer = await self.connect()
        for kind, how in (
            ("createWriteStream", {"meta": "m"}),
            ("createWriteStream", {}),
            ("createStream", {"opts": {"writable": True}}),
        ):
            stream = await self.node_opens(node, peer, kind, **how)
            self.assertEqual(stream.meta, how.get("meta"))
            self.assertIs(stream.state, State.RECEIVING)
            node.do("write", stream, values=[1, 2])
            node.do("end", stream)
            await self.is_closed(node, peer, stream)
            self.assertEqual(peer.journal.values(stream), [1, 2])
            self.assertEqual(peer.journal.events(stream)[-2:], [Kind.ENDED, Kind.CLOSED])

    async def test_nodes_read_only_streams(self) -> None:
        node, peer = await self.connect()
        for kind, how in (
            ("createReadStream", {"meta": "m"}),
            ("createStream", {"opts": {"readable": True}}),
        ):
            stream = await self.node_opens(node, peer, kind, **how)
            self.assertIs(stream.state, State.SENDING)
            peer.send(stream, 1, 2)
            peer.end(stream)
            await self.is_closed(node, peer, stream)
            self.assertEqual(node.journal.values(stream), [1, 2])
            self.assertIn("end", node.journal.events(stream))

    async def test_node_lets_go_of_what_it_reads(self) -> None:
        node, peer = await self.connect()
        stream = await self.node_opens(node, peer, "createReadStream")
        peer.send(stream, 1)
        await node.journal.next("data", stream)
        node.do("end", stream)
        await self.is_closed(node, peer, stream)
        self.assertEqual(peer.journal.events(stream), [Kind.OPENED, Kind.CLOSED])
        self.assertNotIn("error", node.journal.events(stream))

    # -- the ends of streams ---------------------------------------------------------------------

    async def test_our_end_ends_both_sides(self) -> None:
        node, peer = await self.connect()
        for stream in (peer.open(), await self.node_opens(node, peer, "createStream")):
            await self.talk(node, peer, stream)
            peer.end(stream)
            await self.is_closed(node, peer, stream)
            self.assertEqual(peer.journal.events(stream)[-1], Kind.CLOSED)
            self.assertNotIn(Kind.ENDED, peer.journal.events(stream))
            self.assertIn("end", node.journal.events(stream))

    async def test_nodes_end_ends_both_sides(self) -> None:
        node, peer = await self.connect()
        for stream in (peer.open(), await self.node_opens(node, peer, "createStream")):
            await self.talk(node, peer, stream)
            node.do("end", stream)
            await self.is_closed(node, peer, stream)
            self.assertEqual(peer.journal.events(stream)[-2:], [Kind.ENDED, Kind.CLOSED])

    async def test_our_half_open_stream_that_we_end_first(self) -> None:
        node, peer = await self.connect()
        stream = peer.open(half_open=True)
        await self.talk(node, peer, stream)
        peer.end(stream)
        await node.journal.next("end", stream)
        node.do("write", stream, values=["late"])
        self.assertEqual((await peer.journal.next(Kind.DATA, stream))["value"], "late")
        self.assertIs(stream.state, State.RECEIVING)
        node.do("end", stream)
        await self.is_closed(node, peer, stream)

    async def test_our_half_open_stream_that_node_ends_first(self) -> None:
        node, peer = await self.connect()
        stream = peer.open(half_open=True)
        await self.talk(node, peer, stream)
        node.do("end", stream)
        await peer.journal.next(Kind.ENDED, stream)
        self.assertIs(stream.state, State.SENDING)
        peer.send(stream, "late")
        self.assertEqual((await node.journal.next("data", stream))["value"], "late")
        peer.end(stream)
        await self.is_closed(node, peer, stream)

    async def test_nodes_half_open_stream_is_not_told_to_be_one(self) -> None:
        # npm keeps allowHalfOpen to itself when it opens, so that its end ends our side too.
        node, peer = await self.connect()
        stream = await self.node_opens(node, peer, "createStream", opts={"allowHalfOpen": True})
        self.assertFalse(stream.half_open)
        await self.talk(node, peer, stream)
        node.do("end", stream)
        await self.is_closed(node, peer, stream)
        self.assertEqual(peer.journal.events(stream)[-2:], [Kind.ENDED, Kind.CLOSED])
        self.assertIn("end", node.journal.events(stream))

    async def test_close(self) -> None:
        node, peer = await self.connect()
        stream = peer.open()
        await self.talk(node, peer, stream)
        peer.note(peer.mux.close(stream))
        await self.is_closed(node, peer, stream)
        stream = peer.open()
        await self.talk(node, peer, stream)
        node.do("destroy", stream)
        await self.is_closed(node, peer, stream)
        self.assertNotIn(Kind.ENDED, peer.journal.events(stream))

    # -- errors ----------------------------------------------------------------------------------

    async def test_our_error(self) -> None:
        node, peer = await self.connect()
        stream = peer.open()
        await self.talk(node, peer, stream)
        peer.note(peer.mux.error(stream, "no such route 🍎", "unknown-route"))
        report = await node.journal.next("error", stream)
        self.assertEqual((report["message"], report["code"]), ("no such route 🍎", "unknown-route"))
        await self.is_closed(node, peer, stream)

    async def test_nodes_errors(self) -> None:
        node, peer = await self.connect()
        for command, fields, detail in (
            ("error", {"error": "lost 🍎"}, ("lost 🍎", "error")),
            ("error", {"error": {"message": "lost"}}, ("lost", "error")),
            ("error", {"error": {"message": "lost", "code": "gone"}}, ("lost", "gone")),
            # JSON.stringify drops the message of an Error, so npm does.
            ("throw", {"message": "lost", "fields": {"code": "gone"}}, ("", "gone")),
            ("throw", {"message": "lost", "fields": {}}, ("", "error")),
        ):
            stream = await self.node_opens(node, peer, "createStream")
            await self.talk(node, peer, stream)
            node.do(command, stream, **fields)
            report = await peer.journal.next(Kind.ERROR, stream)
            self.assertEqual(report["detail"], detail)
            await self.is_closed(node, peer, stream)
            self.assertNotIn("error", node.journal.events(stream), "nobody wants it back")

    async def test_nodes_error_of_nothing(self) -> None:
        node, peer = await self.connect()
        stream = await self.node_opens(node, peer, "createStream")
        node.do("error", stream)
        report = await peer.journal.next(Kind.ERROR, stream)
        self.assertEqual(report["detail"][1], "protocol")
        await self.is_closed(node, peer, stream)

    # -- flow ------------------------------------------------------------------------------------

    async def test_our_pause_stops_node(self) -> None:
        node, peer = await self.connect()
        stream = await self.node_opens(node, peer, "createStream")
        limit = 1_000_000
        node.do("count", stream, to=limit)
        await peer.journal.next(Kind.DATA, stream)
        peer.mux.pause(stream)
        peer.write()
        written = (await node.journal.next("stopped", stream))["written"]
        self.assertLess(written, limit)
        for _ in range(3):
            await self.round_trip(node, peer)
            self.assertEqual(peer.journal.values(stream), list(range(written)))
        peer.mux.resume(stream)
        peer.write()
        await node.journal.next("drain", stream)
        while (await peer.journal.next(Kind.DATA, stream))["value"] <= written:
            pass
        values = peer.journal.values(stream)
        self.assertEqual(values, list(range(len(values))))

    async def test_nodes_pause_is_told(self) -> None:
        node, peer = await self.connect()
        for stream in (peer.open(), await self.node_opens(node, peer, "createReadStream")):
            peer.send(stream, 1)
            await node.journal.next("data", stream)
            for _ in range(2):
                node.do("pause", stream)
                await peer.journal.next(Kind.PAUSED, stream)
                self.assertTrue(stream.send_paused)
                node.do("resume", stream)
                await peer.journal.next(Kind.RESUMED, stream)
                self.assertFalse(stream.send_paused)

    # -- the whole connection --------------------------------------------------------------------

    async def test_what_is_for_no_stream(self) -> None:
        node, peer = await self.connect()
        other = peer.open()
        peer.write(b'["nope","data",1]\n["nope","close"]\n')
        await node.journal.next("unknown", "nope")
        stream = peer.open()
        await self.talk(node, peer, stream)
        peer.note(peer.mux.close(stream))
        await node.journal.next("close", stream)
        node.do("write", stream, values=[1])
        report = await peer.journal.next(Kind.UNKNOWN, stream)
        self.assertEqual(report["detail"], (stream.id, "data"))
        await self.talk(node, peer, other)
        self.assertEqual(node.journal.events("nope"), ["unknown"])

    async def test_node_without_a_listener(self) -> None:
        node, peer = await self.connect(DEFAULT_LIMITS, "deaf")
        stream = peer.open()
        report = await peer.journal.next(Kind.ERROR, stream)
        self.assertIn("lacks connection listener", report["detail"][0])
        await peer.journal.next(Kind.CLOSED, stream)
        # It can open streams itself all the same.
        await self.talk(node, peer, await self.node_opens(node, peer, "createStream"))

    async def test_what_we_refuse(self) -> None:
        node, peer = await self.connect(Limits(streams=2, meta_bytes=10))
        kept = await self.node_opens(node, peer, "createStream")
        await self.is_refused(node, "limit", meta="x" * 9)
        second = peer.open()
        await self.is_refused(node, "limit")
        peer.end(second)
        await self.is_closed(node, peer, second)
        peer.mux.closing = True
        await self.is_refused(node, "closing")
        await self.talk(node, peer, kept)
        self.assertEqual(peer.mux.streams, {kept.id: kept})

    async def is_refused(self, node: Node, code: str, **how: Any) -> None:
        node.do("open", kind="createStream", **how)
        stream_id = (await node.journal.next("opened"))["stream"]
        self.assertEqual((await node.journal.next("error", stream_id))["code"], code)
        await node.journal.next("close", stream_id)

    async def test_node_closes_when_the_streams_have_ended(self) -> None:
        node, peer = await self.connect()
        ours, theirs = peer.open(), await self.node_opens(node, peer, "createStream")
        node.do("close")
        await self.talk(node, peer, ours)
        peer.end(ours)
        await self.is_closed(node, peer, ours)
        await self.talk(node, peer, theirs)
        self.assertNotIn("closed", [report["event"] for report in node.journal.all])
        node.do("end", theirs)
        await node.journal.next("closed")
        await peer.gone
        self.assertEqual(peer.journal.events(theirs)[-2:], [Kind.ENDED, Kind.CLOSED])

    async def test_node_goes_away(self) -> None:
        node, peer = await self.connect()
        streams = [peer.open(), await self.node_opens(node, peer, "createStream")]
        for stream in streams:
            await self.talk(node, peer, stream)
        await node.stop()
        await peer.gone
        for stream in streams:
            self.assertEqual(peer.journal.events(stream)[-1], Kind.CLOSED)
            self.assertEqual(peer.journal.events(stream).count(Kind.CLOSED), 1)
            self.assertIs(stream.state, State.CLOSED)

    async def test_we_go_away(self) -> None:
        node, peer = await self.connect()
        streams = [peer.open(), await self.node_opens(node, peer, "createStream")]
        for stream in streams:
            await self.talk(node, peer, stream)
        peer.transport.loseConnection()
        await peer.gone
        await node.journal.next("disconnected")
        for stream in streams:
            await node.journal.next("close", stream)
            self.assertEqual(peer.journal.events(stream).count(Kind.CLOSED), 1)


class NodeConnectsTests(NodeListensTests):
    """Node is the client, Twisted the server."""

    node_does = "connect"
