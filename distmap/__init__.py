"""A key-value map that Twisted programs and browsers share, through a relay that keeps no state.

::

    from distmap import DistributedMap, connect

    connection = connect(reactor, "ws://localhost:8080/")
    fruits = DistributedMap(connection, "/fruits")
    await fruits.ready()
    await fruits.set("apple", 3)
"""

from __future__ import annotations

from random import SystemRandom
from typing import Any

from distmap import errors
from distmap.changes import Change
from distmap.connection import Connection
from distmap.connector import WebSocketConnector
from distmap.credentials import open_connection
from distmap.fetching import Source
from distmap.knowledge import RETENTION_MS
from distmap.map import DistributedMap
from distmap.status import Status
from distmap.streams import Stream
from distmap.websocket_options import WebSocketOptions

__version__ = "0.1.0"

__all__ = [
    "Change",
    "Connection",
    "DistributedMap",
    "Status",
    "Stream",
    "WebSocketOptions",
    "connect",
    "errors",
]


def connect(
    reactor: Any,
    url: str,
    *,
    credentials: Source | None = None,
    options: WebSocketOptions | None = None,
    retention_seconds: float = RETENTION_MS / 1000,
) -> Connection:
    """Begins to connect to a relay, and reconnects until the connection is closed.

    Args:
        reactor: Twisted's reactor.
        url: the relay's, `ws://` or `wss://`.
        credentials: what to show to a relay that lets not everybody in: a string; or what is called
            before each connection, and when the relay asks anew, and returns one, or a Deferred or
            a coroutine of one. If it fails, that is tried again as a connection would be.
        options: see :class:`WebSocketOptions`.
        retention_seconds: how long the maps on this connection keep tombstones (30 days); the same
            for all peers of a map.

    Returns:
        The connection, at once.

    Raises:
        errors.InvalidValue: it is no such URL.
        errors.InvalidType: the credentials are none of these.
    """
    connector = WebSocketConnector(reactor, url, options)
    return open_connection(
        reactor,
        connector,
        SystemRandom().random,
        credentials,
        retention_seconds=retention_seconds,
    )
