"""Streams of one's own, as Twisted programs use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from distmap import values
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.errors import ConnectionLost, InvalidValue, LocalProtocolError, StreamError
from distmap.events import Emitter, Handler
from distmap.frames import DEFAULT_LIMITS, encode_json
from distmap.session import Session
from distmap.states import Move, MuxStream, State, first_state

MAX_PAYLOAD_BYTES = DEFAULT_LIMITS.frame_bytes - 1024

_Action: TypeAlias = Callable[[Session, MuxStream], None]


@implementer(IConsumer, IPushProducer)
class Stream:
    """A stream of JSON values to the other side of a connection.

    Events (:meth:`on`): ``data`` (value), ``end`` (), ``drain`` (), ``error`` (StreamError) and
    ``close`` (). A producer that is registered is paused while the other side asks for it, and
    while the network does not take what is sent. As a producer itself, the stream asks the other
    side to pause.

    Args:
        reactor: for pull producers.
        meta: a JSON value.
        writable: whether this side may send.
        readable: whether the other side may.
        half_open: whether one side's end leaves the other side sending.

    Attributes:
        meta: what the stream was opened with.

    Raises:
        InvalidValue: the meta is not JSON.
        LocalProtocolError: neither side could send.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        meta: Any,
        *,
        writable: bool = True,
        readable: bool = True,
        half_open: bool = False,
    ) -> None:
        try:
            encode_json(meta)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValue(f"the meta of a stream is JSON: {error}") from None
        self.meta = meta
        self._reactor = reactor
        self._options = {"writable": writable, "readable": readable, "half_open": half_open}
        self._session: Session | None = None
        # Until it is open, a draft that tells what may be asked for.
        self._stream = MuxStream("", meta, first_state(writable, readable), half_open)
        if self._stream.state is State.CLOSED:
            raise LocalProtocolError("a stream must be writable or readable")
        self._early: list[_Action] = []
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
        return self._stream.id

    @property
    def paused(self) -> bool:
        """Whether no more should be sent for now: the other side asks for it, or the network is
        slow.
        """
        congested = self._session is not None and self._session.congested
        return congested or self._stream.send_paused

    def write(self, data: Any) -> None:
        """Sends a JSON value; before the stream is open it is kept.

        Raises:
            InvalidValue, InvalidType: it is no JSON value.
            LocalProtocolError: the stream has ended, or only the other side may send on it.
        """
        payload = values.encode(data, MAX_PAYLOAD_BYTES)
        self._do(Move.SEND_DATA, lambda session, stream: session.send(stream, payload))

    def end(self) -> None:
        """Ends this side's sending; that closes the stream if it is not half open.

        Raises:
            LocalProtocolError: it has ended already, or only the other side may send on it.
        """
        self._do(Move.SEND_END, lambda session, stream: session.end(stream))

    def error(self, message: str, code: str = "error") -> None:
        """Ends the stream and tells the other side of an error.

        Raises:
            LocalProtocolError: it has ended already.
        """
        self._do(Move.SEND_ERROR, lambda session, stream: session.error(stream, message, code))

    def close(self) -> Awaitable[None]:
        """Closes the stream at once, in both directions; fires when it is closed."""
        if self._session is None:
            self._finish(None)
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

    def _do(self, move: Move, action: _Action) -> None:
        stream = self._stream
        if self._closed:
            raise LocalProtocolError("the stream is closed")
        if self._session is not None:
            action(self._session, stream)
            return
        state = stream.after(move)
        stream.state = State.CLOSED if move is Move.SEND_END and not stream.half_open else state
        self._early.append(action)

    # -- IConsumer --------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Registers what writes here; see IConsumer. One that raises is logged and forgotten."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        if self._closed:
            self._call(producer.stopProducing)
            return
        self._producer, self._streaming = producer, streaming
        if not streaming:
            self._pull()
        elif self._session is None or self.paused:
            self._call(producer.pauseProducing)

    def unregisterProducer(self) -> None:
        """Forgets the producer; see IConsumer."""
        self._producer = None
        if self._pull_call is not None:
            self._pull_call.cancel()
            self._pull_call = None

    def _resume_producer(self) -> None:
        if self._producer is None or self.paused:
            return
        if self._streaming:
            self._call(self._producer.resumeProducing)
        elif self._pull_call is None:
            self._pull()

    def _pull(self) -> None:
        """Asks a pull producer once a turn, for as long as may be sent."""
        self._pull_call = None
        if self._producer is None or self._session is None or self.paused:
            return
        self._call(self._producer.resumeProducing)
        if self._producer is not None and self._pull_call is None:
            self._pull_call = self._reactor.callLater(0, self._pull)

    def _call(self, method: Callable[[], object]) -> None:
        try:
            method()
        except Exception:
            self._log.failure("the producer of a stream raised")
            self.unregisterProducer()

    # -- IPushProducer ----------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Asks the other side to stop sending."""
        self._ask(True)

    def resumeProducing(self) -> None:
        """Asks the other side to go on."""
        self._ask(False)

    def stopProducing(self) -> None:
        """Closes the stream."""
        self.close()

    def _ask(self, pause: bool) -> None:
        # A consumer may ask until it has heard of the close.
        if self._session is not None:
            self._session.pause(self._stream, pause)
        elif not self._closed:
            self._early.append(lambda session, stream: session.pause(stream, pause))

    # -- the session's side -----------------------------------------------------------------------

    def attach(self, session: Session, stream: MuxStream | None = None) -> None:
        """Opens the stream on a session, or takes one that the other side opened there."""
        if self._closed:
            return
        if stream is None:
            try:
                stream = session.open(self.meta, self, **self._options)
            except LocalProtocolError as error:
                self._finish(ConnectionLost(str(error)))
                return
        # What asks for it in its handler may close it there: it must hear of that.
        stream.owner = self
        self._session, self._stream = session, stream
        early, self._early = self._early, []
        for action in early:
            if not self._closed:
                action(session, stream)
        self._resume_producer()

    def abandon(self, error: Exception) -> None:
        """The connection will not come: closes a stream that was not yet open."""
        if self._session is None:
            self._finish(error)

    def stream_data(self, payload: Raw) -> None:
        if self._events.has("data"):
            try:
                value = msgspec.json.decode(payload)
            except values.NOT_JSON as error:
                self._malformed(StreamError(f"malformed payload: {error}", "protocol"))
            else:
                self._events.emit("data", value)

    def _malformed(self, error: StreamError) -> None:
        self._stream.fault = error
        if self._session is not None:
            self._session.error(self._stream, str(error), error.code)

    def stream_ended(self) -> None:
        self._events.emit("end")

    def stream_paused(self, paused: bool) -> None:
        if not paused:
            self._events.emit("drain")
            self._resume_producer()
        elif self._producer is not None and self._streaming:
            self._call(self._producer.pauseProducing)

    def stream_closed(self, error: StreamError | None) -> None:
        lost = self._session is not None and not self._session.alive
        self._finish(ConnectionLost("the connection was lost") if lost and not error else error)

    def _finish(self, error: Exception | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._error = error
        self._early.clear()
        producer = self._producer
        self.unregisterProducer()
        if producer is not None:
            self._call(producer.stopProducing)
        if error is not None:
            self._events.emit("error", error)
        self._events.emit("close")
        self._waiters.fire(error)
