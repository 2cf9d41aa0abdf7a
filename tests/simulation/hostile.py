"""Members that mean no good: they forge, repeat, lie, say nothing, or talk nonsense."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec.json import decode as decode_json

from distmap.attempts import Attempt
from distmap.errors import ConnectionProblem
from distmap.hub import VERSION
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxStream, State
from distmap.switchboard import OPEN
from tests.simulation import nonsense
from tests.simulation.pipes import Net, Weather
from tests.simulation.timeline import START_SECONDS, MachineClock
from tests.simulation.wires import Wire

CROWD = 40
HEARD = 300
"""Payloads that are remembered, to be repeated."""


class Hostile(Attempt):
    """A member of a channel with a kind of its own, named as in :data:`plan.FAULTS`.

    Args:
        net: of all machines.
        kind: what it does.
        uri: the map's.
        random: its chance.
        weather: of its way to the relay.
        heard: payloads of this map that any of its kind has heard.
    """

    def __init__(
        self, net: Net, kind: str, uri: str, random: Random, weather: Weather, heard: list[bytes]
    ) -> None:
        self.name = kind.replace(" ", "-")
        self.alive = True
        self.clock = MachineClock(net.timeline)
        self._net = net
        self._kind = kind
        self._uri = uri
        self._random = random
        self._heard = heard
        self._mux = MuxDemux()
        self._channels: list[MuxStream] = []
        self._syncs: set[MuxStream] = set()
        self._member = ""
        self._stays = random.random() < 0.5
        self._open = False
        self._act: Callable[[], None] = {
            "hostile echo": self._repeat,
            "hostile junk": self._talk_nonsense,
            "hostile future": self._write_from_the_future,
            "hostile crowd": self._come_and_go,
        }.get(kind, _nothing)
        self.wire = Wire(net, self.name, self.clock, weather, self)

    def leave(self) -> None:
        """Goes away."""
        if self.alive:
            self.alive = False
            self.wire.abandon()

    # -- the connection ---------------------------------------------------------------------------

    def attempt_opened(self, transport: object) -> None:
        self._open = True
        for _ in range(CROWD if self._kind == "hostile crowd" else 1):
            self._join()
        self._flush()
        self._go_on()

    def attempt_received(self, message: bytes) -> None:
        for kind, stream, detail in self._mux.receive(message):
            if stream is None or kind is not Kind.DATA:
                continue
            if stream in self._syncs:
                self._donate(stream, bytes(detail))
            elif stream in self._channels:
                self._hear(bytes(detail))
        self._flush()

    def attempt_congested(self, congested: bool) -> None:
        pass

    def attempt_failed(self, problem: ConnectionProblem) -> None:
        self.alive = self._open = False

    def _flush(self) -> None:
        if self._open:
            self.wire.send(b"".join(self._mux.take()))

    def _join(self) -> None:
        route = f"{self._uri}/channel"
        channel = self._mux.open({"route": route, "version": VERSION})
        self._channels.append(channel)
        if self._kind.endswith("donor"):
            self._mux.send(channel, b'["ready"]')

    def _come_and_go(self) -> None:
        """The crowd does not stay the same, or it stays and never says that it is ready."""
        if self._stays:
            return
        channel = self._channels.pop(self._random.randrange(len(self._channels)))
        self._mux.close(channel)
        self._join()

    def _say(self, payload: bytes) -> None:
        for channel in self._channels[:1]:
            if channel.state is not State.CLOSED:
                self._mux.send(channel, payload)

    def _go_on(self) -> None:
        if self._open and self.alive:
            self._act()
            self._flush()
            self.clock.callLater(self._random.choice((0.001, 0.3, 2.0)), self._go_on)

    # -- on the channel ---------------------------------------------------------------------------

    def _hear(self, payload: bytes) -> None:
        if payload[:1] == b"{":
            if len(self._heard) < HEARD:
                self._heard.append(payload)
            else:
                self._heard[self._random.randrange(HEARD)] = payload
            return
        name, *details = decode_json(payload)
        if name == "welcome":
            self._member = details[0]["peer"]
        elif name == "client" and self._random.random() < 0.8:
            (client,) = details
            route = f"{self._uri}/proxy/server/{self._member}/client/{client}/{client}"
            self._syncs.add(self._mux.open(route))

    def _repeat(self) -> None:
        if self._heard:
            for payload in self._random.choices(self._heard, k=self._random.randint(1, 20)):
                self._say(payload)

    def _talk_nonsense(self) -> None:
        chance = self._random.random()
        if chance < 0.8:
            self._say(nonsense.payload(self._random))
        elif chance < 0.97:
            self._mux.open(nonsense.meta(self._random, self._uri))
        else:
            self._mux.take()
            if self._open:
                self.wire.send(nonsense.frame(self._random))

    def _write_from_the_future(self) -> None:
        seconds = self._random.choice((2, 20, 45, 100, 3600, 1e7, 1e11))
        timeline = self._net.timeline
        ms = int((START_SECONDS + timeline.now + seconds) * 1000)
        self._say(nonsense.entry(self._random, ms))

    # -- as a donor -------------------------------------------------------------------------------

    def _donate(self, stream: MuxStream, payload: bytes) -> None:
        if payload == OPEN or self._kind == "mute donor" or stream.state is State.CLOSED:
            return
        if self._kind == "deserting donor":
            self.leave()
        elif self._kind == "plausible donor":
            self._mux.send(stream, nonsense.agree(self._random, payload))
        else:
            self._mux.send(stream, nonsense.answer(self._random))


def _nothing() -> None:
    """Being there is enough."""
