"""Which pages may connect: what a browser tells of the page, judged. Without I/O.

A browser lets any page connect to any WebSocket, and tells the server where the page is from. So a
page of anybody's could reach a relay that only the visitor can reach, in a private network or on
the visitor's own machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from distmap.errors import InvalidValue

ANY: Final = "*"

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s]+)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")


def check_origin(origin: str) -> str:
    """An origin as it is compared, for a list of those that may connect.

    Raises:
        InvalidValue: it is neither ``*`` nor a scheme and a host, perhaps with a port.
    """
    text = origin.lower()
    if text != ANY and not _ORIGIN.fullmatch(text):
        raise InvalidValue(f"no origin: {origin!r} is not like https://example.com")
    return text if text == ANY else _normal(text)


def origin_problem(
    origin: str | None,
    host: str | None,
    allowed: Collection[str],
    *,
    loopback: bool,
    secure: bool = False,
) -> str | None:
    """Why a page may not connect; None if it may.

    Args:
        origin: the header ``Origin``; None if it is no browser that connects.
        host: the header ``Host``.
        allowed: by :func:`check_origin`.
        loopback: the connection comes from this machine, and from no proxy. Then the host has to
            be one of this machine: another name would lead here only because somebody has turned
            it here (DNS rebinding).
        secure: the browser is known to have connected with TLS. Then a page that came without it is
            of another origin: whoever is on the way can have written that one.
    """
    if origin is None or ANY in allowed:
        return None
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return f"origin {origin[:100]!r} is not allowed"
    if _normal(origin.lower()) in allowed:
        return None
    scheme, place = found[1], found[2]
    if host is None or _short(scheme, place) != _short(scheme, host.strip().lower()):
        return f"origin {origin[:100]!r} is not this host, and not allowed"
    if secure and scheme != "https":
        return f"origin {origin[:100]!r} is this host without TLS, and not allowed"
    if loopback and not names_this_machine(place):
        return f"origin {origin[:100]!r} is no name of this machine, and not allowed"
    return None


def names_this_machine(host: str) -> bool:
    """Whether a host, perhaps with a port, can be no other machine by any DNS."""
    return _LOOPBACK.fullmatch(re.sub(r":[0-9]*\Z", "", host.strip().lower())) is not None


def _normal(origin: str) -> str:
    scheme, _, place = origin.partition("://")
    return f"{scheme}://{_short(scheme, place)}"


def _short(scheme: str, place: str) -> str:
    """A host and port without the port that goes without saying."""
    return place.removesuffix(_DEFAULT_PORTS.get(scheme, " "))
