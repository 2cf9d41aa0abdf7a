"""A peer that may only read: it takes what the others have, and gives nothing.

Its copy is made equal to that of its donor: what it has and the donor has not cannot be offered to
anybody, so it goes. Own writes from before it knew are taken back. Without I/O.
"""

from __future__ import annotations

from sys import maxsize

from distmap import sync_wire as wire
from distmap.access import READ, WRITE
from distmap.entries import Entry, entry_hash
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting
from distmap.ranges import position_of
from distmap.sync import Newcomer


class Reading:
    """What this peer may do, and what its own writes replaced while that is not known.

    Attributes:
        access: ``read`` or ``write``, as the relay said last; None before it has said it.
    """

    def __init__(self, replica: Replica, outbox: Outbox) -> None:
        self.access: str | None = None
        self._replica = replica
        self._outbox = outbox
        self._known = False
        # By key, what the first of several own writes replaced.
        self._originals: dict[str, Entry | None] = {}

    @property
    def only(self) -> bool:
        """Whether this peer may only read."""
        return self.access == READ

    def wrote(self, update: Update) -> None:
        """This peer wrote."""
        if not self._known and update.key not in self._originals:
            self._originals[update.key] = update.old

    def lost(self) -> None:
        """The stream is gone: the relay may say something else next time."""
        self._known = False

    def told(self, access: str) -> tuple[list[Update], list[tuple[str, Entry]]]:
        """The relay has told what this peer may do.

        Returns:
            What changed in the replica, and the own writes that the relay will not take.
        """
        self._known = access != READ
        self.access = WRITE if self._known else READ
        originals, self._originals = self._originals, {}
        if self._known:
            return [], []
        writes: list[tuple[str, Entry]] = []

        def keep(write: Waiting) -> bool:
            writes.append((write.key, write.entry))
            return False

        self._outbox.begin_sweep(sent=True)
        self._outbox.sweep(maxsize, keep)
        updates = [
            self._take_back(key, entry, originals.get(key))
            for key, entry in writes
            if self._replica.entries.get(key) is entry
        ]
        return updates, writes

    def _take_back(self, key: str, entry: Entry, original: Entry | None) -> Update:
        gone = self._replica.forget(key)
        if original is None or self._replica.merge(key, original, trusted=True) is None:
            return gone
        return Update(key, original, entry)


class Reader(Newcomer):
    """The newcomer's side of a sync, for one that may only read."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica)
        self._replica.forget_floor()

    def _receive_hello(self, hello: wire.Hello) -> list[bytes]:
        messages = super()._receive_hello(hello)
        self._replica.forget_floor()
        self._trusts_donor = True
        return messages

    def _judge(
        self, prefix: str, mine: tuple[int, int], theirs: tuple[int, int], most: int
    ) -> None:
        # Entries may have come meanwhile that the donor has too: it is asked about each.
        empty = theirs[0] == 0 and mine != theirs
        super()._judge(prefix, mine, (1, theirs[1]) if empty else theirs, most)

    def _receive_entries(
        self, prefixes: list[str], start: str, own: dict[int, tuple[int, str]], answer: wire.Answer
    ) -> list[Update]:
        updates: dict[str, Update] = {}
        if isinstance(answer, wire.Entries):
            for each in answer.missing:
                place, key = own.get(each, (0, ""))
                if answer.next is None or place < position_of(answer.next):
                    entry = self._replica.entries.get(key)
                    if entry is not None and entry_hash(key, entry) == each:
                        updates[key] = self._replica.forget(key)
        for update in super()._receive_entries(prefixes, start, own, answer):
            gone = updates.get(update.key)
            updates[update.key] = update if gone is None else update.replace(old=gone.old)
        self._to_push.clear()
        return list(updates.values())
