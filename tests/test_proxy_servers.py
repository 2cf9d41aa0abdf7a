"""docs/howto/tls.md: nginx and HAProxy, set up as told there, in front of a relay."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import SkipTest

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    serverFromString,
)
from twisted.internet.ssl import CertificateOptions
from twisted.trial.unittest import SynchronousTestCase, TestCase

from distmap import DistributedMap, connect
from distmap.errors import ConnectionProblem
from distmap.relay import RelayOptions
from distmap.tap import endpoint_string
from distmap.tickets import Key, mint, write_new_key
from distmap.websocket_options import WebSocketOptions
from tests.support.authorizers import Scripted
from tests.support.certificates import make_certificate, trust
from tests.support.peers import ROOT, Program, free_port
from tests.support.processes import fires, folder, relay, until
from tests.support.sockets import PING, PONG, RawPeer, start_relay
from tests.test_site import Answer, Asking

reactor: Any = _reactor
TEXT = (ROOT / "docs" / "howto" / "tls.md").read_text("utf-8")
PUBLIC = "maps.example.com"
CLIENT = "127.0.0.2"
"""Where a client connects from: this machine too, but no address that a proxy has."""
FORGED = "X-Forwarded-For: 203.0.113.66\r\n"

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr; worker_rlimit_nofile 256;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    {server}
}}
"""
"""What stands around a server of nginx, for a process that leaves nothing behind."""


class Proxy(NamedTuple):
    """A proxy that runs: its port with TLS, and where the relay is."""

    port: int
    path: str

    def url(self) -> str:
        """The relay's."""
        return f"wss://localhost:{self.port}{self.path}"

    def public(self) -> str:
        """What a browser calls it in the header Host."""
        return f"{PUBLIC}:{self.port}"


def shown(language: str, word: str) -> str:
    """The one block of the page in that language that has a word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    (block,) = [each for each in blocks if word in each]
    return str(block)


def replaced(text: str, **replacements: tuple[str, str]) -> str:
    """A text with other words, each of which has to be there."""
    for old, new in replacements.values():
        assert old in text, old
        text = text.replace(old, new)
    return text


def options_shown(word: str, **replacements: tuple[str, str]) -> list[str]:
    """The relay's options in the command of the page that has a word."""
    command = replaced(shown("console", word), **replacements)
    return command.strip().partition(" distmap ")[2].split()


