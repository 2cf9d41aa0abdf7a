"""One network: the relay, the machines, and what they promised one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from zlib import crc32

from distmap.clock import HEARD_MS, Stamp
from distmap.relay_server import RelayOptions, RelayServer
from tests.simulation.copies import Copy
from tests.simulation.hostile import Hostile
from tests.simulation.machines import Machine
from tests.simulation.node_machines import new_node_machine, on_node
from tests.simulation.node_process import Node
from tests.simulation.ordered import OrderedSet
from tests.simulation.pipes import Net, RelayMachine, Weather
from tests.simulation.plan import Plan
from tests.simulation.timeline import START_SECONDS, MachineClock, Timeline
from tests.simulation.writes import Write

SYNCING_SECONDS: Final = 75.0
"""A peer with a good connection must be ready after so long, whatever its donors do."""
GOOD_LATENCY_MS: Final = 60

SLACK_MS: Final = HEARD_MS + 1000
"""Clocks differ about what is old: one that has jumped is believed for HEARD_MS at most."""
JUMP_SECONDS: Final = 30.0
"""So long it takes at most until a clock that has jumped is found out."""
FAR_AHEAD_MS: Final = 50_000
"""A stamp that is further ahead may be too far ahead for some."""

Trace = Callable[[str], None]


class World:
    """A network while it runs.

    Args:
        plan: what it is like.
        write: is called with each line of the trace; None for no trace.
        node: runs the machines with the JavaScript client; None if there are none.

    Attributes:
        failure: the first promise that was broken.
        faults: how many were injected, by kind.
        excuses: why the maps may be equal only when gossip has found out that they are not.
        tombstones: by URI and key, all that ever were in place somewhere.
        ledger: by URI, all values that were ever written with a stamp, by key and stamp.
        deceived: somebody hostile can have undone deletes: as the donor of a peer that had been
            away, or by repeating what is deleted and forgotten.
        healing: no faults any more.
        sync_begins: is told of syncs until then.
    """

    def __init__(self, plan: Plan, write: Trace | None = None, node: Node | None = None) -> None:
        self.plan = plan
        self.failure: str | None = None
        self.faults: Counter[str] = Counter()
        self.excuses: Counter[str] = Counter()
        self.operations = 0
        self.divergences = 0
        self.healing = False
        self.deceived = False
        self.sync_begins: Callable[[Copy, Copy], None] = lambda newcomer, donor: None
        self.timeline = Timeline()
        self._write = write
        self._node = node
        self.clock = MachineClock(self.timeline)
        self.net = Net(
            self.timeline, self.clock, plan.random("net"), plan.high_water_bytes, self.trace
        )
        self.random = plan.random("world")
        self.uris = [f"/map{number}" for number in range(plan.uris)]
        self.machines: list[Machine] = []
        self.hostile: list[Hostile] = []
        self.heard: dict[str, list[bytes]] = {uri: [] for uri in self.uris}
        self.ledger: dict[str, dict[tuple[str, Any], set[bytes | None]]] = {
            uri: {} for uri in self.uris
        }
        self.tombstones: dict[str, dict[str, set[Stamp]]] = {uri: {} for uri in self.uris}
        self.start_relay()

    @property
    def has_node(self) -> bool:
        """Whether some machines may have the JavaScript client."""
        return self._node is not None

    # -- what is told: see Witness ----------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.timeline.now

    def trace(self, who: str, what: str, *details: object) -> None:
        """A line of the trace; long bytes are only summed up."""
        if self._write is not None:
            texts = [
                f"{len(each)} bytes, {crc32(each):08x}"
                if isinstance(each, bytes) and len(each) > 200
                else str(each)
                for each in details
            ]
            self._write(f"{self.now:10.4f}  {who:16}  {what} {' '.join(texts)}")

    def broken(self, reason: str) -> None:
        """A promise is broken: the run ends soon."""
        self.trace("CHECKER", "broken:", reason)
        if self.failure is None:
            self.failure = reason

    def written(self, write: Write) -> None:
        """A copy wrote."""
        self.ledger[write.copy.uri].setdefault((write.key, write.stamp), set()).add(write.value)

    def taken(self, write: Write) -> None:
        """The relay says that it has passed a write on: it must be on its way to all others."""
        if write.anew or write.stamp.ms > (START_SECONDS + self.now) * 1000 + FAR_AHEAD_MS:
            return  # it was, or is, so far ahead that others may have to let it go
        sender = next(m for m in self.machines if m.name == write.copy.name).wire
        for machine in self.machines:
            wire, copy = machine.wire, machine.copies.get(write.copy.uri)
            if copy is None or copy is write.copy or copy.ready_at is None or wire is None:
                continue
            error_ms = copy.replica.clock.now_ms() - (START_SECONDS + self.now) * 1000
            if self.now - machine.jumped_at < JUMP_SECONDS or abs(error_ms) > SLACK_MS:
                continue  # it may have to let go what it thinks is far ahead
            if copy.replica.clock.is_ahead(write.stamp):
                continue  # so may who has not heard the relay's time for long
            if not (copy.ready_at < write.at and wire.client_open and wire.relay_open):
                continue
            relay = wire.relay
            if sender is None or wire.machine is not sender.machine or relay is None:
                continue
            if not (wire.up.alive and wire.down.alive) or relay.paused or relay._queue:
                continue
            promise = (copy.ready_at, write.key, write.stamp)
            check = partial(self._check_promised, machine, copy, self.now, promise)
            wire.promised.append((wire.down.written, check))

    def _check_promised(
        self, machine: Machine, copy: Copy, since: float, promise: tuple[float, str, Stamp]
    ) -> None:
        ready_at, key, stamp = promise
        if copy.ready_at != ready_at or machine.jumped_at > since:
            return
        if not copy.has(key, stamp) and not self.may_be_gone(copy.uri, key, stamp):
            self.broken(f"{key} {stamp} was acknowledged, and never came to {copy}")

    def syncs(self, newcomer: Copy, donor: Copy) -> None:
        """A copy begins to sync with another."""
        if not self.healing:
            self.sync_begins(newcomer, donor)

    def deleted(self, uri: str, key: str, stamp: Stamp) -> None:
        """A tombstone is in place somewhere."""
        self.tombstones[uri].setdefault(key, set()).add(stamp)

    def is_old(self, stamp: Stamp) -> bool:
        """Whether a tombstone of that time may be forgotten, by somebody's clock."""
        retention_ms = self.plan.retention_seconds * 1000
        return stamp.ms < (START_SECONDS + self.now) * 1000 - retention_ms + SLACK_MS

    def is_forgotten(self, stamp: Stamp) -> bool:
        """Whether a tombstone of that time must be forgotten, by anybody's clock."""
        retention_ms = self.plan.retention_seconds * 1000
        return stamp.ms < (START_SECONDS + self.now) * 1000 - retention_ms - 2 * SLACK_MS

    def may_be_gone(self, uri: str, key: str, stamp: Stamp) -> bool:
        """Whether a later delete is so long ago that nobody need remember it."""
        deletes = self.tombstones[uri].get(key, set())
        return any(delete >= stamp and self.is_old(delete) for delete in deletes)

    def left_alone(self, copy: Copy, why: str) -> None:
        """A copy is ready, and nobody has given it the map, though others are ready too."""
        channel = self.relay.server.core.hub.channels.get(copy.uri) if self.relay else None
        if channel is not None and channel.ready.keys() - {copy.map._seat.peer.id}:
            self.trace(copy.name, "is left alone", why)
            self.excuses[f"left alone {why}"] += 1

    def copy_of(self, uri: str, member: str) -> Copy | None:
        """The copy of a member; None if it is a hostile one, or gone."""
        channel = self.relay.server.core.hub.channels.get(uri) if self.relay else None
        found: Any = channel.members.get(member) if channel is not None else None
        connection = found.link.owner if found is not None else None
        for machine in self.machines:
            if connection is not None and machine.wire and machine.wire.relay is connection:
                return machine.copies[uri]
        return None

    # -- the relay --------------------------------------------------------------------------------

    @property
    def relay(self) -> RelayMachine | None:
        return self.net.relay

    def start_relay(self) -> None:
        """Starts a relay that knows nothing."""
        clock, kernel = MachineClock(self.timeline), MachineClock(self.timeline)
        options = RelayOptions(
            queue_bytes=self.plan.queue_bytes, stall_seconds=self.plan.stall_seconds
        )
        server = RelayServer(clock, bytes, options)
        connections: Any = OrderedSet()
        server.connections = connections
        self.net.relay = RelayMachine(clock, kernel, server)
        self.trace("relay", "starts")

    def crash_relay(self, *, silent: bool) -> None:
        """Takes its power."""
        relay, self.net.relay = self.net.relay, None
        if relay is not None:
            self.trace("relay", "crashes")
            relay.clock.power = relay.kernel.power = "off"
            for wire in list(self.net.wires):
                if wire.machine is relay:
                    wire.relay_died(silent=silent)

    def stop_relay(self) -> None:
        """Stops it as an operator does."""
        relay, self.net.relay = self.net.relay, None
        if relay is not None:
            self.trace("relay", "stops")
            relay.server.stop().addCallback(lambda _: self._stopped(relay))

    def _stopped(self, relay: RelayMachine) -> None:
        self.trace("relay", "has stopped")
        if relay.clock.getDelayedCalls():
            self.broken(f"a stopped relay calls {relay.clock.getDelayedCalls()[0].call} later")

    # -- machines ---------------------------------------------------------------------------------

    def add_machine(self, name: str, skew: float, seed: str = "") -> Machine:
        """A new machine, with all maps open."""
        weather = Weather(self.plan.latency_ms, self.plan.fragment)
        seed = f"{self.plan.seed}/{seed or name}"
        machine = self._new_machine(name, seed, skew, weather)
        self.machines.append(machine)
        for uri in self.uris:
            machine.open(uri)
        return machine

    def _new_machine(self, name: str, seed: str, skew: float, weather: Weather) -> Machine:
        retention = self.plan.retention_seconds
        about = (self.net, self, name, seed, skew, weather, retention)
        if self._node is None or not on_node(self.plan, name.partition(".")[0]):
            return Machine(*about)
        return new_node_machine(self._node, self.plan, *about)

    def remove_machine(self, machine: Machine, *, silent: bool) -> None:
        """It crashes; what only it had is gone."""
        machine.crash(silent=silent)
        self.machines.remove(machine)

    def add_hostile(self, kind: str) -> None:
        """A new hostile member."""
        if kind == "hostile echo" and self.plan.retention_seconds < 1000:
            # It says once more what was deleted so long ago that nobody remembers: that is a write.
            self.deceived = True
        weather = Weather(self.plan.latency_ms, self.plan.fragment)
        uri = self.random.choice(self.uris)
        random = self.plan.random(f"{kind}{len(self.hostile)}")
        self.hostile.append(Hostile(self.net, kind, uri, random, weather, self.heard[uri]))

    def copies(self, uri: str) -> list[Copy]:
        """All copies of a map that are open."""
        found = [machine.copies[uri] for machine in self.machines if not machine.closing]
        return [copy for copy in found if not copy.closed]

    # -- time -------------------------------------------------------------------------------------

    def at(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        """Calls at a time; not any more once all is healing."""

        def unless_healing() -> None:
            if not self.healing and self.failure is None:
                call(*args)

        self.clock.callLater(max(0.0, seconds - self.now), unless_healing)

    def run_until(self, seconds: float) -> None:
        """Lets time pass, and looks at all machines now and then."""
        while self.now < seconds and self.failure is None:
            self.timeline.run_until(min(seconds, self.now + 0.25))
            self._check_syncing()

    def _check_syncing(self) -> None:
        # Over a bad way a sync may take as long as it likes, and hold up who waits for its donor.
        bad = any(m.weather.latency_ms[1] > GOOD_LATENCY_MS for m in self.machines)
        for machine in self.machines:
            for copy in machine.copies.values():
                if copy.syncing_at is None:
                    continue
                if bad or not (machine.awake and machine.online):
                    copy.syncing_at = self.now
                elif self.now - copy.syncing_at > SYNCING_SECONDS:
                    self.broken(f"{copy} is syncing for over {SYNCING_SECONDS:.0f} s")
