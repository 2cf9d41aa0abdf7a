"""A fault of clients with a disk: they are loaded again, and go on from what they kept."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Final

from tests.simulation.node_machines import NodeMachine
from tests.simulation.workload import Workload
from tests.simulation.world import World

MOST: Final = 3
"""Reloads in one run."""


class NodeFaults:
    """Breaks machines with the JavaScript client.

    Args:
        world: where they are.
        workload: writes before they break.
    """

    def __init__(self, world: World, workload: Workload) -> None:
        self._world = world
        self._workload = workload
        self._random: Random = world.plan.random("node faults")
        self._reborn = 0

    def schedule(self) -> None:
        """Gives each fault its time."""
        for _ in range(self._random.randint(0, MOST)):
            self._world.at(self._random.uniform(0.5, self._world.plan.seconds), self._reload)

    def _soon(self, most: float, call: partial[None]) -> None:
        self._world.at(self._world.now + self._random.uniform(0, most), call)

    def _reload(self) -> None:
        """A machine with a disk is cut off, writes, and loses its power or its page."""
        machines = [m for m in self._world.machines if isinstance(m, NodeMachine) and m.is_kept]
        awake = [machine for machine in machines if machine.awake]
        if not awake:
            return
        machine = self._random.choice(awake)
        self._world.trace("FAULT", "reload", machine)
        self._world.faults["reload"] += 1
        machine.partition(True)
        for _ in range(self._random.randint(0, 3)):
            self._soon(2, partial(self._write, machine))
        self._soon(2.2, partial(self._write_and_end, machine))

    def _write(self, machine: NodeMachine) -> None:
        copies = [copy for copy in machine.copies.values() if not copy.closed]
        if machine in self._world.machines and machine.awake and copies:
            self._workload.write(self._random.choice(copies))

    def _write_and_end(self, machine: NodeMachine) -> None:
        self._write(machine)
        self._soon(self._random.choice((0.02, 0.2, 2)), partial(self._end, machine))

    def _end(self, machine: NodeMachine) -> None:
        if machine not in self._world.machines or not machine.awake:
            return
        if self._random.random() < 0.3:  # a program that ends well
            machine.close()
            self._world.at(
                self._world.now + self._random.uniform(2.5, 12), self._opens_again, machine
            )
            return
        self._world.remove_machine(machine, silent=self._random.random() < 0.5)
        self._reborn += 1
        name = f"{machine.name.partition('.')[0]}.r{self._reborn}"
        plan = self._world.plan
        long = 1.6 * min(plan.retention_seconds, 100)
        chances = (0.02, 5.0, long, long) if "absence" in plan.faults else (0.0, 0.02, 5.0, long)
        away = self._random.choice(chances) * self._random.uniform(0.4, 1)
        self._world.at(self._world.now + away, self._world.add_machine, name, 0.0)

    def _opens_again(self, machine: NodeMachine) -> None:
        machine.partition(False)
        machine.reopen()
