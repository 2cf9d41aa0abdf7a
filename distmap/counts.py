"""What a relay has done, and whom it has turned away, as numbers. Without I/O.

Whatever happens is told by an event with a name; see :meth:`Counts.observe`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

TURN_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
"""The bounds between which the lengths of turns are counted."""
MAX_CAUSES: Final = 64
OTHER: Final = "other"
"""Stands for the causes that came after so many others: nobody makes the table of them grow."""


CLOSE_CAUSES: Final = {
    1002: "protocol",
    1003: "binary",
    1007: "encoding",
    1008: "policy",
    1009: "message-bytes",
    1012: "restart",
    4401: "credentials",
}
"""What the codes of the close frames that the relay sends are called in its counts."""


class Causes(Counter[str]):
    """How often something happened, by its cause."""

    def add(self, cause: str, count: int = 1) -> None:
        """Counts one more, or some."""
        if cause not in self and len(self) >= MAX_CAUSES:
            cause = OTHER
        self[cause] += count


class Histogram:
    """How many values lie between some bounds.

    Attributes:
        bounds: ascending; a value that is equal to one lies below it.
        counts: of the values up to each bound and over the one before it; the last, over all.
        total: the sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Takes a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Traffic:
    """What went over one connection, or over several.

    Attributes:
        bytes_in: what was read from the socket.
        frames_in: mux frames in it.
        bytes_out: what was written to the socket, or waits to be.
        frames_out: mux frames in it.
    """

    __slots__ = ("bytes_in", "bytes_out", "frames_in", "frames_out")

    def __init__(self) -> None:
        self.bytes_in = self.frames_in = self.bytes_out = self.frames_out = 0

    def add(self, other: Traffic) -> None:
        """Takes the traffic of another."""
        self.bytes_in += other.bytes_in
        self.frames_in += other.frames_in
        self.bytes_out += other.bytes_out
        self.frames_out += other.frames_out


class Counts:
    """What one relay has done since it began.

    Attributes:
        connections: WebSockets that were opened.
        streams: streams that were opened.
        refusals: what was not let in, a connection or a stream, by cause.
        faults: streams that were ended because of what the peer did on them, by cause.
        evictions: connections that the relay ended, or cut off from their streams, by cause.
        handshake_failures: connections that did not become WebSockets, by cause.
        pauses: times that a connection was not read for a while, since it sent too much, by what
            it was too much of.
        turns: the lengths of the relay's turns, in seconds.
        gone: the traffic of the connections that are closed.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.streams = 0
        self.refusals = Causes()
        self.faults = Causes()
        self.evictions = Causes()
        self.handshake_failures = Causes()
        self.pauses = Causes()
        self.turns = Histogram(TURN_SECONDS)
        self.gone = Traffic()

    def observe(self, event: str, details: Mapping[str, Any]) -> None:
        """Takes an event of the relay's core, or of what is around it.

        Args:
            event: ``opened``: a stream was; ``refused``: a connection or a stream was not let in;
                ``faulted``: a stream was ended; ``evicted``: a connection was ended, or cut off
                from its streams. Any other counts for nothing.
            details: the last three have a ``code`` that names the cause.
        """
        if event == "opened":
            self.streams += 1
            return
        causes = {
            "refused": self.refusals,
            "faulted": self.faults,
            "evicted": self.evictions,
            "handshake": self.handshake_failures,
            "paused": self.pauses,
        }.get(event)
        if causes is not None:
            causes.add(str(details.get("code", OTHER)))

    def traffic(self, open_now: Iterable[Traffic]) -> Traffic:
        """All traffic since the beginning.

        Args:
            open_now: that of the connections that are open.
        """
        total = Traffic()
        total.add(self.gone)
        for each in open_now:
            total.add(each)
        return total
