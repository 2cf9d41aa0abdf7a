"""Plants bugs in the core: each bug tells what to put in the place of what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from tests.simulation.plan import replaced

Replacements: TypeAlias = dict[str, Any]
"""As :func:`tests.simulation.plan.replaced` takes them."""


BuiltT = TypeVar("BuiltT")


class Bug(NamedTuple):
    """A planted bug.

    Attributes:
        build: tells what to put in the place of what.
        among: only plans with one of these faults are tried; empty: all are.
    """

    build: Callable[[], Any]
    among: frozenset[str]


BUGS: Final[dict[str, Bug]] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plants a bug for a while."""
    with replaced(BUGS[name].build()):
        yield


def registers(
    bugs: dict[str, Bug], among: tuple[str, ...]
) -> Callable[[Callable[[], BuiltT]], Callable[[], BuiltT]]:
    """Registers a bug; its docstring says what is wrong, its name is that of the function.

    Args:
        bugs: where to.
        among: faults without which it does no harm.
    """

    def register(build: Callable[[], BuiltT]) -> Callable[[], BuiltT]:
        bugs[build.__name__.replace("_", " ")] = Bug(build, frozenset(among))
        return build

    return register


def bug(*among: str) -> Callable[[Callable[[], Replacements]], Callable[[], Replacements]]:
    """Registers a bug of the Python code; see :func:`registers`."""
    return registers(BUGS, among)


def nothing(*args: Any) -> None:
    """Does nothing: in the place of something that is left out."""
