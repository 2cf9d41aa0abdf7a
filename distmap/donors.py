"""Which member of a channel serves which newcomer. Without I/O.

A reader is served and never serves. A donor serves few at a time, and of each connection one at a
time, so that nobody keeps others from being served; who takes long holds a place no longer than
:data:`SERVING_MS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Generic

from distmap.channel import NOBODY, Channel, LinkT, Member

MAX_SERVING: Final = 4
"""Newcomers that one donor serves at a time."""
MAX_FAILED_DONORS: Final = 3
"""After so many donors that failed it, a newcomer is told to go on alone."""
SERVING_MS: Final = 20_000
"""From then on a newcomer that is not done goes on without counting: a donor may refuse it."""


class Donors(Generic[LinkT]):
    """The donors of all channels of one relay.

    Args:
        now_ms: tells the time, in milliseconds.
        tell: sends a message of the relay; is called with the member, its name, and more.

    Attributes:
        syncs: how many newcomers were given a donor (``begun``), were done with it (``done``) or
            not (``failed``), and how many were told that they are alone (``alone``).
    """

    def __init__(self, now_ms: Callable[[], float], tell: Callable[..., None]) -> None:
        self._now_ms = now_ms
        self._tell = tell
        # Since when each newcomer is served, the one that is served longest first.
        self._since: dict[Member[LinkT], float] = {}
        self._served: set[tuple[str, Hashable]] = set()
        self.syncs: Counter[str] = Counter()

    @property
    def busy(self) -> bool:
        """Whether anybody is served: then :meth:`expire` is to be called now and then."""
        return bool(self._since)

    def find(self, member: Member[LinkT]) -> None:
        """Gives a newcomer a donor, or tells it that it is alone, or lets it wait."""
        channel = member.channel
        tried = member.failed | {member.id}
        if len(member.failed) >= MAX_FAILED_DONORS or channel.ready.keys() <= tried:
            lonely = list(channel.lonely.values())
            self._make_ready(member)
            self._tell(member, "alone")
            self.syncs["alone"] += 1
            for reader in lonely if member.ready else ():
                self.find(reader)
            return
        if (channel.name, member.link) not in self._served:
            for donor in channel.free.values():
                if donor.id not in tried:
                    self._choose(donor, member)
                    return
        channel.waiting.setdefault(member.id, member)

    def find_another(self, member: Member[LinkT], failed: str | None) -> None:
        """The same for one whose donor failed, or that wants to sync once more."""
        if failed is not None and failed == member.asked:
            member.failed |= {failed}
            self.syncs["failed"] += 1
        self._release(member)
        self.find(member)
        self._serve_waiting(member.channel)

    def ready(self, member: Member[LinkT]) -> None:
        """A newcomer is done: it can serve others."""
        if member.asked and not member.ready:
            self.syncs["done"] += 1
        self._release(member)
        self._make_ready(member)
        self._serve_waiting(member.channel)

    def leave(self, member: Member[LinkT]) -> None:
        """A member has left its channel."""
        self._release(member)
        for newcomer in list(member.serving):
            self._release(newcomer)
            newcomer.asked = ""  # it will notice and ask for another, which counts for nothing
        if member.ready and not member.channel.ready:
            self._leave_alone(member.channel)
        if member.channel.members:
            self._serve_waiting(member.channel)

    def expire(self) -> None:
        """Frees the places that are taken for too long."""
        until_ms = self._now_ms() - SERVING_MS
        while self._since:
            member, since_ms = next(iter(self._since.items()))
            if since_ms > until_ms:
                return
            self._release(member)
            self._serve_waiting(member.channel)

    # -- helpers ----------------------------------------------------------------------------------

    def _choose(self, donor: Member[LinkT], member: Member[LinkT]) -> None:
        channel = member.channel
        channel.waiting.pop(member.id, None)
        channel.free[donor.id] = channel.free.pop(donor.id)  # behind the others
        donor.serving |= {member}
        if len(donor.serving) == MAX_SERVING:
            del channel.free[donor.id]
        member.donor = donor
        member.asked = donor.id
        self._since[member] = self._now_ms()
        self._served.add((channel.name, member.link))
        for other in [each for each in channel.waiting.values() if each.link is member.link]:
            channel.waiting[other.id] = channel.waiting.pop(other.id)  # behind other connections
        self.syncs["begun"] += 1
        self._tell(member, "donor", donor.id)

    def _make_ready(self, member: Member[LinkT]) -> None:
        channel = member.channel
        channel.waiting.pop(member.id, None)
        member.failed = NOBODY
        if member.ready:
            return
        if member.reader:
            # It serves nobody; and what the others have once they come it has to ask for.
            if not channel.ready:
                channel.lonely[member.id] = member
            return
        member.ready = True
        channel.ready[member.id] = channel.free[member.id] = member
        # Those ask first that have waited longest.
        channel.waiting = channel.lonely | channel.waiting
        channel.lonely = {}

    def _leave_alone(self, channel: Channel[LinkT]) -> None:
        """Nobody is left who can serve: what the next one has, the readers have to ask for."""
        for member in channel.members.values():
            if member.reader and not member.plain and member.id not in channel.waiting:
                channel.lonely[member.id] = member

    def _release(self, member: Member[LinkT]) -> None:
        donor, member.donor = member.donor, None
        if donor is None:
            return
        del self._since[member]
        self._served.discard((member.channel.name, member.link))
        donor.serving = donor.serving - {member} or NOBODY
        if donor.id in donor.channel.members:
            donor.channel.free.setdefault(donor.id, donor)

    def _serve_waiting(self, channel: Channel[LinkT]) -> None:
        for member in list(channel.waiting.values()):
            if channel.ready and not channel.free:
                return
            self.find(member)
