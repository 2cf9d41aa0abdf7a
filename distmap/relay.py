"""The relay as a Twisted service."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from distmap.admission import Admission
from distmap.clock import MIN_TIME_MS
from distmap.metrics import Metrics
from distmap.proxies import is_loopback
from distmap.relay_connection import RelayConnection
from distmap.relay_server import RelayOptions, RelayServer
from distmap.relay_site import RelaySite
from distmap.relay_socket import ServerFactory, ServerSocket
from distmap.site import RelayResource, host_of

__all__ = ["CannotListen", "RelayOptions", "RelayService"]


class CannotListen(SystemExit, Exception):
    """The relay's port cannot be bound; the text says why.

    As a SystemExit it ends `twistd` with that text and no traceback; as an Exception it lets
    twistd tidy up, and the program that embeds the relay go on.
    """


class RelayService(Service):
    """Connects the peers of all maps; holds no state but who is there.

    Args:
        reactor: the reactor.
        endpoint: where to listen when the service starts; None to listen nowhere, for a relay that
            is only mounted in another site by its :attr:`resource`.
        options: see :class:`RelayOptions`.

    Attributes:
        resource: a Twisted web resource: the WebSocket and the page at its own URL, and what
            belongs to them below it. May be mounted in any site, also beside an endpoint.
        server: the connections.
        port: what the endpoint listens on, once it does.
    """

    _log = Logger()
    name = "distmap"

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamServerEndpoint | None = None,
        options: RelayOptions | None = None,
    ) -> None:
        options = options or RelayOptions()
        factory = ServerFactory(reactor, self._accept, options.websocket)
        self.server = RelayServer(
            reactor, lambda text: factory.prepareMessage(text, False, True).payloadHybi, options
        )
        self.resource = RelayResource(factory, self.server, options.page)
        self.resource.putChild(b"metrics", Metrics(self.server, options.metrics))
        self.port: IListeningPort | None = None
        self._listening: Deferred[None] | None = None
        self._endpoint = endpoint
        self._site: RelaySite | None = None
        self._reactor = reactor
        self._factory = factory
        self._options = options

    def privilegedStartService(self) -> None:
        """Listens; a port below 1024 can still be bound now.

        Raises:
            CannotListen: the port cannot be bound.
        """
        self._listen()

    def startService(self) -> None:
        """Listens, if it does not yet.

        Raises:
            CannotListen: the port cannot be bound.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._listen()

    def stopService(self) -> Deferred[Any]:
        """Stops listening, gives each peer what waits for it, and tells it when to come back (close
        code 1012). Fires when all connections are gone, those of browsers too, or the grace is over
        and they were dropped. Called again meanwhile, it drops them at once.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        port, self.port = self.port, None
        listening, self._listening = self._listening, None
        stopped = maybeDeferred(port.stopListening) if port is not None else None
        if listening is not None:
            listening.cancel()
        grace_seconds = self._options.grace_seconds
        # The goodbye itself may have to wait behind what a slow peer has not yet taken.
        self._factory.set_close_seconds(max(grace_seconds, self._options.websocket.close_seconds))
        going = [self.server.stop()]
        if self._site is not None:
            going.append(self._site.stop(grace_seconds))
        return gatherResults(going).addCallback(lambda _: stopped)

    def _listen(self) -> None:
        self.server.start()
        self._factory.set_close_seconds(self._options.websocket.close_seconds)
        if self._endpoint is None or self._listening is not None:
            return
        self._site = site = self._make_site()
        failures: list[Failure] = []

        def failed(failure: Failure) -> None:
            failures.append(failure)
            if self._listening is not None:  # the endpoint took its time
                self._log.failure("cannot listen", failure)

        self._listening = self._endpoint.listen(site).addCallbacks(self._listens, failed)
        if failures:
            self._listening = None
            raise CannotListen(f"distmap: {failures[0].getErrorMessage()}")

    def _make_site(self) -> RelaySite:
        options = self._options
        return RelaySite(
            self._reactor,
            self.resource,
            # As many again may be about to become WebSockets, or get the page.
            Admission(
                options.connections, options.connections_per_address, self.server.proxies.trusts
            ),
            options.websocket.handshake_seconds,
            options.header_bytes,
            lambda event, cause: self.server.counts.observe(event, {"code": cause}),
        )

    def _listens(self, port: IListeningPort) -> None:
        self.port = port
        address: Any = port.getHost()
        self._log.info("listening on {host}, {who}", host=_name(address), who=self._who(address))
        if self._options.authorizer is None and self._others_reach(address):
            # Whoever embeds the relay may have other walls around it.
            self._log.warn("anybody who can reach {host} may read and write", host=_name(address))
        if self._reactor.seconds() * 1000 < MIN_TIME_MS:
            self._log.warn("the clock of this machine is not set: peers go by their own")

    def _who(self, address: Any) -> str:
        """Who can come in, and how to let in others."""
        if self._options.authorizer is not None:
            return "for those whom the authorizer lets in"
        if self._options.open or self._others_reach(address):
            return "for everybody who can reach it"
        return (
            "for this machine only (--port tcp:8080:interface=0.0.0.0 with --auth lets in others)"
        )

    def _others_reach(self, address: Any) -> bool:
        """Whether machines other than this can, by an address or through a proxy."""
        proxies = self._options.trusted_proxies
        return bool(proxies) or not is_loopback(getattr(address, "host", None) or "")

    def _accept(self, socket: ServerSocket, address: IAddress) -> RelayConnection:
        return self.server.accept(socket, _name(address), host_of(address))


def _name(address: Any) -> str:
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        name = getattr(address, "name", None)  # a path, of a UNIX socket
        return os.fsdecode(name) if name else str(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
