"""distmap.status: a text that also says why."""

from __future__ import annotations

from unittest import TestCase

from distmap.errors import UpgradeRefused
from distmap.status import OFFLINE, Status


class StatusTest(TestCase):
    def test_equals_its_text(self) -> None:
        status = Status(OFFLINE, UpgradeRefused("the server refused the upgrade: 403"))
        self.assertEqual(status, "offline")
        self.assertEqual(status.code, "upgrade-refused")
        self.assertEqual(status.reason, "the server refused the upgrade: 403")

    def test_without_a_reason(self) -> None:
        status = Status("ready")
        self.assertEqual((status, status.reason, status.code), ("ready", "", ""))
