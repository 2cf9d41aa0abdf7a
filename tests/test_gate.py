"""distmap.gate: what a connection was granted, and for how long it is remembered."""

from __future__ import annotations

from unittest import TestCase

from distmap.access import NONE, READ, WRITE, Grant
from distmap.gate import LEAST_RENEW_MS, MAX_GRANTS, REFUSED_MS, RENEW_MS, Gate
from distmap.states import MuxStream, first_state


def stream(name: str) -> MuxStream:
    return MuxStream(name, None, first_state(True, True), False)


class Gates(TestCase):
    def setUp(self) -> None:
        self.gate = Gate()

    def test_a_grant_holds_until_it_expires(self) -> None:
        self.gate.put("/u", Grant(READ, 500), 0)
        self.assertEqual(self.gate.grant_of("/u", 499), Grant(READ, 500))
        self.assertIsNone(self.gate.grant_of("/u", 500))
        self.assertIsNone(self.gate.grant_of("/v", 0))

    def test_what_has_expired_already_is_a_refusal(self) -> None:
        old, grant = self.gate.put("/u", Grant(WRITE, 500), 500)
        self.assertEqual((old, grant), (None, Grant(NONE, 500 + REFUSED_MS)))

    def test_what_was_granted_before(self) -> None:
        self.gate.put("/u", Grant(WRITE), 0)
        self.assertEqual(self.gate.put("/u", Grant(READ), 0), (Grant(WRITE), Grant(READ)))

    def test_when_to_ask_anew(self) -> None:
        for left_ms, wanted in (
            (10 * RENEW_MS, 9 * RENEW_MS),
            (RENEW_MS, RENEW_MS / 2),
            (LEAST_RENEW_MS, LEAST_RENEW_MS),
        ):
            gate = Gate()
            gate.put("/u", Grant(WRITE, left_ms), 0)
            self.assertEqual(gate.next_ms(), wanted)

    def test_nothing_to_wait_for(self) -> None:
        self.gate.put("/u", Grant(WRITE), 0)
        self.gate.put("/v", Grant(NONE), 0)
        self.assertIsNone(self.gate.next_ms())
        self.assertEqual(self.gate.due(10**9), (["/v"], []))

    def test_only_what_is_in_use_is_asked_for_anew(self) -> None:
        self.gate.put("/u", Grant(WRITE, 10 * RENEW_MS), 0)
        self.gate.put("/v", Grant(WRITE, 10 * RENEW_MS), 0)
        self.gate.streams[stream("s")] = "/u"
        self.assertEqual(self.gate.due(9 * RENEW_MS), ([], ["/u"]))
        self.assertEqual(self.gate.due(9 * RENEW_MS), ([], []))
        self.assertEqual(self.gate.due(10 * RENEW_MS), (["/u", "/v"], []))

    def test_no_more_are_remembered_than_that(self) -> None:
        used = stream("s")
        self.gate.streams[used] = "/0"
        for number in range(MAX_GRANTS + 10):
            self.gate.put(f"/{number}", Grant(WRITE), 0)
        self.assertEqual(len(self.gate.grants), MAX_GRANTS)
        self.assertIn("/0", self.gate.grants)
        self.assertNotIn("/1", self.gate.grants)

    def test_shown(self) -> None:
        self.gate.waits = True
        self.gate.asked = {"/asked"}
        self.gate.to_ask = {"/waiting": None}
        self.gate.streams[stream("s")] = "/u"
        self.gate.put("/refused", Grant(NONE), 0)
        self.gate.show("me")
        self.assertEqual(list(self.gate.to_ask), ["/asked", "/u", "/waiting"])
        self.assertEqual((self.gate.asked, self.gate.grants, self.gate.waits), (set(), {}, False))
