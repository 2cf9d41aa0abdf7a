"""A peer that may only read: it takes what the others have, and gives nothing.

Its copy is made equal to that of its donor: what it has and the donor has not cannot be offered to
anybody, so it goes. Own writes from before it knew are taken back, some in each step. Without I/O.
"""

from __future__ import annotations

from msgspec import Raw

from distmap import sync_wire as wire
from distmap.absence import STEP_WRITES
from distmap.access import READ, WRITE
from distmap.entries import Entry, entry_hash
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting
from distmap.port import Port
from distmap.sync import Newcomer


class Reading:
    """What this peer may do, and what its own writes replaced while that is not known.

    Args:
        replica: its entries.
        outbox: its writes that wait.
        port: where to act.

    Attributes:
        access: ``read`` or ``write``, as the relay said last; None before it has said it.
        is_taking_back: own writes wait that the relay will not take: nothing is sent.
    """

    def __init__(self, replica: Replica, outbox: Outbox, port: Port) -> None:
        self.access: str | None = None
        self.is_taking_back = False
        self._replica = replica
        self._outbox = outbox
        self._port = port
        self._sweep = -1
        self._known = False
        self._to_fetch = False
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
        """The stream is gone: the relay may say something else next time. What it said holds until
        then, so taking back goes on.
        """
        self._known = self._to_fetch = False

    def told(self, access: str) -> None:
        """The relay has told what this peer may do.

        If it may only read, :meth:`work` takes back the own writes that wait. If it may write after
        all, those that are left are sent.
        """
        self._known = access != READ
        self.access = WRITE if self._known else READ
        if self._known and self._sweep == self._outbox.sweeps:
            self._outbox.end_sweep()
        self._sweep = -1
        self._to_fetch = False
        self.is_taking_back = not self._known and len(self._outbox) > 0
        if not self.is_taking_back:
            self._originals = {}

    def refused(self) -> None:
        """The relay has refused what was sent, though it had not told that this peer may only read.
        What that had replaced is not remembered: once it is taken back, another peer is asked.
        """
        self.told(READ)
        self._to_fetch = self.is_taking_back

    def work(self) -> bool:
        """Takes some writes back; True if nothing is left to do."""
        if self.is_taking_back:
            self._take_some_back()
        return not self.is_taking_back

    def _take_some_back(self) -> None:
        writes: list[tuple[str, Entry]] = []
        updates: list[Update] = []

        def keep(write: Waiting) -> bool:
            key, entry = write.key, write.entry
            writes.append((key, entry))
            original = self._originals.pop(key, None)
            if self._replica.entries.get(key) is entry:
                updates.append(self._take_back(key, entry, original))
            return False

        if self._sweep != self._outbox.sweeps:  # it begins, or another has come in between
            self._sweep = self._outbox.begin_sweep(sent=True)
        self._outbox.sweep(STEP_WRITES, keep)
        if not self._outbox.is_sweeping:
            self.is_taking_back = False
            self._originals = {}
        if writes:
            self._port.refused(writes, updates)
        if self._to_fetch and not self.is_taking_back:
            self._to_fetch = False
            self._port.send(b'["sync",null]')

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

    def _take(
        self, sets: dict[str, Entry], texts: list[Raw], lacked: dict[str, int]
    ) -> list[Update]:
        # What the donor has not goes, unless it has changed since it was asked about.
        updates: dict[str, Update] = {}
        for key, known_hash in lacked.items():
            entry = self._replica.entries.get(key)
            if entry is not None and entry_hash(key, entry) == known_hash:
                updates[key] = self._replica.forget(key)
        for update in super()._take(sets, texts, {}):
            gone = updates.get(update.key)
            updates[update.key] = update if gone is None else update.replace(old=gone.old)
        return list(updates.values())
