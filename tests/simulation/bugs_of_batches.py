"""Planted bugs: what belongs together and comes apart."""

from __future__ import annotations

from typing import Any

from distmap.clock import Restamper, Stamp
from distmap.lww import Replica
from distmap.peer import Peer
from tests.simulation.planting import Replacements, bug


@bug()
def batch_cut_in_two() -> Replacements:
    """A batch goes out with other writes, and in several messages."""
    return {"outbox._are_together": lambda one, other: False}


@bug()
def batch_of_many_stamps() -> Replacements:
    """Each write of a batch has a stamp of its own."""
    rewrite = Replica.rewrite

    def replacement(self: Replica, key: str, value: Any, stamp: Stamp | None = None) -> Any:
        return rewrite(self, key, value)

    return {"lww.Replica.rewrite": replacement}


@bug()
def batch_stamped_apart() -> Replacements:
    """When a clock was wrong, the writes of a batch get one new stamp each."""

    def replacement(self: Restamper, old: Stamp) -> Stamp:
        return self._clock.tick()

    return {"clock.Restamper.anew": replacement}


@bug()
def message_taken_in_parts() -> Replacements:
    """The entries of one message take their places one by one, and so are told."""
    take = Peer._take

    def replacement(self: Peer, texts: list[Any]) -> None:
        for text in texts:
            take(self, [text])

    return {"peer.Peer._take": replacement}
