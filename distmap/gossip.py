"""Finds out in production whether replicas have diverged, with little talk.

Each peer tells the digest of its replica now and then, unless it heard the same digest from
another peer since it last would have: so a map whose replicas are equal costs about one message an
interval, however many peers it has. After Levis, Clausen, Hui, Gnawali and Ko, "The Trickle
Algorithm" (RFC 6206), with a fixed interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

INTERVAL_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 2.0
"""Writes under way make replicas differ for a moment: a difference must last this long."""
PATIENCE_SECONDS: Final = 60.0
"""In a map that never rests, a difference must last this long instead."""

Digest: TypeAlias = tuple[int, int]


class Gossip:
    """When to tell one's digest, and what to make of another's.

    Args:
        random: gives a number from 0 to 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._agreed = False
        self._suspect: str | None = None
        self._own: Digest = (0, 0)
        self._differs_since: float | None = None

    def next_seconds(self) -> float:
        """When to consider telling the digest again: half to one and a half intervals."""
        return INTERVAL_SECONDS * (0.5 + self._random())

    def should_tell(self) -> bool:
        """Whether nobody has told the same digest since the last call."""
        agreed, self._agreed = self._agreed, False
        return not agreed

    def hear(self, peer: str, theirs: Digest, own: Digest, now_seconds: float) -> float | None:
        """Another peer told its digest.

        Returns:
            In how many seconds to call :meth:`confirm`; None if there is nothing to confirm.
        """
        if theirs == own:
            self._agreed = True
            self.settle()
            return None
        if self._differs_since is None:
            self._differs_since = now_seconds
        if self._suspect is not None:
            return None
        self._suspect, self._own = peer, own
        return SETTLE_SECONDS * (1 + self._random())

    def confirm(self, own: Digest, now_seconds: float) -> str | None:
        """Whether the difference has lasted.

        Returns:
            The peer to compare with; None if there is no need.
        """
        suspect, self._suspect = self._suspect, None
        if suspect is None or self._differs_since is None:
            return None
        if own != self._own and now_seconds - self._differs_since < PATIENCE_SECONDS:
            return None
        self._differs_since = None
        return suspect

    def settle(self) -> None:
        """The replicas agree, or are about to be compared."""
        self._suspect = None
        self._differs_since = None
