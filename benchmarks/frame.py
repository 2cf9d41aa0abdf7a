"""What all rows share: cases that are run in turn, medians of the runs, and aims."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeAlias

from benchmarks.processes import Failed, cleanup

Values: TypeAlias = dict[str, float]
"""What one run found, by the names of metrics."""


@dataclass(frozen=True)
class Metric:
    """One column of numbers.

    Attributes:
        name: in :data:`Values`.
        title: of the column, with the unit.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Case:
    """One thing that is measured, of one system.

    Attributes:
        what: of the row's sizes, as the table tells it.
        system: whose.
        run: measures it once; it may raise Failed.
        x: the size as a number, for the plot.
    """

    what: str
    system: str
    run: Callable[[], Values]
    x: float | None = None


@dataclass(frozen=True)
class Aim:
    """How a median is to compare to another one.

    Attributes:
        text: the aim in words.
        metric: of both.
        case: (what, system) of distmap.
        against: (what, system) of the other; None if the median itself is the ratio.
        factor: the bound of the quotient of the first by the second.
        at_most: whether it is an upper bound.
    """

    text: str
    metric: str
    case: tuple[str, str]
    against: tuple[str, str] | None
    factor: float
    at_most: bool = False


@dataclass(frozen=True)
class Plot:
    """How a metric grows with the size.

    Attributes:
        file: in docs/, without its ending.
        title: above it.
        x: what is along it, with the unit.
        metric: what is up it.
    """

    file: str
    title: str
    x: str
    metric: Metric


@dataclass(frozen=True)
class Row:
    """One row of the benchmark: a table of its own.

    Attributes:
        name: for ``--only`` and for the markers in the document.
        size: the title of the first column.
        metrics: the columns of numbers.
        cases: what is measured; in each run all of them once, in this order.
        aims: what is checked.
        plots: what is drawn.
    """

    name: str
    size: str
    metrics: list[Metric]
    cases: list[Case]
    aims: list[Aim] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)


@dataclass
class Result:
    """What the runs of a case found.

    Attributes:
        case: which.
        runs: the values of each.
        failed: why there are no more, in a word or a few.
    """

    case: Case
    runs: list[Values] = field(default_factory=list)
    failed: str | None = None

    def all_of(self, metric: str) -> list[float]:
        """What the runs found of a metric."""
        return [values[metric] for values in self.runs if metric in values]

    def median(self, metric: str) -> float | None:
        """The median of the runs; None if there is none."""
        found = self.all_of(metric)
        return median(found) if found and self.failed is None else None


def measure(row: Row, runs: int, missing: Mapping[str, str]) -> list[Result]:
    """Runs all cases in turn, so many times.

    Args:
        row: whose cases.
        runs: how many times.
        missing: the systems that cannot run, and why.

    A case that fails is not tried again; the others go on.
    """
    results = [Result(case, failed=missing.get(case.system)) for case in row.cases]
    for number in range(1, runs + 1):
        for result in results:
            if result.failed is None:
                _run(row, number, result)
    return results


def _run(row: Row, number: int, result: Result) -> None:
    case, began = result.case, time.monotonic()
    try:
        with cleanup():
            values = case.run()
    except (Failed, OSError, ValueError, KeyError) as error:
        text = str(error) or type(error).__name__
        result.failed = text if text.startswith("skipped: ") else f"failed: {text}"
        said = result.failed
    else:
        result.runs.append(values)
        said = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    seconds = time.monotonic() - began
    print(
        f"{row.name} {number}: {case.what}, {case.system}: {said} ({seconds:.1f} s)",
        file=sys.stderr,
        flush=True,
    )


@dataclass(frozen=True)
class Verdict:
    """How an aim came out; without a ratio there was nothing to compare."""

    aim: Aim
    ratio: float | None

    @property
    def held(self) -> bool | None:
        """Whether the aim is met; None if nobody knows."""
        if self.ratio is None:
            return None
        if self.aim.at_most:
            return self.ratio <= self.aim.factor
        return self.ratio >= self.aim.factor


def judge(row: Row, results: list[Result]) -> list[Verdict]:
    """Compares the medians with the aims."""
    found = {(result.case.what, result.case.system): result for result in results}

    def median_of(case: tuple[str, str], metric: str) -> float | None:
        result = found.get(case)
        return None if result is None else result.median(metric)

    verdicts = []
    for aim in row.aims:
        ratio = median_of(aim.case, aim.metric)
        if aim.against is not None and ratio is not None:
            other = median_of(aim.against, aim.metric)
            ratio = ratio / other if other else None
        verdicts.append(Verdict(aim, ratio))
    return verdicts
