"""What a relay counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted.web.http import FORBIDDEN
from twisted.web.iweb import IRequest

from distmap.admission import network_of
from distmap.origins import names_this_machine
from distmap.page import Leaf, set_headers
from distmap.relay_server import RelayServer
from distmap.site import header_text, host_of

FORWARDED: Final = (
    *(b"forwarded", b"x-real-ip", b"via"),
    *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
)
"""Headers of requests that a proxy on this machine passes on for somebody else."""


class RelayCollector(Collector):
    """Reads the counts of one relay when it is asked.

    Args:
        relay: whose they are.
    """

    def __init__(self, relay: RelayServer) -> None:
        self._relay = relay

    def describe(self) -> list[Metric]:
        """Nothing: what there is does not have to be read for it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        yield from self._gauges()
        yield from self._counters()
        counts = self._relay.counts
        turns = counts.turns
        bounds = [*map(str, turns.bounds), "+Inf"]
        yield HistogramMetricFamily(
            "distmap_turn_seconds",
            "How long the turns took, from the first read to the last write.",
            buckets=list(zip(bounds, accumulate(turns.counts), strict=True)),
            sum_value=turns.total,
        )

    def _gauges(self) -> Iterator[Metric]:
        relay = self._relay
        hub = relay.core.hub
        queued = [connection.queued_bytes for connection in relay.connections]
        for name, text, value in (
            ("connections", "WebSockets that are open.", len(relay.connections)),
            ("maps", "Maps that somebody has open.", len(hub.channels)),
            ("members", "Members of all maps together.", hub.members),
            ("queue_bytes", "What waits for all connections together.",
             relay.backlog.queued_bytes),
            ("queue_bytes_max", "What waits for the slowest connection.", max(queued, default=0)),
            ("unfinished_bytes", "What came of messages that are not whole.",
             relay.backlog.unfinished_bytes),
            ("queues", "Connections for which something waits.", sum(map(bool, queued))),
            ("resting", "Connections that are not read for a while, since they sent too much.",
             sum(connection.rests for connection in relay.connections)),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"distmap_{name}", text, value=value)

    def _counters(self) -> Iterator[Metric]:
        counts = self._relay.counts
        traffic = counts.traffic(each.traffic for each in self._relay.connections)
        for name, text, value in (
            ("connections_opened", "WebSockets that were opened.", counts.connections),
            ("streams_opened", "Streams that were opened.", counts.streams),
            ("frames_in", "Mux frames that came.", traffic.frames_in),
            ("frames_out", "Mux frames that were sent.", traffic.frames_out),
            ("bytes_in", "Bytes that were read from sockets.", traffic.bytes_in),
            ("bytes_out", "Bytes that were written to sockets, or wait.", traffic.bytes_out),
        ):
            yield CounterMetricFamily(f"distmap_{name}", text, value=value)
        causes: tuple[tuple[str, str, str, Mapping[str, int]], ...] = (
            ("refusals", "Connections and streams not let in.", "cause", counts.refusals),
            ("faults", "Streams ended for what the peer did.", "cause", counts.faults),
            ("evictions", "Connections ended or cut off.", "cause", counts.evictions),
            ("handshake_failures", "Connections that became no WebSockets.", "cause",
             counts.handshake_failures),
            ("pauses", "Times that a connection was not read for a while.", "cause", counts.pauses),
            ("syncs", "Newcomers, by how it went with their donor.", "event",
             self._relay.core.hub.donors.syncs),
        )  # fmt: skip
        for name, text, label, numbers in causes:
            family = CounterMetricFamily(f"distmap_{name}", text, labels=[label])
            for cause, number in sorted(numbers.items()):
                family.add_metric([cause], number)
            yield family


class Metrics(Leaf):
    """Answers with the metrics of a relay.

    Args:
        relay: whose they are.
        audience: ``loopback``, ``all`` or ``off``.
    """

    def __init__(self, relay: RelayServer, audience: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._audience = audience
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RelayCollector(relay))
        ProcessCollector(registry=self._registry)

    def render_GET(self, request: Any) -> bytes:
        """The metrics as text, or 403 for those that they are not meant for."""
        if self._audience == "off" or (self._audience == "loopback" and not is_local(request)):
            set_headers(request, b"text/plain; charset=utf-8")
            request.setResponseCode(FORBIDDEN)
            return b"The metrics of this relay are not for you; see --metrics.\n"
        set_headers(request, CONTENT_TYPE_LATEST.encode())
        return generate_latest(self._registry)


def is_local(request: IRequest) -> bool:
    """Whether somebody on this machine asks, by a name of this machine, and not a proxy for
    somebody elsewhere. Another name leads here if somebody has turned it here for a page of theirs
    (DNS rebinding), or by a proxy.
    """
    asks: Any = request
    if not names_this_machine(header_text(asks, b"host") or "localhost"):
        return False
    if any(asks.requestHeaders.hasHeader(name) for name in FORWARDED):
        return False
    return network_of(host_of(asks.getClientAddress())) is None
