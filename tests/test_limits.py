"""The limits of a relay on sockets: at the edge nothing happens; past it the offender hears which
limit it was, it is counted, and nobody else notices.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import TestCase

from distmap.frames import Limits
from distmap.relay_server import RelayOptions
from distmap.throttle import NO_RATES, Rates
from distmap.websocket_options import WebSocketOptions
from tests.support.processes import until
from tests.support.sockets import CLOSE, PING, PONG, TEXT, RawPeer, frame, raw_peer, start_relay
from tests.test_site import Asking

reactor: Any = _reactor
VERSIONED = {"route": "/u/channel", "version": [1, 0]}
SOCKET = WebSocketOptions()


def part(payload: bytes, opcode: int, *, last: bool, deflated: bool = False) -> bytes:
    """A WebSocket frame of a message in several, or of one that is compressed."""
    head = bytearray(frame(payload, opcode))
    head[0] = opcode | (0x80 if last else 0) | (0x40 if deflated else 0)
    return bytes(head)


class LimitsTestCase(TestCase):
    timeout = 60

    async def start(self, options: RelayOptions) -> RawPeer:
        """Starts a relay; the peer that it returns must notice nothing."""
        self.service, self.port = start_relay(self, options)
        self.counts = self.service.server.counts
        self.bystander = await raw_peer(self, self.port)
        self.bystander.open("by", {"route": "/by/channel", "version": [1, 0]})
        return await raw_peer(self, self.port)

    async def nobody_else_noticed(self) -> None:
        self.bystander.send_mux("by", "data", ["time", 5])
        await until(lambda: self.bystander.got("by", "data") and self.answers(self.bystander))
        self.assertIsNone(self.bystander.close_code)
        self.assertFalse(self.bystander.got("by", "error"))

    def answers(self, peer: RawPeer) -> list[Any]:
        """The times that the relay told."""
        return [each for each in peer.lines if len(each) > 2 and each[2][:1] == ["time"]]

    async def lives(self, peer: RawPeer) -> None:
        """It is open, and what it sent before was taken."""
        peer.send(b"alive", PING)
        await until(lambda: (PONG, b"alive") in peer.frames, what=lambda: peer.frames[-2:])
        self.assertIsNone(peer.close_code)
        peer.frames.clear()

    async def closed(self, peer: RawPeer, code: int, cause: str, *words: str) -> None:
        """It was closed with a code and a reason, and that is counted."""
        self.assertEqual(await peer.closed(), code)
        for word in words:
            self.assertIn(word, peer.close_reason)
        self.assertEqual(self.counts.evictions, {cause: 1})
        peer.say_goodbye(code)
        await peer.lost()
        await self.nobody_else_noticed()

    def refusal(self, peer: RawPeer, stream_id: str) -> dict[str, str]:
        """The error that a stream ended with."""
        (error,) = [each[2] for each in peer.lines if each[:2] == [stream_id, "error"]]
        return dict(error)


class Messages(LimitsTestCase):
    async def test_frame_bytes(self) -> None:
        peer = await self.start(RelayOptions(limits=Limits(frame_bytes=3000)))
        peer.open("a", VERSIONED)
        empty = b'["a","data",{"x":""}]'
        for size in (3000 - 1100, 3000):
            filled = empty.replace(b'""', b'"%b"' % (b"y" * (size - len(empty))))
            peer.send(filled + b"\n")
            await self.lives(peer)
        # That was one for the socket, but too long to be passed on.
        self.assertEqual(self.refusal(peer, "a")["code"], "limit")
        self.assertIn("1976 bytes", self.refusal(peer, "a")["message"])
        self.assertEqual(self.counts.faults, {"limit": 1})
        peer.send(empty.replace(b'""', b'"%b"' % (b"y" * (3001 - len(empty)))) + b"\n")
        await self.closed(peer, 1002, "frame-bytes", "a frame is over 3000 bytes")

    async def test_message_bytes(self) -> None:
        peer = await self.start(RelayOptions(websocket=replace(SOCKET, message_bytes=5000)))
        peer.send(b"\n" * 5000)
        await self.lives(peer)
        peer.send(b"\n" * 5001)
        await self.closed(peer, 1009, "message-bytes", "5000")

    async def test_message_bytes_in_fragments(self) -> None:
        peer = await self.start(RelayOptions(websocket=replace(SOCKET, message_bytes=5000)))
        for size in (2500, 2501):
            peer.transport.write(part(b"\n" * 2500, 1, last=False))
            peer.transport.write(part(b"\n" * size, 0, last=True))
            if size == 2500:
                await self.lives(peer)
        await self.closed(peer, 1009, "message-bytes", "5000")

    async def test_fragments(self) -> None:
        peer = await self.start(RelayOptions(websocket=replace(SOCKET, message_fragments=3)))
        for _ in range(2):
            for opcode, last in ((1, False), (0, False), (0, True)):
                peer.transport.write(part(b"\n", opcode, last=last))
            await self.lives(peer)
        for opcode in (1, 0, 0, 0):
            peer.transport.write(part(b"\n", opcode, last=False))
        await self.closed(peer, 1008, "policy", "more than 3 fragments")

    async def test_a_message_that_trickles(self) -> None:
        """In a frame, in its header, or in fragments."""
        options = RelayOptions(websocket=replace(SOCKET, message_seconds=0.2))
        long = frame(b"\n" * 300)
        for begun in (long[:100], long[:3], part(b"\n", 1, last=False)):
            peer = await self.start(options)
            peer.transport.write(long)
            await self.lives(peer)
            peer.transport.write(begun)
            await self.closed(peer, 1008, "policy", "longer than 0.2 s")

    async def test_compression_is_off(self) -> None:
        peer = await self.start(RelayOptions())
        peer.transport.write(part(b"x", 1, last=True, deflated=True))
        await self.closed(peer, 1002, "protocol", "no extension")


class Compressed(LimitsTestCase):
    OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

    async def open(self, message_bytes: int) -> RawPeer:
        """A peer that may compress what it sends."""
        sockets = replace(SOCKET, message_bytes=message_bytes, compression=True)
        await self.start(RelayOptions(websocket=sockets))
        peer = Offering(self.OFFER)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), peer)
        self.addCleanup(peer.drop)
        await peer.opened()
        self.assertIn(b"permessage-deflate", peer.head)
        return peer

    def deflate(self, text: bytes) -> bytes:
        """As one message of a peer."""
        squeezed = zlib.compressobj(wbits=-15)
        data = squeezed.compress(text) + squeezed.flush(zlib.Z_SYNC_FLUSH)
        return part(data[:-4], 1, last=True, deflated=True)

    async def test_what_is_compressed_arrives(self) -> None:
        peer = await self.open(100_000)
        opening = {"meta": VERSIONED, "opts": {"writable": True, "readable": True}}
        peer.transport.write(self.deflate(json.dumps(["c", "new", opening]).encode() + b"\n"))
        await until(lambda: peer.got("c", "data"))
        peer.send_mux("c", "data", ["time", 1])  # one may also be as it is
        await until(lambda: self.answers(peer))

    async def test_inflated_bytes(self) -> None:
        peer = await self.open(100_000)
        peer.transport.write(self.deflate(b"\n" * 100_000))
        await self.lives(peer)
        bomb = self.deflate(b"\n" * 50_000_000)
        self.assertLess(len(bomb), 100_000)
        peer.transport.write(bomb)
        await self.closed(peer, 1009, "message-bytes", "100000")


class Offering(RawPeer):
    """Adds a line to its request."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line.encode()

    def connectionMade(self) -> None:
        transport = self.transport
        written: list[bytes] = []
        self.transport = type("Written", (), {"write": staticmethod(written.append)})
        super().connectionMade()
        self.transport = transport
        transport.write(written[0][:-2] + self._line + b"\r\n")


