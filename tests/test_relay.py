"""distmap.relay: a real relay process, raw sockets at a relay in this one, and embedding."""

from __future__ import annotations

import gc
import signal
import socket
import warnings
from collections.abc import Sized
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    serverFromString,
)
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import TestCase

from distmap import DistributedMap, WebSocketOptions, connect
from distmap.clock import MIN_TIME_MS
from distmap.frames import Limits
from distmap.relay import CannotListen, RelayOptions, RelayService, _name
from tests.support.authorizers import Scripted
from tests.support.certificates import make_certificate
from tests.support.peers import RelayProcess
from tests.support.processes import folder, relay, twistd, until
from tests.support.sockets import (
    BINARY,
    CLOSE,
    PING,
    RawPeer,
    frame,
    raw_peer,
    start_relay,
)


def taken_port(test: TestCase) -> int:
    """A port that somebody listens on."""
    listener = socket.create_server(("127.0.0.1", 0))
    test.addCleanup(listener.close)
    return int(listener.getsockname()[1])


class RelayProcesses(TestCase):
    """`twistd -n distmap`."""

    timeout = 60

    async def test_port_is_taken(self) -> None:
        port = taken_port(self)
        pidfile = folder(self) / "twistd.pid"
        done = await twistd(self, f"--pidfile={pidfile}", "distmap", "--port", str(port)).finished()
        self.assertEqual(done.code, 1, done)
        lines = [line for line in (done.out + done.err).splitlines() if "distmap:" in line]
        self.assertEqual(len(lines), 1, done)
        self.assertIn(f"distmap: Couldn't listen on 127.0.0.1:{port}: ", lines[0])
        self.assertNotIn("Traceback", done.out + done.err)
        self.assertFalse(pidfile.exists())

    async def stop(self, number: int) -> None:
        process = await relay(self)
        peers = [await raw_peer(self, process.port) for _ in range(3)]
        peers[0].open("c", "/fruits/channel")
        process.signal(number)
        for peer in peers:
            self.assertEqual(await peer.closed(), 1012)
            self.assertRegex(peer.close_reason, r"^the relay is going down; retry_ms=[0-9]{4}$")
            self.assertEqual(peer.frames[-1][0], CLOSE, "frames after the close")
            peer.say_goodbye(1012)
            await peer.lost()
        await until(lambda: process.done)
        self.assertIn("Server Shut Down", process.lines[-1])
        self.assert_clean(process)
        # The port can be bound at once, although its connections have just been closed.
        again = await relay(self, port=process.port)
        self.assertEqual(again.port, process.port)

    def assert_clean(self, process: RelayProcess) -> None:
        text = "\n".join(process.lines) + process.errors.decode()
        for word in ("Traceback", "Unhandled", "ResourceWarning", "DeprecationWarning", "defect"):
            self.assertNotIn(word, text)

    async def test_terminated(self) -> None:
        await self.stop(signal.SIGTERM)

    async def test_interrupted(self) -> None:
        await self.stop(signal.SIGINT)

    async def test_terminated_with_a_peer_that_does_not_answer(self) -> None:
        process = await relay(self)
        peer = await raw_peer(self, process.port)
        process.signal(signal.SIGTERM)
        await peer.closed()
        await peer.lost()
        await until(lambda: process.done)
        self.assert_clean(process)

    async def test_terminated_with_a_peer_that_does_not_read(self) -> None:
        process = await relay(self)
        peer, other = await raw_peer(self, process.port), await raw_peer(self, process.port)
        peer.stop_reading()
        other.open("c", "/fruits/channel")
        process.signal(signal.SIGTERM)
        await until(lambda: process.done)
        peer.read_again()
        self.assert_clean(process)

    async def test_log(self) -> None:
        process = await relay(self, "--log")
        peer = await raw_peer(self, process.port)
        name = f"127.0.0.1:{peer.transport.getHost().port}"
        peer.open("c", "/fruits/channel")
        await self.logged(process, f"{name} opened /fruits/channel")
        peer.send_mux("c", "close")
        await self.logged(process, f"{name} closed /fruits/channel")
        peer.open("x", "/no-such-route")
        await self.logged(process, "refused: route /no-such-route, code unknown-route")

    async def test_without_log(self) -> None:
        process = await relay(self)
        peer = await raw_peer(self, process.port)
        peer.open("c", "/fruits/channel")
        peer.open("x", "/no-such-route")
        await self.logged(process, "refused: route /no-such-route, code unknown-route")
        self.assertFalse([line for line in process.lines if "opened" in line])
        await until(lambda: peer.got("x", "error"))
        (error,) = [line[2] for line in peer.lines if line[:2] == ["x", "error"]]
        self.assertEqual(error["code"], "unknown-route")

    async def logged(self, process: RelayProcess, *words: str) -> None:
        """Waits for a line with all these words."""
        await until(
            lambda: any(all(word in line for word in words) for line in process.lines),
            what=lambda: process.lines,
        )


