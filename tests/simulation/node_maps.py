"""A map of the JavaScript client, as the checker sees it: what Node.js tells of it, told again.

Its names are those of the Python map that :class:`tests.simulation.copies.Copy` watches, so both
have one checker. What is done in JavaScript is done here once more, call by call, so that each call
finds things as they were there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from distmap import errors, values
from distmap.changes import Change
from distmap.clock import Stamp
from distmap.entries import HASH_DIGITS
from distmap.lww import Update
from distmap.status import Status
from tests.simulation.node_replicas import Ask, Do, NodeReplica, NodeSeat, Within, entry_of

ERRORS: Final = {kind.code: kind for kind in (errors.MapClosed, errors.Superseded)}


def _error(code: str) -> errors.DistMapError:
    kind = ERRORS.get(code)
    return kind(code) if kind is not None else errors.DistMapError(code)


class NodeBatch:
    """What is written together; see :meth:`distmap.DistributedMap.batch`."""

    def __init__(self) -> None:
        self.writes: list[tuple[Any, ...]] = []
        self.values: dict[str, Any] = {}
        self._taken: Deferred[None] = Deferred()

    def taken(self) -> Deferred[None]:
        """Fires when the relay has all of it."""
        return self._taken


class NodeMap(MutableMapping[str, Any]):
    """The map; see :class:`distmap.DistributedMap`.

    Args:
        ask: has a command about this map carried out.
        do: does again something that was done there.
        connection: that it is on.
        now_ms: the wall clock of its machine.
        broken: is told what cannot be.
    """

    def __init__(
        self,
        ask: Ask,
        do: Do,
        connection: Any,
        now_ms: Callable[[], int],
        broken: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self.status = Status("")
        self.peers = 0
        self._ask = ask
        self._broken = broken
        self._within = Within(do)
        self._replica = NodeReplica(ask, now_ms, self._within)
        self._seat = NodeSeat(self._within)
        self._writes: Any = ()
        self._handlers: dict[str, Callable[..., object]] = {}
        self._ready: Deferred[NodeMap] = Deferred()
        self._waiting: dict[int, Deferred[Any]] = {}
        self._last_write = 0
        self._batch: NodeBatch | None = None

    # -- the user's side --------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if self._batch is not None and key in self._batch.values:
            value = self._batch.values[key]
        else:
            text = self._replica.entries[key].value
            value = None if text is None else values.decode(text)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key, entry in self._replica.entries.items() if entry.value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __setitem__(self, key: str, value: Any) -> None:
        self._write("set", None, key, value)

    def __delitem__(self, key: str) -> None:
        self._write("delete", None, key)

    def set(self, key: str, value: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self._write("set", self._wait(deferred), key, value)
        return deferred

    def delete(self, key: str) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self._write("delete", self._wait(deferred), key)
        return deferred

    @contextmanager
    def batch(self) -> Iterator[NodeBatch]:
        """What is written within it is written together at its end."""
        self._batch = batch = NodeBatch()
        try:
            yield batch
        finally:
            self._batch = None
        self._ask("batch", self._wait(batch.taken()), batch.writes)

    def _write(self, what: str, number: int | None, key: str, *value: Any) -> None:
        if self._batch is not None:
            self._batch.writes.append((number, key, *value))
            self._batch.values[key] = value[0] if value else None
        else:
            self._ask(what, number, key, *value)

    def _wait(self, deferred: Deferred[Any]) -> int:
        self._last_write += 1
        self._waiting[self._last_write] = deferred
        return self._last_write

    def close(self) -> None:
        self._ask("close")

    def on(self, name: str, handler: Callable[..., object]) -> None:
        self._handlers[name] = handler

    def observe(self, handler: Callable[[Change], object]) -> None:
        self._handlers["change"] = handler

    def observe_batch(self, handler: Callable[[list[Change]], object]) -> None:
        self._handlers["changes"] = handler

    def when_saved(self, count: int) -> None:
        """Tells the handler of ``saved`` that count when what is written up to now is kept."""
        self._ask("whenSaved", count)

    def ready(self) -> Deferred[NodeMap]:
        return self._ready

    # -- what Node.js tells: of the replica and the peer -------------------------------------------

    def told(self, what: str, *details: Any) -> Any:
        """Does again what was done there."""
        return getattr(self, f"_told_{what}")(*details)

    def _told_place(self, key: str, entry: list[Any]) -> Update:
        replica = self._replica
        return replica._place(key, entry_of(*entry), replica.entries.get(key))

    def _told_remove(self, key: str) -> None:
        del self._replica.entries[key]

    def _told_restamp(self, inner: list[list[Any]], keys: list[str]) -> None:
        self._within.during(inner)
        self._replica.restamp(keys)

    def _told_rewrite(self, inner: list[list[Any]], key: str) -> None:
        self._within.during(inner)
        self._replica.rewrite(key, None)

    def _told_forget(self, inner: list[list[Any]], key: str) -> None:
        self._within.during(inner)
        self._replica.forget(key)

    def _told_hold(self, inner: list[list[Any]], key: str) -> None:
        self._within.during(inner)
        self._replica.hold(key)

    def _told_correct(self) -> None:
        self._seat.peer.time.correction.begin()

    def _told_adopt(self, inner: list[list[Any]], write: list[Any]) -> None:
        key, *stamps = write
        self._within.during(inner)
        self._call("adopt", self._within.do, key, *(each and Stamp(**each) for each in stamps))

    def _told_receive(self, inner: list[list[Any]], event: str) -> None:
        self._within.during(inner)
        self._seat.peer.receive(b'{"event":"%b"' % event.encode())

    def _told_sends(self, sent: list[Any], waiting: list[Any], unsent: list[str]) -> None:
        self._seat.peer.outbox.send(sent, waiting, unsent)

    def _told_beginSync(self, donor: str) -> None:  # noqa: N802
        self._seat.begin_sync(donor)

    def _told_becameReady(self, how: str) -> None:  # noqa: N802
        self._seat.became_ready(how)

    def _told_state(self, state: dict[str, Any]) -> None:
        replica, peer = self._replica, self._seat.peer
        self.peers = state["peers"]
        self._writes = range(state["writes"])
        peer.id = state["peer"]
        peer.outbox.wait(state["waiting"])
        peer.time.correction.is_on = state["correcting"]
        syncing = True if state["syncing"] else None
        self._seat._syncs = SimpleNamespace(_syncing=syncing, serving=range(state["serving"]))
        replica.known_ms, replica.may_forget = state["knownMs"], state["mayForget"]
        clock = replica.clock
        clock.offset_ms, clock.heard_ms, clock._ms, clock._counter = state["clock"]
        replica.held = [(key, entry_of(*entry)) for key, *entry in state["held"]]

    # -- of the map -------------------------------------------------------------------------------

    def _told_status(self, status: str, code: str) -> None:
        self.status = Status(status, _error(code) if code else None)
        self.status.code = code
        self._call("status", self.status)

    def _told_ready(self) -> None:
        self._call("ready", self)

    def _told_superseded(self, key: str, value: Any) -> None:
        self._call("superseded", value, key, self)

    def _told_changes(self) -> None:
        self._call("changes", [])

    def _told_change(self, key: str, value: Any, old_value: Any, deleted: bool) -> None:
        self._call("change", Change(key, value, old_value, deleted, False, "", 0))

    def _told_saved(self, count: int) -> None:
        self._call("saved", count)

    def _call(self, name: str, *args: object) -> None:
        handler = self._handlers.get(name)
        if handler is not None:
            handler(*args)

    def _told_firstReady(self) -> None:  # noqa: N802
        self._ready.callback(self)

    def _told_neverReady(self, code: str) -> None:  # noqa: N802
        fail(_error(code)).chainDeferred(self._ready)

    def _told_taken(self, write: int, result: Any) -> None:
        self._waiting.pop(write).callback(result)

    def _told_refused(self, write: int, code: str) -> None:
        deferred: Any = self._waiting.pop(write)
        if deferred.callbacks:  # who does not look at a promise does not mind
            deferred.errback(_error(code))

    def _told_digest(self, count: int, total: int, text: str, size: int, pairs: Any) -> None:
        self._replica.summary = count, total
        if text != f"{total:0{HASH_DIGITS}x}":
            self._broken(f"the digest is {text}, and the sum {total}")
        if size != len(pairs) or dict(pairs) != dict(self):
            self._broken("the map over there is not what it told of itself")
