"""docs/security.md: what it points to is there."""

from __future__ import annotations

import re
from unittest import TestCase

from distmap.tap import Options
from tests.support.peers import ROOT

# Authorizers and limits came a little later than this page: until both are there, it tells of what
# is not.
ALL_IS_THERE = {"auth=", "connections="} <= set(Options().longOpt)
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")


class Security(TestCase):
    def test_options(self) -> None:
        named = set(re.findall(r"`--([a-z-]+)", TEXT))
        known = {option.removesuffix("=") for option in Options().longOpt}
        if ALL_IS_THERE:
            self.assertEqual(named - known, set())
        self.assertGreater(len(named), 10)

    def test_tests(self) -> None:
        named = re.findall(r"`(tests/[\w./]+)`", TEXT)
        if ALL_IS_THERE:
            self.assertEqual([name for name in named if not (ROOT / name).exists()], [])
        self.assertGreater(len(named), 20)

    def test_each_attack_is_answered_and_tested(self) -> None:
        for line in TEXT.split("## What is not protected")[0].splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("|") and len(cells) == 3:
                self.assertTrue(all(cells), line)
                if cells[0] not in ("Attack", "---"):
                    self.assertIn("`tests/", cells[2], line)
