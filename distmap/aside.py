"""Writes that are set aside: others may have changed their keys since and forgotten it.

Once the state of the network is here they are offered again, but only where nobody has changed the
key meanwhile: anywhere else they would undo what they know nothing of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from distmap.clock import Restamper, Stamp
from distmap.entries import Entry, is_burial
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting


class Return(NamedTuple):
    """What became of some of the writes.

    Attributes:
        offered: own writes that are offered again, with new stamps.
        taken: own writes that had got through after all.
        superseded: own writes that are not offered again.
    """

    offered: list[Update]
    taken: list[tuple[str, Stamp]]
    superseded: list[tuple[str, Entry]]


class Aside:
    """The writes of one map that are set aside.

    Args:
        replica: they are taken out of it.
        outbox: they come from there, and may go back.
    """

    def __init__(self, replica: Replica, outbox: Outbox) -> None:
        self._replica = replica
        self._outbox = outbox
        self._writes: dict[str, Waiting] = {}
        self._queue: deque[Waiting] = deque()  # the same, oldest first; some are gone
        self._stamps = Restamper(replica.clock)

    def __len__(self) -> int:
        return len(self._writes)

    def put(self, write: Waiting) -> Update | None:
        """Takes a write out of the outbox's hands.

        Returns:
            What changed in the replica.
        """
        self._writes[write.key] = write
        self._queue.append(write)
        if self._replica.entries.get(write.key) is not write.entry:
            return None
        return self._replica.forget(write.key)

    def written(self, key: str, old: Stamp | None) -> Stamp | None:
        """A key is written anew: what is set aside of it is not offered any more.

        Returns:
            The stamp of what the write that goes had replaced; `old` if there is none.
        """
        write = self._writes.pop(key, None)
        return old if write is None else write.base

    def give_up(self, most: int) -> list[tuple[str, Entry]]:
        """Lets go of up to `most` of the writes, the oldest first. A batch goes as a whole.

        Returns:
            The writes.
        """
        return [(write.key, write.entry) for write in self._take_first(most)]

    def restore(self, most: int) -> list[Update]:
        """Nobody is there to ask: up to `most` of the writes go on as if nothing had been, the
        latest first. A batch goes as a whole.

        Returns:
            What changed in the replica.
        """
        updates: list[Update] = []
        last: Waiting | None = None
        while self._queue and (most > 0 or _are_together(last, self._queue[-1])):
            most -= 1
            last = self._queue.pop()
            if self._take(last):
                update = self._replica.merge(last.key, last.entry, trusted=True)
                if is_burial(self._replica.entries.get(last.key), last.entry):
                    stamp = self._stamps.anew(last.entry.stamp)
                    update = self._replica.rewrite(last.key, last.entry.value, stamp)
                    self._outbox.add(last.key, update.entry, last.base)
                else:
                    self._outbox.put_back(last)
                if update is not None:
                    updates.append(update)
        return updates

    def end(self, most: int) -> Return:
        """The state of the network is here: settles what becomes of up to `most` of the writes, the
        oldest first. A batch goes as a whole.
        """
        result = Return([], [], [])
        for write in self._take_first(most):
            self._settle(write, result)
        return result

    def _settle(self, write: Waiting, result: Return) -> None:
        key, entry = write.key, write.entry
        now = self._replica.entries.get(key)
        stamp = None if now is None or is_burial(now, entry) else now.stamp
        if stamp == entry.stamp:
            result.taken.append((key, entry.stamp))
        elif stamp == write.base:
            update = self._replica.rewrite(key, entry.value, self._stamps.anew(entry.stamp))
            self._outbox.add(key, update.entry, write.base)
            result.offered.append(update)
        else:
            result.superseded.append((key, entry))

    def _take_first(self, most: int) -> Iterator[Waiting]:
        last: Waiting | None = None
        while self._queue and (most > 0 or _are_together(last, self._queue[0])):
            most -= 1
            last = self._queue.popleft()
            if self._take(last):
                yield last

    def _take(self, write: Waiting) -> bool:
        if self._writes.get(write.key) is not write:
            return False
        del self._writes[write.key]
        return True


def _are_together(last: Waiting | None, following: Waiting) -> bool:
    """Whether two writes are of one batch."""
    return last is not None and last.entry.stamp == following.entry.stamp
