"""Copies of maps in JavaScript, and how some of them outlive a crash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from distmap.clock import Stamp
from tests.simulation.copies import Copy
from tests.simulation.writes import Witness, Write


@dataclass
class Disk:
    """What outlives the crash of a machine.

    Attributes:
        saved: by URI, the writes of which the client said that they are kept.
        writers: the ids of all clients that wrote to it.
    """

    name: str
    saved: dict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    writers: set[str] = field(default_factory=set)


class NodeCopy(Copy):
    """A copy of a map in JavaScript."""

    def _taken(self, result: object, write: Write) -> None:
        if not write.anew:
            super()._taken(result, write)
            return
        # A promise tells a little late: meanwhile the write may have been stamped anew, and wait.
        self.waiting.pop(id(write), None)
        write.settled = "taken"


class KeptCopy(NodeCopy):
    """A copy of a map in JavaScript that is kept: the writes kept before are its own.

    Args:
        disk: where it is kept.

    The others are those of Copy.
    """

    def __init__(self, witness: Witness, name: str, shared: Any, uri: str, disk: Disk) -> None:
        super().__init__(witness, name, shared, uri)
        self._disk = disk
        self._saved = disk.saved[uri]
        self.writes.extend(self._saved)
        shared.on("adopt", self._adopts)
        shared.on("saved", self._has_saved)

    def _log(self, key: str, deferred: Any) -> None:
        super()._log(key, deferred)
        self._disk.writers.add(self.replica.entries[key].stamp.writer)
        shared: Any = self.map
        shared.when_saved(len(self.writes))

    def _has_saved(self, count: int) -> None:
        known = set(map(id, self._saved))
        self._saved.extend(write for write in self.writes[:count] if id(write) not in known)

    def _adopts(
        self, adopt: Callable[[], object], key: str, stamp: Stamp, base: Stamp | None
    ) -> None:
        """Takes over a write that was not taken before the crash: it is its own."""
        is_new = key not in self.map._seat.peer.outbox
        self._writing = True
        adopt()
        self._writing = False
        if is_new:
            self._bases[key] = base
        self._latest_own = max(self._latest_own, stamp.when)
        foreign = self._foreign.get(key)
        if foreign is not None and foreign.writer in self._disk.writers:
            del self._foreign[key]
            self._latest_foreign = max((s.when for s in self._foreign.values()), default=(0, 0))