class Streams(LimitsTestCase):
    async def refused(self, peer: RawPeer, *words: str) -> None:
        """The stream `over` is refused with the code `limit`, and the connection goes on."""
        await until(lambda: peer.got("over", "close"), what=lambda: peer.lines)
        error = self.refusal(peer, "over")
        self.assertEqual(error["code"], "limit")
        for word in words:
            self.assertIn(word, error["message"])
        self.assertEqual(self.counts.refusals, {"limit": 1})
        await self.lives(peer)
        await self.nobody_else_noticed()

    async def test_streams(self) -> None:
        peer = await self.start(RelayOptions(limits=Limits(streams=3)))
        for name in ("a", "b", "c"):
            peer.open(name, f"/u/proxy/server/{name}")
        await self.lives(peer)
        self.assertEqual(self.counts.refusals, {})
        peer.open("over", "/u/channel")
        await self.refused(peer, "more than 3 streams")
        peer.send_mux("a", "close")
        peer.open("a2", VERSIONED)
        await until(lambda: peer.got("a2", "data"))

    async def test_maps(self) -> None:
        peer = await self.start(RelayOptions(limits=Limits(maps=2)))
        for name in ("/a", "/b"):
            peer.open(name, {"route": f"{name}/channel", "version": [1, 0]})
        peer.open("s", "/u/proxy/server/s")  # no map
        await until(lambda: peer.got("/b", "data"))
        self.assertEqual(self.counts.refusals, {})
        peer.open("over", "/c/channel")
        await self.refused(peer, "more than 2 maps")
        peer.send_mux("/a", "close")
        peer.open("/d", {"route": "/d/channel", "version": [1, 0]})
        await until(lambda: peer.got("/d", "data"))

    async def test_meta_bytes(self) -> None:
        peer = await self.start(RelayOptions(limits=Limits(meta_bytes=60)))
        for name, size in (("edge", 60), ("over", 61)):
            meta = {**VERSIONED, "x": ""}
            meta["x"] = "y" * (size - len(json.dumps(meta, separators=(",", ":"))))
            payload = {"meta": meta, "opts": {"writable": True, "readable": True}}
            line = json.dumps([name, "new", payload], separators=(",", ":"))
            peer.send(line.encode() + b"\n")
        await until(lambda: peer.got("edge", "data"))
        await self.refused(peer, "over 60 bytes")

    async def test_route_bytes(self) -> None:
        peer = await self.start(RelayOptions(limits=Limits(route_bytes=20)))
        peer.open("edge", "/" + "u" * 11 + "/channel")
        await self.lives(peer)
        self.assertIn("/" + "u" * 11, self.service.server.core.hub.channels)
        peer.open("over", "/" + "u" * 12 + "/channel")
        await self.refused(peer, "20 bytes at most")


