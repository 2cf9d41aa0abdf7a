"""One socket of a relay: its link to the core, and the queue of what the peer has not yet taken."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from distmap.backlog import Queue
from distmap.counts import CLOSE_CAUSES, Traffic
from distmap.endings import ends_any
from distmap.errors import ConnectionProblem, LimitExceeded
from distmap.frames import MESSAGE_BYTES
from distmap.relay_intake import Intake
from distmap.relay_port import Owner, Socket
from distmap.router import Link
from distmap.writing import bound_unsent, write_now

PROTOCOL_ERROR: Final = 1002
TRY_AGAIN_LATER: Final = 1013


@implementer(IPushProducer)
class RelayConnection:
    """A peer's connection.

    While the socket does not take what is written, frames queue here. A queue that grows past its
    bound, or stands still for too long, costs the peer its streams and not the relay its memory:
    the peer is told, and syncs again. One that does not take that word either is dropped, and so
    is one that would not hear of the end of a stream because the queue is thrown away.

    Args:
        owner: the relay.
        socket: the WebSocket.
        name: the peer's address.
        host: that without the port; None if it has none.

    Attributes:
        number: of those of its relay that were opened, the first is 1.
        paused: the socket's buffer is full.
        cause: why the relay ended it; empty if it did not.
        code: of the close frame that the relay sent.
        lines: how many were logged of what it did wrong.
        maps: how many it has opened.
        opened_at: since when it is open, in seconds.
        traffic: what it sent and got.
    """

    __slots__ = (
        *("_goodbye", "_intake", "_owner", "_queue", "_stall", "_transport", "_was_cut"),
        "cause",
        "code",
        "host",
        "lines",
        "link",
        "maps",
        "name",
        "number",
        "opened_at",
        "origin",
        "paused",
        "socket",
        "traffic",
    )
    _log = Logger()

    def __init__(self, owner: Owner, socket: Socket, name: str, host: str | None = None) -> None:
        self.name, self.number = name, 0
        self.host = host
        self.origin: str | None = None
        self.socket = socket
        self.link: Link | None = None
        self.paused = False
        self.cause = ""
        self.code: int | None = None
        self.lines = self.maps = 0
        self.opened_at = owner.reactor.seconds()
        self.traffic = Traffic()
        self._owner = owner
        self._intake: Intake | None = None
        self._transport: Any = None  # while frames may be sent
        self._queue: Queue | None = None  # an empty one would be 760 bytes for each connection
        self._stall: IDelayedCall | None = None
        # Its streams were ended, and it has not taken the word of it.
        self._was_cut = False
        # What the close frame says, once all that waits has left.
        self._goodbye: tuple[int, str] | None = None

    def drain(self, code: int, reason: str) -> None:
        """Begins the closing handshake when the peer has taken what waits for it. What it sends
        from now on is not taken, and so not acknowledged: it will offer that again.
        """
        self._goodbye = code, reason
        self._leave_if_drained()

    @property
    def queued_bytes(self) -> int:
        """What waits for the peer, and has not reached the socket's buffer."""
        return self._queue.size_bytes if self._queue else 0

    @property
    def held_bytes(self) -> int:
        """What waits for the peer, and what came of a message that is not whole."""
        return self.queued_bytes + (self._intake.unfinished_bytes if self._intake else 0)

    def relieve(self) -> None:
        """The relay holds too much, and most for this connection."""
        if self.queued_bytes * 2 > self.held_bytes:
            self._cut("held")
        else:
            self.close(TRY_AGAIN_LATER, "too many messages are not whole", "held")

    def close(self, code: int, reason: str, cause: str = "") -> None:
        """Begins the closing handshake; from now on the peer is nobody's.

        Args:
            code: of the close frame.
            reason: its text, for people.
            cause: a short name, for the counts and the log; that of the code if empty.
        """
        self._evict(cause or CLOSE_CAUSES.get(code, f"code-{code}"), code)
        self.socket.close(code, reason)
        self.socket_closing()

    # -- the socket -------------------------------------------------------------------------------

    def socket_asked(self, headers: Any) -> None:
        self._owner.connection_asked(self, headers)

    def socket_opened(self) -> None:
        transport: Any = self.socket.transport
        self._transport = transport
        # Until here the transport belonged to twisted.web, which was its producer.
        transport.unregisterProducer()
        transport.registerProducer(self, True)
        bound_unsent(transport)
        self.link = self._owner.core.connect(self.name)
        self.link.owner = self
        self.opened_at = self._owner.reactor.seconds()
        self._intake = Intake(
            self._owner.reactor,
            self._owner.options.rates,
            transport,
            partial(self._owner.observe_connection, "paused", self),
            self._owner.backlog,
        )
        self._owner.connection_opened(self)

    def socket_read(self, size_bytes: int, slow_frames: int, unfinished_bytes: int) -> None:
        """So much was read, and all that came whole in it was received; see :class:`Intake`."""
        traffic, intake, link = self.traffic, self._intake, self.link
        traffic.bytes_in += size_bytes
        if link is not None and intake is not None:
            traffic.frames_in = link.mux.frames_in
            intake.read(size_bytes, traffic.frames_in, link.mux.openings, slow_frames)
            unfinished_bytes += link.mux.decoder.partial_bytes
            if unfinished_bytes != intake.unfinished_bytes:
                intake.hold(unfinished_bytes)
                if self._owner.backlog.is_over:
                    self._owner.schedule()

    @property
    def rests(self) -> bool:
        """Whether nothing is read from it for a while."""
        return self._intake is not None and self._intake.rests

    def socket_ends(self, code: int) -> None:
        """This side begins the closing handshake, perhaps because of what the peer did."""
        self._evict(CLOSE_CAUSES.get(code, f"code-{code}"), code)

    def socket_received(self, message: bytes) -> None:
        if self.link is None or self._goodbye is not None:
            return
        self._owner.schedule()
        failure = self._owner.core.receive(self.link, message)
        if failure is not None:
            cause = "frame-bytes" if isinstance(failure, LimitExceeded) else "protocol"
            self.close(PROTOCOL_ERROR, str(failure), cause)

    def socket_closing(self) -> None:
        """Either side began the closing handshake: no frame may be sent any more."""
        self._transport = None
        if self._intake is not None:
            self._intake.end()
        self._stop_stall()
        self._clear_queue()
        link, self.link = self.link, None
        if link is not None:
            self.traffic.frames_in = link.mux.frames_in
            self._owner.core.disconnect(link)
            self._owner.schedule()

    def socket_closed(self, problem: ConnectionProblem) -> None:
        self.socket_closing()
        self._owner.connection_closed(self, problem)

    # -- out --------------------------------------------------------------------------------------

    def write(self, frames: list[bytes]) -> None:
        """Sends whole WebSocket frames, by one write if they are small, or queues them."""
        if len(frames) > 1 and not self.paused and not self._queue:
            together = b"".join(frames)
            if len(together) <= MESSAGE_BYTES:
                frames = [together]
        for frame in frames:
            if self._transport is None:
                return
            self.traffic.bytes_out += len(frame)
            if self.paused or self._queue:
                self._enqueue(frame)
            else:
                write_now(self._transport, frame)

    def _enqueue(self, frame: bytes) -> None:
        if self._queue is None:
            self._queue = Queue(self._owner.backlog)
        self._queue.append(frame)
        if self._queue.size_bytes > self._owner.options.queue_bytes:
            self._cut("queue")
        else:
            self._start_stall()

    def _evict(self, cause: str, code: int | None = None) -> None:
        """The relay ends this connection; told once."""
        if not self.cause:
            self.cause, self.code = cause, code
            self._owner.observe_connection("evicted", self, cause)

    def _cut(self, cause: str) -> None:
        self._stop_stall()
        link = self.link
        if link is None:
            return
        frames = self._queue.frames if self._queue else ()
        if self._was_cut or not link.mux.streams or ends_any(frames, self._owner.known_ends):
            self._log.info("{name} slow: dropped", name=self.name)
            self._evict("drop")
            self.socket_closing()
            self.socket.abort()
            return
        self._was_cut = True
        self._clear_queue()
        self._owner.observe_connection("evicted", self, cause)
        self._owner.core.cut(link)
        self._owner.schedule()

    def _clear_queue(self) -> None:
        if self._queue is not None:
            self._queue.clear()
            self._queue = None

    def _start_stall(self) -> None:
        if self._stall is None:
            seconds = self._owner.options.stall_seconds
            self._stall = self._owner.reactor.callLater(seconds, self._stalled)

    def _stalled(self) -> None:
        self._stall = None
        self._cut("stall")

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # -- IPushProducer, for the transport ---------------------------------------------------------

    def pauseProducing(self) -> None:
        """The socket's buffer is full; is called again at each write."""
        self.paused = True
        self._congest(True)

    def resumeProducing(self) -> None:
        """The socket's buffer is empty: sends what has queued, until it is full again."""
        self.paused = False
        self._stop_stall()
        while self._queue and self._transport is not None and not self.paused:
            self._transport.write(self._queue.popleft())
        if self._queue:
            self._start_stall()
        else:
            self._was_cut = False
        if not self.paused:
            self._congest(False)
            self._leave_if_drained()

    def stopProducing(self) -> None:
        """The socket is going away; socket_closed() follows."""

    def _leave_if_drained(self) -> None:
        if self._goodbye is not None and not (self.paused or self._queue):
            self.close(*self._goodbye)

    def _congest(self, congested: bool) -> None:
        if self.link is not None and self.link.congested != congested:
            self._owner.core.congest(self.link, congested)
            self._owner.schedule()
