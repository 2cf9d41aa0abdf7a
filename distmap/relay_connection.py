"""One socket of a relay: its link to the core, and the queue of what the peer has not yet taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from distmap.errors import ConnectionProblem
from distmap.router import Link, Relay

PROTOCOL_ERROR = 1002


class Socket(Protocol):
    """What a connection needs of its socket."""

    transport: Any
    """Has write(), registerProducer() and unregisterProducer()."""

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake."""

    def abort(self) -> None:
        """Drops the connection."""


class Options(Protocol):
    """How long the queue of a connection may get."""

    @property
    def queue_bytes(self) -> int:
        """What may queue."""

    @property
    def stall_seconds(self) -> float:
        """How long the queue may stand still."""


class Owner(Protocol):
    """What a connection needs of its relay."""

    reactor: IReactorTime
    core: Relay

    @property
    def options(self) -> Options:
        """The bounds."""

    def schedule(self) -> None:
        """Something waits for the end of the turn."""

    def connection_opened(self, connection: RelayConnection) -> None:
        """The opening handshake is done."""

    def connection_closed(self, connection: RelayConnection, problem: ConnectionProblem) -> None:
        """The socket is closed."""


@implementer(IPushProducer)
class RelayConnection:
    """A peer's connection.

    While the socket does not take what is written, frames queue here. A queue that grows past its
    bound, or stands still for too long, costs the peer its streams and not the relay its memory:
    the peer is told, and syncs again.

    Args:
        owner: the relay.
        socket: the WebSocket.
        name: the peer's address.
    """

    def __init__(self, owner: Owner, socket: Socket, name: str) -> None:
        self.name = name
        self.socket = socket
        self.link: Link | None = None
        self._owner = owner
        self._write: Callable[[bytes], None] | None = None
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._paused = False
        self._stall: IDelayedCall | None = None

    # -- the socket -------------------------------------------------------------------------------

    def socket_opened(self) -> None:
        transport: Any = self.socket.transport
        self._write = transport.write
        # Until here the transport belonged to twisted.web, which was its producer.
        transport.unregisterProducer()
        transport.registerProducer(self, True)
        self.link = self._owner.core.connect(self.name)
        self.link.owner = self
        self._owner.connection_opened(self)

    def socket_received(self, message: bytes) -> None:
        link = self.link
        if link is None or link.failure is not None:
            return
        failure = self._owner.core.receive(link, message)
        self._owner.schedule()
        if failure is not None:
            self._write = None
            self.socket.close(PROTOCOL_ERROR, str(failure))

    def socket_closed(self, problem: ConnectionProblem) -> None:
        self._write = None
        self._queue.clear()
        self._stop_stall()
        if self.link is not None:
            self._owner.core.disconnect(self.link)
            self._owner.schedule()
        self._owner.connection_closed(self, problem)

    # -- out --------------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Sends a whole WebSocket frame, or queues it."""
        if self._write is None:
            return
        if not self._paused:
            self._write(frame)
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes > self._owner.options.queue_bytes:
            self._cut()
        elif self._stall is None:
            self._stall = self._owner.reactor.callLater(
                self._owner.options.stall_seconds, self._stalled
            )

    def _stalled(self) -> None:
        self._stall = None
        self._cut()

    def _cut(self) -> None:
        self._stop_stall()
        self._queue.clear()
        self._queued_bytes = 0
        if self.link is not None and self.link.mux.streams:
            self._owner.core.cut(self.link)
            self._owner.schedule()

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # -- IPushProducer, for the transport ---------------------------------------------------------

    def pauseProducing(self) -> None:
        """The socket's buffer is full."""
        self._paused = True
        if self.link is not None:
            self._owner.core.congest(self.link, True)
            self._owner.schedule()

    def resumeProducing(self) -> None:
        """The socket's buffer is empty: sends what has queued."""
        self._paused = False
        self._stop_stall()
        queue, self._queue = self._queue, []
        self._queued_bytes = 0
        for at, frame in enumerate(queue):
            if self._paused:
                self._queue = queue[at:]
                self._queued_bytes = sum(map(len, self._queue))
                return
            if self._write is not None:
                self._write(frame)
        if self.link is not None and not self._paused:
            self._owner.core.congest(self.link, False)
            self._owner.schedule()

    def stopProducing(self) -> None:
        """The socket is going away; socket_closed() follows."""
