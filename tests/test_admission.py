"""distmap.admission: connections in all and per address, at the edge and past it."""

from __future__ import annotations

from unittest import TestCase

from distmap.admission import Admission, network_of


class Networks(TestCase):
    def test_networks(self) -> None:
        for host, network in (
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("fe80::1%eth0", "fe80::"),
            ("127.0.0.1", None),
            ("127.9.9.9", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("", None),
            ("memory", None),
            (None, None),
        ):
            self.assertEqual(network_of(host), network, host)


class Counting(TestCase):
    def refused(self, admission: Admission, host: str | None) -> tuple[int, str] | None:
        refusal = admission.refusal(host)
        return None if refusal is None else (refusal.status, refusal.code)

    def test_in_all(self) -> None:
        admission = Admission(2, 0)
        for host in ("192.0.2.1", None):
            self.assertIsNone(self.refused(admission, host))
            admission.enter(host)
        self.assertEqual(self.refused(admission, "192.0.2.9"), (503, "connections"))
        self.assertEqual(self.refused(admission, None), (503, "connections"))
        admission.leave(None)
        self.assertIsNone(self.refused(admission, "192.0.2.9"))

    def test_per_address(self) -> None:
        admission = Admission(0, 2)
        for host in ("2001:db8::1", "2001:db8::2"):
            self.assertIsNone(self.refused(admission, host))
            admission.enter(host)
        self.assertEqual(self.refused(admission, "2001:db8::3"), (429, "address"))
        self.assertIsNone(self.refused(admission, "2001:db8:0:1::3"))
        admission.leave("2001:db8::2")
        self.assertIsNone(self.refused(admission, "2001:db8::3"))

    def test_this_machine_does_not_count(self) -> None:
        admission = Admission(0, 1)
        for _ in range(5):
            self.assertIsNone(self.refused(admission, "127.0.0.1"))
            admission.enter("127.0.0.1")
        self.assertEqual(admission.count, 5)

    def test_nothing_is_kept_of_who_has_gone(self) -> None:
        admission = Admission(9, 9)
        for host in ("192.0.2.1", "2001:db8::1", None):
            admission.enter(host)
            admission.leave(host)
        self.assertEqual((admission.count, dict(admission._of_network)), (0, {}))

    def test_to_ask_keeps_nothing(self) -> None:
        admission = Admission(9, 9)
        admission.refusal("192.0.2.1")
        self.assertEqual(dict(admission._of_network), {})

    def test_a_trusted_proxy_does_not_count(self) -> None:
        """It stands for everybody; those whom it names count by themselves."""
        admission = Admission(0, 1, lambda host: host == "10.0.0.1")
        for _ in range(3):
            self.assertIsNone(admission.refusal("10.0.0.1"))
            admission.enter("10.0.0.1")
        admission.enter("192.0.2.7")
        self.assertIsNotNone(admission.refusal("192.0.2.7"))
        for host in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "192.0.2.7"):
            admission.leave(host)
        self.assertEqual(admission.count, 0)
