"""The map that peers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from distmap import values
from distmap.batches import Batch, Writer
from distmap.changes import Change
from distmap.clock import HybridClock, Stamp, writer_name
from distmap.connection import Connection
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.entries import Entry
from distmap.errors import AccessRefused, DistMapError, MapClosed, Superseded
from distmap.events import Handler
from distmap.lww import Replica, Update
from distmap.observers import Observers
from distmap.options import DEFAULT_URI, check_options
from distmap.seat import Seat
from distmap.status import CLOSED, CONNECTING, READY, Status
from distmap.writes import Writes


class DistributedMap(MutableMapping[str, Any]):
    """A map that all peers of one URI share.

    Each peer holds a full copy. Reading is local; a write is here at once and goes to the others.
    Of two writes of one key the later one stays, in all copies; docs/semantics.md tells what that
    means and what it does not. Values are JSON; each reading gives a new object.

    Events (:meth:`on`): ``set`` (value, key, map), a peer set a key; ``delete`` (old value, key,
    map), a peer deleted one; ``ready`` (map), once; ``status`` (status); ``peers`` (number);
    ``superseded`` (value, key, map), a write of this peer of long ago was not kept, because others
    had changed the key (the value is None for a delete). What comes before ``ready`` is not told
    one by one: it is in the map that ``ready`` hands over.

    Args:
        connection: from :func:`distmap.connect`.
        uri: names the map; not empty, 900 bytes at most.
        max_value_bytes: the longest JSON text of a value; the same for all peers of a map.

    Attributes:
        uri: as given.
        connection: as given.

    Raises:
        InvalidValue: the URI is empty or too long, or max_value_bytes out of its bounds.
        ConnectionClosed: the connection is closed.
    """

    def __init__(
        self,
        connection: Connection,
        uri: str = DEFAULT_URI,
        *,
        max_value_bytes: int = values.MAX_VALUE_BYTES,
    ) -> None:
        check_options(uri, max_value_bytes)
        self.uri = uri
        self.connection = connection
        self._events = Observers()
        self._ready = Waiters()
        self._synced: str | None = None
        self._status = Status(CONNECTING)
        self._writes = Writes()
        writer = writer_name(connection.random)
        clock = HybridClock(lambda: connection.reactor.seconds() * 1000, writer)
        self._replica = Replica(clock, max_value_bytes, connection.retention_ms)
        self._writer = Writer(self._replica, self._writes, self._wrote, self._check_writable)
        self._seat = Seat(connection, uri, self._replica, self)
        connection.attach(self._seat)

    # -- reading ----------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        text = self._writer.text(key)
        if text is None:
            raise KeyError(key)
        return values.decode(text)

    def __contains__(self, key: object) -> bool:
        return self._writer.text(key) is not None  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._writer)

    def __iter__(self) -> Iterator[str]:
        return self._writer.keys()

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return key in self

    def stamp(self, key: str) -> Stamp | None:
        """When a key was set, and by whom; None if it has no value."""
        entry = self._replica.entries.get(key)
        return None if entry is None or entry.value is None else entry.stamp

    def now_ms(self) -> int:
        """The relay's time as estimated here, which stamps are told in: milliseconds since 1970."""
        return self._replica.clock.now_ms()

    def digest(self) -> str:
        """13 hexadecimal digits that are the same in all equal copies; deletes count too."""
        return f"{self._replica.digest()[1]:013x}"

    def __repr__(self) -> str:
        return f"<DistributedMap {self.uri} {self._status}, {len(self)} keys>"

    # -- writing ----------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        self._writer.set(key, value)

    def __delitem__(self, key: str) -> None:
        if not self._writer.delete(key):
            raise KeyError(key)

    def set(self, key: str, value: Any) -> Awaitable[None]:
        """Sets a value: here at once, then everywhere.

        Fires with None once the relay has taken it for the network, also after a reconnect.
        Errbacks with MapClosed if the map is closed before that, with AccessRefused if the relay
        says that this peer may only read: the write is taken back. Raises both once that is so.

        Raises:
            InvalidKey, InvalidValue, InvalidType: no map can hold it (see :mod:`distmap.values`).
        """
        deferred: Awaitable[None] = Awaitable()
        self._writer.set(key, value, deferred)
        return deferred

    def delete(self, key: str) -> Awaitable[bool]:
        """Deletes a key: here at once, then everywhere.

        Fires with True once the relay has taken it for the network, at once with False if there
        is no such key. Errbacks and raises as :meth:`set` does.
        """
        deferred: Awaitable[bool] = Awaitable()
        return deferred if self._writer.delete(key, deferred) else fired(False)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Sets many keys as one :meth:`batch`: of a mapping, of pairs, of keywords, as a dict does.

        Raises:
            InvalidValue: it is too much for a batch (786432 bytes); else as :meth:`set`. Nothing
                is written then.
        """
        with self.batch():
            super().update(other, **more)

    def batch(self) -> Batch:
        """The block of a `with`, whose writes go together: in one message to the others, in one
        step into each copy. They are written at its end; reading within it sees them. If it raises,
        nothing of it is written. A batch within a batch becomes a part of it. Do not wait in it.

        Raises:
            MapClosed: the map is closed.
        """
        self._check_writable()
        return Batch(self._writer)

    def _wrote(self, updates: list[Update]) -> None:
        for update in updates:
            self._seat.wrote(update)
        self._events.tell_own(updates)

    def _check_writable(self) -> None:
        self._check_open()
        self._seat.check_writable()

    def _check_open(self) -> None:
        if self._status == CLOSED:
            raise MapClosed(f"the map {self.uri} is closed")

    # -- events and status ------------------------------------------------------------------------

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Adds a handler of an event; a ``ready`` handler of a ready map is called at once.

        Returns:
            What takes it back.
        """
        if name == "ready" and self._synced is not None:
            self._events.call(name, handler, self)
        return self._events.on(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Takes a handler back."""
        self._events.off(name, handler)

    def observe(self, handler: Callable[[Change], Any]) -> Callable[[], None]:
        """Adds a handler of all changes, also this peer's own.

        Returns:
            What takes it back.
        """
        return self._events.on("change", handler)

    def observe_batch(self, handler: Callable[[list[Change]], Any]) -> Callable[[], None]:
        """Adds a handler of all changes as lists: of what one message, or several of one set each
        that came at once, or one batch of this peer, has changed. A single write of this peer is a
        list of one.

        Returns:
            What takes it back.
        """
        return self._events.on("changes", handler)

    def ready(self) -> Awaitable[DistributedMap]:
        """Fires with the map once it has the network's state, at once if it has it.

        Errbacks with MapClosed if the map is closed before that.
        """
        if self._synced is not None:
            return fired(self)
        self._check_open()
        return self._ready.wait()

    @property
    def peers(self) -> int:
        """How many others have this map open now."""
        return self._seat.peer.peers

    @property
    def synced(self) -> str | None:
        """What made it ready: ``peer`` (synced with one), ``alone`` (nobody had it), or None."""
        return self._synced

    @property
    def access(self) -> str | None:
        """``read`` or ``write``, as the relay said last; None before it has said it."""
        return self._seat.peer.reading.access

    @property
    def status(self) -> Status:
        """``connecting``, ``syncing``, ``ready``, ``offline`` or ``closed``; it has a `reason` in
        words and a short `code`.
        """
        return self._status

    @property
    def divergences(self) -> int:
        """How often this copy was found to differ from another one; it is repaired by itself."""
        return self._seat.divergences

    @property
    def refused(self) -> int:
        """How many entries of other peers could not be taken, because no map can hold them."""
        return self._replica.refused

    def close(self) -> Awaitable[None]:
        """Leaves the map; the connection stays. Fires when it is left; may be called again."""
        self._seat.close()
        return fired(None)

    # -- what the seat tells ----------------------------------------------------------------------

    def updated(self, updates: list[Update]) -> None:
        if self._synced is not None:
            self._events.tell_others(updates, self)

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        self._writes.taken(writes)

    def restamped(self, updates: list[Update]) -> None:
        self._writes.restamped(updates)

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        for key, entry in writes:
            self._writes.fail(Superseded(f"others have changed {key!r} since"), key)
            value = None if entry.value is None else values.decode(entry.value)
            self._events.emit("superseded", value, key, self)

    def refused_writes(self, error: AccessRefused, keys: list[str], updates: list[Update]) -> None:
        for key in keys:
            self._writes.fail(error, key)
        self._events.tell_others(updates, self)

    def became_ready(self, how: str) -> None:
        self.status_changed(READY)
        if self._synced is None:
            self._synced = how
            self._ready.fire(self)
            self._events.emit("ready", self)

    def peers_changed(self, peers: int) -> None:
        self._events.emit("peers", peers)

    def status_changed(self, status: str, problem: DistMapError | None = None) -> None:
        before, self._status = self._status, Status(status, problem)
        if status != before:
            self._events.emit("status", self._status)

    def left(self) -> None:
        self.status_changed(CLOSED)
        for waiters in (self._ready.fire, self._writes.fail):
            waiters(MapClosed(f"the map {self.uri} was closed"))
