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
    Decoders: 62.0,
    Mux: 8.0,
    Values: 8.0,
    Entries: 6.0,
    HostileNewcomer: 5.0,
    HostilePeers: 4.0,
    HostileRelay: 3.0,
    HostileDonor: 2.5,
    Sockets: 1.0,
    Client: 0.5,
}
