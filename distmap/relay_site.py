"""The relay's HTTP server: one that can be stopped."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from distmap.deferreds import Awaitable, Waiters, fired

IDLE_SECONDS = 60
"""How long a connection may stay that asks for nothing."""


class RelaySite(Site):
    """Serves a resource; knows its connections until they become WebSockets.

    Args:
        clock: for how long a stop takes.
        resource: at its root.
    """

    noisy = False
    displayTracebacks = False  # noqa: N815

    def __init__(self, clock: IReactorTime, resource: Resource) -> None:
        super().__init__(resource, timeout=IDLE_SECONDS)  # type: ignore[no-untyped-call]
        self._clock = clock
        self._doors: WeakSet[_Door] = WeakSet()
        self._empty = Waiters()
        self._grace_call: IDelayedCall | None = None
        self._stopping = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        door = _Door(self, super().buildProtocol(addr))  # type: ignore[no-untyped-call]
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
            self._grace_call = self._clock.callLater(grace_seconds, self._drop_all)
        return gone

    def _drop_all(self) -> None:
        for door in self._open_doors():
            door.transport.abortConnection()

    def door_closed(self, door: _Door) -> None:
        """It is gone, or became a WebSocket."""
        self._doors.discard(door)
        if self._stopping and not self._open_doors():
            if self._grace_call is not None and self._grace_call.active():
                self._grace_call.cancel()
            self._empty.fire(None)

    def _open_doors(self) -> list[_Door]:
        return [door for door in self._doors if door.is_http]


class _Door(Protocol):
    """Stands between a connection and twisted.web, until a WebSocket takes its place.

    Args:
        site: is told of its end.
        inner: the protocol of twisted.web.
    """

    transport: Any

    def __init__(self, site: RelaySite, inner: Any) -> None:
        self._site = site
        self._inner: IProtocol = inner

    @property
    def is_http(self) -> bool:
        """Whether it is connected and no WebSocket."""
        if self.transport is None:
            return False
        now = getattr(self.transport, "wrappedProtocol", None) or self.transport.protocol
        return now is self

    def connectionMade(self) -> None:
        self._inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._inner.dataReceived(data)
        if not self.is_http:
            self._site.door_closed(self)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._inner.connectionLost(reason)
        self.transport = None
        self._site.door_closed(self)
