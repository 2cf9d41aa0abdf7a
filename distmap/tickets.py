"""Signed tickets: JSON Web Tokens that say which maps may be read or written, and until when."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

import jwt
from zope.interface import implementer

from distmap.access import NOTHING, READ, WRITE, Grant, grant_of_claims
from distmap.authorizer import IAuthorizer, Request
from distmap.errors import InvalidValue

SECRET_BYTES: Final = 32
"""A shared secret is as long as this at least."""
SHARED: Final = "HS256"
ED25519: Final = "EdDSA"
P256: Final = "ES256"

# What the claims say of time is looked at by the relay's own clock, and again for each map.
_OPTIONS: Final[Any] = {
    "require": ["exp", "maps"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class Key:
    """What tickets are signed with, or checked by. Its kind tells the algorithm: what a ticket
    says of that counts for nothing.

    Args:
        text: the contents of a key file: a PEM with an Ed25519 or a P-256 key, private to sign and
            either to check; or any other text, which is a shared secret.

    Attributes:
        algorithm: ``HS256``, ``EdDSA`` or ``ES256``.

    Raises:
        InvalidValue: it is no such key.
    """

    def __init__(self, text: bytes) -> None:
        text = text.strip()
        self.can_sign = True
        self._key: Any = text
        self.algorithm = SHARED
        if b"-----BEGIN" in text:
            self._read_pem(text)
        elif len(text) < SECRET_BYTES:
            raise InvalidValue(f"a secret is {SECRET_BYTES} bytes at least")

    @classmethod
    def from_file(cls, path: str) -> Key:
        """Reads a key file.

        Raises:
            OSError: it cannot be read.
            InvalidValue: there is no key in it.
        """
        try:
            return cls(Path(path).read_bytes())
        except InvalidValue as error:
            raise InvalidValue(f"{path}: {error}") from None

    def _read_pem(self, text: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric import ec, ed25519
            from cryptography.hazmat.primitives.serialization import (
                load_pem_private_key,
                load_pem_public_key,
            )
        except ImportError as error:
            raise InvalidValue(f"a PEM needs cryptography, as in distmap[tls]: {error}") from None
        self.can_sign = b"PRIVATE KEY" in text
        try:
            self._key = (
                load_pem_private_key(text, None) if self.can_sign else load_pem_public_key(text)
            )
        except Exception as error:  # cryptography has many, and OpenSSL's own
            raise InvalidValue(f"no key that can be read: {error}") from None
        public: Any = self._key.public_key() if self.can_sign else self._key
        if isinstance(public, ed25519.Ed25519PublicKey):
            self.algorithm = ED25519
        elif isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1":
            self.algorithm = P256
        else:
            raise InvalidValue("a key for tickets is one of Ed25519 or P-256")
        self._public = public

    def sign(self, claims: dict[str, Any]) -> str:
        """A ticket with these claims.

        Raises:
            InvalidValue: it is a public key.
        """
        if not self.can_sign:
            raise InvalidValue("a public key only checks tickets; signing needs the private one")
        return jwt.encode(claims, self._key, self.algorithm)

    def check(self, ticket: str, audience: str | None) -> dict[str, Any] | None:
        """The claims of a ticket; None if it is not signed with this key, or for others."""
        key = self._key if self.algorithm == SHARED else self._public
        try:
            found: dict[str, Any] = jwt.decode(
                ticket, key, [self.algorithm], audience=audience, options=_OPTIONS
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            return None
        return found


def mint(
    key: Key, maps: dict[str, str], now_seconds: float, life_seconds: float, audience: str | None
) -> str:
    """A new ticket.

    Args:
        key: signs it.
        maps: names of maps (see :func:`distmap.access.matches`), each with ``read`` or ``write``.
        now_seconds: the time, in seconds since 1970.
        life_seconds: how long it holds.
        audience: which relays it is for; None for those that ask for none.

    Raises:
        InvalidValue: one of these makes no sense, or the key cannot sign.
    """
    if not maps or not all(maps) or not set(maps.values()) <= {READ, WRITE}:
        raise InvalidValue("a ticket is for reading or writing one or more maps")
    if not life_seconds > 0:
        raise InvalidValue("a ticket holds for some time")
    claims: dict[str, Any] = {
        "maps": maps,
        "iat": int(now_seconds),
        "exp": int(now_seconds + life_seconds),
    }
    return key.sign(claims if audience is None else {**claims, "aud": audience})


def write_new_key(path: str) -> None:
    """Writes a new shared secret to a file that only its owner can read.

    Raises:
        OSError: it cannot be written, or the file is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(token_urlsafe(SECRET_BYTES) + "\n")


@implementer(IAuthorizer)
class TicketAuthorizer:
    """Lets in who shows a ticket.

    Args:
        key: of the tickets.
        reactor: tells the time.
        audience: which the tickets have to be for; None takes those that are for none.
    """

    needs_credentials = True

    def __init__(self, key: Key, reactor: Any, audience: str | None = None) -> None:
        self._key = key
        self._reactor = reactor
        self._audience = audience

    def authorize(self, request: Request) -> Grant:
        """What the ticket gives."""
        claims = self._key.check(request.credentials or "", self._audience)
        if claims is None:
            return NOTHING
        return grant_of_claims(claims, request.uri, self._reactor.seconds() * 1000)
