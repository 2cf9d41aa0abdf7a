"""Whole networks on virtual time: see :mod:`tests.simulation`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import TestCase

from tests.simulation import bugs

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 1000


def simulate(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """Runs the simulator in processes of its own: it replaces what the package logs to."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environ, text=True, capture_output=True, check=False
    )


class SimulationTest(TestCase):
    """What a program of its own finds out."""

    def tell(self, done: subprocess.CompletedProcess[str]) -> None:
        sys.stdout.write(f"\n{done.stdout}")
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")

    def test_no_seed_fails(self) -> None:
        done = simulate("--seeds", str(SEEDS))
        self.tell(done)
        self.assertIn(f"\n{SEEDS} seeds, ", f"\n{done.stdout}")

    def test_planted_bugs_are_found(self) -> None:
        self.assertGreaterEqual(len(bugs.BUGS), 20)
        done = simulate("--bugs", "--seeds", str(SEEDS))
        self.tell(done)
        self.assertEqual(done.stdout.count(" finds: "), len(bugs.BUGS))

    def test_a_seed_is_the_same_everywhere(self) -> None:
        one = simulate("--digests", "--seeds", "20", hash_seed="1")
        other = simulate("--digests", "--first", "10", "--seeds", "10", hash_seed="2")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertEqual(one.stdout.splitlines()[10:], other.stdout.splitlines(), other.stderr)
