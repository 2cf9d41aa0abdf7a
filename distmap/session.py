"""One live connection: a :class:`MuxDemux` between a transport and the owners of its streams.

What is written during one turn of the reactor leaves together, at the end of that turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Raw
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from distmap.errors import RemoteProtocolError, StreamError
from distmap.frames import DEFAULT_LIMITS, Limits, gather
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxEvent, MuxStream, State
from distmap.uplink import Uplink

PROTOCOL_ERROR = 1002


class Transport(Protocol):
    """Carries messages to the other side."""

    def send(self, message: bytes) -> None:
        """Sends one message."""

    def close(self, code: int, reason: str) -> None:
        """Closes the connection; the codes are those of WebSocket (RFC 6455, 7.4)."""


class StreamOwner(Protocol):
    """Is told what happens to a stream."""

    def stream_data(self, payload: Raw, /) -> None:
        """The other side sent a payload: JSON text. The owner of a stream that was opened as
        `together` takes several at a time.
        """

    def stream_ended(self) -> None:
        """The other side will send no more."""

    def stream_paused(self, paused: bool) -> None:
        """Sending should stop, because the other side asks for it or the network is slow; or it may
        go on.
        """

    def stream_closed(self, error: StreamError | None) -> None:
        """The stream is gone; comes once, with the error that ended it, if any."""


class Session:
    """The streams of one connection.

    Args:
        reactor: for the end of the turn.
        transport: takes the messages.
        opened: is called with each stream that the other side opens, and returns its owner; None
            refuses all of them. An owner that may close the stream in there sets itself first.
        limits: what is taken from the other side.
        id_prefix: see :class:`MuxDemux`.
        sent: is called with the bytes of each message that was sent.

    Attributes:
        alive: the connection is not lost.
        congested: the network does not take what is sent.
        uplink: where who sends much waits for room.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        transport: Transport,
        opened: Callable[[MuxStream], StreamOwner | None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        id_prefix: str = "",
        sent: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self.alive = True
        self.congested = False
        self.uplink = Uplink(reactor)
        self._reactor = reactor
        self._transport = transport
        self._opened = opened
        self._sent = sent
        self._together: set[MuxStream] = set()
        self._mux = MuxDemux(limits, id_prefix, is_last=True)
        self._flush_call: IDelayedCall | None = None

    # -- out --------------------------------------------------------------------------------------

    def open(
        self, meta: Any, owner: StreamOwner, *, together: bool = False, **options: Any
    ) -> MuxStream:
        """Opens a stream.

        Args:
            meta: what it is for.
            owner: is told what happens to it.
            together: payloads that came together are told by one call.
            options: those of :meth:`MuxDemux.open`.
        """
        stream = self._mux.open(meta, **options)
        stream.owner = owner
        if together:
            self._together.add(stream)
        self._schedule()
        return stream

    def send(self, stream: MuxStream, payload: bytes) -> None:
        """Sends a payload: JSON text.

        Raises:
            LocalProtocolError: this side cannot send on the stream any more.
        """
        self._mux.send(stream, payload)
        self.uplink.gathered(len(payload))
        self._schedule()

    def end(self, stream: MuxStream) -> None:
        """Ends this side's sending.

        Raises:
            LocalProtocolError: it has ended already.
        """
        self._handle(self._mux.end(stream))
        self._schedule()

    def error(self, stream: MuxStream, message: str, code: str) -> None:
        """Tells the other side of an error and closes the stream."""
        if stream.state is not State.CLOSED:
            self._handle(self._mux.error(stream, message, code))
            self._schedule()

    def close_stream(self, stream: MuxStream) -> None:
        """Closes a stream at once; a second call does nothing."""
        self._handle(self._mux.close(stream))
        self._schedule()

    def pause(self, stream: MuxStream, paused: bool) -> None:
        """Asks the other side to stop sending on a stream, or to go on."""
        (self._mux.pause if paused else self._mux.resume)(stream)
        self._schedule()

    def congest(self, congested: bool) -> None:
        """The network does not take what is sent, or takes it again: tells those who send."""
        if self.congested == congested:
            return
        self.congested = congested
        for stream in list(self._mux.streams.values()):
            owner: StreamOwner | None = stream.owner
            # One of the owners may have closed the stream of another, or have changed all again.
            if self.congested == congested and owner is not None and not stream.send_paused:
                owner.stream_paused(congested)
        if self.congested == congested:
            self.uplink.congest(congested)

    def flush(self) -> None:
        """Sends what has gathered, at once."""
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        if self.alive:
            for message in gather(self._mux.take()):
                self._sent(len(message))
                self._transport.send(message)
            self.uplink.flushed()

    def _schedule(self) -> None:
        if self._flush_call is None and self.alive:
            self._flush_call = self._reactor.callLater(0, self.flush)

    # -- in ---------------------------------------------------------------------------------------

    def receive(self, message: bytes) -> None:
        """Takes a message of the other side."""
        self._handle(self._mux.receive(message))
        if self._mux.has_output:
            self._schedule()

    def lost(self) -> None:
        """The connection is gone: tells the owners of all streams."""
        self.alive = False
        self.uplink.close()
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None
        self._handle(self._mux.disconnect())

    def _handle(self, events: list[MuxEvent]) -> None:
        run: list[Raw] = []
        for at, (kind, stream, detail) in enumerate(events, 1):
            if stream is None:
                self._no_stream(kind, detail)
                continue
            owner: Any = stream.owner  # a StreamOwner, or None
            if kind is Kind.OPENED:
                self._receive_opened(stream)
            elif owner is None:
                continue
            elif kind is Kind.DATA:
                run.append(detail)
                if not (stream in self._together and _goes_on(events, at)):
                    owner.stream_data(*run)
                    run = []
            elif kind is Kind.ENDED:
                owner.stream_ended()
            elif kind is Kind.ERROR:
                stream.fault = StreamError(*detail)
            elif kind is Kind.CLOSED:
                stream.owner = None
                self._together.discard(stream)
                owner.stream_closed(stream.fault)
            elif not self.congested:
                owner.stream_paused(kind is Kind.PAUSED)

    def _receive_opened(self, stream: MuxStream) -> None:
        owner = self._opened(stream) if self._opened is not None else None
        if owner is None:
            self.error(stream, "nobody takes streams at this end", "no-listener")
        else:  # of a stream that is closed by now too: what came before the close has yet to come
            stream.owner = owner

    def _no_stream(self, kind: Kind, detail: Any) -> None:
        if kind is Kind.REFUSED:
            self._log.debug("a stream was refused: {why}", why=detail[1])
            return
        if kind is Kind.UNKNOWN:
            self._log.debug("{event} for unknown stream {id}", id=detail[0], event=detail[1])
            return
        error: RemoteProtocolError = detail
        self._log.warn("the other side broke the protocol: {error}", error=error)
        self.flush()
        self._transport.close(PROTOCOL_ERROR, str(error))
        self.lost()


def _goes_on(events: list[MuxEvent], at: int) -> bool:
    """Whether there is one more payload of the same stream behind so many events."""
    return at < len(events) and events[at][:2] == events[at - 1][:2]
