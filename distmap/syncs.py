"""The syncs of one map: as the newcomer with one donor at a time, as the donor of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from distmap.lww import Replica, Update
from distmap.peer import Peer
from distmap.session import Session
from distmap.sync import Newcomer
from distmap.syncing import Refusing, Serving, Syncing

MAX_SERVING: Final = 16
"""Newcomers that this peer serves at a time; the relay sends it fewer."""
MAX_REFUSING: Final = 64
"""Newcomers that it tells so at a time; at a relay that keeps to the rules no more can wait."""


class Syncs:
    """What is under way.

    Args:
        peer: whose syncs they are.
        uri: of the map.
        reactor: for the timers.
        random: gives a number from 0 to 1; names the conversations.
    """

    _log = Logger()

    def __init__(
        self, peer: Peer, uri: str, reactor: IReactorTime, random: Callable[[], float]
    ) -> None:
        self.uri = uri
        self.peer = peer
        self.serving: set[Serving] = set()
        self.refusing: set[Refusing] = set()
        self.repairs = 0
        self._reactor = reactor
        self._random = random
        self._syncing: Syncing | None = None
        # This peer had the state before: what it gets is news to the others too.
        self._news = False
        self._repair = False

    @property
    def replica(self) -> Replica:
        """The map's entries."""
        return self.peer.replica

    # -- beginning and ending ---------------------------------------------------------------------

    def begin(self, session: Session, donor: str, *, repair: bool = False) -> None:
        """Opens a stream to a donor. A sync that is under way goes on instead of a repair, and ends
        for anything else.
        """
        if self._syncing is not None:
            if repair:
                return
            self._syncing.stop()
        self._repair = repair
        self._news = self.replica.in_touch
        client = f"{self.peer.id}.{int(self._random() * 2**32):08x}"
        self._syncing = Syncing(self, session, donor, client)

    def serve(self, session: Session, client: str, *, reader: bool = False) -> None:
        """Takes the stream of a newcomer, or tells it that there are too many."""
        if len(self.serving) < MAX_SERVING:
            self.serving.add(Serving(self, session, self.peer.id, client, reader=reader))
        elif len(self.refusing) < MAX_REFUSING:
            self.refusing.add(Refusing(self, session, self.peer.id, client))

    def stop(self) -> None:
        """Ends all."""
        if self._syncing is not None:
            self._syncing.stop()
            self._syncing = None
        for serving in [*self.serving, *self.refusing]:
            serving.stop()
        self.serving.clear()
        self.refusing.clear()

    # -- what the conversations ask and tell: see syncing.Party -----------------------------------

    def call_later(self, seconds: float, call: Callable[[], Any]) -> IDelayedCall:
        return self._reactor.callLater(seconds, call)

    @property
    def is_busy(self) -> bool:
        return self.peer.is_busy

    def new_conversation(self) -> Newcomer:
        return self.peer.begin()

    def seconds(self) -> float:
        return self._reactor.seconds()

    def merged(self, updates: list[Update]) -> None:
        if not updates:
            return
        if self._news:
            self.peer.learned(updates)
        else:
            self.peer.updated(updates)

    def learned(self, updates: list[Update]) -> None:
        if updates:
            self.peer.learned(updates)

    def told(self, texts: list[bytes]) -> None:
        self.peer.tell_all(texts)

    def sync_done(self, syncing: Syncing) -> None:
        if self._syncing is not syncing:
            return
        self._syncing = None
        if not self._repair:
            self.peer.synced()
        elif syncing.repaired:
            self.repairs += 1
            self._log.error(
                "{uri} had diverged from peer {donor}: {count} entries were repaired",
                uri=self.uri,
                donor=syncing.donor,
                count=syncing.repaired,
            )

    def sync_failed(self, syncing: Syncing, reason: str) -> None:
        if self._syncing is not syncing:
            return
        self._syncing = None
        self._log.warn(
            "the donor {donor} of {uri} failed: {reason}",
            donor=syncing.donor,
            uri=self.uri,
            reason=reason,
        )
        if not self._repair:
            self.peer.sync_failed(syncing.donor)

    def serving_ended(self, serving: Serving | Refusing) -> None:
        if isinstance(serving, Serving):
            self.serving.discard(serving)
        else:
            self.refusing.discard(serving)
