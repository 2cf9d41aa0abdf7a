"""The command line: see :mod:`tests.simulation`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation import bugs
from tests.simulation.bugs_of_node import NODE_BUGS
from tests.simulation.runner import (
    Result,
    all_cores,
    digest,
    hunt_bugs,
    planted,
    prepare,
    run_seed,
    run_seeds,
    the_node,
)

REASON_CHARS = 300
MOST_TOLD = 20


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: %(default)d)")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=all_cores(), help="processes")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell everything")
    parser.add_argument("--node", action="store_true", help="with the JavaScript client too")
    names = [*bugs.BUGS, *NODE_BUGS]
    parser.add_argument("--bug", choices=names, help="with --seed: plant this bug")
    parser.add_argument("--bugs", action="store_true", help="plant each bug, and find it")
    parser.add_argument("--digests", action="store_true", help="a hash of each seed's trace")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run_one(arguments: argparse.Namespace) -> bool:
    prepare()
    with planted(arguments.bug, node=arguments.node) as node:
        result = run_seed(arguments.seed, _say if arguments.trace else None, node)
    _tell(result)
    return not result.failures


def _run_many(arguments: argparse.Namespace, seeds: range) -> bool:
    total = Result()
    node = " --node" if arguments.node else ""
    for result in run_seeds(seeds, arguments.jobs, node=arguments.node):
        for seed, reason in result.failures[: max(0, MOST_TOLD - len(total.failures))]:
            _say(f"seed {seed}: {reason[:REASON_CHARS]}")
            _say(f"  again: python -m tests.simulation --seed {seed}{node} --trace")
        total.add(result)
    _tell(total)
    return not total.failures


def _tell(total: Result) -> None:
    for _, reason in total.failures[: total.seeds == 1]:
        _say(reason)
    _say(
        f"{total.seeds} seeds, {total.operations} operations, {total.events} events, "
        f"{sum(total.faults.values())} faults, {len(total.failures)} failures"
    )
    excuses = ", ".join(f"{why} {count}" for why, count in sorted(total.excuses.items()))
    _say(f"{total.divergences} divergences repaired by gossip; {excuses}")
    _say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(total.faults.items())))


def _hunt(arguments: argparse.Namespace, seeds: range) -> bool:
    missed = 0
    names = list(NODE_BUGS if arguments.node else bugs.BUGS)
    for hunt in hunt_bugs(names, seeds, arguments.jobs):
        if hunt.seed is None:
            missed += 1
            _say(f"MISSED in {len(seeds)} seeds: {hunt.bug}")
        else:
            _say(f"seed {hunt.seed:4} finds: {hunt.bug}: {hunt.reason[:100]}")
    _say(f"{len(names)} planted bugs, {missed} missed")
    return not missed


def main() -> int:
    """Runs the command; returns the exit code."""
    arguments = _parse()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    started = time.monotonic()
    if arguments.digests:
        prepare()
        for seed in seeds:
            _say(f"{seed} {digest(seed, the_node() if arguments.node else None)}")
        return 0
    if arguments.seed is not None:
        well = _run_one(arguments)
    elif arguments.bugs:
        well = _hunt(arguments, seeds)
    else:
        well = _run_many(arguments, seeds)
    _say(f"{time.monotonic() - started:.0f} s")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
