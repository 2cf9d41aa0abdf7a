"""What both sides of a sync have in common: the stream, the time-out, and one message a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Raw
from twisted.internet.interfaces import IDelayedCall

from distmap.errors import LimitExceeded, LocalProtocolError, RemoteError, StreamError
from distmap.lww import Replica
from distmap.session import Session
from distmap.states import MuxStream
from distmap.switchboard import OPEN

STALL_SECONDS: Final = 10.0
"""A donor that says nothing for so long is replaced; a newcomer likewise is left."""
PATIENCE_SECONDS: Final = 60.0
LEAST_RATE_BYTES: Final = 1000
"""After the patience a conversation ends if fewer bytes a second get through, on the average."""
MAX_INBOX: Final = 16
"""Messages that wait for their turn; who keeps to the window has no more than 5 under way."""
FOLD_KEYS: Final = 1000
"""Keys that are hashed in one turn of the reactor before a sync begins."""


class Host(Protocol):
    """What a conversation needs of its map."""

    uri: str

    @property
    def replica(self) -> Replica:
        """The map's entries."""

    @property
    def is_busy(self) -> bool:
        """Whether something takes several turns that has to be over before anything is compared."""

    def call_later(self, seconds: float, call: Callable[[], Any]) -> IDelayedCall:
        """A timer."""

    def seconds(self) -> float:
        """The time of the timers."""


HostT = TypeVar("HostT", bound=Host)


class Conversation(Generic[HostT]):
    """One side of a sync, whichever.

    Args:
        party: its map.
        session: the connection.
        route: of the stream to the other side.
    """

    def __init__(self, party: HostT, session: Session, route: str) -> None:
        self._party = party
        self._session = session
        self._inbox: deque[Raw] = deque()
        self._turn: IDelayedCall | None = None
        self._joined = self._begun = False
        self._stopped = False
        self._began_seconds = party.seconds()
        # What came, and what counts of that which was sent: over a slow line one way may be all.
        self._bytes = 0
        self._stall = party.call_later(STALL_SECONDS, self._stalled)
        self._stream: MuxStream | None = session.open(route, self)

    def stop(self) -> None:
        """Ends the conversation; a second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._session.uplink.leave(self)
        for call in (self._turn, self._stall):
            if call is not None and call.active():
                call.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._session.close_stream(stream)

    def stream_data(self, payload: Raw) -> None:
        if self._stopped:
            return
        self._stall.reset(STALL_SECONDS)
        self._bytes += len(payload)
        if self._trickles():
            self._fail("too slow")
            return
        if not self._joined:
            self._joined = bytes(payload) == OPEN
            if self._joined:
                self._take_turn()
            return
        self._inbox.append(payload)
        if len(self._inbox) > MAX_INBOX:
            self._refuse(LimitExceeded(f"more than {MAX_INBOX} messages at a time"))
        elif self._turn is None:
            self._take_turn()

    def stream_ended(self) -> None:
        """The close follows."""

    def stream_paused(self, paused: bool) -> None:
        """What is sent waits for room in the session's :class:`Uplink`."""

    def stream_closed(self, error: StreamError | None) -> None:
        self._stream = None
        if not self._stopped:
            self._fail(str(error) if error is not None else "the stream was closed")

    def go_on(self) -> None:
        """There is room for an answer, for which this has waited."""
        self._stall.reset(STALL_SECONDS)  # it is not the other side that took long
        if self._turn is not None:
            self._turn.cancel()
        self._take_turn(has_room=True)

    def _take_turn(self, *, has_room: bool = False) -> None:
        """Handles one message, once the tree of sums is up to date and there is room for an answer;
        the rest in later turns.
        """
        self._turn = None
        if self._begun and not (self._inbox or self._waits()):
            return
        party = self._party
        if party.is_busy or (self._needs_sums() and not party.replica.fold(FOLD_KEYS)):
            self._stall.reset(STALL_SECONDS)  # it is not the other side that takes long
            self._turn = party.call_later(0, self._take_turn)
            return
        if not (has_room or self._session.uplink.enter(self)):
            return
        self._begun = True
        try:
            self._step()
        except (RemoteError, LocalProtocolError) as error:
            self._refuse(error)
            return
        if not self._stopped:  # also if nothing waits: more may come in this turn
            self._turn = self._party.call_later(0, self._take_turn)

    def _refuse(self, error: RemoteError | LocalProtocolError) -> None:
        """Ends the conversation, and tells the other side why."""
        stream, self._stream = self._stream, None
        if not self._stopped:
            self._fail(str(error))
        if stream is not None:
            self._session.error(stream, str(error), error.code)

    def _send(self, messages: list[bytes]) -> None:
        if self._stream is not None:
            for message in messages:
                self._session.send(self._stream, message)
                self._bytes += len(message) * self._counts(message)

    def _counts(self, message: bytes) -> bool:
        """Whether a message that is sent is part of what gets through."""
        return True

    def _trickles(self) -> bool:
        """Whether the other side says just enough not to be silent."""
        seconds = self._party.seconds() - self._began_seconds
        return seconds > PATIENCE_SECONDS and self._bytes < seconds * LEAST_RATE_BYTES

    def _stalled(self) -> None:
        if self in self._session.uplink:  # the silence is this side's
            self._stall = self._party.call_later(STALL_SECONDS, self._stalled)
            return
        self._fail(f"silent for {STALL_SECONDS:.0f} s")

    def _needs_sums(self) -> bool:
        """Whether the next step compares."""
        return True

    def _waits(self) -> bool:
        """Whether there is something to do that no message brings."""
        return False

    def _step(self) -> None:
        raise NotImplementedError

    def _fail(self, reason: str) -> None:
        raise NotImplementedError
