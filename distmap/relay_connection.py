"""One socket of a relay: its link to the core, and the queue of what the peer has not yet taken."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from distmap.errors import ConnectionProblem
from distmap.frames import MESSAGE_BYTES
from distmap.proxies import TrustedProxies
from distmap.router import Link, Relay
from distmap.writing import write_now

PROTOCOL_ERROR: Final = 1002

# A frame that ends a stream, in a message behind a WebSocket header of 10 bytes at most.
_ENDS = re.compile(rb'(?:\A.{0,10}?|\n)\["(?:[^"\\]|\\.)*","(?:end|close|error)"', re.DOTALL)
_ENDS_PERHAPS: Final = (b'","end"', b'","close"', b'","error"')  # much faster to look for

_NO_QUEUE: Final[deque[bytes]] = deque(maxlen=0)
"""For all that queue nothing: an empty deque of its own would be 760 bytes for each connection."""


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
    proxies: TrustedProxies

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
    the peer is told, and syncs again. One that does not take that word either is dropped, and so
    is one that would not hear of the end of a stream because the queue is thrown away.

    Args:
        owner: the relay.
        socket: the WebSocket.
        name: the peer's address.

    Attributes:
        paused: the socket's buffer is full.
    """

    __slots__ = (
        "_owner",
        "_queue",
        "_queued_bytes",
        "_stall",
        "_transport",
        "_was_cut",
        "address",
        "link",
        "name",
        "origin",
        "paused",
        "socket",
    )
    _log = Logger()

    def __init__(self, owner: Owner, socket: Socket, name: str, address: str = "") -> None:
        self.name = name
        self.address = address
        self.origin: str | None = None
        self.socket = socket
        self.link: Link | None = None
        self.paused = False
        self._owner = owner
        self._transport: Any = None  # while frames may be sent
        self._queue: deque[bytes] = _NO_QUEUE
        self._queued_bytes = 0
        self._stall: IDelayedCall | None = None
        # Its streams were ended, and it has not taken the word of it.
        self._was_cut = False

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; from now on the peer is nobody's."""
        self.socket.close(code, reason)
        self.socket_closing()

    # -- the socket -------------------------------------------------------------------------------

    def socket_asked(self, headers: Mapping[str, str]) -> None:
        """The opening handshake: a proxy may tell for whom it speaks."""
        self.origin = headers.get("origin")
        address = self._owner.proxies.peer_address(self.address, headers.get("x-forwarded-for"))
        if address != self.address:
            self.name = f"{address} through {self.name}"
            self.address = address

    def socket_opened(self) -> None:
        transport: Any = self.socket.transport
        self._transport = transport
        # Until here the transport belonged to twisted.web, which was its producer.
        transport.unregisterProducer()
        transport.registerProducer(self, True)
        self.link = self._owner.core.connect(self.name)
        self.link.owner = self
        self._owner.connection_opened(self)

    def socket_received(self, message: bytes) -> None:
        if self.link is None:
            return
        failure = self._owner.core.receive(self.link, message)
        self._owner.schedule()
        if failure is not None:
            self.close(PROTOCOL_ERROR, str(failure))

    def socket_closing(self) -> None:
        """Either side began the closing handshake: no frame may be sent any more."""
        self._transport = None
        self._stop_stall()
        self._queue.clear()
        self._queued_bytes = 0
        link, self.link = self.link, None
        if link is not None:
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
            if self.paused or self._queue:
                self._enqueue(frame)
            else:
                write_now(self._transport, frame)

    def _enqueue(self, frame: bytes) -> None:
        if self._queue is _NO_QUEUE:
            self._queue = deque()
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes > self._owner.options.queue_bytes:
            self._cut()
        else:
            self._start_stall()

    def _cut(self) -> None:
        self._stop_stall()
        link = self.link
        if link is None:
            return
        if self._was_cut or not link.mux.streams or any(map(_ends_stream, self._queue)):
            self._log.info("{name} slow: dropped", name=self.name)
            self.socket_closing()
            self.socket.abort()
            return
        self._was_cut = True
        self._queue.clear()
        self._queued_bytes = 0
        self._owner.core.cut(link)
        self._owner.schedule()

    def _start_stall(self) -> None:
        if self._stall is None:
            self._stall = self._owner.reactor.callLater(
                self._owner.options.stall_seconds, self._stalled
            )

    def _stalled(self) -> None:
        self._stall = None
        self._cut()

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
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame)
            self._transport.write(frame)
        if self._queue:
            self._start_stall()
        else:
            self._was_cut = False
        if not self.paused:
            self._congest(False)

    def stopProducing(self) -> None:
        """The socket is going away; socket_closed() follows."""

    def _congest(self, congested: bool) -> None:
        if self.link is not None and self.link.congested != congested:
            self._owner.core.congest(self.link, congested)
            self._owner.schedule()


def _ends_stream(message: bytes) -> bool:
    perhaps = any(end in message for end in _ENDS_PERHAPS)
    return perhaps and _ENDS.search(message) is not None
