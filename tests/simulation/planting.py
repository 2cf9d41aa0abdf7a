"""Plants bugs in the core: each bug tells what to put in the place of what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from tests.simulation.plan import replaced

Replacements: TypeAlias = dict[str, Any]
"""As :func:`tests.simulation.plan.replaced` takes them."""
BUGS: Final[dict[str, Callable[[], Replacements]]] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plants a bug for a while."""
    with replaced(BUGS[name]()):
        yield


def bug(build: Callable[[], Replacements]) -> Callable[[], Replacements]:
    """Registers a bug; its docstring says what is wrong, its name is that of the function."""
    BUGS[build.__name__.replace("_", " ")] = build
    return build


def nothing(*args: Any) -> None:
    """Does nothing: in the place of something that is left out."""
