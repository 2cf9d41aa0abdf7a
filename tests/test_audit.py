"""tests.support.audit: a hole fails, and no answer is told as none."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from tests.support.audit import judge

FINE: dict[str, Any] = {"name": "fine", "version": "1.0", "vulns": []}
HOLE: dict[str, Any] = {
    "name": "old",
    "version": "0.1",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["0.2", "1.1"]}],
}
SKIPPED: dict[str, Any] = {"name": "unknown", "skip_reason": "Dependency not found"}


class Audit(TestCase):
    def judge(self, *packages: dict[str, Any]) -> tuple[int, str]:
        return judge(json.dumps({"dependencies": packages, "fixes": []}), "")

    def test_nothing_found(self) -> None:
        self.assertEqual(self.judge(FINE, FINE), (0, "no known holes in 2 packages"))

    def test_a_hole(self) -> None:
        code, text = self.judge(FINE, HOLE, SKIPPED)
        self.assertEqual(code, 1)
        self.assertIn("old 0.1: PYSEC-2026-1 (mended in 0.2, 1.1)", text)

    def test_a_hole_that_nobody_has_mended(self) -> None:
        code, text = self.judge({**HOLE, "vulns": [{"id": "X", "fix_versions": []}]})
        self.assertEqual(code, 1)
        self.assertIn("no version yet", text)

    def test_some_are_unknown(self) -> None:
        self.assertEqual(
            self.judge(FINE, SKIPPED), (0, "no known holes in 1 packages; not audited: unknown")
        )

    def test_all_are_unknown(self) -> None:
        code, text = self.judge(SKIPPED, SKIPPED)
        self.assertEqual(code, 0)
        self.assertTrue(text.startswith("NOT AUDITED"))

    def test_no_network(self) -> None:
        code, text = judge("", "requests.exceptions.ConnectionError: Max retries exceeded")
        self.assertEqual(code, 0)
        self.assertTrue(text.startswith("NOT AUDITED"))

    def test_it_does_not_run(self) -> None:
        for out, err in (
            ("", "No module named pip_audit"),
            ("[]", "odd"),
            ("{}", ""),
            ("null", ""),
        ):
            code, text = judge(out, err)
            self.assertEqual(code, 1, out)
            self.assertIn(err, text)
