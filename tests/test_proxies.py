"""distmap.proxies: whose address counts."""

from __future__ import annotations

from unittest import TestCase

from distmap.errors import InvalidValue
from distmap.proxies import TrustedProxies, is_loopback


class Proxies(TestCase):
    def test_nobody_is_trusted(self) -> None:
        nobody = TrustedProxies()
        self.assertEqual(nobody.peer_address("10.0.0.1", "203.0.113.5"), "10.0.0.1")
        self.assertEqual(nobody.peer_address("", "203.0.113.5"), "")

    def test_the_rightmost_that_is_no_proxy(self) -> None:
        proxies = TrustedProxies(["10.0.0.0/8", "2001:db8::1"])
        for address, header, wanted in (
            ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "6.6.6.6, 203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "6.6.6.6, 203.0.113.5, 10.1.1.1", "203.0.113.5"),
            ("10.0.0.1", "10.1.1.1,10.2.2.2", "10.1.1.1"),
            ("2001:db8::1", "[2001:db8::7]:443", "2001:db8::7"),
            ("2001:db8::1", "203.0.113.5:1234", "203.0.113.5"),
            ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("203.0.113.9", "203.0.113.5", "203.0.113.9"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("10.0.0.1", "6.6.6.6, <script>", "10.0.0.1"),
            ("10.0.0.1", "6.6.6.6,", "10.0.0.1"),
        ):
            self.assertEqual(proxies.peer_address(address, header), wanted, (address, header))

    def test_unix(self) -> None:
        proxies = TrustedProxies(["unix"])
        self.assertEqual(proxies.peer_address("", "203.0.113.5"), "203.0.113.5")
        self.assertFalse(proxies.trusts("127.0.0.1"))

    def test_tls(self) -> None:
        """What the proxy that the browser spoke to says of it."""
        proxies = TrustedProxies(["10.0.0.0/8", "unix"])
        for address, header, wanted in (
            ("10.0.0.1", "https", True),
            ("10.0.0.1", " HTTPS ", True),
            ("10.0.0.1", "wss", True),
            ("10.0.0.1", "https, http", True),
            ("", "https", True),
            ("10.0.0.1", "http, https", False),
            ("10.0.0.1", "http", False),
            ("10.0.0.1", "", False),
            ("10.0.0.1", None, False),
            ("192.0.2.1", "https", False),
        ):
            self.assertEqual(proxies.came_by_tls(address, header), wanted, (address, header))
        self.assertFalse(TrustedProxies().came_by_tls("", "https"))

    def test_wrong(self) -> None:
        for name in ("", "proxy.example.com", "10.0.0.1/8", "10.0.0", "*"):
            with self.subTest(name), self.assertRaises(InvalidValue):
                TrustedProxies([name])

    def test_loopback(self) -> None:
        for address in ("127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", ""):
            self.assertTrue(is_loopback(address), address)
        for address in ("0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0", "localhost", "example.com"):
            self.assertFalse(is_loopback(address), address)