class RatesOfOne(LimitsTestCase):
    """Who sends too much is read more slowly, and loses nothing."""

    async def check(self, rates: Rates, cause: str, sent: list[bytes], edge: int) -> RawPeer:
        """Sends so many at once, then the rest, which is more than any time can have made up for;
        all are taken in the end.
        """
        peer = await self.start(RelayOptions(rates=rates))
        peer.open("a", {"route": "/a/channel", "version": [1, 0]})
        await until(lambda: peer.got("a", "data"))
        before = self.frames_in()
        peer.transport.write(b"".join(sent[:edge]))
        await until(lambda: self.frames_in() == before + edge)
        self.assertEqual(self.counts.pauses, {})
        peer.transport.write(b"".join(sent[edge:]))
        await until(lambda: self.frames_in() == before + len(sent))
        await until(lambda: self.counts.pauses)
        self.assertEqual(set(self.counts.pauses), {cause})
        await self.lives(peer)
        self.assertEqual((self.counts.evictions, self.counts.faults), ({}, {}))
        await self.nobody_else_noticed()
        return peer

    def frames_in(self) -> int:
        return sum(each.traffic.frames_in for each in self.service.server.connections)

    async def test_frames(self) -> None:
        rates = Rates(0, 100, 0, burst_seconds=1)
        await self.check(rates, "frames", [frame(b'["a","data",{}]\n')] * 200, 90)

    async def test_bytes(self) -> None:
        rates = Rates(10_000, 0, 0, burst_seconds=1)
        data = frame(b'["a","data",{"x":"%b"}]\n' % (b"y" * 970))
        await self.check(rates, "bytes", [data] * 20, 9)

    async def test_joins(self) -> None:
        rates = Rates(0, 0, 50, burst_seconds=0.2)
        peer = RawPeer()
        written: list[bytes] = []
        peer.transport = type("Written", (), {"write": staticmethod(written.append)})
        for at in range(20):
            peer.open(f"/{at}", {"route": f"/{at}/channel", "version": [1, 0]})
        await self.check(rates, "joins", written, 9)
        self.assertEqual(len(self.service.server.core.hub.channels), 22)

    async def test_pings_count_too(self) -> None:
        peer = await self.start(RelayOptions(rates=Rates(0, 100, 0, burst_seconds=1)))
        peer.transport.write(frame(b"x", PING) * 10)
        await until(lambda: self.counts.pauses)
        self.assertEqual(self.counts.pauses, {"frames": 1})
        await self.lives(peer)

    async def test_goodbye_of_one_that_is_not_read(self) -> None:
        """The relay hears the answer to its close at once."""
        peer = await self.start(RelayOptions(rates=Rates(0, 1, 0, burst_seconds=1)))
        peer.transport.write(frame(b'["x","data",{}]\n' * 1000))
        await until(lambda: self.counts.pauses)
        connection = max(self.service.server.connections, key=lambda each: each.traffic.frames_in)
        self.assertTrue(connection.rests)
        connection.close(1012, "")
        await peer.closed()
        peer.say_goodbye(1012)
        await peer.lost()


