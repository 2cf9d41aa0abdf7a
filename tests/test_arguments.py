"""distmap.arguments: arguments that are more than text."""

from __future__ import annotations

from argparse import ArgumentTypeError
from unittest import mock

from twisted.trial.unittest import TestCase

from distmap import arguments
from tests.support.processes import folder


class Arguments(TestCase):
    def test_durations(self) -> None:
        for text, wanted in (("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)):
            self.assertEqual(arguments.duration(text), wanted)
        for text in ("", "1", "h", "0h", "-1h", "1.5h", "1w", "1h ", "9999999999s", "\u0661h"):
            with self.subTest(text), self.assertRaises(ArgumentTypeError):
                arguments.duration(text)

    def test_seconds(self) -> None:
        self.assertEqual(arguments.seconds("0.5"), 0.5)
        for text in ("", "x", "0", "-1", "nan", "inf"):
            with self.assertRaises(ArgumentTypeError):
                arguments.seconds(text)

    def test_keys_and_values(self) -> None:
        self.assertEqual(arguments.key("apple"), "apple")
        self.assertEqual(arguments.value('{"n": 3}'), {"n": 3})
        for call, text in (
            (arguments.key, ""),
            (arguments.value, "{"),
            (arguments.value, "\ud800"),
        ):
            with self.assertRaises(ArgumentTypeError):
                call(text)

    def test_credentials(self) -> None:
        path = folder(self) / "ticket"
        path.write_text("one\n")
        source = arguments.credentials(str(path))
        assert callable(source)
        self.assertEqual(source(), "one")
        path.write_text("two\n")
        self.assertEqual(source(), "two")
        with mock.patch.dict("os.environ", {arguments.CREDENTIALS_VARIABLE: "shown"}):
            self.assertEqual(arguments.credentials(None), "shown")
        with mock.patch.dict("os.environ", clear=True):
            self.assertIsNone(arguments.credentials(None))
