"""distmap.options: what a map is made with."""

from __future__ import annotations

from unittest import TestCase

from distmap.errors import InvalidValue
from distmap.options import LARGEST_VALUE_BYTES, MAX_URI_BYTES, check_options


class Options(TestCase):
    def test_bounds(self) -> None:
        check_options("/", 1)
        check_options("ü" * (MAX_URI_BYTES // 2), LARGEST_VALUE_BYTES)
        for uri, size in (
            ("", 1),
            ("ü" * (MAX_URI_BYTES // 2) + "u", 1),
            ("/", 0),
            ("/", LARGEST_VALUE_BYTES + 1),
        ):
            with self.assertRaises(InvalidValue):
                check_options(uri, size)
