"""The relay as a Twisted service."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.web.server import Site

from distmap.relay_connection import RelayConnection
from distmap.relay_server import RelayOptions, RelayServer
from distmap.site import RelayResource
from distmap.websocket import ServerFactory, ServerSocket

__all__ = ["RelayOptions", "RelayService"]


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
        self.resource = RelayResource(factory, self.server)
        self.port: IListeningPort | None = None
        self._endpoint = endpoint

    def privilegedStartService(self) -> None:
        """Listens; a port below 1024 can still be bound now.

        Raises:
            SystemExit: the port cannot be bound; its text says why.
        """
        self._listen()

    def startService(self) -> None:
        """Listens, if it does not yet.

        Raises:
            SystemExit: the port cannot be bound; its text says why.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._listen()

    def stopService(self) -> Deferred[Any]:
        """Stops listening and tells the peers (close code 1012); fires when all are gone, or the
        grace is over and they were dropped.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        port, self.port = self.port, None
        stopped = maybeDeferred(port.stopListening) if port is not None else None
        return self.server.stop().addCallback(lambda _: stopped)

    def _listen(self) -> None:
        self.server.start()
        if self._endpoint is None or self.port is not None:
            return
        site = Site(self.resource, timeout=60)
        site.noisy = False
        site.displayTracebacks = False
        failures: list[Any] = []
        self._endpoint.listen(site).addCallbacks(self._listening, failures.append)
        if failures:
            raise SystemExit(f"distmap: {failures[0].getErrorMessage()}")

    def _listening(self, port: IListeningPort) -> None:
        self.port = port
        self._log.info("listening on {host}", host=_name(port.getHost()))

    def _accept(self, socket: ServerSocket, address: IAddress) -> RelayConnection:
        return self.server.accept(socket, _name(address))


def _name(address: Any) -> str:
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return f"{host}:{port}" if host is not None else str(address)
