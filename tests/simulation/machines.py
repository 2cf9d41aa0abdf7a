"""Machines with a client on them: they crash, sleep, close and come back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.python.failure import Failure
from zope.interface import implementer

from distmap import DistributedMap
from distmap.attempts import Attempt, IConnector
from distmap.connection import Connection
from tests.simulation.copies import Copy
from tests.simulation.ordered import order_sets
from tests.simulation.pipes import Net, Weather
from tests.simulation.timeline import MachineClock
from tests.simulation.wires import Wire
from tests.simulation.writes import Witness


@implementer(IConnector)
class Machine:
    """A machine, the connection of its client, and the client's copies of maps.

    Args:
        net: of all machines.
        witness: of its copies.
        name: for the trace.
        seed: of the client's chance.
        skew: how many seconds its wall clock is ahead.
        weather: of its way to the relay.
        retention_seconds: how long its maps keep tombstones.

    Attributes:
        copies: by URI.
        alive: False once it has crashed.
        jumped_at: when its clock last jumped.
    """

    def __init__(
        self,
        net: Net,
        witness: Witness,
        name: str,
        seed: str,
        skew: float,
        weather: Weather,
        retention_seconds: float,
    ) -> None:
        self.name = name
        self.weather = weather
        self.clock = MachineClock(net.timeline, skew)
        self.copies: dict[str, Copy] = {}
        self.alive = True
        self.jumped_at = -1e9
        self.closing = False
        self.has_closed = False
        self.wire: Wire | None = None
        self._kernel = MachineClock(net.timeline)
        self._net = net
        self._witness = witness
        self._random = Random(seed)
        self._retention_seconds = retention_seconds
        self.connection = self._new_connection()

    def __repr__(self) -> str:
        return f"<Machine {self.name}>"

    # -- the client -------------------------------------------------------------------------------

    def _new_connection(self) -> Connection:
        return Connection(
            self.clock, self, self._random.random, retention_seconds=self._retention_seconds
        )

    def _new_copy(self, uri: str) -> Copy:
        shared = DistributedMap(self.connection, uri)
        order_sets(shared)
        return Copy(self._witness, self.name, shared, uri)

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        """See IConnector."""
        self.wire = Wire(self._net, self.name, self._kernel, self.weather, attempt)
        return self.wire.abandon

    def open(self, uri: str) -> Copy:
        """Opens a map, again if it was closed."""
        copy = self._new_copy(uri)
        self.copies[uri] = copy
        return copy

    @property
    def awake(self) -> bool:
        """Whether its client can act."""
        return self.clock.power == "on" and not self.closing

    @property
    def online(self) -> bool:
        """Whether its connection is open and nothing is wrong with it."""
        wire = self.wire
        return (
            wire is not None
            and wire.client_open
            and wire.relay_open
            and not (wire.up.blocked or wire.down.blocked)
            and wire.up.alive
        )

    def close(self) -> None:
        """Closes the connection."""
        self.closing = True
        self.has_closed = False
        for copy in self.copies.values():
            copy.closed = True
        self.connection.close().addCallbacks(self._closed, self._not_closed)

    def reopen(self) -> None:
        """Opens a new connection and all maps anew."""
        self.closing = False
        self.connection = self._new_connection()
        for uri in list(self.copies):
            self.open(uri)

    def _closed(self, _: object) -> None:
        self.has_closed = True
        self._witness.trace(self.name, "has closed")
        for copy in self.copies.values():
            copy.check_closed()
        left = self.clock.getDelayedCalls()
        if left:
            self._witness.broken(f"{self} is closed, and calls {left[0].call} later")
        if self.connection.status != "closed":
            self._witness.broken(f"{self} is closed, and its status is {self.connection.status}")

    def _not_closed(self, failure: Failure) -> None:
        self._witness.broken(f"{self} could not be closed: {failure.value!r}")

    # -- the machine ------------------------------------------------------------------------------

    def crash(self, *, silent: bool) -> None:
        """Power off; silent: not even its end of the connection is closed."""
        self.alive = False
        self.clock.power = self._kernel.power = "off"
        for wire in self._own_wires():
            wire.client_died(silent=silent)

    def sleep(self) -> None:
        """Nothing happens on it any more until it wakes up."""
        self.clock.power = self._kernel.power = "asleep"
        for wire in self._own_wires():
            wire.block("asleep", True, wire.down)

    def wake(self) -> None:
        """Goes on where it was."""
        if self.clock.power == "asleep":
            self._kernel.wake()
            self.clock.wake()
            for wire in self._own_wires():
                wire.block("asleep", False, wire.down)

    def partition(self, cut_off: bool) -> None:
        """The relay cannot be reached, or again."""
        self.weather.reachable = not cut_off
        for wire in self._own_wires():
            wire.block("partition", cut_off, wire.up, wire.down)

    def _own_wires(self) -> list[Wire]:
        return [wire for wire in self._net.wires if wire.owner == self.name]
