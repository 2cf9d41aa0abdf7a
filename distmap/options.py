"""Checks what a map is made with."""

from __future__ import annotations

from typing import Final

from distmap.errors import InvalidValue

DEFAULT_URI: Final = "/distributed-map"
MAX_URI_BYTES: Final = 900
LARGEST_VALUE_BYTES: Final = 512 * 1024
"""The bound of max_value_bytes: a message of such an entry still fits a frame."""


def check_options(uri: str, max_value_bytes: int) -> None:
    """Checks the name of a map, and the longest JSON text of its values.

    Raises:
        InvalidValue: the URI is empty or too long, or max_value_bytes out of its bounds.
    """
    if not uri or len(uri.encode("utf-8", "replace")) > MAX_URI_BYTES:
        raise InvalidValue(f"a URI is 1 to {MAX_URI_BYTES} bytes")
    if not 0 < max_value_bytes <= LARGEST_VALUE_BYTES:
        raise InvalidValue(f"max_value_bytes is 1 to {LARGEST_VALUE_BYTES}")
