"""Names that a test makes up."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.trial.unittest import TestCase
from zope.interface import implementer

reactor: Any = _reactor


@implementer(IHostnameResolver)
class Resolver:
    """Knows one name, or none, or does not answer."""

    def __init__(self, address: str | None, *, silent: bool = False) -> None:
        self.address = address
        self.silent = silent
        self.asked: list[str] = []

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: Any,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(self)
        if self.address is not None:
            address = IPv4Address("TCP", self.address, portNumber)
            resolutionReceiver.addressResolved(address)
        if not self.silent:
            resolutionReceiver.resolutionComplete()
        return self

    def install(self, test: TestCase) -> None:
        """Answers for the reactor until the test ends."""
        test.addCleanup(reactor.installNameResolver, reactor.nameResolver)
        reactor.installNameResolver(self)
