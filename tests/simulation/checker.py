"""What must be true when all faults are over."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from distmap import holding
from distmap.clock import MAX_AHEAD_MS
from distmap.entries import Entry, entry_hash
from tests.simulation.copies import Copy
from tests.simulation.timeline import START_SECONDS
from tests.simulation.world import JUMP_SECONDS, World

RECONNECT_SECONDS: Final = 60.0
"""A try may hang for 10 s, the next comes within 10 s, and the relay's own end of a channel is
answered within 10 s; a closed map was to be opened again within 12 s.
"""
EQUAL_SECONDS: Final = 2.0
"""From when all channels are open: promise 1."""
GOSSIP_SECONDS: Final = 90.0
"""From when gossip has something to find out."""
REPAIR_SECONDS: Final = 15.0
"""A donor that says nothing is left after 10 s; all others answer at once."""
TICKS_SECONDS: Final = 30.0
"""Within so long a map that is ready looks for what it can forget."""
BOUNDARY_SECONDS: Final = 150.0
BOUNDARY_MS: Final = 10_000
"""So near to the bound of what is too far ahead, clocks that differ a little decide differently."""


def heal(world: World) -> None:
    """Ends all faults."""
    world.healing = True
    world.trace("CHECKER", "heals")
    for hostile in world.hostile:
        hostile.leave()
    if world.relay is None:
        world.start_relay()
    for machine in world.machines:
        machine.weather.clear_up()
        machine.partition(False)
        machine.wake()
        if machine.closing:
            world.clock.callLater(2.5, machine.reopen)
        for uri, copy in machine.copies.items():
            if copy.closed and not machine.closing:
                machine.open(uri)
    for wire in list(world.net.wires):
        wire.heal()


def settle(world: World) -> None:
    """Waits until all channels are open, and then as long as the maps may take to be equal."""
    start = opened = world.now
    while world.failure is None and world.now - opened < EQUAL_SECONDS:
        world.run_until(world.now + 0.25)
        if not _all_open(world):
            opened = world.now
            if world.now - start > RECONNECT_SECONDS:
                states = [str(c.map.status) for m in world.machines for c in m.copies.values()]
                world.broken(f"not all channels are open {RECONNECT_SECONDS} s later: {states}")
    if world.excuses:
        _wait_for_gossip(world)
    jumped = max((machine.jumped_at for machine in world.machines), default=0.0)
    if world.failure is None and world.now < jumped + JUMP_SECONDS:
        world.run_until(jumped + JUMP_SECONDS)
    near = False
    until = world.now + BOUNDARY_SECONDS
    while world.failure is None and world.now < until and _near_boundary(world):
        near = True
        world.run_until(world.now + 1)
    if (
        near
    ):  # what some had to let go they fetch when it is due, and what they never heard of later
        _wait_for_gossip(world)
    # Last, since each of the above may end when a copy fetches what it had let go, or is repaired.
    until = world.now + REPAIR_SECONDS
    while world.failure is None and world.now < until and _talking(world):
        world.run_until(world.now + 0.25)
    world.trace("CHECKER", "looks")


def _talking(world: World) -> bool:
    """Whether a copy talks with a donor just now, or a donor has not heard the end of that."""
    copies = [copy for uri in world.uris for copy in world.copies(uri)]
    return any(copy.is_syncing or copy.serving for copy in copies)


def _wait_for_gossip(world: World) -> None:
    until = world.now + GOSSIP_SECONDS
    while world.failure is None and world.now < until and not _all_equal(world):
        world.run_until(world.now + 1)


def _all_equal(world: World) -> bool:
    return all(
        _kept(world, copy) == _kept(world, world.copies(uri)[0])
        for uri in world.uris
        for copy in world.copies(uri)
    )


def _kept(world: World, copy: Copy) -> dict[str, Entry]:
    """What must be in a copy: not the tombstones that it may have forgotten."""
    return {
        key: entry
        for key, entry in copy.replica.entries.items()
        if entry.value is not None or not world.is_old(entry.stamp)
    }


def _all_open(world: World) -> bool:
    return all(
        not machine.closing and machine.online and copy.map.status in ("syncing", "ready")
        for machine in world.machines
        for copy in machine.copies.values()
    )


def _near_boundary(world: World) -> bool:
    bound = (START_SECONDS + world.now) * 1000 + MAX_AHEAD_MS
    return any(
        abs(entry.stamp.ms - bound) < BOUNDARY_MS
        for uri in world.uris
        for copy in world.copies(uri)
        for _, entry in [*copy.replica.held, *copy.replica.entries.items()]
    )


def check(world: World) -> None:
    """The promises about maps, writes, statuses and what is kept."""
    for uri in world.uris:
        copies = world.copies(uri)
        for copy in copies:
            _check_status(world, copy, len(copies))
            _check_writes(world, copy)
            _check_kept(world, copy)
            copy.check_told()
        if copies:
            _check_equal(world, copies)
            _check_nothing_lost(world, copies)
    _check_relay(world)


def _check_status(world: World, copy: Copy, copies: int) -> None:
    if copy.map.status != "ready" or not copy.became_ready:
        world.broken(f"{copy} is not ready: {copy.map.status} {copy.map.status.reason}")
    if copy.map.peers != copies - 1:
        world.broken(f"{copy} counts {copy.map.peers} others, not {copies - 1}")
    if copy.map.connection.status != "open":
        world.broken(f"the connection of {copy} is {copy.map.connection.status}")


def _check_writes(world: World, copy: Copy) -> None:
    for write in copy.waiting.values():
        world.broken(f"the write of {write.key} at {write.at:.3f} by {copy} is not acknowledged")
    for write in copy.writes:
        entry = copy.replica.entries.get(write.key)
        if write.settled == "superseded":
            continue
        if entry is None and world.may_be_gone(copy.uri, write.key, write.stamp):
            continue
        deletes = world.tombstones[copy.uri].get(write.key, ())
        if world.deceived and any(delete >= write.stamp for delete in deletes):
            continue
        if entry is None or entry.stamp < write.stamp:
            world.broken(f"{copy} lost its own write {write.key} {write.stamp}: {entry}")


def _check_equal(world: World, copies: list[Copy]) -> None:
    first, *others = copies
    for copy in copies:
        copy.replica.digest()  # what is old is forgotten then
    entries = first.replica.entries
    total = sum(entry_hash(key, entry) for key, entry in entries.items()) % 2**52
    if first.replica.digest() != (len(entries), total):
        world.broken(f"the digest of {first} is not that of its entries")
    for other in others:
        if other.replica.entries == entries:
            if other.replica.digest() != first.replica.digest():
                world.broken(f"{first} and {other} are equal, and their digests differ")
        elif (theirs := _kept(world, other)) != (ours := _kept(world, first)):
            key = min(k for k in {*theirs, *ours} if theirs.get(k) != ours.get(k))
            values = f"{_short(ours.get(key))} and {_short(theirs.get(key))}"
            world.broken(f"{first} and {other} differ at {key}: {values}")
        if dict(other.map) != dict(first.map):
            world.broken(f"{first} and {other} read differently")
    _check_known(world, first)


def _short(entry: Entry | None) -> str:
    return "nothing" if entry is None else f"{entry.stamp} {(entry.value or b'deleted')[:30]!r}"


def _check_known(world: World, copy: Copy) -> None:
    """Nothing is in a map that nobody wrote."""
    ledger = world.ledger[copy.uri]
    for key, entry in copy.replica.entries.items():
        if entry.stamp.writer.startswith("hostile"):
            continue
        known = ledger.get((key, entry.stamp), set())
        if entry.value not in known and not (known and entry.value is None):  # buried
            world.broken(f"{copy} has {key} {_short(entry)}, and nobody wrote it")


def _check_nothing_lost(world: World, copies: list[Copy]) -> None:
    """What a peer ever had that lives still is there, or something later is."""
    if world.deceived:
        return
    for copy in copies:
        for key, had in copy.had.items():
            for other in copies:
                entry = other.replica.entries.get(key)
                if entry is None and world.may_be_gone(copy.uri, key, had.stamp):
                    continue
                if entry is not None and entry.value is had.value is None:
                    continue  # buried once more, by somebody who had forgotten that delete
                if entry is None or entry.stamp < had.stamp:
                    world.broken(f"{other} has {_short(entry)} at {key}: {copy} had {_short(had)}")
                    return


def _check_kept(world: World, copy: Copy) -> None:
    """What a client keeps beside its map is bounded by what goes on."""
    seat: Any = copy.map._seat
    kept = {
        "writes in the outbox": len(seat.peer.outbox),
        "newcomers served": copy.serving,
        "donors": int(copy.is_syncing),
        "Deferreds of writes": len(copy.map._writes),
    }
    for name, count in kept.items():
        if count:
            world.broken(f"{copy} keeps {count} {name}")
    writers = Counter(entry.stamp.writer for _, entry in copy.replica.held)
    if writers and max(writers.values()) > holding.MAX_HELD_PER_WRITER:
        world.broken(f"{copy} holds {writers} entries from the future")
    if writers.total() > holding.MAX_HELD:
        world.broken(f"{copy} holds {writers.total()} entries from the future")
    if copy.replica.may_forget and world.now - (copy.ready_at or world.now) > TICKS_SECONDS:
        for key, entry in copy.replica.entries.items():
            if entry.value is None and world.is_forgotten(entry.stamp):
                world.broken(f"{copy} still remembers that {key} was deleted: {entry.stamp}")
    bound = (START_SECONDS + world.now) * 1000 + MAX_AHEAD_MS
    for key, entry in copy.replica.held:
        if entry.stamp.ms < bound - BOUNDARY_MS:
            world.broken(f"{copy} still holds {key} {entry.stamp}, whose time has come")
    for key, entry in copy.replica.entries.items():
        if entry.stamp.ms > bound + BOUNDARY_MS:
            world.broken(f"{copy} has let in {key} {entry.stamp}, whose time has not come")


def _check_relay(world: World) -> None:
    """The relay keeps nothing but who is there."""
    assert world.relay is not None
    server = world.relay.server
    hub: Any = server.core.hub
    expected = {uri: len(world.copies(uri)) for uri in world.uris if world.machines}
    members = {name: len(channel.members) for name, channel in hub.channels.items()}
    if members != expected:
        world.broken(f"the relay has the members {members}, not {expected}")
    connections = sum(not machine.closing for machine in world.machines)
    if len(server.connections) != connections or len(server.core.links) != connections:
        world.broken(f"the relay has {len(server.connections)} connections, not {connections}")
    streams = sum(len(link.mux.streams) for link in server.core.links)
    if streams != sum(expected.values()):
        world.broken(f"the relay has {streams} streams, not {sum(expected.values())}")
    if len(server.core.switchboard._listeners) != sum(expected.values()):
        world.broken("the relay has other listeners than members")
    for channel in hub.channels.values():
        busy = [m.id for m in channel.members.values() if m.serving or m.donor or not m.ready]
        if channel.waiting or channel.pending or busy:
            world.broken(f"{channel.name}: {len(channel.waiting)} wait, {busy} are busy")
        if set(channel.ready) != set(channel.free):
            world.broken(f"{channel.name}: not all that are ready are free")
    for connection in server.connections:
        if connection._queue or connection.held_bytes:
            world.broken(f"{connection.name} still has a queue")
    if server.backlog.queued_bytes or server.backlog.unfinished_bytes:
        world.broken("the relay counts what nobody has")


def close(world: World) -> None:
    """Closes everything: nothing may be left."""
    for machine in world.machines:
        if world.random.random() < 0.5:
            for copy in machine.copies.values():
                copy.close()
        machine.close()
    world.run_until(world.now + 3)
    assert world.relay is not None
    server = world.relay.server
    clocks = [world.relay.clock, *(machine.clock for machine in world.machines)]
    for machine in world.machines:
        if not machine.has_closed:
            world.broken(f"{machine} did not close")
    core = server.core
    if core.hub.channels or core.links or core.switchboard._listeners or server.connections:
        world.broken("everybody has gone, and the relay still has something")
    world.stop_relay()
    world.run_until(world.now + 0.1)
    left = [call for call in world.timeline.waiting() if call.clock in clocks]
    if left:
        world.broken(f"everything is closed, and calls {left[0].call} later")
