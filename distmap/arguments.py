"""The arguments of the command line that are more than text."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, Final

from distmap import values
from distmap.errors import InvalidKey, InvalidType, InvalidValue

CREDENTIALS_VARIABLE: Final = "DISTMAP_CREDENTIALS"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def duration(text: str) -> int:
    """A time such as 90s, 15m, 1h or 7d, in seconds."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90s, 15m, 1h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def key(text: str) -> str:
    """A key of a map."""
    try:
        return values.check_key(text)
    except InvalidKey as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def value(text: str) -> Any:
    """A value of a map, as JSON."""
    try:
        return values.decode(values.canonical(text.encode()))
    except (InvalidValue, InvalidType) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("a value is UTF-8") from None


def credentials(path: str | None) -> Callable[[], str] | str | None:
    """What to show to the relay: of a file, which is read before each connection, or of the
    environment. Never of the command line, where others on the machine can see it.
    """
    if path is None:
        return os.environ.get(CREDENTIALS_VARIABLE)
    file = Path(path)
    return lambda: file.read_text("utf-8").strip()
