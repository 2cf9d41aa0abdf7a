"""The soak: it judges what it finds, runs, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import time
from unittest import TestCase
from xml.etree import ElementTree

from benchmarks.soak_report import (
    BYTES_A_JOIN,
    MIB,
    NOISE_BYTES,
    Check,
    Sample,
    allowed_bytes,
    checks_of,
    draw,
    growth_bytes,
    report,
)
from tests.support.processes import start_module
from tests.test_benchmarks import processes_of

SECONDS = 60


def samples(rss: list[float], joins_a_sample: int = 100) -> list[Sample]:
    """One every 10 seconds, with so many MiB."""
    return [
        Sample(10.0 * at, at * joins_a_sample, 50, 40, 60, int(each * MIB), 0.5 * at)
        for at, each in enumerate(rss)
    ]


class Report(TestCase):
    def failed(
        self, some: list[Sample], **found: int | bool | float | tuple[int, int]
    ) -> list[str]:
        """What did not hold, of a soak that found nothing else."""
        fine = {
            "equal": True,
            "connections": 0,
            "members": 0,
            "files": (10, 10),
            "ended_seconds": 0.5,
            "errors": 0,
            "not_joined": 0,
        }
        checks: list[Check] = checks_of(some, **{**fine, **found})  # type: ignore[arg-type]
        return [check.what for check in checks if not check.held]

    def test_growth(self) -> None:
        self.assertEqual(growth_bytes(samples([50.0] * 20)), 0)
        warm = [40 + min(at, 10) for at in range(40)]
        self.assertEqual(growth_bytes(samples([float(each) for each in warm])), 0)
        steady = samples([50 + 0.5 * at for at in range(40)])
        self.assertAlmostEqual(growth_bytes(steady) / MIB, 0.5 * 19, places=3)
        # One peak is no growth.
        peak = [50.0] * 40
        peak[-2] = 90.0
        self.assertEqual(growth_bytes(samples(peak)), 0)

    def test_growth_of_nothing(self) -> None:
        for count in (0, 1, 2):
            self.assertEqual(growth_bytes(samples([50.0] * count)), 0)

    def test_what_is_allowed_grows_with_the_joins(self) -> None:
        self.assertEqual(allowed_bytes(samples([50.0] * 20)), NOISE_BYTES)
        many = samples([50.0] * 20, joins_a_sample=100_000)
        self.assertEqual(allowed_bytes(many), BYTES_A_JOIN * 9 * 100_000)

    def test_a_leak_is_seen(self) -> None:
        self.assertEqual(self.failed(samples([50.0] * 20)), [])
        leak = samples([50 + at for at in range(20)])
        self.assertEqual(self.failed(leak), ["growth of the memory in the second half"])

    def test_what_is_left_is_seen(self) -> None:
        level = samples([50.0] * 20)
        for name, found in (
            ("connections", 1),
            ("members", 1),
            ("files", (10, 11)),
            ("ended_seconds", 11.0),
            ("errors", 1),
            ("not_joined", 1),
            ("equal", False),
        ):
            self.assertEqual(len(self.failed(level, **{name: found})), 1, name)

    def test_text(self) -> None:
        some = samples([50.0] * 100)
        text = report(some, [Check("a", "1", "0", False)], {"joins": 9900, "members": 4})
        rows = [line for line in text.splitlines() if line.endswith("| 50.0 |")]
        self.assertLessEqual(len(rows), 12)
        self.assertIn("| 9,800 |", rows[-1])
        self.assertIn("| a | 1 | 0 | **not held** |", text)
        self.assertIn("Counted: joins 9,900.", text)

    def test_picture(self) -> None:
        picture = ElementTree.fromstring(draw(samples([50.0] * 20)))
        name = "{http://www.w3.org/2000/svg}"
        lines = picture.findall(f"{name}polyline")
        self.assertEqual([len(line.attrib["points"].split()) for line in lines], [20, 20])


class Run(TestCase):
    """Real processes; what they find of memory in so short a time is nothing."""

    def start(self, *args: str) -> subprocess.Popen[str]:
        return start_module(self, "benchmarks.soak", *args)

    def test_short(self) -> None:
        process = self.start("--minutes", "0.05", "--rate", "30", "--tabs-only")
        out, err = process.communicate(timeout=SECONDS)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertNotIn("not held", out)
        self.assertIn("| members when all have gone | 0 | 0 | held |", out)
        self.assertRegex(out, r"comes and goes \d+")
        self.assertEqual(processes_of(process.pid), [])

    def test_interrupted(self) -> None:
        process = self.start("--minutes", "10")
        deadline = time.monotonic() + SECONDS
        while len(processes_of(process.pid)) < 4:  # itself, a relay, tabs and clients
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        self.assertNotIn("Traceback", err)
        self.assertEqual(processes_of(process.pid), [])

    def test_bad_arguments(self) -> None:
        for args in (["--minutes", "0"], ["--minutes", "nan"], ["--rate", "-1"]):
            process = self.start(*args)
            process.communicate(timeout=SECONDS)
            self.assertEqual(process.returncode, 2)
