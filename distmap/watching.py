"""Keeps watch over one map while it is open: its digest against the others', and the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from distmap.conversation import FOLD_KEYS
from distmap.gossip import Digest, Gossip
from distmap.lww import Replica
from distmap.peer import Peer


class Watching:
    """The gossip of one map; see :mod:`distmap.gossip`.

    Args:
        peer: whose digest it is.
        reactor: for the timers.
        random: gives a number from 0 to 1.
        repair: is called with the peer that this one differs from.
    """

    def __init__(
        self,
        peer: Peer,
        reactor: IReactorTime,
        random: Callable[[], float],
        repair: Callable[[str], None],
    ) -> None:
        self._peer = peer
        self._reactor = reactor
        self._gossip = Gossip(random)
        self._repair = repair
        self._tick_call: IDelayedCall | None = None
        self._calls: set[IDelayedCall] = set()

    @property
    def _replica(self) -> Replica:
        return self._peer.replica

    def start(self) -> None:
        """The map is ready; a second call does nothing."""
        if self._tick_call is None:
            self._tick_call = self._reactor.callLater(self._gossip.next_seconds(), self._tick)

    def stop(self) -> None:
        """The map is not ready any more."""
        self._gossip.settle()
        calls = [*self._calls, *([self._tick_call] if self._tick_call is not None else [])]
        for call in calls:
            if call.active():
                call.cancel()
        self._calls.clear()
        self._tick_call = None

    def heard(self, peer: str, theirs: Digest) -> None:
        """Another peer told its digest."""
        if self._tick_call is not None:
            self._when_folded(lambda: self._compare(peer, theirs))

    def _tick(self) -> None:
        self._tick_call = self._reactor.callLater(self._gossip.next_seconds(), self._tick)
        self._peer.look_up()
        # Also alone: folding is what collects old tombstones.
        self._when_folded(self._tell)

    def _tell(self) -> None:
        if self._peer.peers and self._gossip.should_tell():
            self._peer.tell_digest()

    def _compare(self, peer: str, theirs: Digest) -> None:
        own = self._replica.digest()
        seconds = self._gossip.hear(peer, theirs, own, self._reactor.seconds())
        if seconds is not None:
            self._later(seconds, lambda: self._when_folded(self._confirm))

    def _confirm(self) -> None:
        suspect = self._gossip.confirm(self._replica.digest(), self._reactor.seconds())
        if suspect is not None:
            self._repair(suspect)

    def _when_folded(self, then: Callable[[], Any]) -> None:
        """Calls it once the tree of sums is up to date; hashing takes several turns."""
        if self._replica.fold(FOLD_KEYS):
            then()
        else:
            self._later(0, lambda: self._when_folded(then))

    def _later(self, seconds: float, call: Callable[[], Any]) -> None:
        def run() -> None:
            self._calls.discard(delayed)
            call()

        delayed = self._reactor.callLater(seconds, run)
        self._calls.add(delayed)
