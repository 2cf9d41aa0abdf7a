"""How a relay behaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.throttle import Rates
from distmap.websocket_options import WebSocketOptions


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay behaves.

    Attributes:
        authorizer: provides :class:`distmap.authorizer.IAuthorizer`; None lets everybody do
            everything.
        open: that is meant so, also where others can reach the relay.
        origins: of the pages that may connect beside those of the relay's own host, such as
            ``https://example.com``; ``*`` for all.
        trusted_proxies: addresses and networks of the proxies in front of the relay, whose
            ``X-Forwarded-For`` and ``X-Forwarded-Proto`` count; ``unix`` for one on a UNIX socket.
        authorizer_seconds: how long the authorizer has for an answer, and a connection to show
            credentials if it has to.
        log_streams: log each stream that is opened and closed, with its route.
        page: serve the live page and its examples; the browser client is served in any case.
        metrics: who gets `/metrics`: who is on this machine (``loopback``), ``all`` or ``off``.
        connections: how many there may be; 0 for no limit.
        connections_per_address: of one address, or of 64 bits of an IPv6 address; 0 for no limit.
            Those of this machine count for nothing, since a proxy may stand there.
        header_bytes: of an HTTP request that may become a WebSocket; also in all requests of the
            relay's own port.
        queue_bytes: what may queue for one connection that does not read.
        held_bytes: what may queue for all connections together, with what came of messages that are
            not whole; 0 for no limit.
        stall_seconds: how long a queue may stand still.
        rates: what one connection may send in a second.
        grace_seconds: how long a stop waits for the peers to take what is theirs, and to go.
        limits: of the frames and streams taken from each connection.
        websocket: of the sockets.
    """

    authorizer: Any = None
    open: bool = False
    origins: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()
    authorizer_seconds: float = 10
    log_streams: bool = False
    page: bool = True
    metrics: str = "loopback"
    connections: int = 10_000
    connections_per_address: int = 256
    header_bytes: int = 16 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    held_bytes: int = 512 * 1024 * 1024
    stall_seconds: float = 10
    rates: Rates = field(default_factory=Rates)
    grace_seconds: float = 2
    limits: Limits = DEFAULT_LIMITS
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)
