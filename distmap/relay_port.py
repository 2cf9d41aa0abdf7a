"""What a connection of the relay asks of its surroundings: socket, relay and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from distmap.backlog import Backlog
from distmap.errors import ConnectionProblem
from distmap.router import Relay
from distmap.throttle import Rates


class Socket(Protocol):
    """What a connection needs of its socket."""

    transport: Any
    """Has write(), registerProducer() and unregisterProducer()."""

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake."""

    def abort(self) -> None:
        """Drops the connection."""


class Options(Protocol):
    """The bounds of a connection."""

    @property
    def queue_bytes(self) -> int:
        """What may queue."""

    @property
    def stall_seconds(self) -> float:
        """How long the queue may stand still."""

    @property
    def rates(self) -> Rates:
        """What the peer may send."""


class Owner(Protocol):
    """What a connection needs of its relay."""

    reactor: IReactorTime
    core: Relay
    backlog: Backlog
    known_ends: dict[bytes, bool]
    """Of messages that wait somewhere, whether they end a stream; for one turn."""

    def connection_asked(self, connection: Any, headers: Mapping[str, str]) -> None:
        """The opening handshake came; a proxy may tell in it for whom it speaks."""

    @property
    def options(self) -> Options:
        """The bounds."""

    def observe_connection(self, event: str, connection: Any, cause: str) -> None:
        """A connection is ``evicted``: ended, or cut off from its streams; or ``paused``: it sends
        too much, and is not read for a while.
        """

    def schedule(self) -> None:
        """Something waits for the end of the turn."""

    def connection_opened(self, connection: Any) -> None:
        """The opening handshake is done."""

    def connection_closed(self, connection: Any, problem: ConnectionProblem) -> None:
        """The socket is closed."""
