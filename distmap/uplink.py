"""The way out of a connection: who sends much sends in turn, as the network takes it.

Without that a donor of many newcomers would put all that they ask for into the buffer of a slow
network, where it takes memory, and what was written since would have to wait behind it.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from distmap.frames import MESSAGE_BYTES

PATIENCE_SECONDS: Final = 5.0
"""After so long one goes on though the network is slow: own writes may keep it busy for ever."""


class Guest(Protocol):
    """One who sends much."""

    def go_on(self) -> None:
        """There is room for a message."""


class Uplink:
    """Who waits for room, first come, first served.

    Args:
        reactor: for the turns.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._congested = False
        self._gathered_bytes = 0  # since what was gathered has left
        self._guests: dict[Guest, None] = {}
        self._patient_until = 0.0
        self._call: IDelayedCall | None = None

    @property
    def _has_room(self) -> bool:
        return not self._congested and self._gathered_bytes < MESSAGE_BYTES

    # -- those who send much ----------------------------------------------------------------------

    def enter(self, guest: Guest) -> bool:
        """Whether a guest may send a message now; if not, it is told once it may."""
        if self._has_room and not self._guests:
            return True
        if not self._guests:
            self._patient_until = self._reactor.seconds() + PATIENCE_SECONDS
        self._guests[guest] = None
        self._wait()
        return False

    def __contains__(self, guest: Guest) -> bool:
        """Whether a guest waits."""
        return guest in self._guests

    def leave(self, guest: Guest) -> None:
        """A guest does not want to send any more; also if it does not wait."""
        self._guests.pop(guest, None)
        if not self._guests:
            self._stop_waiting()

    # -- the session ------------------------------------------------------------------------------

    def gathered(self, size_bytes: int) -> None:
        """So much is to leave at the end of the turn."""
        self._gathered_bytes += size_bytes

    def flushed(self) -> None:
        """What was gathered has left, as far as the network takes it."""
        self._gathered_bytes = 0
        self._wait()

    def congest(self, congested: bool) -> None:
        """The network does not take what is sent, or takes it again."""
        self._congested = congested
        if self._guests and self._has_room:
            self._admit()  # at once, before anybody fills the network again

    def close(self) -> None:
        """The connection is gone."""
        self._guests.clear()
        self._stop_waiting()

    # -- one after the other ----------------------------------------------------------------------

    def _wait(self) -> None:
        """Looks again in a turn of its own, or when the patience is at its end."""
        self._stop_waiting()
        if self._guests:
            left_seconds = max(0.0, self._patient_until - self._reactor.seconds())
            seconds = 0.0 if self._has_room else left_seconds
            self._call = self._reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        self._call = None
        # What others have gathered since there was room does not count: it would be so every turn.
        if not self._congested or self._reactor.seconds() >= self._patient_until:
            self._admit()
        else:
            self._wait()

    def _admit(self) -> None:
        """Lets one go on; the next one in a later turn."""
        guest = next(iter(self._guests))
        del self._guests[guest]
        self._patient_until = self._reactor.seconds() + PATIENCE_SECONDS
        guest.go_on()
        self._wait()

    def _stop_waiting(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
