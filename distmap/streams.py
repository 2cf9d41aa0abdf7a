"""Streams of one's own, as Twisted programs use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from distmap import values
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.errors import ConnectionLost, LocalProtocolError, StreamError
from distmap.events import Emitter, Handler
from distmap.frames import DEFAULT_LIMITS
from distmap.session import Session
from distmap.states import MuxStream

MAX_PAYLOAD_BYTES = DEFAULT_LIMITS.frame_bytes - 1024


@implementer(IConsumer, IPushProducer)
class Stream:
    """A stream of JSON values to the other side of a connection.

    Events (:meth:`on`): ``data`` (value), ``end`` (), ``drain`` (), ``error`` (StreamError) and
    ``close`` (). A producer that is registered is paused while the other side asks for it. As a
    producer itself, the stream asks the other side to pause.

    Attributes:
        meta: what the stream was opened with.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, meta: Any, **options: Any) -> None:
        self.meta = meta
        self._reactor = reactor
        self._options = options
        self._session: Session | None = None
        self._stream: MuxStream | None = None
        self._early: list[Callable[[], None]] = []
        self._events = Emitter("data", "end", "drain", "error", "close")
        self._closed = False
        self._error: Exception | None = None
        self._waiters = Waiters()
        self._producer: Any = None
        self._pull_call: IDelayedCall | None = None
        self._streaming = True

    # -- the user's side --------------------------------------------------------------------------

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Adds a handler of an event; returns what takes it back."""
        return self._events.on(name, handler)

    @property
    def id(self) -> str:
        """The id of the stream; empty before it is open."""
        return "" if self._stream is None else self._stream.id

    @property
    def paused(self) -> bool:
        """Whether the other side asks to send no more for now."""
        return self._stream is not None and self._stream.send_paused

    def write(self, data: Any) -> None:
        """Sends a JSON value; before the stream is open it is kept.

        Raises:
            InvalidValue, InvalidType: it is no JSON value.
            LocalProtocolError: the stream has ended, or only the other side may send on it.
        """
        payload = values.encode(data, MAX_PAYLOAD_BYTES)
        self._do(lambda session, stream: session.send(stream, payload))

    def end(self) -> None:
        """Ends this side's sending.

        Raises:
            LocalProtocolError: it has ended already.
        """
        self._do(lambda session, stream: session.end(stream))

    def error(self, message: str, code: str = "error") -> None:
        """Ends the stream and tells the other side of an error."""
        self._do(lambda session, stream: session.error(stream, message, code))

    def close(self) -> Awaitable[None]:
        """Closes the stream at once, in both directions; fires when it is closed."""
        if not self._closed:
            if self._session is None or self._stream is None:
                self.stream_closed(None)
            else:
                self._session.close_stream(self._stream)
        return fired(None)

    def when_closed(self) -> Awaitable[None]:
        """Fires with None when the stream is closed; errbacks with what ended it: StreamError from
        the other side, or ConnectionLost.
        """
        if not self._closed:
            return self._waiters.wait()
        if self._error is None:
            return fired(None)
        failed: Awaitable[None] = Awaitable()
        failed.errback(self._error)
        return failed

    def _do(self, action: Callable[[Session, MuxStream], None]) -> None:
        if self._closed:
            raise LocalProtocolError("the stream is closed")
        session, stream = self._session, self._stream
        if session is None or stream is None:
            self._early.append(lambda: self._do(action))
        else:
            action(session, stream)

    # -- IConsumer --------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Registers what writes here; see IConsumer."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        self._producer, self._streaming = producer, streaming
        if self._closed:
            producer.stopProducing()
        elif streaming and (self.paused or self._stream is None):
            producer.pauseProducing()
        elif not streaming:
            self._pull()

    def unregisterProducer(self) -> None:
        """Forgets the producer; see IConsumer."""
        self._producer = None
        if self._pull_call is not None:
            self._pull_call.cancel()
            self._pull_call = None

    def _pull(self) -> None:
        self._pull_call = None
        if self._producer is not None and self._stream is not None and not self.paused:
            self._producer.resumeProducing()
            if self._producer is not None:
                self._pull_call = self._reactor.callLater(0, self._pull)

    # -- IPushProducer ----------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Asks the other side to stop sending."""
        self._do(lambda session, stream: session.pause(stream, True))

    def resumeProducing(self) -> None:
        """Asks the other side to go on."""
        self._do(lambda session, stream: session.pause(stream, False))

    def stopProducing(self) -> None:
        """Closes the stream."""
        self.close()

    # -- the session's side -----------------------------------------------------------------------

    def attach(self, session: Session, stream: MuxStream | None = None) -> None:
        """Opens the stream on a session, or takes one that the other side opened there."""
        if self._closed:
            return
        self._session = session
        self._stream = stream or session.open(self.meta, self, **self._options)
        early, self._early = self._early, []
        for action in early:
            action()
        if self._producer is not None:
            self.stream_paused(self.paused)

    def abandon(self, error: Exception) -> None:
        """The connection will not come: closes a stream that was not yet open."""
        if self._stream is None:
            self._finish(error)

    def stream_data(self, payload: Raw) -> None:
        if self._events.has("data"):
            try:
                value = msgspec.json.decode(payload)
            except values.NOT_JSON as error:
                self.error(f"malformed payload: {error}", "protocol")
            else:
                self._events.emit("data", value)

    def stream_ended(self) -> None:
        self._events.emit("end")

    def stream_paused(self, paused: bool) -> None:
        if not paused:
            self._events.emit("drain")
        if self._producer is not None:
            if not self._streaming:
                if not paused and self._pull_call is None:
                    self._pull()
            elif paused:
                self._producer.pauseProducing()
            else:
                self._producer.resumeProducing()

    def stream_closed(self, error: StreamError | None) -> None:
        lost = self._session is not None and not self._session.alive
        self._finish(ConnectionLost("the connection was lost") if lost and not error else error)

    def _finish(self, error: Exception | None) -> None:
        self._closed = True
        self._error = error
        producer = self._producer
        self.unregisterProducer()
        if producer is not None:
            producer.stopProducing()
        if error is not None:
            self._events.emit("error", error)
        self._events.emit("close")
        self._waiters.fire(error)
