"""distmap.tickets: signed tickets, and forged ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from distmap.access import NOTHING, READ, WRITE, Grant
from distmap.authorizer import Request
from distmap.errors import InvalidValue
from distmap.tickets import ED25519, P256, SHARED, Key, TicketAuthorizer, mint, write_new_key
from tests.support.processes import folder

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000.0
MAPS = {"/fruits/": "read"}


def pems(private: Any) -> tuple[bytes, bytes]:
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


class Tickets(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = NOW

    def grant(
        self,
        ticket: str | None,
        key: bytes = SECRET,
        uri: str = "/fruits/red",
        audience: Any = None,
    ) -> Grant:
        authorizer = TicketAuthorizer(Key(key), self.clock, audience)
        return authorizer.authorize(Request(uri, ticket))

    def mint(self, key: bytes = SECRET, audience: str | None = None, **maps: str) -> str:
        return mint(Key(key), maps or MAPS, NOW, 60, audience)

    def test_each_kind_of_key(self) -> None:
        ed_private, ed_public = pems(ed25519.Ed25519PrivateKey.generate())
        ec_private, ec_public = pems(ec.generate_private_key(ec.SECP256R1()))
        for algorithm, signs, checks in (
            (SHARED, SECRET, SECRET + b"\n"),
            (ED25519, ed_private, ed_public),
            (ED25519, ed_private, ed_private),
            (P256, ec_private, ec_public),
        ):
            self.assertEqual(Key(signs).algorithm, algorithm)
            ticket = self.mint(signs)
            self.assertEqual(self.grant(ticket, checks), Grant(READ, (NOW + 60) * 1000))
            self.assertEqual(self.grant(ticket, checks, "/other"), NOTHING)
            with (
                self.assertRaises(InvalidValue)
                if checks in (ed_public, ec_public)
                else self.subTest()
            ):
                self.mint(checks)

    def test_expiry_by_the_clock_of_the_relay(self) -> None:
        ticket = self.mint()
        self.clock.advance(59.9)
        self.assertNotEqual(self.grant(ticket), NOTHING)
        self.clock.advance(0.1)
        self.assertEqual(self.grant(ticket), NOTHING)

    def test_audience(self) -> None:
        for made, asked, good in (
            (None, None, True),
            ("a", "a", True),
            ("a", "b", False),
            ("a", None, False),
            (None, "a", False),
        ):
            found = self.grant(self.mint(audience=made), audience=asked)
            self.assertEqual(found != NOTHING, good, (made, asked))

    def test_the_key_tells_the_algorithm(self) -> None:
        """What a ticket says of its algorithm is not believed."""
        private, public = pems(ed25519.Ed25519PrivateKey.generate())
        claims = {"maps": {"*": "write"}, "exp": NOW + 60}

        def encode(part: Any) -> bytes:
            text = part if isinstance(part, bytes) else json.dumps(part).encode()
            return base64.urlsafe_b64encode(text).rstrip(b"=")

        head = encode({"alg": "HS256", "typ": "JWT"}) + b"." + encode(claims)
        forged = head + b"." + encode(hmac.new(public, head, hashlib.sha256).digest())
        unsigned = encode({"alg": "none"}) + b"." + encode(claims) + b"."
        for ticket in (forged, unsigned):
            for key in (public, private, SECRET):
                self.assertEqual(self.grant(ticket.decode(), key), NOTHING)
        other = b"another secret of thirty-two byte"
        self.assertEqual(self.grant(self.mint(other)), NOTHING)
        stronger = jwt.encode(claims, SECRET * 2, "HS512")
        self.assertEqual(self.grant(stronger, SECRET * 2), NOTHING)
        self.assertEqual(
            self.grant(jwt.encode(claims, SECRET * 2, "HS256"), SECRET * 2).access, WRITE
        )

    def test_what_is_no_ticket(self) -> None:
        ticket = self.mint()
        head, claims, signature = ticket.split(".")
        for text in (None, "", "x", "..", "\ud800", "é.é.é", f"{head}.{claims}.", ticket[:-2]):
            self.assertEqual(self.grant(text), NOTHING)
        self.assertEqual(self.grant(f"{head}.{claims[:-1]}.{signature}"), NOTHING)
        for odd in ({"exp": NOW + 60}, {"maps": MAPS}, {"maps": MAPS, "exp": "soon"}):
            self.assertEqual(self.grant(jwt.encode(odd, SECRET, "HS256")), NOTHING)

    def test_what_cannot_be_minted(self) -> None:
        wrong: list[tuple[dict[str, str], float]] = [
            *(({}, 60), ({"": "read"}, 60), ({"/a": "admin"}, 60), (MAPS, 0), (MAPS, float("nan")))
        ]
        for maps, life in wrong:
            with self.assertRaises(InvalidValue):
                mint(Key(SECRET), maps, NOW, life, None)


class Keys(TestCase):
    def test_what_is_no_key(self) -> None:
        big, _ = pems(rsa.generate_private_key(65537, 2048))
        curve, _ = pems(ec.generate_private_key(ec.SECP384R1()))
        for text in (
            *(b"", SECRET[:-1], b" " * 40, big, curve),
            *(b"-----BEGIN PRIVATE KEY-----\nxxxx\n-----END PRIVATE KEY-----", b"-----BEGIN"),
        ):
            with self.subTest(text[:20]), self.assertRaises(InvalidValue):
                Key(text)

    def test_files(self) -> None:
        path = folder(self) / "key"
        write_new_key(str(path))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        before = path.read_bytes()
        self.assertEqual(Key.from_file(str(path)).algorithm, SHARED)
        with self.assertRaises(FileExistsError):
            write_new_key(str(path))
        self.assertEqual(path.read_bytes(), before)
        path.write_bytes(b"short")
        with self.assertRaisesRegex(InvalidValue, "key: a secret is"):
            Key.from_file(str(path))
        with self.assertRaises(FileNotFoundError):
            Key.from_file(str(path) + "x")
