"""Whose address counts: that of who connects, or what a trusted proxy says. Without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from distmap.errors import InvalidValue

UNIX: Final = "unix"
"""Stands for whoever connects by a UNIX socket: it has no address."""


class TrustedProxies:
    """The proxies whose word counts.

    Args:
        names: addresses and networks such as ``10.0.0.0/8``, or ``unix``.

    Raises:
        InvalidValue: one is none of these.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._unix = False
        for name in names:
            if name == UNIX:
                self._unix = True
                continue
            try:
                self._networks.append(ip_network(name))
            except ValueError as error:
                raise InvalidValue(f"no address or network of a proxy: {error}") from None

    def trusts(self, address: str) -> bool:
        """Whether an address is a proxy's; the empty one is that of a UNIX socket."""
        if not address:
            return self._unix
        ip = parse_address(address)
        return ip is not None and any(ip in network for network in self._networks)

    def peer_address(self, address: str, forwarded_for: str | None) -> str:
        """The address that a connection is counted, logged and judged by.

        Each proxy adds on the right whom it speaks for. So what counts is the rightmost address
        that is no proxy's; what is left of it anybody can have written.

        Args:
            address: of who connects to the relay; empty on a UNIX socket.
            forwarded_for: the header ``X-Forwarded-For``, if there is one.
        """
        hops = (forwarded_for or "").split(",")
        while hops and self.trusts(address):
            hop = parse_address(_without_port(hops.pop().strip()))
            if hop is None:
                break  # a proxy that knows no better
            address = str(hop)
        return address

    def came_by_tls(self, address: str, forwarded_proto: str | None) -> bool:
        """Whether a proxy says that the browser spoke to it, or to one before it, with TLS.

        The leftmost word counts: it is of the proxy that the browser spoke to. A program may have
        written it itself, but no page can: a browser lets none set a header of an upgrade.

        Args:
            address: of who connects to the relay; empty on a UNIX socket.
            forwarded_proto: the header ``X-Forwarded-Proto``, if there is one.
        """
        word = (forwarded_proto or "").partition(",")[0].strip().lower()
        return word in ("https", "wss") and self.trusts(address)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An IP address, that of IPv4 also if it came as one of IPv6; None if it is none."""
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped if isinstance(ip, IPv6Address) else None) or ip


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine only; so is a UNIX socket, which has none."""
    ip = parse_address(address)
    return not address or (ip is not None and ip.is_loopback)


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
