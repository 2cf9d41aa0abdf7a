"""A TCP proxy that cuts connections after a number of bytes, wherever that falls in a frame."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol


class _Outer(Protocol):
    """The client's side."""

    transport: Any

    def __init__(self, proxy: CuttingProxy) -> None:
        self.proxy = proxy
        self.inner: _Inner | None = None
        self.early: list[bytes] = []
        self.budget = proxy.next_budget()

    def connectionMade(self) -> None:
        self.proxy.open.add(self)
        endpoint = TCP4ClientEndpoint(self.proxy.reactor, "127.0.0.1", self.proxy.target_port)
        self.connecting = connectProtocol(endpoint, _Inner(self))
        self.connecting.addErrback(lambda _: self.transport.abortConnection())

    def dataReceived(self, data: bytes) -> None:
        data = self.spend(data)
        if self.inner is None:
            self.early.append(data)
        elif data:
            self.inner.transport.write(data)

    def spend(self, data: bytes) -> bytes:
        """As much of the data as may still pass; when it is used up, both sides are cut."""
        if self.budget is None:
            return data
        data = data[: self.budget]
        self.budget -= len(data)
        if self.budget <= 0:
            self.proxy.cuts += 1
            self.proxy.reactor.callLater(0, self.cut)
        return data

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()
        if self.inner is not None:
            self.inner.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.proxy.open.discard(self)
        self.connecting.cancel()
        if self.inner is not None:
            self.inner.transport.abortConnection()


class _Inner(Protocol):
    """The relay's side."""

    transport: Any

    def __init__(self, outer: _Outer) -> None:
        self.outer = outer

    def connectionMade(self) -> None:
        self.outer.inner = self
        self.transport.write(b"".join(self.outer.early))

    def dataReceived(self, data: bytes) -> None:
        data = self.outer.spend(data)
        if data:
            self.outer.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.outer.transport.abortConnection()


class CuttingProxy(Factory):
    """Passes bytes on to a port, and cuts each connection after its budget of bytes.

    Args:
        reactor: the reactor.
        target_port: where the relay listens.
        budgets: gives for each new connection how many bytes may pass, both ways together; None
            for any number.
    """

    noisy = False

    def __init__(self, reactor: Any, target_port: int, budgets: Any) -> None:
        self.reactor = reactor
        self.target_port = target_port
        self.next_budget = budgets
        self.cuts = 0
        self.open: set[_Outer] = set()

    def buildProtocol(self, addr: Any) -> _Outer:
        outer = _Outer(self)
        outer.factory = self
        return outer

    def renew_budgets(self) -> None:
        """Gives each open connection a new budget."""
        for outer in self.open:
            outer.budget = self.next_budget()

    def cut_all(self) -> None:
        """Cuts all that is open now."""
        for outer in list(self.open):
            outer.cut()
