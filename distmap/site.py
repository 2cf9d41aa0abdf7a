"""The relay on the web: the WebSocket, the page and the health check, on one port."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Protocol

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IAddress
from twisted.web.http import FORBIDDEN, NOT_FOUND
from twisted.web.iweb import IRequest

from distmap.admission import RETRY_SECONDS, Refusal
from distmap.page import WEB, Folder, Leaf, Page, client_files, page_files, set_headers, with_slash
from distmap.proxies import TrustedProxies
from distmap.relay_socket import ServerFactory


class Relayed(Protocol):
    """What is asked of the relay."""

    proxies: TrustedProxies

    def refusal(self, host: str | None) -> Refusal | None:
        """Why a peer from an address may not connect."""

    @property
    def connections(self) -> Collection[object]:
        """Those that are open."""

    def handshake_problem(
        self, address: str, origin: str | None, host: str | None, *, secure: bool
    ) -> str | None:
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
            return self._upgrade(request)
        place = with_slash(request)
        if place is not None:
            request.redirect(place)
            return b""
        return self._page.render(request)

    def _upgrade(self, request: Any) -> Any:
        host, proxies = host_of(request.transport.getPeer()) or "", self._relay.proxies
        header = partial(header_text, request)
        address = proxies.peer_address(host, header(b"x-forwarded-for"))
        refusal = self._relay.refusal(address or None)
        if refusal is not None:
            return refuse(request, refusal)
        secure = request.isSecure() or proxies.came_by_tls(host, header(b"x-forwarded-proto"))
        problem = self._relay.handshake_problem(
            host, header(b"origin"), header(b"host"), secure=secure
        )
        if problem is None:
            return self._socket.render(request)
        set_headers(request, b"text/plain; charset=utf-8")
        request.setHeader(b"Connection", b"close")
        request.setResponseCode(FORBIDDEN, b"Origin not allowed")
        return f"{problem}; see --allow-origin\n".encode("ascii", "replace")

    def render_HEAD(self, request: Any) -> bytes:
        """The page's headers."""
        self.render_GET(request)
        return b""


def host_of(address: IAddress | None) -> str | None:
    """The address of a peer without its port; None if it has none, as on a UNIX socket."""
    host: str | None = getattr(address, "host", None)
    return host


def header_text(request: Any, name: bytes) -> str | None:
    """A header of a request, whatever its bytes; None if there is none.

    If it has several lines, all are in it: to what came some proxies add a line of their own.
    """
    lines: list[bytes] | None = request.requestHeaders.getRawHeaders(name)
    return b", ".join(lines).decode("latin-1") if lines else None


def refuse(request: Any, refusal: Refusal) -> bytes:
    """Answers an upgrade that is refused."""
    set_headers(request, b"text/plain; charset=utf-8")
    request.setHeader(b"Retry-After", b"%d" % RETRY_SECONDS)
    request.setHeader(b"Connection", b"close")
    request.setResponseCode(refusal.status)
    return refusal.text.encode() + b"\n"


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
