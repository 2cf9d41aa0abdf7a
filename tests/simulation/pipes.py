"""What connections in memory are made of: streams of bytes that come late, in pieces, or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from distmap.relay_server import RelayServer
from tests.simulation.timeline import MachineClock, Timeline

if TYPE_CHECKING:
    from tests.simulation.wires import Wire


@dataclass
class Weather:
    """The way between one machine and the relay, as it is now.

    Attributes:
        latency_ms: least and most time on the way.
        fragment: how often a delivery is only a part of what is under way.
        reachable: whether the relay can be reached.
    """

    latency_ms: tuple[int, int] = (0, 0)
    fragment: float = 0.0
    reachable: bool = True

    def clear_up(self) -> None:
        """From now on the way is short and nothing happens on it."""
        self.latency_ms = (0, 2)
        self.fragment = 0.0
        self.reachable = True


@dataclass
class RelayMachine:
    """The relay of the moment.

    Attributes:
        kernel: of the machine that it runs on: tells it of lost connections.
    """

    clock: MachineClock
    kernel: MachineClock
    server: RelayServer


@dataclass
class Net:
    """What all connections have in common.

    Attributes:
        relay: None while it is down.
        wires: those that are not closed at both ends; by age.
        high_water_bytes: what a direction takes before the sender is told to pause.
        trace: is told who did what.
    """

    timeline: Timeline
    clock: MachineClock
    random: Random
    high_water_bytes: int
    trace: Callable[..., None]
    relay: RelayMachine | None = None
    wires: dict[Wire, None] = field(default_factory=dict)
    connects: int = 0


class Pipe:
    """One direction: a stream of bytes, delivered in order and in any pieces.

    Attributes:
        written: bytes that were put in.
        delivered: bytes that came out.
        alive: False once it is cut: nothing comes out any more.
    """

    def __init__(
        self, net: Net, weather: Weather, receive: Callable[[bytes], None], moved: Callable[[], Any]
    ) -> None:
        self.written = 0
        self.delivered = 0
        self.alive = True
        self._net = net
        self._weather = weather
        self._receive = receive
        self._moved = moved
        self._bytes = bytearray()
        self._blocks: set[str] = set()
        self._call: Any = None
        self._at_end: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def blocked(self) -> bool:
        return bool(self._blocks)

    def write(self, data: bytes) -> None:
        """Puts bytes in."""
        if self.alive and self._at_end is None:
            self._bytes += data
            self.written += len(data)
            self._schedule()

    def finish(self, at_end: Callable[[], None]) -> None:
        """Nothing more is put in; `at_end` is called when everything has come out."""
        if self.alive and self._at_end is None:
            self._at_end = at_end
            self._schedule()

    def block(self, why: str, blocked: bool) -> None:
        """Holds the bytes back, or lets them go on."""
        (self._blocks.add if blocked else self._blocks.discard)(why)
        self._schedule()

    def hurry(self) -> None:
        """What is under way comes as the weather is now."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        self._schedule()

    def cut(self) -> None:
        """Delivers a part of what is under way, cut anywhere; the rest is lost."""
        if self.alive and self._bytes and not self._blocks:
            self._deliver(self._net.random.randrange(len(self._bytes) + 1))
        self.kill()

    def kill(self) -> None:
        """Nothing comes out any more."""
        self.alive = False
        self._bytes.clear()
        self._at_end = None
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _schedule(self) -> None:
        wanted = self.alive and not self._blocks and bool(self._bytes or self._at_end)
        if wanted and self._call is None:
            delay_ms = self._net.random.randint(*self._weather.latency_ms)
            self._call = self._net.clock.at_millisecond(delay_ms, self._arrive)

    def _arrive(self) -> None:
        self._call = None
        if not self.alive or self._blocks:
            return
        size = len(self._bytes)
        if size > 1 and self._net.random.random() < self._weather.fragment:
            size = 1 + int(self._net.random.random() ** 2 * (size - 1))
        self._deliver(size)
        if not self._bytes and self._at_end is not None:
            self._at_end()
        self._schedule()

    def _deliver(self, size: int) -> None:
        chunk = bytes(self._bytes[:size])
        del self._bytes[:size]
        self.delivered += size
        if chunk:
            self._receive(chunk)
            if self.alive:
                self._moved()