def program(name: str) -> str:
    """Where a proxy's program is; Debian has it where only root looks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise SkipTest(f"no {name} here")
    return found


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def start(test: TestCase, port: int, command: list[str]) -> None:
    """Starts a proxy, and waits until it listens."""
    process = Program(*command[1:], program=command[:1])
    test.addCleanup(process.kill)
    await until(lambda: process.done or listens(port))
    test.assertFalse(process.done, process.errors.decode())


async def nginx(test: TestCase, relay_port: int, timeout: str = "60s") -> Proxy:
    """nginx as the page has it, but for ports, files and how long it waits."""
    top, port, command = folder(test), free_port(), program("nginx")
    key, certificate = make_certificate(top, "localhost")
    server = replaced(
        shown("nginx", "server {"),
        port=("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        certificate=(f"/etc/letsencrypt/live/{PUBLIC}/fullchain.pem", str(certificate)),
        key=(f"/etc/letsencrypt/live/{PUBLIC}/privkey.pem", str(key)),
        relay=("http://127.0.0.1:8080/", f"http://127.0.0.1:{relay_port}/"),
        timeout=("proxy_read_timeout 60s", f"proxy_read_timeout {timeout}"),
    )
    (top / "nginx.conf").write_text(NGINX.format(folder=top, server=server), "utf-8")
    trust(test, certificate)
    await start(test, port, [command, "-e", "stderr", "-p", str(top), "-c", "nginx.conf"])
    return Proxy(port, "/maps/")


async def haproxy(
    test: TestCase, relay_port: int, timeout: str = "60s", word: str = "mode http"
) -> Proxy:
    """HAProxy as the page has it, but for ports, files and how long it waits."""
    top, port, command = folder(test), free_port(), program("haproxy")
    key, certificate = make_certificate(top, "localhost")
    both = top / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    text = replaced(
        shown("text", word),
        port=("bind :443", f"bind 127.0.0.1:{port}"),
        certificate=(f"/etc/haproxy/{PUBLIC}.pem", str(both)),
        relay=("127.0.0.1:8080", f"127.0.0.1:{relay_port}"),
        timeout=(" 60s", f" {timeout}"),
        patience=("timeout connect 5s", "timeout connect 50ms"),  # four times, with no relay there
    )
    (top / "haproxy.cfg").write_text(f"global\n    maxconn 100\n\n{text}", "utf-8")
    trust(test, certificate)
    await start(test, port, [command, "-db", "-f", str(top / "haproxy.cfg")])
    return Proxy(port, "/")


def endpoint(proxy: Proxy) -> SSL4ClientEndpoint:
    """Connects to a proxy from the address of a client."""
    options = CertificateOptions(verify=False)
    return SSL4ClientEndpoint(reactor, "127.0.0.1", proxy.port, options, bindAddress=(CLIENT, 0))


async def client(
    test: TestCase, proxy: Proxy, headers: str = "", kind: type[RawPeer] = RawPeer
) -> RawPeer:
    """Connects as a browser would that knows the public name."""
    peer: RawPeer = await connectProtocol(
        endpoint(proxy), kind(proxy.path, headers, proxy.public())
    )
    test.addCleanup(peer.drop)
    return await peer.opened()


async def fetch(proxy: Proxy, path: str = "", host: str = "", more: str = "") -> Answer:
    """Asks for what is at a path of the relay."""
    head = f"GET {proxy.path}{path} HTTP/1.1\r\nHost: {host or proxy.public()}\r\n"
    asking: Any = await connectProtocol(
        endpoint(proxy), Asking(f"{head}{more}Connection: close\r\n\r\n".encode())
    )
    await until(lambda: asking.done)
    answer, _, body = asking.data.partition(b"\r\n\r\n")
    status, *lines = answer.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), headers, body)


class BehindNginx(TestCase):
    """What the page promises of a proxy."""

    timeout = 60
    down = 502
    start: Callable[..., Any] = staticmethod(nginx)

    async def test_the_relay_as_told(self) -> None:
        """The command of the page, in a process; peers through the proxy and beside it."""
        top = folder(self)
        write_new_key(str(top / "key"))
        ticket = mint(Key.from_file(str(top / "key")), {"*": "write"}, time.time(), 60, None)
        options = options_shown(
            "--trusted-proxy",
            key=("/etc/distmap/key", str(top / "key")),
            port=("--port 8080 ", ""),
        )
        process = await relay(self, *options)
        proxy = await self.start(self, process.port)
        maps: list[DistributedMap] = []
        problems: list[ConnectionProblem] = []
        for url in (proxy.url(), f"ws://127.0.0.1:{process.port}/"):
            connection = connect(reactor, url, credentials=ticket)
            self.addCleanup(connection.close)
            connection.on("offline", problems.append)
            maps.append(await fires(DistributedMap(connection, "/fruits").ready()))
        await fires(maps[0].set("apple", 3))
        await fires(maps[1].set("pear", "ü" * 50_000))
        await until(lambda: dict(maps[0]) == dict(maps[1]) and len(maps[0]) == 2)
        raw = await client(self, proxy, FORGED)

        process.signal(signal.SIGTERM)
        self.assertEqual(await raw.closed(), 1012)
        raw.say_goodbye(1012)
        await until(lambda: len(problems) >= 2 and process.done)
        for problem in problems[:2]:
            self.assertEqual(problem.close_code, 1012, problem)
            self.assertGreaterEqual(problem.retry_seconds or 0, 1)
        (line,) = [line for line in process.lines if f"{CLIENT} through 127.0.0.1:" in line]
        self.assertIn("closed after", line)
        self.assertNotIn("203.0.113.66", "\n".join(process.lines))

    async def test_what_is_served(self) -> None:
        """All but the metrics: whether the proxy is trusted or not."""
        for trusted in ([], ["127.0.0.1"]):
            _, port = start_relay(self, RelayOptions(trusted_proxies=trusted))
            proxy = await self.start(self, port)
            self.assertIn(b"page/app.js", (await fetch(proxy)).body)
            self.assertIn(b"connect", (await fetch(proxy, "distmap.js")).body)
            self.assertIn(b'"ok"', (await fetch(proxy, "healthz")).body)
            for host in ("", "localhost"):
                self.assertEqual((await fetch(proxy, "metrics", host)).code, 403)

    async def test_restart(self) -> None:
        port = free_port()
        listening = TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")
        service, _ = start_relay(self, endpoint=listening)
        proxy = await self.start(self, port)
        self.assertEqual((await fetch(proxy, "healthz")).code, 200)
        await service.stopService()
        self.assertEqual((await fetch(proxy, "healthz")).code, self.down)
        service.startService()
        self.assertEqual((await fetch(proxy, "healthz")).code, 200)

    async def test_whose_address(self) -> None:
        for trusted, wanted in ([], "127.0.0.1"), (["127.0.0.1"], CLIENT):
            authorizer = Scripted(False)
            _, port = start_relay(
                self, RelayOptions(authorizer=authorizer, trusted_proxies=trusted)
            )
            proxy = await self.start(self, port)
            for headers in ("", FORGED, FORGED * 2):
                peer = await client(self, proxy, headers)
                peer.open("c", "/fruits/channel")
                await until(lambda: peer.got("c", "error"))  # noqa: B023
            self.assertEqual([each.address for each in authorizer.asked], [wanted] * 3)

    async def test_a_chain_of_proxies(self) -> None:
        """The client is itself a proxy that is trusted, and says for whom it speaks."""
        authorizer = Scripted(False)
        options = RelayOptions(authorizer=authorizer, trusted_proxies=["127.0.0.1", CLIENT])
        _, port = start_relay(self, options)
        peer = await client(self, await self.start(self, port), FORGED)
        peer.open("c", "/fruits/channel")
        await until(lambda: peer.got("c", "error"))
        self.assertEqual([each.address for each in authorizer.asked], ["203.0.113.66"])

    async def test_pages(self) -> None:
        _, port = start_relay(self, RelayOptions(trusted_proxies=["127.0.0.1"]))
        proxy = await self.start(self, port)
        for origin, status in (
            (f"https://{proxy.public()}", 101),
            (f"http://{proxy.public()}", 403),
            (f"https://{PUBLIC}", 403),
            (f"https://{PUBLIC}:{port}", 403),
            (f"https://localhost:{proxy.port}", 403),
            ("https://elsewhere.example", 403),
            ("null", 403),
        ):
            peer = await client(self, proxy, f"Origin: {origin}\r\n")
            self.assertIn(f" {status} ", peer.head.decode().splitlines()[0], origin)

    async def test_pages_behind_one_that_is_not_trusted(self) -> None:
        _, port = start_relay(self)
        proxy = await self.start(self, port)
        peer = await client(self, proxy, f"Origin: https://{proxy.public()}\r\n")
        self.assertIn(b" 403 ", peer.head.splitlines()[0])


class BehindHAProxy(BehindNginx):
    """Likewise."""

    down = 503
    start = staticmethod(haproxy)


class Ponging(RawPeer):
    """Answers pings, and is silent otherwise."""

    def _take_frame(self) -> bool:
        taken = super()._take_frame()
        if taken and self.frames and self.frames[-1][0] == PING:
            self.send(self.frames.pop()[1], PONG)
            self.pings += 1
        return taken

    pings = 0


class Silence(TestCase):
    timeout = 60

    async def test_pings_keep_a_connection(self) -> None:
        """With a second instead of a minute. Without pings in time both proxies end it."""
        pairs = []
        for start in (nginx, haproxy):
            pair: list[Any] = []
            for ping_seconds in (0.1, 1000):
                options = RelayOptions(websocket=WebSocketOptions(ping_seconds=ping_seconds))
                _, port = start_relay(self, options)
                proxy = await start(self, port, "1s")
                pair.append(await client(self, proxy, kind=Ponging))
            pairs.append(pair)
        for pinged, silent in pairs:
            await silent.lost()  # so the time is over, which began earlier for the other
            before = pinged.pings
            await until(lambda: pinged.pings > before or pinged.is_closed)  # noqa: B023
            self.assertFalse(pinged.is_closed)
            self.assertGreater(pinged.pings, 3)
            self.assertEqual(silent.pings, 0)


class Announced(RawPeer):
    """Says first for whom it speaks, as a proxy does."""

    def connectionMade(self) -> None:
        self.transport.write(b"PROXY TCP4 203.0.113.5 192.0.2.1 40000 443\r\n")
        super().connectionMade()


class ProxyProtocol(TestCase):
    """HAProxy tells the address before the connection's first byte."""

    timeout = 60

    async def test_whose_address(self) -> None:
        port, relay_port = "haproxy:tcp:8080:interface", free_port()
        top = folder(self)
        write_new_key(str(top / "key"))
        options = options_shown(
            port,
            key=("/etc/distmap/key", str(top / "key")),
            port=(port, port.replace("8080", str(relay_port))),
        )
        process = await relay(self, *options, port=relay_port)
        proxy = await haproxy(self, relay_port, word="send-proxy")
        ticket = mint(Key.from_file(str(top / "key")), {"*": "write"}, time.time(), 60, None)
        connection = connect(reactor, proxy.url(), credentials=ticket)
        self.addCleanup(connection.close)
        shared = await fires(DistributedMap(connection, "/fruits").ready())
        await fires(shared.set("apple", 3))
        peer = await client(self, proxy, FORGED)
        self.assertEqual((await fetch(proxy, "healthz")).code, 200)
        process.signal(signal.SIGTERM)
        self.assertEqual(await peer.closed(), 1012)
        peer.say_goodbye(1012)
        await until(lambda: process.done)
        text = "\n".join(process.lines)
        self.assertRegex(text, rf"\] {CLIENT}:[0-9]+ closed after")
        self.assertNotIn("203.0.113.66", text)
        self.assertNotIn("Traceback", text)

    async def test_pages(self) -> None:
        """By their host alone, with TLS or without; and what belongs to this machine stays here."""
        listening = serverFromString(reactor, endpoint_string("haproxy:tcp:0:interface=127.0.0.1"))
        _, port = start_relay(self, endpoint=listening)
        tcp = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        for origin, status in (
            (f"https://{PUBLIC}", 101),
            (f"http://{PUBLIC}", 101),
            ("https://elsewhere.example", 403),
        ):
            headers = f"{FORGED}X-Forwarded-Proto: https\r\nOrigin: {origin}\r\n"
            peer = await connectProtocol(tcp, Announced("/", headers, PUBLIC))
            self.addCleanup(peer.drop)
            await peer.opened()
            self.assertIn(f" {status} ", peer.head.decode().splitlines()[0], origin)
        peer = await connectProtocol(tcp, Announced("/metrics"))
        self.addCleanup(peer.drop)
        await peer.opened()
        self.assertIn(b" 403 ", peer.head.splitlines()[0])


class Page(SynchronousTestCase):
    """What the page says beside that."""

    def test_silence(self) -> None:
        """A ping and the time for its answer are well within what the proxies wait."""
        options = WebSocketOptions()
        waits = [
            int(each) for each in re.findall(r"timeout (?:client |server |tunnel )?(\d+)s", TEXT)
        ]
        self.assertEqual(len(waits), 6)
        self.assertIn(f"a ping every {options.ping_seconds} seconds, so {min(waits)} seconds", TEXT)
        self.assertLess(2 * (options.ping_seconds + options.pong_seconds), min(waits))
