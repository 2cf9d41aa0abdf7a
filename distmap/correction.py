"""Puts right what a clock that was far ahead has stamped, and what it has let in.

What nobody has seen is stamped anew. What was sent, others hold back until its time: so does this
peer, and writes it once more with a good stamp. What others wrote is held back as well; what that
had replaced is fetched from them.

All of it takes as many steps as there are entries to look at. Until it is over nothing is sent and
nothing compared, and what is written is stamped anew too.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from heapq import merge
from typing import Final

from distmap.clock import Restamper, Stamp
from distmap.entries import Entry
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting
from distmap.port import Port

STEP_ENTRIES: Final = 1000
"""Entries that are looked at in one step."""
STEP_HELD: Final = 100
"""Entries that are held in one step: for each, all that are held are looked at."""


class Correction:
    """The corrections of one peer.

    Args:
        replica: its entries.
        outbox: its writes that wait.
        port: where to act.
        writers: the ids that its own writes are stamped with.

    Attributes:
        is_on: one has begun and is not over.
        to_fetch: what others have is to be fetched, once it is over.
    """

    def __init__(self, replica: Replica, outbox: Outbox, port: Port, writers: Set[str]) -> None:
        self.is_on = False
        self.to_fetch = False
        self._replica = replica
        self._outbox = outbox
        self._port = port
        self._writers = writers
        self._steps: Iterator[None] = iter(())

    def begin(self) -> None:
        """The clock was set back; one that is under way begins again."""
        self.is_on = self._replica.clock.is_correcting = True
        self._steps = self._run()

    def work(self) -> bool:
        """Takes a step; True if nothing is left to do."""
        if self.is_on and next(self._steps, self) is self:
            self.is_on = self._replica.clock.is_correcting = False
        return not self.is_on

    def wrote(self, update: Update) -> None:
        """This peer wrote a key: if that replaced an entry from the future, others hold it back."""
        key, old = update.key, update.old
        if not self.is_on or old is None or self._outbox.is_unsent(key, old):
            return
        if self._replica.clock.is_ahead(old.stamp):
            self._replica.held.add(key, old)

    # -- step by step -----------------------------------------------------------------------------

    def _run(self) -> Iterator[None]:
        ahead: list[list[tuple[str, Entry]]] = []  # of each step, by stamp
        keys = list(self._replica.entries)  # what comes meanwhile meets a clock that is right
        for at in range(0, len(keys), STEP_ENTRIES):
            if at:
                yield from self._pause()
            ahead.append(sorted(self._look_at(keys[at : at + STEP_ENTRIES]), key=_stamp_of))
        yield from self._stamp_anew()
        yield from self._hold(ahead)

    def _pause(self) -> Iterator[None]:
        self.to_fetch = True  # what comes meanwhile may lose to what is from the future
        yield

    def _look_at(self, keys: list[str]) -> Iterator[tuple[str, Entry]]:
        """Finds what is from the future, but for what is to be stamped anew. What is written from
        now on is later than all else.
        """
        clock, entries = self._replica.clock, self._replica.entries
        for key in keys:
            entry = entries.get(key)
            if entry is None:
                continue
            if not clock.is_ahead(entry.stamp):
                clock.observe(entry.stamp)
            elif not self._outbox.is_unsent(key, entry):
                yield key, entry

    def _stamp_anew(self) -> Iterator[None]:
        stamps = Restamper(self._replica.clock)
        writes: list[Waiting] = []

        def keep(write: Waiting) -> bool:
            # Another peer, whose clock is as wrong, may have overwritten it.
            if not write.is_seen and self._is_own(self._replica.entries.get(write.key)):
                writes.append(write)
            return True

        self._outbox.begin_sweep()
        while self._outbox.is_sweeping:
            self._outbox.sweep(STEP_ENTRIES, keep)
            updates = self._replica.restamp([write.key for write in writes], stamps)
            for write, update in zip(writes, updates, strict=True):
                write.entry = update.entry
            writes.clear()
            self._port.restamped(updates)
            if self._outbox.is_sweeping:
                yield from self._pause()

    def _hold(self, ahead: list[list[tuple[str, Entry]]]) -> Iterator[None]:
        stamps = Restamper(self._replica.clock)
        items: list[tuple[str, Entry]] = []
        # By stamp: in the order they were written, those of a batch together.
        for item in merge(*ahead, key=_stamp_of):
            if len(items) >= STEP_HELD and _stamp_of(item) != _stamp_of(items[-1]):
                self._hold_some(items, stamps)
                items = []
                yield from self._pause()
            items.append(item)
        self._hold_some(items, stamps)

    def _hold_some(self, items: list[tuple[str, Entry]], stamps: Restamper) -> None:
        gone = []
        for key, entry in items:
            if self._replica.entries.get(key) is not entry:
                continue  # stamped anew just now, or written over
            self.to_fetch = True
            self._replica.hold(key)
            if self._is_own(entry):
                update = self._replica.rewrite(key, entry.value, stamps.anew(entry.stamp))
                self._outbox.add(key, update.entry)
                self._port.restamped([update])
            else:
                gone.append(Update(key, entry.replace(value=None), entry))
        if gone:
            self._port.updated(gone)

    def _is_own(self, entry: Entry | None) -> bool:
        return entry is not None and entry.stamp.writer in self._writers


def _stamp_of(item: tuple[str, Entry]) -> Stamp:
    return item[1].stamp
