"""The relay's HTTP server: one that can be stopped, and that nobody holds up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site

from distmap.admission import RETRY_SECONDS, Admission, Refusal
from distmap.deferreds import Awaitable, Waiters, fired

IDLE_SECONDS = 60
"""How long a connection may stay that asks for nothing."""


_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Channel(HTTPChannel):
    """HTTP as twisted.web has it, but without bodies: nothing here takes one."""

    arrived: Callable[[], None]
    """Is called when the headers of a request have come."""

    def allHeadersReceived(self) -> None:
        self.arrived()
        if self.length == 0:
            super().allHeadersReceived()  # type: ignore[no-untyped-call]
            return
        channel: Any = self
        channel.rawDataReceived = lambda data: None
        channel.transport.write(_TOO_LARGE)
        channel.loseConnection()


class RelaySite(Site):
    """Serves a resource; knows its connections until they become WebSockets.

    Args:
        clock: for how long a stop takes, and a request.
        resource: at its root.
        admission: how many connections there may be at a time that are no WebSockets.
        header_seconds: within which the headers of a request must have come.
        header_bytes: how long they may be together.
        observe: is told ``refused`` or ``handshake``, and the cause, of those that are turned away
            or come to nothing.
    """

    protocol: Any = _Channel

    noisy = False
    displayTracebacks = False  # noqa: N815

    def __init__(
        self,
        clock: IReactorTime,
        resource: Resource,
        admission: Admission | None = None,
        header_seconds: float = 10,
        header_bytes: int = 16 * 1024,
        observe: Callable[[str, str], None] = lambda event, cause: None,
    ) -> None:
        super().__init__(resource, timeout=IDLE_SECONDS)  # type: ignore[no-untyped-call]
        self.clock = clock
        self.header_seconds = header_seconds
        self.observe = observe
        self._admission = admission or Admission(0, 0)
        self._header_bytes = header_bytes
        self._doors: WeakSet[_Door] = WeakSet()
        self._empty = Waiters()
        self._grace_call: IDelayedCall | None = None
        self._stopping = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        host = getattr(addr, "host", None)
        refusal = self._admission.refusal(host)
        if refusal is not None:
            self.observe("refused", refusal.code)
            return _Closed(refusal)
        inner: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        inner.totalHeadersSize = self._header_bytes
        door = _Door(self, inner, host)
        self._admission.enter(host)
        self._doors.add(door)
        return door

    def stop(self, grace_seconds: float) -> Awaitable[None]:
        """Ends the connections of browsers, which keep them for what they may ask next; what is
        answered already still leaves. Fires when all are gone, or the grace is over and they were
        dropped. Called again meanwhile, it drops them at once.
        """
        again, self._stopping = self._stopping, True
        doors = self._open_doors()
        if not doors:
            return fired(None)
        gone: Awaitable[None] = self._empty.wait()
        if again:
            self._drop_all()
        else:
            for door in doors:
                door.transport.loseConnection()
            self._grace_call = self.clock.callLater(grace_seconds, self._drop_all)
        return gone

    def _drop_all(self) -> None:
        for door in self._open_doors():
            door.transport.abortConnection()

    def door_closed(self, door: _Door) -> None:
        """It is gone, or became a WebSocket."""
        if door in self._doors:
            self._admission.leave(door.host)
        self._doors.discard(door)
        if self._stopping and not self._open_doors():
            if self._grace_call is not None and self._grace_call.active():
                self._grace_call.cancel()
            self._empty.fire(None)

    def _open_doors(self) -> list[_Door]:
        return [door for door in self._doors if door.is_http]


class _Closed(Protocol):
    """Answers before anything is asked, and hangs up."""

    transport: Any

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def connectionMade(self) -> None:
        text = self._refusal.text.encode() + b"\n"
        self.transport.write(
            b"HTTP/1.1 %d Refused\r\nConnection: close\r\nRetry-After: %d\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
            % (self._refusal.status, RETRY_SECONDS, len(text), text)
        )
        self.transport.loseConnection()


class _Door(Protocol):
    """Stands between a connection and twisted.web, until a WebSocket takes its place.

    Args:
        site: is told of its end.
        inner: the protocol of twisted.web.
        host: the address of the peer.
    """

    transport: Any

    def __init__(self, site: RelaySite, inner: Any, host: str | None) -> None:
        self.host = host
        self._site = site
        self._inner = inner
        self._asked = False
        self._late_call: IDelayedCall | None = None
        inner.arrived = self._arrived

    @property
    def is_http(self) -> bool:
        """Whether it is connected and no WebSocket."""
        if self.transport is None:
            return False
        now = getattr(self.transport, "wrappedProtocol", None) or self.transport.protocol
        return now is self

    def connectionMade(self) -> None:
        self._inner.makeConnection(self.transport)
        self._await_headers()

    def dataReceived(self, data: bytes) -> None:
        if self._late_call is None:
            self._await_headers()
        self._inner.dataReceived(data)
        if not self.is_http:
            self._stop_waiting()
            self._site.door_closed(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._stop_waiting()
        self._inner.connectionLost(reason)
        self.transport = None
        if not self._asked:
            self._site.observe("handshake", "dropped")
        self._site.door_closed(self)

    def _await_headers(self) -> None:
        self._late_call = self._site.clock.callLater(self._site.header_seconds, self._late)

    def _stop_waiting(self) -> None:
        call, self._late_call = self._late_call, None
        if call is not None and call.active():
            call.cancel()

    def _arrived(self) -> None:
        self._asked = True
        self._stop_waiting()

    def _late(self) -> None:
        self._late_call = None
        self._asked = True
        self._site.observe("handshake", "timeout")
        self.transport.abortConnection()
