"""The command line: see :mod:`tests.fuzz`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from contextlib import suppress

from tests.fuzz.cases import Case, Target, save
from tests.fuzz.engine import Fuzzer, minimise
from tests.fuzz.targets import SHARES

TURN = 10_000
"""Executions between two words."""
MOST_TOLD = 10
CORPUS_CASES = 80
"""That are kept of each target."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same cases")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--save", action="store_true", help="keep what was found in tests/corpus")
    parser.add_argument("--quiet", action="store_true", help="no word before the end")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class _Failures:
    """What failed, each place in the code once."""

    def __init__(self, target: Target) -> None:
        self.seen: set[str] = set()
        self._target = target

    def add(self, case: Case, error: Exception) -> None:
        place = _place(error)
        if place in self.seen:
            return
        self.seen.add(place)
        if len(self.seen) <= MOST_TOLD:
            least = minimise(self._target, case, lambda less: self._fails_at(less, place))
            _say(f"{self._target.name}: {place}\n  {least!r}")
            _say("".join(traceback.format_exception(error)))

    def _fails_at(self, case: Case, place: str) -> bool:
        try:
            self._target.run(case)
        except Exception as error:
            return _place(error) == place
        return False


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {str(error)[:60]} at {last.filename}:{last.lineno}"


class _Part:
    """One target, and its share of the executions."""

    def __init__(self, target: Target, share: float, seed: int) -> None:
        self.target = target
        self.seconds = 0.0
        self.failures = _Failures(target)
        self.fuzzer = Fuzzer(target, seed)
        self._share = share

    def run_until(self, executions: float) -> None:
        """Runs until its share of so many is done."""
        began = time.process_time()
        more = round(executions * self._share) - self.fuzzer.executions
        self.fuzzer.run(max(0, more), self.failures.add)
        self.seconds += time.process_time() - began

    def __str__(self) -> str:
        done, found = self.fuzzer.executions, len(self.fuzzer.found)
        return (
            f"{self.target.name}: {done} executions, {found} outcomes, "
            f"{len(self.failures.seen)} failures, {done / max(self.seconds, 0.001):.0f} a second"
        )


def _chosen(fuzzer: Fuzzer) -> list[Case]:
    """The cases that are kept: of each outcome the smallest, and of those with most to tell."""
    cases = sorted(set(fuzzer.found.values()), key=lambda case: sum(len(text) for _, text in case))
    if len(cases) <= CORPUS_CASES:
        return cases
    step = len(cases) / CORPUS_CASES
    return [cases[int(number * step)] for number in range(CORPUS_CASES)]


def main() -> None:
    """Fuzzes all targets, or one."""
    arguments = _parse()
    shares = {
        make: share
        for make, share in SHARES.items()
        if arguments.target in (None, make.name)  # type: ignore[attr-defined]
    }
    total = sum(shares.values())
    parts = [_Part(make(), share / total, arguments.seed) for make, share in shares.items()]
    executions = 0
    with suppress(KeyboardInterrupt):
        while executions < arguments.executions:
            executions = min(arguments.executions, executions + TURN)
            for part in parts:
                part.run_until(executions)
            if not arguments.quiet and executions % (20 * TURN) == 0:
                _say(f"{executions}")
    for part in parts:
        _say(str(part))
        if arguments.save:
            save(part.target, _chosen(part.fuzzer))
    failed = sum(len(part.failures.seen) for part in parts)
    _say(f"{sum(part.fuzzer.executions for part in parts)} executions, {failed} failures")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
