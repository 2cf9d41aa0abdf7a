"""distmap.settings: each limit of a relay is an option with a default, and sets its field."""

from __future__ import annotations

from dataclasses import fields
from unittest import TestCase

from twisted.python.usage import UsageError

from distmap.frames import Limits
from distmap.relay_options import RelayOptions
from distmap.settings import GROUPS, SETTINGS, usage_text, with_settings
from distmap.tap import Options
from distmap.throttle import Rates

NO_OPTION = {"limits.id_bytes"}  # the protocol's own


class Settings(TestCase):
    def test_each_sets_its_field(self) -> None:
        for setting in SETTINGS:
            value = setting.default + 7
            options = with_settings(RelayOptions(), {setting.name: value, "port": 5})
            part = getattr(options, setting.part) if setting.part else options
            self.assertEqual(getattr(part, setting.field), value, setting.name)
            again = with_settings(options, {setting.name: setting.default})
            self.assertEqual(again, RelayOptions(), setting.name)

    def test_every_limit_is_an_option(self) -> None:
        told = {f"{setting.part}.{setting.field}" for setting in SETTINGS}
        there = {f"limits.{field.name}" for field in fields(Limits)}
        there |= {f"rates.{field.name}" for field in fields(Rates)}
        self.assertEqual(there - told, NO_OPTION)

    def test_command_line(self) -> None:
        for setting in SETTINGS:
            options = Options()
            options.parseOptions([f"--{setting.name}", f"{setting.least:g}"])
            self.assertEqual(options[setting.name], setting.least)
            self.assertIsInstance(options[setting.name], int if setting.is_whole else float)
            for wrong in ("", "x", "-1", "nan", "inf", str(setting.least - 0.01)):
                with self.assertRaises(UsageError, msg=f"{setting.name} {wrong!r}"):
                    Options().parseOptions([f"--{setting.name}={wrong}"])

    def test_whole_numbers(self) -> None:
        with self.assertRaises(UsageError):
            Options().parseOptions(["--maps", "5.5"])
        options = Options()
        options.parseOptions(["--ping-seconds", "0.5", "--stall-seconds", "2"])
        self.assertEqual((options["ping-seconds"], options["stall-seconds"]), (0.5, 2))

    def test_help(self) -> None:
        text = usage_text(80)
        for title, group in GROUPS.items():
            self.assertIn(f"\n{title}:\n", text)
            for setting in group:
                self.assertIn(f"--{setting.name}=", text)
        help_text = Options().getUsage()
        for setting in SETTINGS:
            self.assertEqual(help_text.count(f"--{setting.name}="), 1)
        self.assertLess(help_text.index("--port="), help_text.index("--maps="))
        Options().parseOptions(["--maps", "5"])
