"""The routes of streams: what a stream's meta says it is. Without I/O."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from distmap.errors import StreamError
from distmap.frames import DEFAULT_LIMITS

CHANNEL: Final = "channel"
LISTEN: Final = "listen"
CONNECT: Final = "connect"
ACCEPT: Final = "accept"
CREDENTIALS: Final = "credentials"
"""Also the whole route of the stream that carries them."""

_ROUTES: Final = (
    (CHANNEL, re.compile(r"(.+)/channel", re.DOTALL)),
    (ACCEPT, re.compile(r"(.+)/proxy/server/([^/]+)/client/([^/]+)/[^/]+", re.DOTALL)),
    (CONNECT, re.compile(r"(.+)/proxy/client/([^/]+)/([^/]+)", re.DOTALL)),
    (LISTEN, re.compile(r"(.+)/proxy/server/([^/]+)", re.DOTALL)),
    (CREDENTIALS, re.compile(CREDENTIALS)),
)


class Route(NamedTuple):
    """What a stream is.

    Attributes:
        text: the route as it came.
        kind: one of the five.
        uri: of the map; empty for the credentials.
        name: who listens, or is to.
        client: who asks for a stream.
    """

    text: str
    kind: str
    uri: str = ""
    name: str = ""
    client: str = ""


def route_of(meta: Any) -> Any:
    """The route in a meta, if it has one."""
    return meta.get("route") if isinstance(meta, dict) else meta


def parse_route(meta: Any, most_bytes: int = DEFAULT_LIMITS.route_bytes) -> Route:
    """Reads a meta.

    Args:
        meta: of a stream.
        most_bytes: how long a route may be.

    Raises:
        StreamError: it is no route that the relay knows.
    """
    text = route_of(meta)
    if not isinstance(text, str):
        raise StreamError("a stream's meta is a route, or an object with one", "protocol")
    if len(text.encode()) > most_bytes:
        raise StreamError(f"a route is {most_bytes} bytes at most", "limit")
    for kind, pattern in _ROUTES:
        if found := pattern.fullmatch(text):
            return Route(text, kind, *found.groups())
    raise StreamError("no such route", "unknown-route")
