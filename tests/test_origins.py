"""distmap.origins: which pages may connect."""

from __future__ import annotations

from unittest import TestCase

from distmap.errors import InvalidValue
from distmap.origins import check_origin, names_this_machine, origin_problem


def problem(
    origin: str | None,
    host: str | None,
    *allowed: str,
    loopback: bool = False,
    secure: bool = False,
) -> str | None:
    origins = set(map(check_origin, allowed))
    return origin_problem(origin, host, origins, loopback=loopback, secure=secure)


class Origins(TestCase):
    def test_same_host(self) -> None:
        for origin, host in (
            ("https://example.com", "example.com"),
            ("https://example.com", "example.com:443"),
            ("http://example.com:8080", "example.com:8080"),
            ("http://EXAMPLE.com", "Example.COM"),
            ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ):
            self.assertIsNone(problem(origin, host), origin)

    def test_other_hosts(self) -> None:
        for origin, host in (
            ("https://example.com", "example.org"),
            ("https://example.com:8443", "example.com"),
            ("https://example.com", "example.com:80"),
            ("https://example.com.evil.org", "example.com"),
            ("https://evil.org?example.com", "example.com"),
            ("https://evil.org@example.com", "example.com"),
            ("https://example.com/", "example.com"),
            ("example.com", "example.com"),
            ("null", "null"),
            ("null", "example.com"),
            ("", ""),
            ("https://", ""),
            ("https://example.com", None),
        ):
            self.assertIn("is not", problem(origin, host) or "", origin)

    def test_no_browser(self) -> None:
        self.assertIsNone(problem(None, "example.com"))
        self.assertIsNone(problem(None, None, loopback=True))

    def test_allowed(self) -> None:
        allowed = ("https://Example.com", "http://example.org:80")
        for origin in ("https://example.com", "https://example.com:443", "http://example.org"):
            self.assertIsNone(problem(origin, "relay", *allowed, loopback=True), origin)
        for origin in ("http://example.com", "https://www.example.com", "null"):
            self.assertIsNotNone(problem(origin, "relay", *allowed), origin)
        for origin in ("https://anything", "null"):
            self.assertIsNone(problem(origin, "relay", "*", loopback=True))

    def test_another_name_for_this_machine(self) -> None:
        """A page of somebody's whose name was turned to this machine (DNS rebinding)."""
        for host in ("localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "a.localhost"):
            self.assertIsNone(problem(f"http://{host}", host, loopback=True), host)
        for host in ("evil.org:8080", "127.0.0.1.evil.org", "localhost.evil.org", "notlocalhost"):
            found = problem(f"http://{host}", host, loopback=True)
            self.assertIn("no name of this machine", found or "", host)
            self.assertIsNone(problem(f"http://{host}", host, loopback=False))
            self.assertIsNone(problem(f"http://{host}", host, f"http://{host}", loopback=True))

    def test_page_without_tls(self) -> None:
        """Somebody on the way can have written it, and the relay is reached with TLS."""
        for origin, host in (
            ("http://example.com", "example.com"),
            ("HTTP://example.com:80", "example.com"),
            ("http://example.com:8443", "example.com:8443"),
            ("ftp://example.com", "example.com"),
        ):
            self.assertIn("is this host without TLS", problem(origin, host, secure=True) or "")
            self.assertIsNone(problem(origin, host), origin)
            self.assertIsNone(problem(origin, host, origin, secure=True), origin)
        for origin, host in (
            ("https://example.com", "example.com"),
            ("HTTPS://example.com:443", "example.com"),
            ("https://example.com:8443", "example.com:8443"),
        ):
            self.assertIsNone(problem(origin, host, secure=True), origin)
        self.assertIsNone(problem(None, "example.com", secure=True))

    def test_names_of_this_machine(self) -> None:
        for host in (
            "localhost",
            "LOCALHOST:8080",
            " 127.0.0.1:1 ",
            "[::1]",
            "[::1]:80",
            "a.localhost",
        ):
            self.assertTrue(names_this_machine(host), host)
        for host in (
            "",
            "example.com",
            "localhost.example.com:80",
            "::1",
            "10.0.0.1",
            "localhost:x",
        ):
            self.assertFalse(names_this_machine(host), host)

    def test_check(self) -> None:
        self.assertEqual(check_origin("HTTPS://Example.com:443"), "https://example.com")
        for text in ("", "null", "example.com", "https://", "https://a/b", "https://*.a b"):
            with self.subTest(text), self.assertRaises(InvalidValue):
                check_origin(text)
