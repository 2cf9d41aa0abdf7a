"""mux-demux without I/O: many streams of JSON values over one connection.

Bytes go into :meth:`MuxDemux.receive` and events come out; calls such as :meth:`MuxDemux.send`
put bytes into a queue that :meth:`MuxDemux.take` empties. The rules of a stream's life stand in
:mod:`distmap.states`.
"""

from __future__ import annotations

import sys
from collections.abc import Container
from typing import Any

from msgspec import Raw

from distmap import frames
from distmap.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from distmap.frames import DEFAULT_LIMITS, FrameDecoder, Limits, encode_json
from distmap.states import (
    CAN_RECEIVE,
    TRANSITIONS,
    Kind,
    Move,
    MuxEvent,
    MuxStream,
    State,
    StreamIds,
    first_state,
    read_new,
)


class MuxDemux:
    """One side of a multiplexed connection.

    Args:
        limits: what is taken from the other side.
        id_prefix: begins the ids of the streams that this side opens; the two sides of a
            connection on which both open streams need different ones.
        is_last: see :class:`FrameDecoder`.

    Attributes:
        frames_in: how many frames came.
        openings: how many of them were to open a stream.
    """

    __slots__ = (
        *("decoder", "_failed", "_ids", "_limits", "_out"),
        *("closing", "frames_in", "openings", "streams"),
    )

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, id_prefix: str = "", is_last: bool = False
    ) -> None:
        self.streams: dict[str, MuxStream] = {}
        self.closing = self._failed = False
        self.frames_in = self.openings = 0
        self._limits = limits
        self.decoder, self._out = FrameDecoder(limits, is_last=is_last), list[bytes]()
        self._ids = StreamIds(id_prefix, limits.id_bytes)

    @property
    def has_output(self) -> bool:
        """Whether :meth:`take` has something."""
        return bool(self._out)

    def take(self) -> list[bytes]:
        """Empties the queue of bytes to send, oldest first."""
        out, self._out = self._out, []
        return out

    def open(
        self,
        meta: Any,
        *,
        writable: bool = True,
        readable: bool = True,
        half_open: bool = False,
        stream_id: str | None = None,
    ) -> MuxStream:
        """Opens a stream.

        Args:
            meta: a JSON value that tells the other side what the stream is for.
            writable: whether this side may send on it.
            readable: whether the other side may.
            half_open: whether one side's end leaves the other side sending.
            stream_id: an id of the caller's choice, if it can be had; else one is made.

        Raises:
            LocalProtocolError: the connection is closing, or neither side could send.
        """
        if self.closing:
            raise LocalProtocolError("the connection is closing: no stream can be opened")
        if not (writable or readable):
            raise LocalProtocolError("a stream must be writable or readable")
        options = {"writable": readable, "readable": writable}
        if half_open:
            options["allowHalfOpen"] = True
        # Encoded first: a meta that JSON does not have must leave no stream behind.
        payload = encode_json({"meta": meta, "opts": options})
        new_id = self._ids.make(stream_id, self.streams)
        stream = MuxStream(new_id, meta, first_state(writable, readable), half_open)
        self._put(stream, frames.NEW, payload)
        self.streams[stream.id] = stream
        return stream

    def send(self, stream: MuxStream, payload: bytes) -> None:
        """Queues one payload: JSON text without a newline.

        Raises:
            LocalProtocolError: this side has ended the stream or may not send on it.
        """
        stream.after(Move.SEND_DATA)
        self._out.append(b"%b%b]\n" % (stream.data_prefix, payload))

    def end(self, stream: MuxStream) -> list[MuxEvent]:
        """Ends this side's sending; without half_open that closes the stream.

        Raises:
            LocalProtocolError: it has ended already.
        """
        state = stream.after(Move.SEND_END)
        self._put(stream, frames.END)
        if state is State.CLOSED or not stream.half_open:
            return self._close(stream)
        stream.state = state
        return []

    def error(self, stream: MuxStream, message: str, code: str) -> list[MuxEvent]:
        """Tells the other side of an error, and closes the stream.

        Raises:
            LocalProtocolError: it is closed already.
        """
        stream.after(Move.SEND_ERROR)
        self._put(stream, frames.ERROR, frames.encode_fault(message, code))
        return self._close(stream)

    def close(self, stream: MuxStream) -> list[MuxEvent]:
        """Closes a stream at once, in both directions; a second call does nothing."""
        return [] if stream.state is State.CLOSED else self._close(stream)

    def pause(self, stream: MuxStream) -> None:
        """Asks the other side to stop sending on this stream."""
        if stream.state is not State.CLOSED:
            self._put(stream, frames.PAUSE)

    def resume(self, stream: MuxStream) -> None:
        """Asks the other side to go on."""
        if stream.state is not State.CLOSED:
            self._put(stream, frames.RESUME)

    def disconnect(self) -> list[MuxEvent]:
        """The connection is gone: closes all streams; nothing is sent any more."""
        self._failed = self.closing = True
        events = [event for stream in list(self.streams.values()) for event in self._close(stream)]
        self._out = []
        return events

    # -- in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, together: Container[MuxStream] = ()) -> list[MuxEvent]:
        """Takes bytes from the other side.

        Args:
            data: the bytes.
            together: of a stream in here, objects that come alone are told by one event.

        Returns:
            What happened, in order. After a ``FAILED`` event nothing more is taken.
        """
        if self._failed:
            return []
        between_frames = not self.decoder.partial_bytes
        decoded, fault = self.decoder.feed(data)
        self.frames_in += len(decoded)
        streams = self.streams
        whole = decoded and fault is None and between_frames
        stream = streams.get(decoded[0][0]) if whole else None
        if stream is not None and stream in together and stream.may_have_sent(data, len(decoded)):
            return [(Kind.OBJECTS, stream, (data, len(decoded)))]
        events: list[MuxEvent] = []
        for stream_id, event, payload in decoded:
            stream = streams.get(stream_id)
            if event == frames.DATA and stream is not None and payload is not frames.NO_PAYLOAD:
                if stream.state in CAN_RECEIVE:
                    events.append((Kind.DATA, stream, payload))
                else:
                    self._fault(stream, "data after the end of the stream", events)
            else:
                try:
                    self._receive_other(stream_id, stream, event, payload, events)
                except RemoteProtocolError as error:
                    fault = error
                    break
        if fault is not None:
            self._failed = True
            events.append((Kind.FAILED, None, fault))
        return events

    def _receive_other(
        self,
        stream_id: str,
        stream: MuxStream | None,
        event: str,
        payload: Raw,
        events: list[MuxEvent],
    ) -> None:
        if event == frames.NEW:
            self._receive_new(stream_id, stream, payload, events)
        elif stream is None:
            # Normal when both sides close at one time; a close needs no word at all.
            if event != frames.CLOSE:
                events.append((Kind.UNKNOWN, None, (stream_id, event)))
        elif event == frames.DATA:
            self._fault(stream, "data without a payload", events)
        elif event in (frames.PAUSE, frames.RESUME):
            self._receive_pause(stream, event == frames.PAUSE, events)
        elif event in _HANDLERS:
            _HANDLERS[event](self, stream, payload, events)
        else:
            self._fault(stream, f"unknown event {event[:32]!r}", events)

    def _receive_new(
        self, stream_id: str, known: MuxStream | None, payload: Raw, events: list[MuxEvent]
    ) -> None:
        if len(stream_id.encode()) > self._limits.id_bytes:
            raise LimitExceeded(f"a stream id is over {self._limits.id_bytes} bytes")
        if known is not None:
            raise RemoteProtocolError("a stream was opened with the id of one that is open")
        self.openings += 1
        is_full = len(self.streams) >= self._limits.streams
        meta, state, half_open, refusal = read_new(payload, self._limits, is_full, self.closing)
        # The id of a channel is the same on all connections: one text for all.
        stream = MuxStream(sys.intern(stream_id), meta, state, half_open)
        if refusal is not None:
            self._put(stream, frames.ERROR, frames.encode_fault(*refusal))
            self._put(stream, frames.CLOSE)
            events.append((Kind.REFUSED, None, (stream_id, *refusal)))
            return
        self.streams[stream.id] = stream
        events.append((Kind.OPENED, stream, meta))

    def _receive_end(self, stream: MuxStream, payload: Raw, events: list[MuxEvent]) -> None:
        state = TRANSITIONS[stream.state].get(Move.RECEIVE_END)
        if state is None:
            if stream.half_open:
                self._fault(stream, "ended twice", events)
            else:  # npm: the reader of a one-way stream wants no more
                events += self._close(stream)
            return
        events.append((Kind.ENDED, stream, None))
        if state is State.CLOSED or not stream.half_open:
            if state is not State.CLOSED:
                self._put(stream, frames.END)
            events += self._close(stream)
        else:
            stream.state = state

    def _receive_close(self, stream: MuxStream, payload: Raw, events: list[MuxEvent]) -> None:
        events += self._close(stream)

    def _receive_error(self, stream: MuxStream, payload: Raw, events: list[MuxEvent]) -> None:
        try:
            events.append((Kind.ERROR, stream, frames.decode_fault(payload)))
        except RemoteProtocolError as error:
            self._fault(stream, str(error), events)
        else:
            events += self._close(stream)

    def _receive_pause(self, stream: MuxStream, paused: bool, events: list[MuxEvent]) -> None:
        if stream.send_paused != paused:
            stream.send_paused = paused
            events.append((Kind.PAUSED if paused else Kind.RESUMED, stream, None))

    # -- helpers ----------------------------------------------------------------------------------

    def _put(self, stream: MuxStream, event: str, payload: bytes = b"") -> None:
        self._out.append(frames.encode_frame(stream.id, event, payload))

    def _close(self, stream: MuxStream) -> list[MuxEvent]:
        stream.state = State.CLOSED
        del self.streams[stream.id]
        self._put(stream, frames.CLOSE)
        return [(Kind.CLOSED, stream, None)]

    def _fault(self, stream: MuxStream, message: str, events: list[MuxEvent]) -> None:
        """The other side broke the rules of one stream: that stream ends, no other."""
        self._put(stream, frames.ERROR, frames.encode_fault(message, "protocol"))
        stream.fault = message
        events.append((Kind.ERROR, stream, (message, "protocol")))
        events += self._close(stream)


_HANDLERS = {
    frames.END: MuxDemux._receive_end,
    frames.CLOSE: MuxDemux._receive_close,
    frames.ERROR: MuxDemux._receive_error,
}
