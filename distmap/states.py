"""The states of a mux-demux stream: one table says who may do what, and when.

The diagram in docs/design.md is generated from :data:`TRANSITIONS`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Raw

from distmap import frames
from distmap.errors import LocalProtocolError, RemoteProtocolError
from distmap.frames import Limits


class State(Enum):
    """The state of one stream, as this side sees it."""

    OPEN = "open"  # both sides may send
    RECEIVING = "receiving"  # this side has ended, or never could send
    SENDING = "sending"  # the other side has ended, or never could send
    CLOSED = "closed"  # both are done; the stream is forgotten


class Move(Enum):
    """What can happen to a stream: by this side, or (received) by the other."""

    SEND_DATA = "send data"
    SEND_END = "send end"
    SEND_ERROR = "send error"
    SEND_CLOSE = "send close"
    RECEIVE_DATA = "receive data"
    RECEIVE_END = "receive end"
    RECEIVE_ERROR = "receive error"
    RECEIVE_CLOSE = "receive close"


# A move that is not in the table is a protocol error: local misuse for SEND, the other side's
# fault for RECEIVE.
TRANSITIONS: Final[dict[State, dict[Move, State]]] = {
    State.OPEN: {
        Move.SEND_DATA: State.OPEN,
        Move.SEND_END: State.RECEIVING,
        Move.SEND_ERROR: State.CLOSED,
        Move.SEND_CLOSE: State.CLOSED,
        Move.RECEIVE_DATA: State.OPEN,
        Move.RECEIVE_END: State.SENDING,
        Move.RECEIVE_ERROR: State.CLOSED,
        Move.RECEIVE_CLOSE: State.CLOSED,
    },
    State.RECEIVING: {
        Move.SEND_ERROR: State.CLOSED,
        Move.SEND_CLOSE: State.CLOSED,
        Move.RECEIVE_DATA: State.RECEIVING,
        Move.RECEIVE_END: State.CLOSED,
        Move.RECEIVE_ERROR: State.CLOSED,
        Move.RECEIVE_CLOSE: State.CLOSED,
    },
    State.SENDING: {
        Move.SEND_DATA: State.SENDING,
        Move.SEND_END: State.CLOSED,
        Move.SEND_ERROR: State.CLOSED,
        Move.SEND_CLOSE: State.CLOSED,
        Move.RECEIVE_ERROR: State.CLOSED,
        Move.RECEIVE_CLOSE: State.CLOSED,
    },
    State.CLOSED: {},
}

CAN_RECEIVE: Final = frozenset(s for s in State if Move.RECEIVE_DATA in TRANSITIONS[s])


def first_state(can_send: bool, can_receive: bool) -> State:
    """The state of a new stream; CLOSED if nobody could send on it."""
    if can_send:
        return State.OPEN if can_receive else State.SENDING
    return State.RECEIVING if can_receive else State.CLOSED


class Kind(Enum):
    """What :meth:`MuxDemux.receive` reports; the third element of the event depends on it."""

    OPENED = "opened"  # the other side opened a stream; detail: its meta
    DATA = "data"  # detail: the payload, as Raw JSON text
    OBJECTS = "objects"  # detail: data frames, each with an object, as they came; how many
    ENDED = "ended"  # the other side will send no more
    PAUSED = "paused"  # the other side asks to stop sending
    RESUMED = "resumed"  # and to go on
    ERROR = "error"  # detail: (message, code)
    CLOSED = "closed"  # the stream is gone; comes once for each stream
    REFUSED = "refused"  # a stream was not opened; detail: (id, message, code); no stream
    UNKNOWN = "unknown"  # a frame for no open stream; detail: (id, event); no stream
    FAILED = "failed"  # the connection must end; detail: RemoteProtocolError; no stream


class Opening(NamedTuple):
    """What opens a stream; the refusal, if it is refused, is the message and the code."""

    meta: Any
    state: State
    half_open: bool
    refusal: tuple[str, str] | None


def read_new(payload: Raw, limits: Limits, is_full: bool, closing: bool) -> Opening:
    """Reads what is to open a stream.

    Args:
        payload: of the frame.
        limits: on the meta, and how many streams there may be.
        is_full: whether so many are open.
        closing: whether none is opened any more.
    """
    refusal = None
    meta: Any = None
    state, half_open = State.OPEN, False
    if is_full:
        refusal = (f"more than {limits.streams} streams", "limit")
    elif closing:
        refusal = ("the connection is closing", "closing")
    else:
        try:
            meta, options = frames.decode_new(payload, limits.meta_bytes)
        except RemoteProtocolError as error:
            refusal = (str(error), error.code)
        else:
            state = first_state(options.writable, options.readable)
            half_open = options.allow_half_open
            if state is State.CLOSED:
                refusal = ("a stream that nobody can send on", "protocol")
    return Opening(meta, state, half_open, refusal)


_MADE_ID = re.compile(r"\.[0-9]+\Z")
_NUMBER_BYTES: Final = 12  # of a made id


class StreamIds:
    """Makes the ids of the streams that one side opens; none comes twice on one connection.

    What the other side sent to a stream before it heard of the close would otherwise reach the
    next stream of that id. Only wanted ids are remembered: the number in a made one never comes
    again, and a wanted one that looks made gets a number as well.

    Args:
        prefix: begins those that nobody wanted.
        max_bytes: the longest id that the other side takes; a wanted one that is longer, with a
            number or without, gives way to a made one.
    """

    __slots__ = ("_made", "_max_bytes", "_prefix", "_used")

    def __init__(self, prefix: str, max_bytes: int) -> None:
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._made = 0
        self._used: dict[str, None] = {}  # smaller than a set while it is empty

    def make(self, wanted: str | None, taken: Container[str]) -> str:
        """Returns the wanted id if it can be had, else one with a number, that is not taken."""
        if wanted is not None and len(wanted.encode()) > self._max_bytes - _NUMBER_BYTES:
            wanted = None
        if wanted is not None and not (
            wanted in taken or wanted in self._used or _MADE_ID.search(wanted)
        ):
            self._used[wanted] = None
            return wanted
        while True:
            self._made += 1
            stream_id = f"{wanted or self._prefix}.{self._made}"
            if stream_id not in taken:
                return stream_id


class MuxStream:
    """One stream of a :class:`MuxDemux`.

    Attributes:
        id: chosen by the side that opened it.
        meta: the JSON value it was opened with.
        state: see :class:`State`.
        half_open: whether one side's end leaves the other side sending.
        send_paused: the other side asked this one to stop sending.
        owner: for the adapter that holds the stream.
        fault: the error that came before the close: what this side found wrong; or for the adapter.
    """

    __slots__ = ("data_prefix", "fault", "half_open", "id", "meta", "owner", "send_paused", "state")

    def __init__(self, stream_id: str, meta: Any, state: State, half_open: bool) -> None:
        self.id = stream_id
        self.meta = meta
        self.state = state
        self.half_open = half_open
        self.send_paused = False
        self.owner: Any = None
        self.fault: Any = None
        self.data_prefix = frames.data_prefix(stream_id)

    def after(self, move: Move) -> State:
        """The state that a move of this side leads to.

        Raises:
            LocalProtocolError: the state does not allow it.
        """
        state = TRANSITIONS[self.state].get(move)
        if state is None:
            raise LocalProtocolError(f"cannot {move.value} on a stream that is {self.state.value}")
        return state

    def may_have_sent(self, text: bytes, count: int) -> bool:
        """Whether a text of so many frames is nothing but objects that the other side sent on this
        stream, and may send.
        """
        return self.state in CAN_RECEIVE and frames.are_objects(text, count, self.data_prefix)

    def __repr__(self) -> str:
        return f"<MuxStream {self.id!r} {self.state.value}>"


MuxEvent: TypeAlias = tuple[Kind, MuxStream | None, Any]
