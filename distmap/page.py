"""The files that the relay serves: the live page, its examples, and the browser client."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from twisted.web.http import CACHED
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource

WEB = resources.files("distmap") / "web"

TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Older Safari does not take 'self' for the WebSocket of the same host, so that is named. What a
# header can hold besides a plain host, such as an IPv6 address, no policy can: 'self' has to do.
_HOST = re.compile(rb"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
_INLINE = re.compile(rb"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)


class Folder(Resource):
    """Has what was put there, and nothing else."""

    def render_GET(self, request: Any) -> Any:
        """It does not tell what it has."""
        return notFound().render(request)

    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """What is not here; Twisted's own answer is one that it has deprecated."""
        return notFound()


class Leaf(Resource):
    """Answers GET, and HEAD with the headers alone."""

    isLeaf = True

    def render_GET(self, request: IRequest) -> bytes:
        """Sets the headers and returns the body."""
        raise NotImplementedError

    def render_HEAD(self, request: IRequest) -> bytes:
        """The headers."""
        self.render_GET(request)
        return b""


class File(Leaf):
    """A file as it is. Browsers keep it, and ask each time whether it is another by now.

    Args:
        path: of the file.
        headers: more headers: names and values.
    """

    def __init__(self, path: Traversable, headers: dict[bytes, bytes] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path
        self._headers = headers or {}

    def render_GET(self, request: Any) -> bytes:
        """The file, or no body with status 304."""
        body = self._path.read_bytes()
        set_headers(request, TYPES[f".{self._path.name.rpartition('.')[2]}"], b"no-cache")
        for name, value in self.headers(request, body).items():
            request.setHeader(name, value)
        tag = b'"%s"' % b64encode(sha256(body).digest()[:15])
        return b"" if request.setETag(tag) is CACHED else body

    def headers(self, request: IRequest, body: bytes) -> dict[bytes, bytes]:
        """The headers that this file alone has."""
        return self._headers


class Page(File):
    """A page that may load what lies beside it and connect to this relay, and nothing else.

    Scripts and styles that stand in the page itself are allowed by their hashes, so what is put
    into it later, by whatever way, does not run.
    """

    def headers(self, request: IRequest, body: bytes) -> dict[bytes, bytes]:
        """The Content-Security-Policy; and other sites do not learn the address."""
        return {
            b"Content-Security-Policy": policy(request.getHeader(b"host"), body),
            b"Referrer-Policy": b"no-referrer",
        }


def policy(host: bytes | None, page: bytes) -> bytes:
    """The Content-Security-Policy of a page.

    Args:
        host: the header of that name.
        page: its source.
    """
    connect = b"'self'"
    if host is not None and _HOST.fullmatch(host):
        connect += b" ws://%s wss://%s" % (host, host)
    hashes = {b"script": b"", b"style": b""}
    for name, inline in _INLINE.findall(page):
        if inline:
            hashes[name] += b" 'sha256-%s'" % b64encode(sha256(inline).digest())
    return b"; ".join(
        [
            b"default-src 'none'",
            b"script-src 'self'" + hashes[b"script"],
            b"style-src 'self'" + hashes[b"style"],
            b"connect-src " + connect,
            b"img-src 'self' data:",
            b"base-uri 'none'",
            b"form-action 'none'",
            b"frame-ancestors 'none'",
            b"require-trusted-types-for 'script'",
            b"trusted-types 'none'",
        ]
    )


def client_files(folder: Traversable, add: Callable[[bytes, IResource], None]) -> None:
    """Adds the browser client; pages of any origin may import it."""
    anybody = {b"Access-Control-Allow-Origin": b"*"}
    add(b"distmap.js", File(folder / "distmap.js", anybody))
    modules = Folder()  # type: ignore[no-untyped-call]
    for path in (folder / "js").iterdir():
        modules.putChild(path.name.encode(), File(path, anybody))
    add(b"js", modules)


def page_files(folder: Traversable, add: Callable[[bytes, IResource], None]) -> None:
    """Adds what belongs to the page, and its examples."""
    for name in ("page", "examples"):
        files = Folder()  # type: ignore[no-untyped-call]
        for path in (folder / name).iterdir():
            kind = Page if path.name.endswith(".html") else File
            files.putChild(path.name.encode(), kind(path))
        add(name.encode(), files)


def with_slash(request: Any) -> bytes | None:
    """Where a page is whose address lacks the slash at its end; None if it is there.

    What the page links to would otherwise be looked for beside it, and not below it.
    """
    if not request.prepath[-1]:
        return None
    path, mark, query = request.uri.partition(b"?")
    return b"./%s/%s%s" % (path.rpartition(b"/")[2], mark, query)


def set_headers(request: IRequest, content_type: bytes, caching: bytes = b"no-store") -> None:
    """Sets the headers that every answer has."""
    for name, value in (
        (b"Content-Type", content_type),
        (b"Cache-Control", caching),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    ):
        request.setHeader(name, value)
