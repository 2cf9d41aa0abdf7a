"""All targets, and how many of a hundred executions are of each: those that take long get fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fuzz.cases import Target
from tests.fuzz.decoders import Decoders
from tests.fuzz.peers import Client, HostileRelay
from tests.fuzz.relays import HostilePeers
from tests.fuzz.syncs import HostileDonor, HostileNewcomer
from tests.fuzz.wire import Entries, Mux, Sockets, Values

SHARES: Final[dict[Callable[[], Target], float]] = {
    Decoders: 90.0,
    Mux: 2.0,
    Values: 1.5,
    Entries: 1.5,
    HostileNewcomer: 1.0,
    HostilePeers: 1.4,
    HostileRelay: 1.2,
    HostileDonor: 0.8,
    Sockets: 0.4,
    Client: 0.2,
}
