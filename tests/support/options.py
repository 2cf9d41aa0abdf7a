"""What the relay of this checkout understands."""

from __future__ import annotations

from collections.abc import Sequence

from distmap.tap import Options


def understood(arguments: Sequence[str]) -> list[str]:
    """The arguments of a unit or an image, without --open where the relay does not have it."""
    known = Options().longOpt
    return [each for each in arguments if each != "--open" or "open" in known]
