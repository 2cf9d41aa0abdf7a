"""Old entries that came before a peer knew what was deleted meanwhile. Without I/O."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from distmap.entries import Entry
from distmap.lww import Replica
from distmap.port import Port

STEP_ENTRIES: Final = 1000
"""Entries that are taken in one step."""


class Doubts:
    """What one peer puts aside while it is not in touch, and takes once it is, some in each step.

    Args:
        replica: takes it, but for what it knows to be deleted by then.
        port: is told what that changed.
    """

    def __init__(self, replica: Replica, port: Port) -> None:
        self._replica = replica
        self._port = port
        self._waiting: dict[str, Entry] = {}
        self._due: Iterator[tuple[str, Entry]] = iter(())
        self._is_due = False

    @property
    def aside(self) -> dict[str, Entry] | None:
        """Where to put what is in doubt; None while the replica is in touch: nothing is then."""
        return None if self._replica.in_touch else self._waiting

    def lost(self) -> None:
        """The connection is gone: what waits comes again with the next sync. What was due already
        goes on.
        """
        self._waiting = {}

    def settle(self) -> None:
        """The replica has the network's state: from now on :meth:`work` takes what waits."""
        # The donor may have learned of it after it had told of what is near it.
        self._due = chain(self._due, self._waiting.items())
        self._is_due = self._is_due or bool(self._waiting)
        self._waiting = {}

    def work(self) -> bool:
        """Takes a step; True if nothing is left to do."""
        if not self._is_due:
            return True
        items = list(islice(self._due, STEP_ENTRIES))
        self._is_due = len(items) == STEP_ENTRIES
        updates = [new for item in items if (new := self._replica.merge(*item)) is not None]
        if updates:
            self._port.updated(updates)
        return not self._is_due
