"""Faults: each kind a function that breaks something now, and says when it ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from distmap.errors import ConnectionLost
from tests.simulation.machines import Machine
from tests.simulation.plan import FAULTS, skew
from tests.simulation.wires import Wire
from tests.simulation.world import World


class Faults:
    """Breaks things in a world, as its plan says.

    Args:
        world: where.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._random: Random = world.plan.random("faults")
        self._kinds: dict[str, Callable[[], bool]] = {
            "cut": self._cut,
            "half-open": self._half_open,
            "stall": self._stall,
            "slow way": self._slow_way,
            "partition": self._partition,
            "sleep": self._sleep,
            "absence": self._absence,
            "long partition": self._long_partition,
            "client crash": self._client_crash,
            "client close": self._client_close,
            "map close": self._map_close,
            "relay crash": self._relay_crash,
            "relay stop": self._relay_stop,
            "clock jump": self._clock_jump,
        }
        self._reborn = 0

    def schedule(self) -> None:
        """Gives each fault its time."""
        seconds = self._world.plan.seconds
        for kind in FAULTS:
            for _ in range(self._world.plan.faults.get(kind, 0)):
                self._world.at(self._random.uniform(0.5, seconds), self._inject, kind)

    def _inject(self, kind: str) -> None:
        self._world.trace("FAULT", kind)
        inject = self._kinds.get(kind) or partial(self._hostile, kind)
        if inject():
            self._world.faults[kind] += 1

    def _soon(self, most: float, call: Callable[[], object]) -> None:
        """Ends a fault after a while; whatever lasts longer ends when all heals."""
        self._world.at(self._world.now + self._random.uniform(0.1, most), call)

    def _machine(self) -> Machine | None:
        """Any machine, but rather one that syncs or serves just now."""
        awake = [machine for machine in self._world.machines if machine.awake]
        busy = [
            machine
            for machine in awake
            for copy in machine.copies.values()
            if copy.is_syncing or copy.serving
        ]
        if busy and self._random.random() < 0.6:
            return self._random.choice(busy)
        return self._random.choice(awake) if awake else None

    def _wire(self) -> Wire | None:
        machine = self._machine()
        wire = machine.wire if machine is not None else None
        return wire if wire is not None and wire in self._world.net.wires else None

    # -- the way ----------------------------------------------------------------------------------

    def _cut(self) -> bool:
        wire = self._wire()
        if wire is not None:
            silent_at = self._random.choice(("", "", "relay", "client"))
            wire.lose(ConnectionLost("cut"), silent_at=silent_at)
        return wire is not None

    def _half_open(self) -> bool:
        wire = self._wire()
        if wire is not None:
            pipe = self._random.choice((wire.up, wire.down))
            wire.block("half-open", True, pipe)
            self._soon(60, partial(wire.block, "half-open", False, pipe))
        return wire is not None

    def _stall(self) -> bool:
        wire = self._wire()
        if wire is not None:
            wire.block("stall", True, wire.down)
            self._soon(24, partial(wire.block, "stall", False, wire.down))
        return wire is not None

    def _slow_way(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        usual = machine.weather.latency_ms
        machine.weather.latency_ms = self._random.choice(((100, 500), (1000, 4000), (0, 3000)))
        self._soon(20, partial(setattr, machine.weather, "latency_ms", usual))
        return True

    def _partition(self) -> bool:
        machines = [machine for machine in self._world.machines if self._random.random() < 0.5]
        for machine in machines:
            machine.partition(True)
            self._soon(40, partial(machine.partition, False))
        return bool(machines)

    # -- machines ---------------------------------------------------------------------------------

    def _sleep(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        machine.sleep()
        self._soon(self._random.choice((3, 12, 60)), machine.wake)
        return True

    def _absence(self) -> bool:
        """A machine sleeps for longer than anybody keeps what was deleted."""
        machine = self._machine()
        if machine is None:
            return False
        machine.sleep()
        self._world.at(self._world.now + self._long(), machine.wake)
        return True

    def _long(self) -> float:
        """More or less than deletes are remembered."""
        return min(self._world.plan.retention_seconds, 100) * self._random.uniform(0.6, 1.6)

    def _long_partition(self) -> bool:
        """A machine goes on for as long without the others."""
        machine = self._machine()
        if machine is None:
            return False
        machine.partition(True)
        self._world.at(self._world.now + self._long(), machine.partition, False)
        return True

    def _client_crash(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        self._world.remove_machine(machine, silent=self._random.random() < 0.5)
        self._reborn += 1
        name = f"{machine.name.partition('.')[0]}.{self._reborn}"
        wrong = skew(self._random) if self._random.random() < 0.3 else 0.0
        self._soon(10, partial(self._world.add_machine, name, wrong))
        return True

    def _client_close(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        machine.close()
        # Not before close() must have given up, or two connections would share the checks.
        self._world.at(self._world.now + self._random.uniform(2.5, 12), machine.reopen)
        return True

    def _map_close(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        uri = self._random.choice(self._world.uris)
        if not machine.copies[uri].closed:
            machine.copies[uri].close()
            if self._random.random() < 0.3:
                machine.open(uri)
            else:
                self._soon(10, partial(self._open_again, machine, uri))
        return True

    def _open_again(self, machine: Machine, uri: str) -> None:
        if machine in self._world.machines and machine.awake and machine.copies[uri].closed:
            machine.open(uri)

    def _clock_jump(self) -> bool:
        machine = self._machine()
        if machine is None:
            return False
        amount = skew(self._random)
        machine.clock.skew += amount
        machine.jumped_at = self._world.now
        self._world.trace(machine.name, "jumps", amount)
        return True

    # -- the relay, and who means no good ---------------------------------------------------------

    def _relay_crash(self) -> bool:
        if self._world.relay is None:
            return False
        self._world.crash_relay(silent=self._random.random() < 0.3)
        self._relay_returns()
        return True

    def _relay_stop(self) -> bool:
        if self._world.relay is None:
            return False
        self._world.stop_relay()
        self._relay_returns()
        return True

    def _relay_returns(self) -> None:
        after = self._random.choice((0.0, 0.05, self._random.uniform(0, 10)))
        self._world.at(self._world.now + after, self._start_relay)

    def _start_relay(self) -> None:
        if self._world.relay is None:
            self._world.start_relay()

    def _hostile(self, kind: str) -> bool:
        self._world.add_hostile(kind)
        return True
