"""Connections in memory: each end notices in its own time what has happened to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from distmap.attempts import Attempt
from distmap.errors import (
    CannotConnect,
    ConnectionLost,
    ConnectionProblem,
    HandshakeTimeout,
    PingTimeout,
)
from distmap.relay_connection import RelayConnection
from tests.simulation.pipes import Net, Pipe, RelayMachine, Weather
from tests.simulation.timeline import MachineClock

PING_SECONDS: Final = 25.0
"""How long a silent connection lives: there are no pings here, but the time that they take."""
HANDSHAKE_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0


class Wire:
    """One connection, or try to connect.

    Args:
        net: of all wires.
        owner: the name of the machine.
        clock: of the machine.
        weather: of its way to the relay.
        attempt: is told what happens at its end.

    Attributes:
        promised: what to check when so many bytes have come down.
    """

    def __init__(
        self, net: Net, owner: str, clock: MachineClock, weather: Weather, attempt: Attempt
    ) -> None:
        net.connects += 1
        net.wires[self] = None
        self.name = f"{owner}#{net.connects}"
        self.owner = owner
        self.relay: RelayConnection | None = None
        self.relay_open = False
        self.client_open = False
        self.up = Pipe(net, weather, self._relay_received, _nothing)
        self.down = Pipe(net, weather, self._client_received, self._drained)
        self.producer: Any = None
        self.promised: deque[tuple[int, Callable[[], None]]] = deque()
        self._net = net
        self._clock = clock
        self._weather = weather
        self._attempt = attempt
        self._client_done = False
        self.machine: RelayMachine | None = None
        self._silences = 0
        self.down.block("opening", True)
        net.clock.at_millisecond(net.random.randint(*weather.latency_ms), self._knock)

    def __repr__(self) -> str:
        return f"<Wire {self.name}>"

    # -- opening ----------------------------------------------------------------------------------

    def _knock(self) -> None:
        """The machine's first packet is at the relay's door."""
        if self._client_done or not self.up.alive:
            return
        self.machine = machine = self._net.relay
        if not self._weather.reachable and self._net.random.random() < 0.5:
            problem: ConnectionProblem = HandshakeTimeout("no answer")
            self._clock.callLater(HANDSHAKE_SECONDS, self._client_lost, problem)
        elif machine is None or not self._weather.reachable:
            self._client_lost_soon(CannotConnect("cannot connect: nobody listens"))
        else:
            self.relay_open = True
            self.relay = machine.server.accept(_RelayEnd(self), self.name)
            self.relay.socket_opened()
            self._clock.callLater(self._latency(), self._opened)

    def _opened(self) -> None:
        if not self._client_done and self.up.alive:
            self._net.trace(self.name, "opened")
            self.client_open = True
            self._attempt.attempt_opened(self)
            self.down.block("opening", False)

    # -- what comes out of the pipes --------------------------------------------------------------

    def _relay_received(self, data: bytes) -> None:
        if self.relay_open and self.relay is not None:
            self._net.trace(self.name, "up", data)
            self.relay.socket_received(data)

    def _client_received(self, data: bytes) -> None:
        if self.client_open:
            self._net.trace(self.name, "down", data)
            self._attempt.attempt_received(data)
            while self.promised and self.promised[0][0] <= self.down.delivered:
                self.promised.popleft()[1]()

    def _drained(self) -> None:
        if not len(self.down) and self.producer is not None and self.relay_open:
            self.producer.resumeProducing()

    # -- the machine's end: distmap.session.Transport ---------------------------------------------

    def send(self, message: bytes) -> None:
        if self.client_open:
            self.up.write(message)

    def close(self, code: int, reason: str) -> None:
        problem = ConnectionLost(f"the connection was closed with {code}: {reason}")

        def arrived() -> None:
            self._relay_lost(problem)
            self._client_lost_soon(problem)

        self.up.finish(arrived)

    def abandon(self) -> None:
        """The machine drops the connection, or gives up making one."""
        problem = ConnectionLost("given up")
        self._client_lost(problem)
        self._relay_lost_soon(problem)

    # -- the relay's end --------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        if self.relay_open:
            self.down.write(frame)
            if len(self.down) > self._net.high_water_bytes and self.producer is not None:
                self.producer.pauseProducing()

    def relay_closes(self, code: int, reason: str) -> None:
        problem = ConnectionLost(f"the connection was closed with {code}: {reason}")

        def arrived() -> None:
            self._client_lost(problem)
            self._relay_lost_soon(problem)

        self.down.finish(arrived)
        self._net.clock.callLater(CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        """The relay drops the connection."""
        if self.relay_open and self.machine is not None:
            problem = ConnectionLost("dropped")
            self.machine.kernel.callLater(0, self._relay_lost, problem)
            after = PING_SECONDS if self.up.blocked or self.down.blocked else self._latency()
            self._clock.callLater(after, self._client_lost, problem)
            self.down.kill()
            self.up.kill()

    # -- faults -----------------------------------------------------------------------------------

    def lose(self, problem: ConnectionProblem, *, silent_at: str = "") -> None:
        """The connection is cut at any byte.

        Args:
            problem: what both ends are told.
            silent_at: ``relay`` or ``client``: that end notices only when its pings fail.
        """
        for pipe in (self.up, self.down):
            pipe.cut()
        for end, lost in (("client", self._client_lost_soon), ("relay", self._relay_lost_soon)):
            lost(problem, PING_SECONDS if silent_at == end else None)

    def block(self, why: str, blocked: bool, *pipes: Pipe) -> None:
        """Holds bytes back, at most until the pings fail."""
        for pipe in pipes:
            pipe.block(why, blocked)
        self._silences += 1
        if self.up.blocked or self.down.blocked:
            self._net.clock.callLater(PING_SECONDS, self._ping_fails, self._silences)

    def heal(self) -> None:
        """What is blocked goes on; who does not know yet that it is cut is told."""
        self._weather.clear_up()
        for why in ("half-open", "stall", "partition"):
            self.block(why, False, self.up, self.down)
        for pipe in (self.up, self.down):
            pipe.hurry()
        if not (self.up.alive and self.down.alive):
            self.lose(ConnectionLost("found out"))

    def relay_died(self, *, silent: bool) -> None:
        """The relay's machine is gone."""
        self.relay_open = False
        self.machine = None
        self.lose(ConnectionLost("reset by the relay"), silent_at="client" if silent else "")
        self._forget()

    def client_died(self, *, silent: bool) -> None:
        """The machine at the other end is gone."""
        self._client_done = True
        self.client_open = False
        self.lose(ConnectionLost("reset by the peer"), silent_at="relay" if silent else "")
        self._forget()

    def _ping_fails(self, silence: int) -> None:
        if silence == self._silences and (self.up.blocked or self.down.blocked):
            self.lose(PingTimeout("the other side did not answer a ping"))

    # -- the end ----------------------------------------------------------------------------------

    def _latency(self) -> float:
        return self._net.random.randint(*self._weather.latency_ms) / 1000

    def _client_lost_soon(self, problem: ConnectionProblem, after: float | None = None) -> None:
        seconds = self._latency() if after is None else after
        self._clock.callLater(seconds, self._client_lost, problem)

    def _relay_lost_soon(self, problem: ConnectionProblem, after: float | None = None) -> None:
        if self.machine is not None:
            seconds = self._latency() if after is None else after
            self.machine.kernel.callLater(seconds, self._relay_lost, problem)

    def _client_lost(self, problem: ConnectionProblem) -> None:
        if not self._client_done:
            self._net.trace(self.name, "lost", str(problem))
            self._client_done = True
            self.client_open = False
            self._forget()
            self._attempt.attempt_failed(problem)

    def _relay_lost(self, problem: ConnectionProblem) -> None:
        if self.relay_open and self.relay is not None:
            self._net.trace(self.name, "lost at the relay", str(problem))
            self.relay_open = False
            self._forget()
            self.relay.socket_closed(problem)

    def _forget(self) -> None:
        """Closed at both ends: nobody needs it any more."""
        if self._client_done and not self.relay_open:
            self._net.wires.pop(self, None)
            self.up.kill()
            self.down.kill()


class _RelayEnd:
    """The relay's socket and its transport in one."""

    def __init__(self, wire: Wire) -> None:
        self.transport = self
        self.write = wire.write
        self.close = wire.relay_closes
        self.abort = wire.abort
        self._wire = wire

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._wire.producer = producer

    def unregisterProducer(self) -> None:
        self._wire.producer = None


def _nothing() -> None:
    """The machine's end does not care how much is under way."""
