"""What a rejoin costs on the wire, counted at the relay."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.map import DistributedMap
from distmap.switchboard import OPEN
from distmap.testing import Network, Wire

VALUE = b'"%b"' % (b"x" * 58)


class Bytes(NamedTuple):
    """Bytes of the messages between the relay and the peer that rejoins, both ways together.

    Attributes:
        sync: on the stream of the sync: its opening, from hello to done, and its end.
        everything: that, and the channel: its opening, the welcome, the choice of a donor, the
            writes of the absence and their acknowledgements, until the map is ready.
    """

    sync: int
    everything: int


def fill(maps: list[DistributedMap], count: int) -> None:
    """Gives maps the same keys, without a network."""
    now_ms = maps[0]._replica.clock.now_ms()
    for n in range(count):
        entry = Entry(Stamp(now_ms - 60_000, n, "writer000001"), VALUE)
        for each in maps:
            each._replica.merge(f"key-{n}", entry)


def measure(count: int, changed: int, seed: int = 1) -> Bytes:
    """Two peers have `count` keys; one is away while half of the changes are made on each side."""
    network = Network(seed=seed)
    here, away = network.open("/u"), network.open("/u")
    network.settle()
    fill([here, away], count)
    network.cut(away.connection)
    for at, n in enumerate(Random(seed).sample(range(count), changed)):
        (here, away)[at % 2].set(f"key-{n}", "y" * 58)
    network.settle(0.01)
    seen: list[bytes] = []
    connect = network._connectors[away.connection].connect

    def counting(attempt: object) -> object:
        abandon = connect(attempt)  # type: ignore[arg-type]
        wire = network.wire(away.connection)
        assert wire is not None
        _record(wire, seen)
        return abandon

    network._connectors[away.connection].connect = counting  # type: ignore[method-assign, assignment]
    while away.status != "ready":
        network.settle(0.05)
    network.settle(0.05)
    assert here._replica.digest() == away._replica.digest()
    assert dict(here) == dict(away)
    frames = [frame for message in seen for frame in message.splitlines(keepends=True)]
    sync_ids = [f.split(b'"')[1] for f in frames if b"/proxy/" in f or OPEN in f]
    sync = sum(len(f) for f in frames if any(b'"%b"' % each in f[:60] for each in sync_ids))
    everything = sum(map(len, seen))
    network.close()
    return Bytes(sync, everything)


def _record(wire: Wire, seen: list[bytes]) -> None:
    relay_received, attempt_received = wire._relay_received, wire._attempt_received

    def up(message: bytes) -> None:
        seen.append(message)
        relay_received(message)

    def down(message: bytes) -> None:
        seen.append(message)
        attempt_received(message)

    wire._relay_received, wire._attempt_received = up, down  # type: ignore[method-assign]
