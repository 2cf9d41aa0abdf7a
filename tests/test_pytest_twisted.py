"""A map under pytest-twisted: its tests run in a pytest of their own, which loads the plugin."""

from __future__ import annotations

import subprocess
import sys
from unittest import TestCase

from tests.support.peers import ROOT

EXAMPLE = "docs/examples/check_over_sockets.py"


class PytestTwistedTest(TestCase):
    def test_the_example(self) -> None:
        command = [sys.executable, "-X", "dev", "-m", "pytest", "-q", EXAMPLE]
        options = ["-p", "no:cacheprovider", "--confcutdir=docs", "--override-ini=addopts="]
        done = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("7 passed", done.stdout)
        self.assertNotIn("ResourceWarning", done.stdout + done.stderr)
