"""distmap.site: the relay on the web, alone and as a part of somebody's own site."""

from __future__ import annotations

import json
import warnings
from typing import Any, NamedTuple

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from distmap import DistributedMap, connect
from distmap.relay import RelayService
from tests.support.processes import fires, until
from tests.support.sockets import raw_peer, start_relay

reactor: Any = _reactor


class Answer(NamedTuple):
    """Of a web server."""

    code: int
    headers: dict[str, str]
    body: bytes


class Asking(Protocol):
    """Asks, and collects the answer."""

    transport: Any

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.data = b""
        self.done = False

    def connectionMade(self) -> None:
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.done = True


class SiteTestCase(TestCase):
    timeout = 60

    async def fetch(
        self, port: int, path: str, method: str = "GET", more: str = "", host: str = "localhost"
    ) -> Answer:
        """Asks a web server on loopback."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        asking: Any = await connectProtocol(endpoint, Asking(head.encode("latin-1")))
        await until(lambda: asking.done)
        answer, _, body = asking.data.partition(b"\r\n\r\n")
        status, *lines = answer.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        names = {name.lower(): value for name, value in headers.items()}
        return Answer(int(status.split()[1]), names, body)

    async def assert_works(self, url: str) -> None:
        """Two peers share a map there."""
        maps = []
        for _ in range(2):
            connection = connect(reactor, url)
            self.addCleanup(connection.close)
            maps.append(await fires(DistributedMap(connection, "/fruits").ready()))
        await fires(maps[0].set("apple", 3))
        await until(lambda: dict(maps[1]) == {"apple": 3})
        for shared in maps:
            await shared.connection.close()


class Alone(SiteTestCase):
    def setUp(self) -> None:
        self.service, self.port = start_relay(self)

    async def test_page(self) -> None:
        for path in ("/", "/?a=b"):
            answer = await self.fetch(self.port, path)
            self.assertEqual(answer.code, 200)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertIn("default-src", answer.headers["content-security-policy"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertIn(b'<script type="module" src="page/app.js">', answer.body)

    async def test_head(self) -> None:
        answer = await self.fetch(self.port, "/", "HEAD")
        self.assertEqual((answer.code, answer.body), (200, b""))

    async def test_healthz(self) -> None:
        answer = await self.fetch(self.port, "/healthz")
        self.assertEqual((answer.code, answer.headers["content-type"]), (200, "application/json"))
        self.assertEqual(json.loads(answer.body), {"status": "ok", "connections": 0})
        self.assertEqual(answer.headers["cache-control"], "no-store")
        peer = await raw_peer(self, self.port)
        answer = await self.fetch(self.port, "/healthz")
        self.assertEqual(json.loads(answer.body)["connections"], 1)
        peer.transport.abortConnection()
        await until(lambda: not self.service.server.connections)
        answer = await self.fetch(self.port, "/healthz")
        self.assertEqual(json.loads(answer.body)["connections"], 0)

    async def test_browser_client(self) -> None:
        for path, text in (("/distmap.js", b"export"), ("/js/map.js", b"class DistributedMap")):
            answer = await self.fetch(self.port, path)
            self.assertEqual(answer.code, 200, path)
            self.assertEqual(answer.headers["content-type"], "text/javascript; charset=utf-8")
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertIn(text, answer.body)
            head = await self.fetch(self.port, path, "HEAD")
            self.assertEqual((head.code, head.body), (200, b""))
        self.assertEqual((await self.fetch(self.port, "/healthz", "HEAD")).body, b"")

    async def test_not_found(self) -> None:
        for path in ("/nothing-here", "/index.html", "/js/", "/js/none.js", "/%2e%2e/setup.cfg"):
            answer = await self.fetch(self.port, path)
            self.assertEqual(answer.code, 404, path)
            self.assertNotIn(b"Traceback", answer.body)

    async def test_methods(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Twisted's own error page
            self.assertEqual((await self.fetch(self.port, "/", "POST")).code, 405)
            self.assertEqual((await self.fetch(self.port, "/healthz", "PUT")).code, 501)

    async def test_upgrade_elsewhere(self) -> None:
        peer = await raw_peer(self, self.port, "/nothing-here")
        self.assertIn(b"HTTP/1.1 404", peer.head)

    async def test_upgrade_to_something_else(self) -> None:
        answer = await self.fetch(self.port, "/", more="Upgrade: h2c\r\n")
        self.assertEqual((answer.code, answer.headers["content-type"][:9]), (200, "text/html"))

    async def test_websocket_at_the_root(self) -> None:
        await self.assert_works(f"ws://127.0.0.1:{self.port}/")
        await self.assert_works(f"ws://127.0.0.1:{self.port}/?token=x")
        await self.assert_works(f"ws://127.0.0.1:{self.port}")


class Mounted(SiteTestCase):
    """Below /maps of a site that has a page of its own at its root."""

    def setUp(self) -> None:
        self.service = RelayService(reactor)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        root = Resource()
        root.putChild(b"", Text(b"my own page"))
        root.putChild(b"maps", self.service.resource)
        site = Site(root)
        site.noisy = False
        listening = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.port = listening.getHost().port

    async def test_pages(self) -> None:
        self.assertEqual((await self.fetch(self.port, "/")).body, b"my own page")
        answer = await self.fetch(self.port, "/maps/")
        self.assertEqual(answer.code, 200)
        self.assertIn(b'src="page/app.js"', answer.body)
        self.assertEqual((await self.fetch(self.port, "/maps")).code, 302)
        for path in ("/maps/nothing-here", "/maps/maps"):
            self.assertEqual((await self.fetch(self.port, path)).code, 404, path)

    async def test_healthz(self) -> None:
        answer = await self.fetch(self.port, "/maps/healthz")
        self.assertEqual(json.loads(answer.body), {"status": "ok", "connections": 0})

    async def test_websocket(self) -> None:
        await self.assert_works(f"ws://127.0.0.1:{self.port}/maps")
        await self.assert_works(f"ws://127.0.0.1:{self.port}/maps/")
        peer = await raw_peer(self, self.port, "/")
        self.assertNotIn(b"101", peer.head)

    async def test_stopped_and_started(self) -> None:
        """The site goes on without the relay; peers are sent away until it is started again."""
        peer = await raw_peer(self, self.port, "/maps/")
        stopped = self.service.stopService()
        self.assertEqual(await peer.closed(), 1012)
        peer.say_goodbye(1012)
        await stopped
        late = await raw_peer(self, self.port, "/maps/")
        self.assertEqual(await late.closed(), 1012)
        late.say_goodbye(1012)
        await late.lost()
        self.service.startService()
        await self.assert_works(f"ws://127.0.0.1:{self.port}/maps/")

    async def test_outlives_the_timeout_of_the_site(self) -> None:
        """It is for requests, and a WebSocket is none any more."""
        clock = Clock()
        site = Site(self.service.resource, reactor=clock, timeout=60)
        listening = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        peer = await raw_peer(self, listening.getHost().port)
        clock.advance(3600)
        peer.open("x", "/no-such-route")
        await until(lambda: peer.got("x", "error"))

    async def test_beside_an_endpoint(self) -> None:
        """One relay in two places: its peers share their maps."""
        service, port = start_relay(self)
        root = Resource()
        root.putChild(b"maps", service.resource)
        listening = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        one = await raw_peer(self, port)
        two = await raw_peer(self, listening.getHost().port, "/maps")
        for peer in (one, two):
            peer.open("c", "/chat/channel")
        await until(lambda: service.server.core.hub.members == 2)
        one.send_mux("c", "data", "hello")
        await until(lambda: two.got("c", "data", "hello"))


class Text(Resource):
    """A page with a text."""

    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def render_GET(self, request: Any) -> bytes:
        return self._text