class Endings(TestCase):
    """What becomes of a peer that breaks the rules, and of the others."""

    timeout = 60

    async def peers(self, options: RelayOptions | None = None) -> tuple[RawPeer, RawPeer]:
        """Two peers of a relay in this process, both in one channel."""
        self.service, self.port = start_relay(self, options)
        bad, good = await raw_peer(self, self.port), await raw_peer(self, self.port)
        for peer in (bad, good):
            peer.open("c", "/chat/channel")
        await until(lambda: self.members == 2)
        return bad, good

    @property
    def members(self) -> int:
        return self.service.server.core.hub.members

    async def ends_with(self, code: int, bad: RawPeer, good: RawPeer) -> None:
        """The bad peer is closed with a code; the good one is as before."""
        self.assertEqual(await bad.closed(), code)
        await until(lambda: self.members == 1)
        good.send_mux("c", "data", "still here")
        bad.say_goodbye(code)
        await bad.lost()
        self.assertEqual(bad.frames[-1][0], CLOSE, "frames after the close")
        late = await raw_peer(self, self.port)
        late.open("c", "/chat/channel")
        await until(lambda: self.members == 2)
        good.send_mux("c", "data", "hello")
        await until(lambda: late.got("c", "data", "hello"))

    async def test_binary_message(self) -> None:
        bad, good = await self.peers()
        bad.send(b"\x00", BINARY)
        await self.ends_with(1003, bad, good)

    async def test_no_mux_frame(self) -> None:
        bad, good = await self.peers()
        bad.send(b"hello\n")
        await self.ends_with(1002, bad, good)
        self.assertIn("a frame is malformed", bad.close_reason)

    async def test_no_websocket_frame(self) -> None:
        bad, good = await self.peers()
        bad.transport.write(frame(b"x", masked=False))
        await self.ends_with(1002, bad, good)

    async def test_no_text(self) -> None:
        bad, good = await self.peers()
        bad.send(b'["c","data","\xff"]\n')
        await self.ends_with(1007, bad, good)

    async def test_message_is_too_large(self) -> None:
        bad, good = await self.peers(RelayOptions(websocket=WebSocketOptions(message_bytes=10_000)))
        bad.send(b'["c","data","%b"]\n' % (b"x" * 10_000))
        await self.ends_with(1009, bad, good)

    async def test_frame_is_too_large(self) -> None:
        bad, good = await self.peers(RelayOptions(limits=Limits(frame_bytes=10_000)))
        bad.send(b'["c","data","%b"]\n' % (b"x" * 10_000))
        await self.ends_with(1002, bad, good)
        self.assertIn("10000 bytes", bad.close_reason)

    async def test_close_frame_is_not_answered(self) -> None:
        bad, _ = await self.peers(RelayOptions(websocket=WebSocketOptions(close_seconds=0.2)))
        bad.send(b"hello\n")
        self.assertEqual(await bad.closed(), 1002)
        await bad.lost()
        self.assertEqual(len(self.service.server.connections), 1)

    async def test_what_comes_behind_a_fault_is_not_taken(self) -> None:
        bad, good = await self.peers()
        bad.send(b"hello\n")
        bad.send_mux("c", "data", "late")
        await self.ends_with(1002, bad, good)
        self.assertFalse(good.got("c", "data", "late"))

    async def test_silent_peer(self) -> None:
        options = WebSocketOptions(ping_seconds=0.2, pong_seconds=0.2)
        bad, _ = await self.peers(RelayOptions(websocket=options))
        await until(lambda: any(opcode == PING for opcode, _ in bad.frames))
        await bad.lost()
        await until(lambda: not self.members)

    async def test_silent_in_the_handshake(self) -> None:
        """A connection that never becomes a WebSocket."""
        bad, good = await self.peers()
        self.assertEqual(len(self.service.server.connections), 2)
        half = socket.create_connection(("127.0.0.1", self.port))
        self.addCleanup(half.close)
        half.sendall(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n")
        good.send_mux("c", "data", "hello")
        await until(lambda: bad.got("c", "data", "hello"))
        self.assertEqual(len(self.service.server.connections), 2)


class SlowTestCase(TestCase):
    """A relay whose buffers are small."""

    timeout = 120
    queue_bytes = 300_000

    async def start(self, **options: Any) -> None:
        options = {"queue_bytes": self.queue_bytes, "stall_seconds": 60, **options}
        self.service, self.port = start_relay(
            self, RelayOptions(**options), endpoint=self.endpoint()
        )
        # Small buffers in the kernel, and packets that fit them: those of loopback would not.
        listening: Any = self.service.port
        listening.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        listening.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        self.largest = 0

    def measure(self) -> None:
        """Notes what the relay holds for the connection that it holds most for."""
        for connection in self.service.server.connections:
            transport = self.tcp(connection.socket.transport)
            buffered = len(transport.dataBuffer) + transport._tempDataLen
            self.largest = max(self.largest, buffered + connection.queued_bytes)

    async def until_count(self, what: Sized, count: int) -> None:
        """Waits until it has so many."""
        await until(lambda: len(what) >= count)

    async def chat(self, writer: RawPeer, reader: RawPeer, count: int, start: int = 0) -> None:
        """The writer sends so many payloads of 10 kB, and waits until the reader has them."""
        for at in range(start, start + count):
            writer.send_mux("c", "data", [at, "x" * 10_000])
            await self.until_count(reader.lines, len(reader.lines) + 1)
            self.measure()

    def numbers(self, peer: RawPeer) -> list[int]:
        return [line[2][0] for line in peer.lines if line[:2] == ["c", "data"]]

    async def join(self, count: int) -> list[RawPeer]:
        peers = [await self.peer() for _ in range(count)]
        for peer in peers:
            peer.open("c", "/chat/channel")
        await until(lambda: self.members == count)
        return peers

    async def peer(self) -> RawPeer:
        return await raw_peer(self, self.port)

    def endpoint(self) -> Any:
        return None

    def tcp(self, transport: Any) -> Any:
        """The TCP transport of a connection."""
        return transport

    @property
    def members(self) -> int:
        return self.service.server.core.hub.members

    def slow(self, peer: RawPeer) -> bool:
        return any(line[:2] == ["c", "error"] and line[2]["code"] == "slow" for line in peer.lines)


class SlowReaders(SlowTestCase):
    """A peer that does not read costs the relay a bounded number of bytes, and others nothing."""

    async def test_too_many_bytes(self) -> None:
        await self.start()
        reader, writer, other = await self.join(3)
        reader.stop_reading()
        await self.chat(writer, other, 200)
        self.assertEqual(self.members, 2)
        self.assertLess(self.largest, self.queue_bytes + 200_000)
        self.assertGreater(self.largest, self.queue_bytes - 50_000)
        self.assertEqual(self.numbers(other), list(range(200)))
        reader.read_again()
        await until(lambda: self.slow(reader))
        numbers = self.numbers(reader)
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertLess(len(numbers), 200)
        # It joins again, and misses nothing from there on.
        reader.lines.clear()
        reader.open("c", "/chat/channel")
        await until(lambda: self.members == 3)
        await self.chat(writer, reader, 5, start=200)
        self.assertEqual(self.numbers(reader), list(range(200, 205)))

    async def test_stands_still(self) -> None:
        await self.start(stall_seconds=0.5)
        reader, writer, other = await self.join(3)
        reader.stop_reading()
        await self.chat(writer, other, 40)
        await until(lambda: self.members == 2)
        reader.read_again()
        await until(
            lambda: self.slow(reader), what=lambda: (self.numbers(reader), reader.is_closed)
        )
        self.assertFalse(reader.is_closed)

    async def test_stands_still_for_good(self) -> None:
        """It would not take even the word that it is slow."""
        await self.start(stall_seconds=0.5)
        reader, writer, other = await self.join(3)
        reader.stop_reading()
        await self.chat(writer, other, 40)
        await until(lambda: len(self.service.server.connections) == 2)
        reader.read_again()
        await reader.lost()

    async def test_short_pause(self) -> None:
        """A pause that stays within the bounds loses nothing."""
        await self.start()
        reader, writer, other = await self.join(3)
        for start in range(0, 200, 40):
            reader.stop_reading()
            await self.chat(writer, other, 40, start=start)
            reader.read_again()
            await until(lambda: self.numbers(reader) == self.numbers(other))
        self.assertFalse(self.slow(reader))

    async def test_pings_and_no_reading(self) -> None:
        """Pongs are for those who read."""
        await self.start()
        reader, writer, other = await self.join(3)
        reader.stop_reading()
        await self.chat(writer, other, 40)
        self.largest = 0
        self.measure()
        before = self.largest
        for _ in range(20):
            reader.transport.write(frame(b"x" * 125, PING) * 200)
        reader.send_mux("c", "data", ["all sent"])
        await until(lambda: other.got("c", "data", ["all sent"]))
        self.measure()
        self.assertLess(self.largest, before + 20_000)
        self.assertEqual(self.members, 3)

    async def test_goodbye_and_no_reading(self) -> None:
        """Twisted would keep the socket, and what is written to it, until it is read."""
        await self.start(websocket=WebSocketOptions(close_seconds=0.3))
        reader, writer, other = await self.join(3)
        reader.stop_reading()
        await self.chat(writer, other, 40)
        reader.say_goodbye()
        await until(lambda: self.members == 2)
        await until(lambda: len(self.service.server.connections) == 2, seconds=5)
        reader.read_again()
        await reader.lost()


class SlowMap(SlowTestCase):
    async def test_a_map_gets_everything_again(self) -> None:
        await self.start()
        maps = []
        for _ in range(3):
            connection = connect(reactor, f"ws://127.0.0.1:{self.port}/")
            self.addCleanup(connection.close)
            maps.append(await DistributedMap(connection, "/fruits").ready())
        reader, writer, other = maps
        statuses: list[tuple[str, str]] = []
        reader.on("status", lambda status: statuses.append((str(status), status.code)))
        client: Any = reader.connection._transport
        client.transport.pauseProducing()
        reader["mine"] = "written while it does not read"
        for at in range(150):
            writer[f"key{at}"] = "x" * 10_000
            await self.until_count(other, len(other) + 1)
            self.measure()
        await until(lambda: writer.peers == 1)
        self.assertLess(self.largest, self.queue_bytes + 200_000)
        client.transport.resumeProducing()
        await until(lambda: dict(reader) == dict(writer) == dict(other))
        self.assertEqual(len(reader), 151)
        await until(lambda: reader.status == "ready")
        self.assertEqual(statuses, [("offline", "slow"), ("syncing", ""), ("ready", "")])


class SlowReadersWithTls(SlowReaders):
    """Twisted's TLS has buffers of its own."""

    def setUp(self) -> None:
        self.key, self.certificate = make_certificate(folder(self), "localhost")

    def endpoint(self) -> Any:
        files = f"privateKey={self.key}:certKey={self.certificate}"
        return serverFromString(reactor, f"ssl:0:interface=127.0.0.1:{files}")

    def tcp(self, transport: Any) -> Any:
        return transport.transport

    async def peer(self) -> RawPeer:
        options = CertificateOptions(verify=False)
        return await raw_peer(
            self, self.port, endpoint=SSL4ClientEndpoint(reactor, "127.0.0.1", self.port, options)
        )


class Embedded(TestCase):
    """The relay as a part of somebody's program."""

    timeout = 60

    def endpoint(self, port: int = 0) -> TCP4ServerEndpoint:
        return TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")

    async def test_in_a_multi_service(self) -> None:
        parent = MultiService()
        service: Any = RelayService(reactor, self.endpoint())
        service.setServiceParent(parent)
        self.assertIs(parent.getServiceNamed("distmap"), service)
        parent.privilegedStartService()
        port = service.port.getHost().port
        parent.startService()
        self.assertEqual(service.port.getHost().port, port)
        peer = await raw_peer(self, port)
        stopped = parent.stopService()
        self.assertEqual(await peer.closed(), 1012)
        peer.say_goodbye(1012)
        await stopped

    async def test_start_and_stop_twice(self) -> None:
        service: Any = RelayService(reactor, self.endpoint())
        for _ in range(2):
            service.startService()
            service.startService()
            peer = await raw_peer(self, service.port.getHost().port)
            peer.open("c", "/chat/channel")
            await until(lambda: service.server.core.hub.members == 1)
            stopped = service.stopService()
            await peer.closed()
            peer.say_goodbye(1012)
            await stopped
            self.assertEqual((service.port, service.server.core.hub.members), (None, 0))
        await service.stopService()

    async def test_stop_before_it_was_started(self) -> None:
        await RelayService(reactor, self.endpoint()).stopService()

    async def test_without_an_endpoint(self) -> None:
        service = RelayService(reactor)
        service.startService()
        self.assertIsNone(service.port)
        await service.stopService()

    async def test_port_is_taken(self) -> None:
        """An exception that a program can catch, and go on."""
        port = taken_port(self)
        service = RelayService(reactor, self.endpoint(port))
        # Older versions of Twisted leave the socket that they could not bind to the collector,
        # which may come at any time.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            for start in (service.privilegedStartService, service.startService):
                try:
                    start()
                except Exception as error:
                    self.assertIsInstance(error, CannotListen)
                    text = str(error)
                else:
                    text = ""
                self.assertIn(f"distmap: Couldn't listen on 127.0.0.1:{port}: ", text)
            await service.stopService()
            gc.collect()

    async def test_endpoint_that_takes_its_time(self) -> None:
        class SlowEndpoint:
            """Listens when it is told to."""

            def __init__(self) -> None:
                self.asked: list[Deferred[Any]] = []

            def listen(self, factory: Any) -> Deferred[Any]:
                self.asked.append(Deferred())
                return self.asked[-1]

        endpoint: Any = SlowEndpoint()
        service = RelayService(reactor, endpoint)
        service.privilegedStartService()
        service.startService()
        self.assertEqual(len(endpoint.asked), 1)
        endpoint.asked[0].errback(RuntimeError("no such network"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        await service.stopService()
        service.startService()
        await service.stopService()
        self.assertTrue(endpoint.asked[1].called)

    def test_endpoint_that_fails(self) -> None:
        class BadEndpoint:
            """Fails at once."""

            def listen(self, factory: Any) -> Deferred[Any]:
                return fail(RuntimeError("no such network"))

        endpoint: Any = BadEndpoint()
        service = RelayService(reactor, endpoint)
        self.assertRaises(CannotListen, service.startService)
        self.assertRaises(CannotListen, service.startService)

    async def test_unix_socket(self) -> None:
        path = str(folder(self) / "relay.sock")
        service = RelayService(reactor, UNIXServerEndpoint(reactor, path))
        service.startService()
        self.addCleanup(service.stopService)
        peer = await raw_peer(self, 0, endpoint=UNIXClientEndpoint(reactor, path))
        peer.open("x", "/no-such-route")
        await until(lambda: peer.got("x", "error"))

    def test_names(self) -> None:
        self.assertEqual(_name(IPv4Address("TCP", "127.0.0.1", 80)), "127.0.0.1:80")
        self.assertEqual(_name(IPv6Address("TCP", "::1", 80)), "[::1]:80")
        self.assertEqual(_name(UNIXAddress("/run/relay")), "/run/relay")
        self.assertEqual(_name(UNIXAddress(None)), "UNIXAddress(None)")


class Handshakes(TestCase):
    """Which pages may connect, and whose address counts."""

    timeout = 60

    async def answer(self, port: int, *headers: str) -> str:
        peer = await raw_peer(self, port, headers="".join(f"{each}\r\n" for each in headers))
        return peer.head.decode().splitlines()[0]

    async def test_origins(self) -> None:
        """The Host of a raw peer is localhost."""
        _, port = start_relay(self, RelayOptions(origins=["https://example.com"]))
        for headers in (
            (),
            ("Origin: http://localhost",),
            ("Origin: https://localhost",),
            ("Origin: https://example.com",),
            ("Origin: https://EXAMPLE.com:443",),
        ):
            self.assertIn(" 101 ", await self.answer(port, *headers), headers)
        for headers in (
            ("Origin: null",),
            ("Origin: https://example.org",),
            ("Origin: http://localhost:81",),
            ("Origin: http://example.com",),
        ):
            self.assertIn(" 403 Origin not allowed", await self.answer(port, *headers), headers)

    async def test_another_name_for_this_machine(self) -> None:
        name = ("Host: evil.org", "Origin: http://evil.org")
        for options, wanted in (
            (RelayOptions(), " 403 "),
            (RelayOptions(trusted_proxies=["127.0.0.1"]), " 101 "),
            (RelayOptions(origins=["http://evil.org"]), " 101 "),
            (RelayOptions(origins=["*"]), " 101 "),
        ):
            _, port = start_relay(self, options)
            peer: Any = await connectProtocol(
                TCP4ClientEndpoint(reactor, "127.0.0.1", port), _Named(*name)
            )
            self.addCleanup(peer.drop)
            await peer.opened()
            self.assertIn(wanted, peer.head.decode().splitlines()[0])

    async def test_an_address_that_two_proxies_told(self) -> None:
        """Each in a line of its own: the limit is that of who stands behind both."""
        options = RelayOptions(trusted_proxies=["127.0.0.0/8"], connections_per_address=1)
        _, port = start_relay(self, options)
        for address, wanted in (("5", " 101 "), ("5", " 429 "), ("6", " 101 ")):
            told = (f"X-Forwarded-For: 203.0.113.{address}", "X-Forwarded-For: 127.0.0.9")
            self.assertIn(wanted, await self.answer(port, *told))

    async def test_headers_that_are_no_text(self) -> None:
        """They are refused, or do not count, and make no noise in the log."""
        _, port = start_relay(self, RelayOptions(trusted_proxies=["127.0.0.1"]))
        for name, wanted in (("Origin", " 403 "), ("X-Forwarded-For", " 101 "), ("Host", " 101 ")):
            headers = ["Host: localhost", f"{name}: \xff"][name == "Host" :]
            peer: Any = await connectProtocol(
                TCP4ClientEndpoint(reactor, "127.0.0.1", port), _Named(*headers)
            )
            self.addCleanup(peer.drop)
            await peer.opened()
            self.assertIn(wanted, peer.head.decode().splitlines()[0], name)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_pages_without_tls(self) -> None:
        """May connect with TLS to none but a relay that is told to let them in."""
        key, certificate = make_certificate(folder(self), "localhost")
        text = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        _, port = start_relay(self, endpoint=serverFromString(reactor, text))
        options = CertificateOptions(verify=False)
        endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", port, options)
        for scheme, wanted in (("https", b" 101 "), ("http", b" 403 ")):
            headers = f"Origin: {scheme}://localhost\r\n"
            peer = await raw_peer(self, port, endpoint=endpoint, headers=headers)
            self.assertIn(wanted, peer.head.splitlines()[0])

    async def test_a_refused_page_is_told_why_and_logged(self) -> None:
        process = await relay(self)
        peer = await raw_peer(self, process.port, headers="Origin: https://evil.org\r\n")
        self.assertIn(b" 403 ", peer.head)
        await until(lambda: b"--allow-origin" in peer._data, what=lambda: peer._data)
        self.assertIn(b"'https://evil.org' is not this host", peer._data)
        await until(
            lambda: any("127.0.0.1 refused: origin" in line for line in process.lines),
            what=lambda: process.lines,
        )

    async def test_whose_address(self) -> None:
        told = "X-Forwarded-For: 6.6.6.6, 203.0.113.5"
        for proxies, wanted in (([], "127.0.0.1"), (["127.0.0.0/8"], "203.0.113.5")):
            authorizer = Scripted(False)
            options = RelayOptions(authorizer=authorizer, trusted_proxies=proxies)
            service, port = start_relay(self, options)
            headers = f"{told}\r\nOrigin: http://localhost\r\n"
            peer = await raw_peer(self, port, headers=headers)
            peer.open("c", "/fruits/channel")
            await until(lambda: peer.got("c", "error"))  # noqa: B023
            (request,) = authorizer.asked
            self.assertEqual((request.address, request.origin), (wanted, "http://localhost"))
            (connection,) = service.server.connections
            self.assertIn(wanted, connection.name)

    async def test_where_it_listens_and_for_whom(self) -> None:
        process = await relay(self)
        (line,) = [line for line in process.lines if "listening on" in line]
        self.assertIn("for this machine only (--port tcp:8080:interface=0.0.0.0", line)
        self.assertFalse([line for line in process.lines if "anybody who can reach" in line])

    async def test_a_proxy_on_this_machine_lets_others_in(self) -> None:
        process = await relay(self, "--open", "--trusted-proxy", "127.0.0.1")
        (line,) = [line for line in process.lines if "listening on" in line]
        self.assertIn("for everybody who can reach it", line)
        await until(lambda: any("anybody who can reach" in line for line in process.lines))


class NoClock(TestCase):
    """A machine without a battery, before it has asked somebody for the time."""

    def test_it_says_so(self) -> None:
        class Port:
            def getHost(self) -> IPv4Address:  # noqa: N802
                return IPv4Address("TCP", "127.0.0.1", 8080)

        logged: list[LogEvent] = []
        observer = cast(ILogObserver, logged.append)
        self.patch(RelayService, "_log", Logger(observer=observer))
        clock = Clock()
        service = RelayService(clock, None)
        for seconds, warnings_ in ((0.0, 1), (MIN_TIME_MS / 1000, 0)):
            clock.rightNow = seconds
            logged.clear()
            service._listens(Port())  # type: ignore[arg-type]
            found = [each for each in logged if "clock of this machine" in each["log_format"]]
            self.assertEqual(len(found), warnings_)


class _Named(RawPeer):
    """A raw peer that has headers of its own, and its own Host."""

    def __init__(self, *headers: str) -> None:
        super().__init__()
        self._named = headers

    def connectionMade(self) -> None:
        lines = (
            *("GET / HTTP/1.1", *self._named, "Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""),
        )
        self.transport.write("\r\n".join(lines).encode("latin-1"))
