"""Runs seeds: one, or many on all cores."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from typing import Any, Final, TypeVar

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from distmap.channel import Member
from tests.simulation import bugs, checker
from tests.simulation.bugs_of_node import NODE_BUGS
from tests.simulation.faults import Faults
from tests.simulation.node_faults import NodeFaults
from tests.simulation.node_process import Node
from tests.simulation.plan import make_plan, replaced
from tests.simulation.timeline import Livelock
from tests.simulation.workload import Workload
from tests.simulation.world import Trace, World

SEEDS_TOGETHER: Final = 20
"""What one process is given at a time."""

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


@dataclass
class Result:
    """What came of one seed, or of many.

    Attributes:
        operations: writes of the programs.
        events: calls on the virtual time.
        faults: how many were injected, by kind.
        excuses: how often maps had to wait for gossip, by reason.
        divergences: how many gossip has repaired.
        failures: seed and reason.
    """

    seeds: int = 0
    operations: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    excuses: Counter[str] = field(default_factory=Counter)
    divergences: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Adds another to this one."""
        self.seeds += other.seeds
        self.operations += other.operations
        self.events += other.events
        self.faults += other.faults
        self.excuses += other.excuses
        self.divergences += other.divergences
        self.failures += other.failures


@dataclass
class Hunt:
    """What came of the hunt for a planted bug.

    Attributes:
        seed: which found it; None if none did.
        reason: what was noticed.
    """

    bug: str
    seed: int | None
    reason: str


# -- one seed --------------------------------------------------------------------------------------


@implementer(ILogObserver)
class _Log:
    """Nothing may be logged as an error: it would be a defect."""

    def __init__(self) -> None:
        self.world: World | None = None

    def __call__(self, event: Any) -> None:
        if self.world is None or event["log_level"] < LogLevel.error:
            return
        if "had diverged" in event["log_format"]:
            self.world.divergences += 1
            self.world.trace("gossip", "repairs", formatEvent(event))
            return
        failure = event.get("log_failure")
        more = f": {failure.getTraceback()}" if failure is not None else ""
        self.world.broken(f"logged: {formatEvent(event)}{more}")


_log = _Log()


def prepare() -> None:
    """Sets a process up to run seeds."""
    globalLogBeginner.beginLoggingTo([_log], discardBuffer=True, redirectStandardIO=False)
    # The order of a set of members must not depend on where they lie in memory.
    setattr(Member, "__hash__", lambda member: int(member.id))  # noqa: B010


def run_seed(seed: int, write: Trace | None = None, node: Node | None = None) -> Result:
    """Runs one seed.

    Args:
        seed: decides everything.
        write: takes the lines of the trace.
        node: runs the JavaScript client, on some of the machines; None for Python alone.
    """
    plan = make_plan(seed)
    with ExitStack() as stack:
        stack.enter_context(replaced(plan.scale))
        world = World(plan, write, node)
        _log.world = world
        stack.callback(setattr, _log, "world", None)
        try:
            if node is not None:
                node.begin(plan.scale)
            _run(world)
        except Livelock as error:
            world.broken(str(error))
        except Exception as error:
            world.broken(f"raised {error!r}")
            if write is not None:
                raise
    failures = [] if world.failure is None else [(seed, world.failure)]
    return Result(
        1,
        world.operations,
        world.timeline.calls,
        world.faults,
        world.excuses,
        world.divergences,
        failures,
    )


def _run(world: World) -> None:
    plan = world.plan
    world.trace("PLAN", str(plan))
    starts = plan.random("starts")
    for number in range(plan.machines):
        start = starts.choice((0.0, 0.0, starts.uniform(0, 5)))
        seed = "m0" if plan.twins and number == 1 else ""
        world.at(start, world.add_machine, f"m{number}", plan.skews[number], seed)
    workload = Workload(world)
    workload.schedule()
    Faults(world).schedule()
    if world.has_node:
        NodeFaults(world, workload).schedule()
    world.run_until(plan.seconds)
    for step in (checker.heal, checker.settle, checker.check, checker.close):
        if world.failure is None:
            step(world)


def digest(seed: int, node: Node | None = None) -> str:
    """A hash of a seed's whole trace: the same in every process."""
    total = sha256()
    run_seed(seed, lambda line: total.update(line.encode()), node)
    return total.hexdigest()


# -- Node.js ---------------------------------------------------------------------------------------

_nodes: list[Node] = []


def the_node() -> Node:
    """The one of this process, which ends with it."""
    if not _nodes:
        _nodes.append(Node())
    return _nodes[0]


@contextmanager
def planted(name: str | None, *, node: bool) -> Iterator[Node | None]:
    """Plants a bug for a while, or none; gives what runs the JavaScript client, if it is needed."""
    if name in NODE_BUGS:
        edited = Node([NODE_BUGS[name].build()])
        try:
            yield edited
        finally:
            edited.stop()
    elif name is not None:
        with bugs.planted(name):
            yield the_node() if node else None
    else:
        yield the_node() if node else None


# -- many ------------------------------------------------------------------------------------------


def run_seeds(seeds: range, jobs: int, *, node: bool = False) -> Iterator[Result]:
    """Runs seeds on several cores; hands out sums as they come."""
    starts = range(0, len(seeds), SEEDS_TOGETHER)
    parts = [(seeds[at : at + SEEDS_TOGETHER], node) for at in starts]
    return _on_all_cores(_run_part, parts, jobs)


def hunt_bugs(names: Iterable[str], seeds: range, jobs: int) -> Iterator[Hunt]:
    """Plants each bug in turn and runs seeds until one fails."""
    return _on_all_cores(_hunt, [(name, seeds) for name in names], jobs)


def all_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_all_cores(
    run: Callable[[TaskT], ResultT], tasks: list[TaskT], jobs: int
) -> Iterator[ResultT]:
    with ProcessPoolExecutor(jobs, get_context("spawn"), prepare) as pool:
        yield from pool.map(run, tasks)


def _run_part(task: tuple[range, bool]) -> Result:
    seeds, node = task
    total = Result()
    for seed in seeds:
        total.add(run_seed(seed, node=the_node() if node else None))
    return total


def _hunt(task: tuple[str, range]) -> Hunt:
    name, seeds = task
    among = (NODE_BUGS if name in NODE_BUGS else bugs.BUGS)[name].among
    with planted(name, node=False) as node:
        for seed in seeds:
            if among and not among & make_plan(seed).faults.keys():
                continue
            for _, reason in run_seed(seed, node=node).failures:
                return Hunt(name, seed, reason)
    return Hunt(name, None, "")
