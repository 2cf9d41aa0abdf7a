"""The relay on the web: the WebSocket, the page and the health check, on one port."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Protocol

from autobahn.twisted.resource import WebSocketResource
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource

from distmap.relay_socket import ServerFactory

WEB = resources.files("distmap") / "web"


class Relayed(Protocol):
    """What the health check asks."""

    @property
    def connections(self) -> Collection[object]:
        """Those that are open."""


class _Folder(Resource):
    """Has what was put there, and nothing else."""

    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """What is not here; Twisted's own answer is one that it has deprecated."""
        return notFound()


class RelayResource(_Folder):
    """The relay at one URL: a WebSocket upgrade opens the relay, a plain GET gets the page.

    Args:
        factory: makes the sockets.
        relay: is asked for its health.
    """

    def __init__(self, factory: ServerFactory, relay: Relayed) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._socket = WebSocketResource(factory)
        self.putChild(b"healthz", Health(relay))
        self.putChild(b"distmap.js", Script(WEB / "distmap.js"))
        modules = _Folder()  # type: ignore[no-untyped-call]
        for path in (WEB / "js").iterdir():
            modules.putChild(path.name.encode(), Script(path))
        self.putChild(b"js", modules)
        self.putChild(b"", self)

    def render_GET(self, request: IRequest) -> Any:
        """The page, or the upgrade."""
        upgrade = request.getHeader(b"upgrade") or b""
        if upgrade.strip().lower() == b"websocket":
            return self._socket.render(request)
        _set_headers(request, b"text/html; charset=utf-8")
        return (WEB / "index.html").read_bytes()

    def render_HEAD(self, request: IRequest) -> bytes:
        """The page's headers."""
        _set_headers(request, b"text/html; charset=utf-8")
        return b""


class _Leaf(Resource):
    """Answers GET, and HEAD with the headers alone."""

    isLeaf = True

    def render_GET(self, request: IRequest) -> bytes:
        """Sets the headers and returns the body."""
        raise NotImplementedError

    def render_HEAD(self, request: IRequest) -> bytes:
        """The headers."""
        self.render_GET(request)
        return b""


class Script(_Leaf):
    """A module of the browser client.

    Args:
        path: its source.
    """

    def __init__(self, path: Traversable) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path

    def render_GET(self, request: IRequest) -> bytes:
        """The source; pages of any origin may import it."""
        _set_headers(request, b"text/javascript; charset=utf-8")
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        return self._path.read_bytes()


class Health(_Leaf):
    """Answers 200 while the relay works."""

    def __init__(self, relay: Relayed) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._relay = relay

    def render_GET(self, request: IRequest) -> bytes:
        """The number of connections, as JSON."""
        _set_headers(request, b"application/json")
        return b'{"status":"ok","connections":%d}\n' % len(self._relay.connections)


def _set_headers(request: IRequest, content_type: bytes) -> None:
    for name, value in (
        (b"Content-Type", content_type),
        (b"Cache-Control", b"no-store"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    ):
        request.setHeader(name, value)
