"""Runs a target on cases that are made of those with outcomes that were not seen before."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from random import Random

from tests.fuzz.cases import MOST_BYTES, Case, Target, load
from tests.fuzz.mutations import Mutator


class Fuzzer:
    """Fuzzes one target.

    Args:
        target: what is fuzzed.
        seed: the same seed makes the same cases.

    Attributes:
        executions: how often the target ran something.
        found: the first case of each outcome, or a shorter one that came later.
    """

    def __init__(self, target: Target, seed: int) -> None:
        self.target = target
        self.executions = 0
        self.found: dict[Hashable, Case] = {}
        self._random = Random(seed)
        self._mutator = Mutator(self._random, target.actors)
        self._pool: list[Case] = []
        for case in [*target.seeds(), *(case for case, _ in load(target.name))]:
            self.execute(case)
            self._pool.append(case)

    def execute(self, case: Case) -> None:
        """Runs one case, and keeps it if its outcome is new."""
        self.executions += self.target.executions
        outcome = self.target.run(case)
        known = self.found.get(outcome)
        if known is None:
            self._pool.append(case)
            if size(case) <= MOST_BYTES:
                self.found[outcome] = case
        elif len(case) <= len(known) and size(case) < size(known):
            self.found[outcome] = case

    def fresh(self) -> Case:
        """Another case."""
        random, pool = self._random.random, self._pool
        # Those that were found last lead on more often.
        back = int(len(pool) * random() * random())
        return self._mutator.mutate(pool[-1 - back], pool[int(random() * len(pool))])

    def run(self, executions: int, failed: Callable[[Case, Exception], None]) -> None:
        """Runs so many cases more; tells of those that fail."""
        until = self.executions + executions
        while self.executions < until:
            case = self.fresh()
            try:
                self.execute(case)
            except Exception as error:
                failed(case, error)


def size(case: Case) -> int:
    """Its bytes."""
    return sum(len(text) for _, text in case)


def minimise(target: Target, case: Case, holds: Callable[[Case], bool]) -> Case:
    """Takes out of a case what can be taken out while something holds of it."""
    until = time.monotonic() + 10
    smaller = True
    while smaller and time.monotonic() < until:
        smaller = False
        for at in range(len(case)):
            less = case[:at] + case[at + 1 :]
            if holds(less):
                case, smaller = less, True
                break
        for at, (who, text) in enumerate(case):
            part = len(text) // 2
            while part and time.monotonic() < until:
                for start in range(0, len(text), part):
                    less = (*case[:at], (who, text[:start] + text[start + part :]), *case[at + 1 :])
                    if holds(less):
                        case, text, smaller = less, less[at][1], True
                        break
                else:
                    part //= 2
    return case
