"""What it means that a peer was away for longer than tombstones are kept, or that its clock was far
behind when it wrote.

Others may have forgotten deletes that it has not seen. So what it wrote is set aside (see
:mod:`distmap.aside`) until the state of the network is here. All of it takes as many steps as
there are writes to look at: none takes long.
"""

from __future__ import annotations

from typing import Final

from distmap.aside import Aside
from distmap.clock import Stamp
from distmap.entries import is_burial
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting
from distmap.port import Port

BY_PEER: Final = "peer"
ALONE: Final = "alone"
STEP_WRITES: Final = 1000
"""Writes that are looked at in one step."""


class Absence:
    """The absences of one peer.

    Args:
        replica: its entries.
        outbox: its writes that wait.
        port: where to act.
    """

    def __init__(self, replica: Replica, outbox: Outbox, port: Port) -> None:
        self.aside = Aside(replica, outbox)
        self.was_in_touch = False
        self._replica = replica
        self._outbox = outbox
        self._port = port
        # While writes are set aside: those of stamps below this time, or all.
        self._below_ms: int | None = None
        self._is_setting_aside = False
        self._sweep = -1
        # While it becomes clear what becomes of them: how this replica became ready.
        self._ending: str | None = None
        # Only writes that others have buried are set aside.
        self._only_buried = False
        self._is_giving_up = False

    @property
    def is_open(self) -> bool:
        """Whether own writes are set aside, and it is not clear what becomes of them."""
        return self._is_setting_aside or len(self.aside) > 0

    @property
    def has_to_ask(self) -> bool:
        """Whether tombstones may be forgotten that this replica has not seen, or that are later
        than its writes: they then wait until it knows what became of their keys.
        """
        if self.is_open or (self.was_in_touch and self._replica.was_away_long):
            return True
        oldest_ms = self._replica.clock.earliest_ms() - self._replica.retention_ms
        return self._outbox.is_older(oldest_ms)

    def met(self, floor_ms: int, outdated: bool) -> None:
        """A donor told its floor: what may undo deletes that it has forgotten is set aside."""
        if self._replica.in_touch:
            return  # a repair
        self._below_ms = None if outdated and self.was_in_touch else floor_ms
        self._is_setting_aside = True
        self._only_buried = False
        self._sweep = -1

    def over(self, how: str, *, asked: bool) -> None:
        """The replica has the network's state, or is all that there is of it.

        Args:
            how: by a peer, or alone.
            asked: whether own writes waited for that: some may have been buried meanwhile.
        """
        self.was_in_touch = True
        if asked and len(self._outbox):
            self._is_setting_aside = self._only_buried = True
            self._sweep = -1
        self._ending = how if self.is_open else None

    def lost(self) -> None:
        """The connection is gone: what is set aside stays so."""
        self._ending = None

    def give_up(self) -> None:
        """This peer may only read: what is set aside is never offered. It is given up, also if the
        connection is lost meanwhile.
        """
        self._is_setting_aside = False
        self._ending = None
        self._is_giving_up = self.is_open

    def keep(self) -> None:
        """This peer may write: what is still set aside waits for the state of the network."""
        self._is_giving_up = False

    # -- step by step -----------------------------------------------------------------------------

    def work(self) -> bool:
        """Sets writes aside, gives them up, or settles what becomes of them: some of them.

        Returns:
            Whether nothing is left to do.
        """
        if self._is_giving_up:
            self._give_some_up()
        elif self._is_setting_aside:
            self._set_aside()
        elif self._ending == ALONE:
            updates = self.aside.restore(STEP_WRITES)
            self._port.restamped([update for update in updates if update.old is not None])
            self._updated(updates)
        elif self._ending is not None:
            self._end()
        if not self.is_open:
            self._ending = None
        return not (self._is_giving_up or self._is_setting_aside or self._ending is not None)

    def _give_some_up(self) -> None:
        self._port.refused(self.aside.give_up(STEP_WRITES), [])
        self._is_giving_up = len(self.aside) > 0

    def _set_aside(self) -> None:
        updates: list[Update] = []

        def keep(write: Waiting) -> bool:
            if self._only_buried:
                if not is_burial(self._replica.entries.get(write.key), write.entry):
                    return True
            elif self._below_ms is not None and (
                write.is_seen or write.entry.stamp.ms >= self._below_ms
            ):
                return True
            update = self.aside.put(write)
            if update is not None:
                updates.append(update)
            return False

        if self._sweep != self._outbox.sweeps:  # it begins, or another has come in between
            self._sweep = self._outbox.begin_sweep(sent=self._only_buried or self._below_ms is None)
        self._outbox.sweep(STEP_WRITES, keep)
        self._is_setting_aside = self._outbox.is_sweeping
        self._updated(updates)

    def _end(self) -> None:
        end = self.aside.end(STEP_WRITES)
        self._port.restamped(end.offered)
        self._updated(end.offered)
        self._port.taken(end.taken)
        self._port.superseded(end.superseded)

    def _updated(self, updates: list[Update]) -> None:
        if updates:
            self._port.updated(updates)

    def written(self, key: str, old: Stamp | None) -> Stamp | None:
        """This peer wrote a key; see :meth:`Aside.written`."""
        return self.aside.written(key, old)
