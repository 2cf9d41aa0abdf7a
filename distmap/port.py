"""What a peer of a map asks of its surroundings."""

from __future__ import annotations

from typing import Protocol

from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.lww import Update


class Port(Protocol):
    """What a :class:`distmap.peer.Peer` asks of its surroundings."""

    def send(self, payload: bytes) -> None:
        """Send a payload on the channel's stream."""

    def begin_sync(self, donor: str) -> None:
        """Open a stream to a donor and hold a conversation as the newcomer."""

    def serve(self, client: str, *, reader: bool = False) -> None:
        """Take the stream of a newcomer and hold a conversation as its donor, which takes nothing
        of one that may only read.
        """

    def updated(self, updates: list[Update]) -> None:
        """Other peers' entries took their place in the replica."""

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        """The relay has taken these own writes."""

    def refused(self, writes: list[tuple[str, Entry]], updates: list[Update]) -> None:
        """These own writes were taken back, since this peer may only read; what that changed."""

    def restamped(self, updates: list[Update]) -> None:
        """Own writes that nobody had seen have new stamps."""

    def became_ready(self, how: str) -> None:
        """The replica has the network's state: by a peer, or alone."""

    def peers_changed(self, peers: int) -> None:
        """The number of other peers has changed."""

    def heard_digest(self, peer: str, digest: tuple[int, int]) -> None:
        """Another peer told the digest of its replica."""

    def work_soon(self) -> None:
        """Call :meth:`distmap.peer.Peer.work` in a turn of its own, if that is not due already."""

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        """These own writes of long ago were not offered again."""
