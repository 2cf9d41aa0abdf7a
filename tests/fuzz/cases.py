"""Cases, and the files that keep them: tests/corpus/<target>.jsonl, one case a line."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
MOST_BYTES = 1500
"""Of a case that is kept."""

Step: TypeAlias = tuple[int, bytes]
"""Who acts, and what it sends; what the number means is the target's."""

Case: TypeAlias = tuple[Step, ...]


class Broken(AssertionError):
    """Something came of a case that must not."""


class Target(Protocol):
    """What is fuzzed."""

    name: str
    actors: int
    """Steps are of 0 up to here."""
    twin: bool
    """tests/js/test_fuzz.mjs runs its cases too."""
    executions: int
    """For how many executions a case counts."""

    def seeds(self) -> Iterator[Case]:
        """Cases to begin with."""

    def run(self, case: Case) -> Hashable:
        """Runs a case; returns its outcome.

        Raises:
            Exception: something came of it that must not.
        """

    def verdict(self, case: Case) -> Any:
        """What JavaScript must make of it too: a JSON value."""


def is_odd(text: bytes) -> bool:
    """Whether the languages may differ about a message, by docs/protocol.md: an integer is written
    in another way than by its digits, a name stands twice, or it is nested without measure.
    """
    found: list[bool] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        found.append(len(dict(pairs)) < len(pairs))

    try:
        json.loads(
            text,
            object_pairs_hook=note,
            parse_float=lambda digits: found.append(float(digits).is_integer()),
        )
    except RecursionError:
        return True  # so deep that no relay of this project passes it on
    except ValueError:
        return False
    return any(found)


def load(name: str) -> list[tuple[Case, Any]]:
    """The kept cases of a target, each with its verdict."""
    path = CORPUS / f"{name}.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return [(_parse(each["case"]), each.get("verdict")) for each in map(json.loads, lines)]


def save(target: Target, cases: Iterable[Case]) -> None:
    """Keeps cases, each once, the shortest first, with their verdicts."""
    CORPUS.mkdir(exist_ok=True)
    ordered = sorted(set(cases), key=lambda case: (sum(len(text) for _, text in case), case))
    with (CORPUS / f"{target.name}.jsonl").open("w", encoding="utf-8") as file:
        for case in ordered:
            kept: dict[str, Any] = {"case": [[who, text.decode("latin-1")] for who, text in case]}
            if target.twin:
                kept["verdict"] = target.verdict(case)
            file.write(json.dumps(kept, separators=(",", ":")) + "\n")


def _parse(steps: list[list[Any]]) -> Case:
    return tuple((who, text.encode("latin-1")) for who, text in steps)