class Connections(LimitsTestCase):
    async def head(self, path: str = "/") -> bytes:
        """What a peer that wants a WebSocket is answered; it hangs up."""
        peer = await raw_peer(self, self.port, path)
        self.last = peer
        return peer.head

    async def test_in_all(self) -> None:
        first = await self.start(RelayOptions(connections=3, rates=NO_RATES))
        self.assertIn(b" 101 ", await self.head())
        over = await self.head()
        self.assertIn(b" 503 ", over)
        self.assertIn(b"Retry-After: ", over)
        self.assertEqual(self.counts.refusals, {"connections": 1})
        await self.last.drop()
        await first.drop()
        await until(lambda: len(self.service.server.connections) == 2)
        self.assertIn(b" 101 ", await self.head())
        await self.nobody_else_noticed()

    async def test_per_address(self) -> None:
        """Peers of this machine do not count, so here they are said to be elsewhere."""
        self.patch_hosts("192.0.2.7")
        await self.start(RelayOptions(connections_per_address=2))
        self.assertIn(b" 429 ", await self.head())
        self.assertEqual(self.counts.refusals, {"address": 1})
        self.patch_hosts("192.0.2.8")
        self.assertIn(b" 101 ", await self.head())

    async def test_per_ipv6_network(self) -> None:
        self.patch_hosts("2001:db8::1")
        await self.start(RelayOptions(connections_per_address=2))
        self.patch_hosts("2001:db8::ffff")
        self.assertIn(b" 429 ", await self.head())
        self.patch_hosts("2001:db8:0:1::1")
        self.assertIn(b" 101 ", await self.head())

    async def test_this_machine_does_not_count(self) -> None:
        await self.start(RelayOptions(connections_per_address=1))
        self.assertIn(b" 101 ", await self.head())

    def patch_hosts(self, host: str) -> None:
        for module in ("site", "relay"):
            self.patch(__import__(f"distmap.{module}", fromlist=["_"]), "host_of", lambda _: host)

    async def test_before_the_upgrade(self) -> None:
        """Connections that ask for nothing have a limit of their own."""
        await self.start(RelayOptions(connections=2))
        silent = [await self.connect() for _ in range(2)]
        over = await self.connect()
        await until(lambda: over.done)
        self.assertIn(b"HTTP/1.1 503 ", over.data)
        self.assertEqual(self.counts.refusals, {"connections": 1})
        for each in silent:
            each.transport.loseConnection()
        await until(lambda: self.counts.handshake_failures.total() == 2)
        late = await self.connect(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: late.data)
        self.assertIn(b" 200 ", late.data)
        late.transport.loseConnection()
        await until(lambda: late.done)

    async def connect(self, request: bytes = b"") -> Asking:
        """A connection that sends something, or nothing."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        asking: Asking = await connectProtocol(endpoint, Asking(request))
        self.addCleanup(lambda: asking.transport.abortConnection() if not asking.done else None)
        return asking

    async def test_handshake_seconds(self) -> None:
        sockets = replace(SOCKET, handshake_seconds=0.2)
        await self.start(RelayOptions(websocket=sockets))
        request = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        for sent in (b"", request):
            asking = await self.connect(sent)
            await until(lambda: asking.done)  # noqa: B023
            self.assertEqual(asking.data, b"")
        self.assertEqual(self.counts.handshake_failures, {"timeout": 2})
        # A second request on the same connection has its time too.
        asking = await self.connect(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: asking.data)
        asking.transport.write(b"G")
        await until(lambda: asking.done)
        self.assertEqual(self.counts.handshake_failures, {"timeout": 3})

    async def test_header_bytes(self) -> None:
        await self.start(RelayOptions(header_bytes=2000))
        begin = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
        lines = begin.replace(b"\r\n", b"")
        for size, status in ((2000, b" 200 "), (2001, b" 400 ")):
            asking = await self.connect(begin + b"y" * (size - len(lines)) + b"\r\n\r\n")
            await until(lambda: asking.done)  # noqa: B023
            self.assertIn(status, asking.data)

    async def test_bodies_are_not_taken(self) -> None:
        """They would come to lie on the disk."""
        await self.start(RelayOptions())
        for more in ("Content-Length: 1000000000\r\n", "Transfer-Encoding: chunked\r\n"):
            asking = await self.connect(f"POST / HTTP/1.1\r\nHost: a\r\n{more}\r\nabc".encode())
            await until(lambda: asking.done)  # noqa: B023
            self.assertIn(b" 413 ", asking.data)


class Pings(LimitsTestCase):
    async def test_silence(self) -> None:
        peer = await self.start(
            RelayOptions(websocket=replace(SOCKET, ping_seconds=0.1, pong_seconds=0.2))
        )
        for _ in range(3):
            await until(lambda: any(opcode == PING for opcode, _ in peer.frames))
            ((_, payload),) = [each for each in peer.frames if each[0] == PING]
            peer.frames.clear()
            peer.send(payload, PONG)
        await peer.lost()
        await until(lambda: self.counts.evictions["ping"])

    async def test_pings_of_one_that_is_not_read(self) -> None:
        """Its answer waits in the kernel, so it is not dropped for want of one."""
        rates = Rates(0, 1, 0, burst_seconds=1)
        sockets = replace(SOCKET, ping_seconds=0.1, pong_seconds=0.1)
        peer = await self.start(RelayOptions(websocket=sockets, rates=rates))
        peer.transport.write(frame(b'["x","data",{}]\n' * 1000))
        await until(lambda: self.counts.pauses)
        await until(lambda: self.counts.evictions["ping"])  # the bystander, which answers nothing
        connections = self.service.server.connections
        self.assertEqual([each.rests for each in connections], [True])
        self.assertFalse(peer.is_closed)


class Held(LimitsTestCase):
    """Each connection is within its own limits; all together are not."""

    async def start_with(self, held_bytes: int, more: int = 3) -> list[RawPeer]:
        first = await self.start(RelayOptions(held_bytes=held_bytes, rates=NO_RATES))
        return [first] + [await raw_peer(self, self.port) for _ in range(more)]

    @property
    def unfinished_bytes(self) -> int:
        return self.service.server.backlog.unfinished_bytes

    async def begin(self, peer: RawPeer, size_bytes: int) -> None:
        """Sends a part of a frame that never comes whole."""
        before = self.unfinished_bytes
        peer.send(b'["a","data","' + b"x" * (size_bytes - 13))
        await until(lambda: self.unfinished_bytes == before + size_bytes)

    async def test_frames_that_are_not_whole(self) -> None:
        peers = await self.start_with(400_000)
        for peer, size_bytes in zip(peers, (90_000, 110_000, 100_000, 100_000), strict=True):
            await self.begin(peer, size_bytes)
        self.assertEqual(self.counts.evictions, {}, "at the edge")
        peers[0].send(b"x")
        await self.closed(peers[1], 1013, "held", "not whole")
        self.assertEqual(self.unfinished_bytes, 290_001)
        for peer in (peers[0], *peers[2:]):
            await self.lives(peer)
            peer.send(b'"]\n')  # and now it is whole
        await until(lambda: self.unfinished_bytes == 0)

    async def test_messages_that_are_not_whole(self) -> None:
        peers = await self.start_with(200_000, 1)
        for peer in peers:
            peer.transport.write(part(b"[" * 50_000, TEXT, last=False))
            peer.transport.write(part(b"[" * 100_000, 0, last=True)[:-1000])
        await until(lambda: self.counts.evictions)
        self.assertEqual(self.counts.evictions, {"held": 1})
        (left,) = [each for each in self.service.server.connections if each.held_bytes]
        self.assertGreater(left.held_bytes, 149_000)

    async def test_tiny_parts_take_more_than_their_bytes(self) -> None:
        (peer,) = await self.start_with(100_000, 0)
        peer.transport.write(part(b"", TEXT, last=False) + part(b"[" * 1100, 0, last=True)[:-1100])
        for at in range(1000):
            before = self.unfinished_bytes
            peer.transport.write(b"[")
            await until(partial(self.has_more, before))
            self.assertGreater(self.unfinished_bytes, 60 * at)

    def has_more(self, before_bytes: int) -> bool:
        return self.unfinished_bytes > before_bytes

    async def test_queues(self) -> None:
        first, *peers = await self.start_with(1_000_000)
        for peer in (first, *peers):
            peer.open("c", "/chat/channel")
        await until(lambda: self.service.server.core.hub.members == 5)
        for peer in peers:
            peer.stop_reading()
        number = 0
        while not self.counts.evictions:
            number += 1
            first.send_mux("c", "data", "x" * 100_000)
            await until(partial(self.arrived, number))
        self.assertEqual(self.counts.evictions, {"held": 3}, "all had the same")
        self.assertLess(self.service.server.backlog.queued_bytes, 1000, "the word of it")
        for peer in peers:
            peer.read_again()
            await until(partial(peer.got, "c", "error"))
            self.assertEqual(self.refusal(peer, "c")["code"], "slow")
        await self.nobody_else_noticed()

    def arrived(self, number: int) -> bool:
        """Whether the relay has passed on so many writes, or thrown them away."""
        traffic = self.counts.traffic(each.traffic for each in self.service.server.connections)
        return traffic.bytes_in > number * 100_000 or bool(self.counts.evictions)


class Goodbyes(LimitsTestCase):
    async def test_close_codes_have_causes(self) -> None:
        for send, code, cause in (
            (frame(b"x", 2), 1003, "binary"),
            (frame(b"\xff"), 1007, "encoding"),
            (frame(b"x", masked=False), 1002, "protocol"),
        ):
            peer = await self.start(RelayOptions())
            peer.transport.write(send)
            await self.closed(peer, code, cause)

    async def test_a_goodbye_is_no_eviction(self) -> None:
        peer = await self.start(RelayOptions())
        peer.send(struct.pack("!H", 1000), CLOSE)
        await peer.lost()
        await until(lambda: len(self.service.server.connections) == 1)
        self.assertEqual(self.counts.evictions, {})
