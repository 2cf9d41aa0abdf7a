"""What a peer may do with a map. Without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from distmap.routes import CHANNEL, CONNECT, Route

NONE: Final = "none"
READ: Final = "read"
WRITE: Final = "write"
"""Reading too."""

ALL_MAPS: Final = "*"
MAX_SECONDS: Final = 1e12
"""A time of a ticket is before it: the year 33658."""


class Grant(NamedTuple):
    """An authorizer's answer.

    Attributes:
        access: ``none``, ``read`` or ``write`` (which is reading too).
        until_ms: how long it holds, by the relay's clock: milliseconds since 1970; None as long as
            the connection lives.
    """

    access: str
    until_ms: float | None = None


EVERYTHING: Final = Grant(WRITE)
NOTHING: Final = Grant(NONE)


def check_grant(answer: object) -> Grant:
    """Takes an authorizer's answer: a grant, or an access alone.

    Raises:
        ValueError: it is neither.
    """
    grant: object = Grant(answer) if isinstance(answer, str) else answer
    if isinstance(grant, Grant) and grant.access in (NONE, READ, WRITE):
        until_ms: object = grant.until_ms
        if until_ms is None or (isinstance(until_ms, int | float) and isfinite(until_ms)):
            return grant
    raise ValueError(f"an authorizer answered with {answer!r}, which is no grant")


def permits(access: str, route: Route) -> bool:
    """Whether somebody with that access may open a stream of that route.

    Who may only read has a seat on the channel, and asks its members for what they have. It listens
    under no name: others might take it for somebody whose word counts.
    """
    if access == READ:
        return route.kind == CHANNEL or (route.kind == CONNECT and route.name.isdecimal())
    return access == WRITE


def matches(name: str, uri: str) -> bool:
    """Whether a name in a ticket means a map: ``*`` means all, one that ends with a slash all that
    begin with it, any other that map alone.
    """
    return name in (ALL_MAPS, uri) or (name.endswith("/") and uri.startswith(name))


def grant_of_claims(claims: Mapping[str, Any], uri: str, now_ms: float) -> Grant:
    """What the claims of a ticket give: of all names that mean the map the most that one gives.

    Args:
        claims: ``maps`` is an object of names (:func:`matches`), each with ``read`` or ``write``;
            ``exp`` the end, ``nbf`` (may be missing) the beginning, in seconds since 1970. What
            else there is was looked at before.
        uri: of the map.
        now_ms: the time.
    """
    maps = claims.get("maps")
    ends_ms, begins_ms = _time_ms(claims.get("exp")), _time_ms(claims.get("nbf", 0))
    if not isinstance(maps, dict) or ends_ms is None or begins_ms is None:
        return NOTHING
    if not begins_ms <= now_ms < ends_ms:
        return NOTHING
    found = [access for name, access in maps.items() if matches(name, uri)]
    for access in (WRITE, READ):
        if access in found:
            return Grant(access, ends_ms)
    return NOTHING


def _time_ms(seconds: object) -> float | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return seconds * 1000.0 if abs(seconds) < MAX_SECONDS else None  # nor is nan
