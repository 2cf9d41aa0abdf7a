"""How a relay behaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.throttle import Rates
from distmap.websocket_options import WebSocketOptions


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay behaves.

    Attributes:
        log_streams: log each stream that is opened and closed, with its route.
        page: serve the live page and its examples; the browser client is served in any case.
        metrics: who gets `/metrics`: who is on this machine (``loopback``), ``all`` or ``off``.
        connections: how many there may be; 0 for no limit.
        connections_per_address: of one address, or of 64 bits of an IPv6 address; 0 for no limit.
            Those of this machine count for nothing, since a proxy may stand there.
        header_bytes: of an HTTP request that may become a WebSocket; also in all requests of the
            relay's own port.
        queue_bytes: what may queue for one connection that does not read.
        stall_seconds: how long a queue may stand still.
        rates: what one connection may send in a second.
        grace_seconds: how long a stop waits for the peers to take what is theirs, and to go.
        limits: of the frames and streams taken from each connection.
        websocket: of the sockets.
    """

    log_streams: bool = False
    page: bool = True
    metrics: str = "loopback"
    connections: int = 10_000
    connections_per_address: int = 256
    header_bytes: int = 16 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    stall_seconds: float = 10
    rates: Rates = field(default_factory=Rates)
    grace_seconds: float = 2
    limits: Limits = DEFAULT_LIMITS
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)
