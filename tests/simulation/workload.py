"""What the programs on the machines do with their maps."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from tests.simulation.copies import Copy
from tests.simulation.world import World

HOT_KEYS: Final = 3
MOST_IN_BATCH: Final = 6


class Workload:
    """Writes in a world, as its plan says.

    Args:
        world: where.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._random: Random = world.plan.random("workload")
        self._number = 0

    def schedule(self) -> None:
        """Gives each operation its time: some alone, some in bursts."""
        plan, random = self._world.plan, self._random
        if plan.preload:
            for uri in self._world.uris:
                self._world.at(random.uniform(0, 2), self._preload, uri)
        self._world.sync_begins = self._sync_begins
        left = plan.operations
        while left > 0:
            time = random.uniform(0, plan.seconds)
            together = random.choice((1, 1, 2, 5))
            left -= together
            for _ in range(together):
                self._world.at(time, self._operate)
                time += random.choice((0.0, 0.0, 0.001, 0.02))

    def _preload(self, uri: str) -> None:
        copies = self._world.copies(uri)
        if copies:
            for number in range(self._world.plan.preload):
                copy = copies[0] if number % 5 else self._random.choice(copies)
                copy.set(f"w{number}", self._value(), plainly=True)
            # Some are not connected yet, and will learn that their clocks are wrong.
            self._write_batch(copies[-1])

    def _operate(self) -> None:
        uri = self._random.choice(self._world.uris)
        awake = [machine for machine in self._world.machines if machine.awake]
        copies = [m.copies[uri] for m in awake if not m.copies[uri].closed]
        if not copies:
            return
        chance = self._random.random()
        key = self._key()
        if chance < (0.5 if self._world.plan.twins else 0.15):  # all at one time
            for copy in copies:
                self._write(copy, key)
        elif chance < 0.55:  # one key several times
            copy = self._random.choice(copies)
            for _ in range(self._random.randint(2, 5)):
                self._write(copy, key)
        elif chance < 0.65:  # several keys together
            self._write_batch(self._random.choice(copies))
        elif chance < 0.7:  # several keys
            copy = self._random.choice(copies)
            for _ in range(self._random.randint(3, 15)):
                self._write(copy, self._key())
        else:
            self._write(self._random.choice(copies), key)

    def _sync_begins(self, newcomer: Copy, donor: Copy) -> None:
        """Writes while two copies are compared are the hardest to get right."""
        if self._random.random() < 0.4:
            for _ in range(self._random.randint(1, 4)):
                copy = self._random.choice((newcomer, donor, donor))
                after = self._random.choice((0.005, 0.03, 0.2, 1.0)) * self._random.random()
                self._world.at(self._world.now + after, self._write_if_open, copy)

    def _write_if_open(self, copy: Copy) -> None:
        running = [copy for m in self._world.machines if m.awake for copy in m.copies.values()]
        if copy in running and not copy.closed:
            if self._random.random() < 0.25:
                self._write_batch(copy)
            else:
                self._write(copy, self._key())

    def write(self, copy: Copy) -> None:
        """Writes once, any key."""
        self._write(copy, self._key())

    def _write(self, copy: Copy, key: str) -> None:
        self._world.operations += 1
        plainly = self._random.random() < 0.3
        if self._random.random() < 0.35:
            copy.delete(key, plainly=plainly)
        else:
            copy.set(key, self._value(), plainly=plainly)

    def _write_batch(self, copy: Copy) -> None:
        values = {}
        for _ in range(self._random.randint(1, MOST_IN_BATCH)):
            self._world.operations += 1
            values[self._key()] = None if self._random.random() < 0.35 else self._value()
        copy.batch(values, plainly=self._random.random() < 0.3)

    def _key(self) -> str:
        if self._world.plan.preload and self._random.random() < 0.5:
            return f"w{self._random.randrange(self._world.plan.preload + 5)}"
        return f"hot{self._random.randrange(HOT_KEYS)}"

    def _value(self) -> Any:
        """A value that comes once."""
        self._number += 1
        number = self._number
        if self._world.plan.large_values and self._random.random() < 0.1:
            return [number, "x" * self._random.choice((3000, 40_000, 100_000))]
        return self._random.choice(
            (number, f"value {number}", [number, "y" * self._random.randrange(120)], {"n": number})
        )
