"""Peers and a relay in memory, for tests of programs that use distmap: no sockets, no waiting.

::

    from distmap.testing import Network

    network = Network()
    mine, theirs = network.open("/fruits"), network.open("/fruits")
    mine["apple"] = 3
    network.settle()
    assert theirs["apple"] == 3
    network.close()

Everything but the WebSocket is the real thing: the relay, the connections, the maps. Time is a
`Clock`: it stands still until the test advances it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from distmap.attempts import Attempt, IConnector
from distmap.connection import Connection
from distmap.credentials import open_connection
from distmap.errors import CannotConnect, ConnectionLost, ConnectionProblem
from distmap.fetching import Source
from distmap.knowledge import RETENTION_MS
from distmap.map import DistributedMap
from distmap.options import DEFAULT_URI
from distmap.relay_connection import RelayConnection
from distmap.relay_server import RelayOptions, RelayServer
from distmap.restart import lost

ABNORMAL_CLOSURE = 1006
START_SECONDS = 1_700_000_000.0


class Wire:
    """One connection between a peer and the relay; what is sent arrives in a later turn.

    Attributes:
        stalled: while True the peer takes nothing of what the relay sends: a slow reader.
    """

    def __init__(self, network: Network, attempt: Attempt, server: RelayServer) -> None:
        self._clock = network.clock
        self._delay_seconds = network.delay_seconds
        self._attempt = attempt
        self._relay: RelayConnection = server.accept(_ServerEnd(self), f"memory:{id(self):x}")
        self._producer: Any = None
        self._backlog: list[bytes] = []
        self._stalled = False
        self._closed = False
        self._later(self._open)

    @property
    def stalled(self) -> bool:
        return self._stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        if not stalled:
            backlog, self._backlog = self._backlog, []
            for message in backlog:
                self._later(self._attempt_received, message)
            if self._producer is not None:
                self._producer.resumeProducing()

    # -- the peer's end ---------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """The peer sends to the relay."""
        self._later(self._relay_received, message)

    def close(self, code: int, reason: str) -> None:
        """Either side begins to close."""
        self._later(self.drop, lost(code, reason))

    def drop(self, problem: ConnectionProblem | None = None) -> None:
        """The connection is gone at once, for both sides; what was under way is lost."""
        if self._closed:
            return
        self._closed = True
        problem = problem or ConnectionLost(f"closed with {ABNORMAL_CLOSURE}: cut")
        self._relay.socket_closed(problem)
        self._attempt.attempt_failed(problem)

    # -- the relay's end --------------------------------------------------------------------------

    def write(self, message: bytes) -> None:
        """The relay sends to the peer."""
        if self._stalled:
            self._backlog.append(message)
            if self._producer is not None:
                self._producer.pauseProducing()
        else:
            self._later(self._attempt_received, message)

    def register(self, producer: Any) -> None:
        """The relay wants to know when to wait."""
        self._producer = producer

    # -- the way ----------------------------------------------------------------------------------

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        self._clock.callLater(self._delay_seconds, call, *args)

    def _open(self) -> None:
        if not self._closed:
            self._relay.socket_opened()
            self._attempt.attempt_opened(self)

    def _relay_received(self, message: bytes) -> None:
        if not self._closed:
            self._relay.socket_received(message)

    def _attempt_received(self, message: bytes) -> None:
        if not self._closed:
            self._attempt.attempt_received(message)


class _ServerEnd:
    """The relay's socket and its transport in one."""

    def __init__(self, wire: Wire) -> None:
        self.transport = self
        self.write = wire.write
        self.close = wire.close
        self.abort = wire.drop
        self._wire = wire

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See ITransport."""
        self._wire.register(producer)

    def unregisterProducer(self) -> None:
        """See ITransport."""
        self._wire.register(None)


@implementer(IConnector)
class _MemoryConnector:
    def __init__(self, network: Network) -> None:
        self._network = network
        self.wire: Wire | None = None

    def __str__(self) -> str:
        return "memory"

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        network = self._network
        self.wire = None
        if network.relay is None:
            problem = CannotConnect("cannot connect: the relay is stopped")
            call = network.clock.callLater(0, attempt.attempt_failed, problem)

            def abandon() -> None:
                if call.active():
                    call.cancel()
                    attempt.attempt_failed(problem)

            return abandon
        self.wire = Wire(network, attempt, network.relay)
        return self.wire.drop


class Network:
    """A relay, and any number of peers.

    Args:
        clock: the time of all of them; a new one that begins in 2023 if None.
        seed: of what is random: jitter and ids.
        delay_seconds: how long each message is under way.
        options: of the relay.
        retention_seconds: how long the maps keep tombstones.

    Attributes:
        clock: advance it for what takes time, such as reconnecting.
        relay: the relay; None while it is stopped.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        seed: int = 0,
        delay_seconds: float = 0.0,
        options: RelayOptions | None = None,
        retention_seconds: float = RETENTION_MS / 1000,
    ) -> None:
        if clock is None:
            clock = Clock()
            clock.rightNow = START_SECONDS
        self.clock = clock
        self.delay_seconds = delay_seconds
        self.relay: RelayServer | None = None
        self._options = options or RelayOptions()
        self._retention_seconds = retention_seconds
        self._random = Random(seed)
        self._connectors: dict[Connection, _MemoryConnector] = {}
        self.start_relay()

    # -- peers ------------------------------------------------------------------------------------

    def connect(self, *, credentials: Source | None = None) -> Connection:
        """A new connection to the relay, as from :func:`distmap.connect`."""
        connector = _MemoryConnector(self)
        connection = open_connection(
            self.clock,
            connector,
            Random(self._random.random()).random,
            credentials,
            retention_seconds=self._retention_seconds,
        )
        self._connectors[connection] = connector
        return connection

    def open(self, uri: str = DEFAULT_URI, *, credentials: Source | None = None) -> DistributedMap:
        """A map on a connection of its own."""
        return DistributedMap(self.connect(credentials=credentials), uri)

    def wire(self, connection: Connection) -> Wire | None:
        """What a connection runs over now: to stall or drop it."""
        return self._connectors[connection].wire

    def cut(self, connection: Connection) -> None:
        """Cuts a connection without a word; it will try again."""
        wire = self.wire(connection)
        if wire is not None:
            wire.drop()

    # -- the relay --------------------------------------------------------------------------------

    def stop_relay(self) -> None:
        """Kills the relay: all connections are cut, and nobody can connect."""
        self.relay = None
        for connection in list(self._connectors):
            self.cut(connection)

    def start_relay(self) -> None:
        """Starts a new relay, which knows nothing of the one before."""
        if self.relay is None:
            self.relay = RelayServer(self.clock, bytes, self._options)

    # -- time -------------------------------------------------------------------------------------

    def settle(self, seconds: float = 0.0) -> None:
        """Lets all happen that can happen now, or within some seconds of the clock's time."""
        self.clock.advance(0)
        while seconds > 0:
            step = min(seconds, 0.05)
            self.clock.advance(step)
            seconds -= step
        self.clock.advance(0)

    def close(self) -> None:
        """Closes all connections; afterwards no call is left on the clock but the user's own."""
        for connection in list(self._connectors):
            connection.close()
        self.settle(self.delay_seconds * 4)
        self._connectors.clear()
        if self.relay is not None:
            self.relay.stop()
