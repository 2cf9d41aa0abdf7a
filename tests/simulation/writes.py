"""What copies wrote, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from distmap.clock import Stamp

if TYPE_CHECKING:
    from tests.simulation.copies import Copy


@dataclass
class Write:
    """One write of one copy.

    Attributes:
        stamp: its stamp; that of a write which was stamped anew changes.
        at: when it was made, in virtual seconds.
        anew: whether it was stamped anew.
        settled: what became of it, if that is known: ``taken``, ``closed`` or ``superseded``.
    """

    copy: Copy
    key: str
    stamp: Stamp
    value: bytes | None
    at: float
    settled: str | None = None
    anew: bool = False


class Witness(Protocol):
    """Who hears what a copy has seen."""

    @property
    def now(self) -> float:
        """Virtual seconds."""

    deceived: bool
    """Whether a liar was a donor of somebody who had been away: deletes may be undone."""

    def broken(self, reason: str) -> None:
        """A promise is broken."""

    def written(self, write: Write) -> None:
        """A copy wrote, or stamped a write anew."""

    def taken(self, write: Write) -> None:
        """The relay acknowledged a write."""

    def deleted(self, uri: str, key: str, stamp: Stamp) -> None:
        """A tombstone is in place somewhere."""

    def may_be_gone(self, uri: str, key: str, stamp: Stamp) -> bool:
        """Whether an entry may be deleted so long ago that nobody need remember it."""

    def left_alone(self, copy: Copy, why: str) -> None:
        """A copy is ready, and nobody has given it the map."""

    def copy_of(self, uri: str, member: str) -> Copy | None:
        """The copy of a member of a map's channel; None if it is not one of ours."""

    def syncs(self, newcomer: Copy, donor: Copy) -> None:
        """A copy begins to sync with another."""

    def trace(self, who: str, what: str, *details: object) -> None:
        """Something to tell."""
