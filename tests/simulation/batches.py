"""Watches batches: each is sent in one message, told in one step, and taken as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

from distmap import Change, DistributedMap
from distmap.entries import Entry
from tests.simulation.writes import Witness, Write


class BatchWatch:
    """The batches that one copy sends, and those that come to it.

    Args:
        witness: hears what is wrong.
        name: of the copy.
        shared: its map.
    """

    def __init__(self, witness: Witness, name: str, shared: DistributedMap) -> None:
        self._witness = witness
        self._name = name
        self._replica = shared._replica
        # While a message is applied: all entries, each time that something is told of.
        self._told: list[dict[str, Entry]] | None = None
        peer = shared._seat.peer
        self._outbox: Any = peer.outbox
        for owner, method, hook in (
            (peer.outbox, "next_message", self._sends),
            (peer, "receive", self._receives),
        ):
            setattr(owner, method, partial(hook, getattr(owner, method)))
        shared.observe_batch(self._tells)

    def _sends(self, next_message: Callable[[], bytes | None]) -> bytes | None:
        """A batch is sent as a whole, and alone: only its writes share a stamp."""
        message = next_message()
        if message is None:
            return None
        sent = Counter(write.entry.stamp for write in self._outbox._sent[-1].writes)
        if len(sent) > 1 and max(sent.values()) > 1:
            self._witness.broken(f"{self._name} sends a batch with other writes: {sent}")
        waiting = self._outbox._waiting
        left = [key for key in self._outbox.unsent if waiting[key].entry.stamp in sent]
        if left:
            self._witness.broken(f"{self._name} sends a batch in parts: {left} are left")
        return message

    def _receives(self, receive: Callable[..., None], *payloads: Any) -> None:
        """What one message of others brings is told at once, when all of it is in place."""
        for is_batch, some in groupby(payloads, _is_batch):
            if not is_batch:
                receive(*some)  # each has one entry, or none
                continue
            for payload in some:
                self._receives_batch(receive, payload)

    def _receives_batch(self, receive: Callable[..., None], payload: Any) -> None:
        told: list[dict[str, Entry]] = []
        self._told = told
        receive(payload)
        self._told = None
        if len(told) > 1:
            self._witness.broken(f"{self._name} tells of one message in {len(told)} parts")
        if told and told[0] != self._replica.entries:
            self._witness.broken(f"{self._name} tells of a message before all of it is there")

    def _tells(self, changes: list[Change]) -> None:
        if self._told is not None:
            self._told.append(dict(self._replica.entries))

    def taken(self, write: Write) -> None:
        """A write is acknowledged: so must be all that share its stamp."""
        waiting = self._outbox._waiting.items()
        left = [k for k, each in waiting if each.entry.stamp == write.stamp and k != write.key]
        if left and not write.anew:  # then it may have been sent with another stamp
            self._witness.broken(f"{self._name} has a part of a batch taken, and not {left}")


def _is_batch(payload: Any) -> bool:
    return bytes(payload).startswith(b'{"event":"entries"')
