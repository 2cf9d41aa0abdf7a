"""Whole networks on virtual time: see :mod:`tests.simulation`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest, TestCase

from tests.simulation import bugs
from tests.simulation.bugs_of_node import NODE_BUGS

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 1000
NODE_SEEDS = 200


def simulate(*arguments: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """Runs the simulator in processes of its own: it replaces what the package logs to."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environ, text=True, capture_output=True, check=False
    )


class Simulation(TestCase):
    """What a program of its own finds out."""

    def tell(self, done: subprocess.CompletedProcess[str]) -> None:
        sys.stdout.write(f"\n{done.stdout}")
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")


class SimulationTest(Simulation):
    """Python clients alone."""

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


class NodeTest(Simulation):
    """Some of the clients are those of JavaScript."""

    def setUp(self) -> None:
        if shutil.which("node") is None:
            raise SkipTest("needs Node.js")

    def test_no_seed_fails(self) -> None:
        done = simulate("--node", "--seeds", str(NODE_SEEDS))
        self.tell(done)
        self.assertIn(f"\n{NODE_SEEDS} seeds, ", f"\n{done.stdout}")
        self.assertRegex(done.stdout, r"\breload \d")

    def test_planted_bugs_are_found(self) -> None:
        self.assertGreaterEqual(len(NODE_BUGS), 10)
        done = simulate("--node", "--bugs", "--seeds", str(SEEDS))
        self.tell(done)
        self.assertEqual(done.stdout.count(" finds: js "), len(NODE_BUGS))

    def test_a_seed_is_the_same_everywhere(self) -> None:
        one = simulate("--node", "--digests", "--seeds", "12", hash_seed="1")
        other = simulate("--node", "--digests", "--first", "6", "--seeds", "6", hash_seed="2")
        self.assertEqual(one.returncode, 0, one.stderr)
        self.assertEqual(one.stdout.splitlines()[6:], other.stdout.splitlines(), other.stderr)
