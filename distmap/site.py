"""The relay on the web: the WebSocket, the page and the health check, on one port."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from autobahn.twisted.resource import WebSocketResource
from twisted.web.http import FORBIDDEN, NOT_FOUND
from twisted.web.iweb import IRequest

from distmap.page import WEB, Folder, Leaf, Page, client_files, page_files, set_headers, with_slash
from distmap.relay_socket import ServerFactory


class Relayed(Protocol):
    """What is asked of the relay."""

    @property
    def connections(self) -> Collection[object]:
        """Those that are open."""

    def handshake_problem(self, address: str, origin: str | None, host: str | None) -> str | None:
        """Why a page may not connect."""


class RelayResource(Folder):
    """The relay at one URL: a WebSocket upgrade opens the relay, a plain GET gets the page.

    Args:
        factory: makes the sockets.
        relay: is asked for its health, and which pages may connect.
        page: whether there is a page; the browser client is served all the same.
    """

    def __init__(self, factory: ServerFactory, relay: Relayed, page: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._relay = relay
        self._socket = WebSocketResource(factory)
        self._page: Any = Page(WEB / "index.html") if page else NoPage()  # type: ignore[no-untyped-call]
        self.putChild(b"healthz", Health(relay))
        client_files(WEB, self.putChild)
        if page:
            page_files(WEB, self.putChild)
        self.putChild(b"", self)

    def render_GET(self, request: Any) -> Any:
        """The page, or the upgrade."""
        upgrade = request.getHeader(b"upgrade") or b""
        if upgrade.strip().lower() == b"websocket":
            address = getattr(request.client, "host", None) or ""
            origin, host = request.getHeader("origin"), request.getHeader("host")
            problem = self._relay.handshake_problem(address, origin, host)
            if problem is None:
                return self._socket.render(request)
            set_headers(request, b"text/plain; charset=utf-8")
            request.setResponseCode(FORBIDDEN, b"Origin not allowed")
            return f"{problem}; see --allow-origin\n".encode("ascii", "replace")
        place = with_slash(request)
        if place is not None:
            request.redirect(place)
            return b""
        return self._page.render(request)

    def render_HEAD(self, request: Any) -> bytes:
        """The page's headers."""
        self.render_GET(request)
        return b""


class NoPage(Leaf):
    """Stands where the page would be."""

    def render_GET(self, request: Any) -> bytes:
        """What this is, for people, and 404 for programs."""
        set_headers(request, b"text/plain; charset=utf-8")
        request.setResponseCode(NOT_FOUND)
        return b"This is a distmap relay. It serves no page; the WebSocket is at this address.\n"


class Health(Leaf):
    """Answers 200 while the relay works."""

    def __init__(self, relay: Relayed) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._relay = relay

    def render_GET(self, request: IRequest) -> bytes:
        """The number of connections, as JSON."""
        set_headers(request, b"application/json")
        return b'{"status":"ok","connections":%d}\n' % len(self._relay.connections)
