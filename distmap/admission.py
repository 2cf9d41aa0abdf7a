"""How many connections a relay takes, in all and of one address. Without I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

IPV6_BITS: Final = 64
"""Of an IPv6 address: what one customer of a provider has, to make addresses of as it likes."""
RETRY_SECONDS: Final = 10
"""When somebody who was refused had better try again."""


class Refusal(NamedTuple):
    """Why a connection is not taken, as HTTP tells it.

    Attributes:
        status: of HTTP.
        code: a short name of the cause.
        text: for people.
    """

    status: int
    code: str
    text: str


def network_of(host: str | None) -> str | None:
    """What counts as one address: an IPv4 address, or 64 bits of an IPv6 address.

    Args:
        host: an address as text; None if there is none, as of a UNIX socket.

    Returns:
        None for one that is of this machine, where a proxy may stand for everybody, or is none.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> IPV6_BITS << IPV6_BITS))
    return str(address)


class Admission:
    """Who is in.

    Args:
        most: connections in all; 0 for no limit.
        most_per_address: of one address; 0 for no limit. Those of this machine are not counted.
        trusts: whether an address is that of a proxy, which stands for everybody: likewise.

    Attributes:
        count: of those who are in.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        trusts: Callable[[str], bool] = lambda host: False,
    ) -> None:
        self.count = 0
        self._most = most
        self._most_per_address = most_per_address
        self._trusts = trusts
        self._of_network: Counter[str] = Counter()

    def refusal(self, host: str | None) -> Refusal | None:
        """Why one more from an address is not taken; None if it is."""
        if self._most and self.count >= self._most:
            return Refusal(503, "connections", f"this relay has {self._most} connections at most")
        most = self._most_per_address
        network = self._network_of(host)
        if most and network is not None and self._of_network[network] >= most:
            text = f"this relay has {most} connections of one address at most"
            return Refusal(429, "address", text)
        return None

    def enter(self, host: str | None) -> None:
        """One came in."""
        self.count += 1
        network = self._network_of(host)
        if network is not None:
            self._of_network[network] += 1

    def leave(self, host: str | None) -> None:
        """One that came in has gone."""
        self.count -= 1
        network = self._network_of(host)
        if network is not None:
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]

    def _network_of(self, host: str | None) -> str | None:
        return None if self._trusts(host or "") else network_of(host)
