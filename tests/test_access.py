"""distmap.access: grants, what they permit, and the claims of tickets."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from distmap.access import (
    NONE,
    NOTHING,
    READ,
    WRITE,
    Grant,
    check_grant,
    grant_of_claims,
    matches,
    permits,
)
from distmap.routes import parse_route

NOW_MS = 1_000_000.0


class Grants(TestCase):
    def test_answers(self) -> None:
        for answer in ("none", "read", "write"):
            self.assertEqual(check_grant(answer), Grant(answer))
        grant = Grant(READ, 5)
        self.assertIs(check_grant(grant), grant)
        others: list[Any] = [
            *(None, True, "admin", "", ("read", None), Grant("all")),
            *(Grant(READ, float("nan")), Grant(READ, float("inf")), Grant(READ, "5")),  # type: ignore[arg-type]
        ]
        for other in others:
            with self.subTest(other), self.assertRaises(ValueError):
                check_grant(other)

    def test_permits(self) -> None:
        for text, readers in (
            ("/u/channel", True),
            ("/u/proxy/client/17/c", True),
            ("/u/proxy/client/server/c", False),
            ("/u/proxy/server/s", False),
            ("/u/proxy/server/17", False),
            ("/u/proxy/server/17/client/c/1", False),
        ):
            route = parse_route(text)
            self.assertEqual(permits(READ, route), readers, text)
            self.assertTrue(permits(WRITE, route))
            self.assertFalse(permits(NONE, route))


class Claims(TestCase):
    def test_names(self) -> None:
        for name, uri, wanted in (
            ("/fruits", "/fruits", True),
            ("/fruits", "/fruits/red", False),
            ("/fruits", "/fruits-secret", False),
            ("/fruits/", "/fruits/red", True),
            ("/fruits/", "/fruits/", True),
            ("/fruits/", "/fruits", False),
            ("/fruits/", "/fruits/../secret", True),  # a name like any other: nothing is resolved
            ("/fruits/", "//fruits/red", False),
            ("/", "/anything", True),
            ("/", "anything", False),
            ("*", "anything", True),
            ("/a*", "/ab", False),
            ("", "", True),
        ):
            self.assertEqual(matches(name, uri), wanted, (name, uri))

    def grant(self, uri: str = "/fruits/red", **claims: Any) -> Grant:
        return grant_of_claims(claims, uri, NOW_MS)

    def test_the_most_that_one_name_gives(self) -> None:
        maps = {"/fruits/": "read", "/fruits/red": "write", "/news": "read"}
        self.assertEqual(self.grant(maps=maps, exp=2000), Grant(WRITE, 2_000_000))
        self.assertEqual(self.grant("/fruits/blue", maps=maps, exp=2000), Grant(READ, 2_000_000))
        self.assertEqual(self.grant("/other", maps=maps, exp=2000), NOTHING)

    def test_time(self) -> None:
        maps = {"*": "write"}
        for claims, wanted in (
            ({"exp": 1000}, False),
            ({"exp": 1000.001}, True),
            ({"exp": 2000, "nbf": 1000}, True),
            ({"exp": 2000, "nbf": 1000.001}, False),
        ):
            self.assertEqual(self.grant(maps=maps, **claims) != NOTHING, wanted, claims)

    def test_nonsense(self) -> None:
        good: dict[str, Any] = {"maps": {"*": "write"}, "exp": 2000}
        self.assertNotEqual(self.grant(**good), NOTHING)
        bad: list[dict[str, Any]] = [
            *({"maps": each} for each in (None, [], ["*"], "*", {"*": "admin"}, {"*": ["write"]})),
            *({"exp": each} for each in (None, True, "2000", 1e300, float("nan"), float("inf"))),
            *({"nbf": each} for each in (None, "0", float("nan"), 1e13)),
        ]
        for each in bad:
            with self.subTest(each):
                self.assertEqual(self.grant(**{**good, **each}), NOTHING)
