"""A map of the JavaScript client, as the checker sees it: what Node.js tells of it, told again.

Its names are those of the Python map that :class:`tests.simulation.copies.Copy` watches, so both
have one checker. What is done in JavaScript is done here once more, call by call, so that each call
finds things as they were there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from distmap import errors, values
from distmap.changes import Change
from distmap.clock import Stamp
from distmap.entries import HASH_DIGITS, Entry
from distmap.lww import Update
from distmap.status import Status

Ask = Callable[..., None]
"""Has a command carried out, and tells what was done."""

ERRORS: Final = {kind.code: kind for kind in (errors.MapClosed, errors.Superseded)}


def _error(code: str) -> errors.DistMapError:
    kind = ERRORS.get(code)
    return kind(code) if kind is not None else errors.DistMapError(code)


def _entry(ms: int, counter: int, writer: str, value: str | None, extras: str | None) -> Entry:
    texts = [None if text is None else text.encode() for text in (value, extras)]
    return Entry(Stamp(ms, counter, writer), *texts)


class NodeReplica:
    """The entries; see :class:`distmap.lww.Replica`."""

    def __init__(self, ask: Ask, now_ms: Callable[[], int]) -> None:
        self.entries: dict[str, Entry] = {}
        self.held: list[tuple[str, Entry]] = []
        self.known_ms: int | None = None
        self.offset_ms = 0.0
        self.clock = SimpleNamespace(now_ms=lambda: max(0, int(now_ms() + self.offset_ms)))
        self.summary = (0, 0)
        self._ask = ask
        self.tell_again: Callable[[], list[Update]] = list
        """Tells what was done within the call that is told just now."""

    def digest(self) -> tuple[int, int]:
        """Of the entries over there; what is too old is forgotten there then."""
        self._ask("digest")
        return self.summary

    def _place(self, key: str, entry: Entry, old: Entry | None) -> Update:
        self.entries[key] = entry
        return Update(key, entry, old)

    def merge_many(self, items: Any) -> list[Update]:
        """It takes them one by one, and tells of each."""
        raise AssertionError

    def restamp(self, keys: list[str]) -> list[Update]:
        return self.tell_again()

    def rewrite(self, key: str, value: bytes | None, stamp: Stamp | None = None) -> Update:
        return self.tell_again()[-1]

    def forget(self, key: str) -> Update:
        entry = self.entries[key]
        self.tell_again()
        return Update(key, entry.replace(value=None), entry)

    def hold_again(self) -> list[tuple[str, Entry]]:
        ahead = dict(self.entries)
        self.tell_again()
        return [(key, entry) for key, entry in ahead.items() if key not in self.entries]


class NodeSeat:
    """The seat; see :class:`distmap.seat.Seat`. What it does is told before it is done."""

    def __init__(self) -> None:
        self.peer = SimpleNamespace(id="", outbox=())
        self._syncs = SimpleNamespace(_syncing=None, serving=())

    def begin_sync(self, donor: str) -> None:
        """It does."""

    def became_ready(self, how: str) -> None:
        """It did."""


class NodeMap(Mapping[str, Any]):
    """The map; see :class:`distmap.DistributedMap`.

    Args:
        ask: has a command about this map carried out.
        connection: that it is on.
        now_ms: the wall clock of its machine.
        broken: is told what cannot be.
    """

    def __init__(
        self, ask: Ask, connection: Any, now_ms: Callable[[], int], broken: Callable[[str], None]
    ) -> None:
        self.connection = connection
        self.status = Status("")
        self.peers = 0
        self._ask = ask
        self._broken = broken
        self._replica = NodeReplica(ask, now_ms)
        self._seat = NodeSeat()
        self._writes: Any = ()
        self._handlers: dict[str, Callable[..., object]] = {}
        self._ready: Deferred[NodeMap] = Deferred()
        self._waiting: dict[int, Deferred[Any]] = {}
        self._lasts = 0

    # -- the user's side --------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        value = self._replica.entries[key].value
        if value is None:
            raise KeyError(key)
        return values.decode(value)

    def __iter__(self) -> Iterator[str]:
        return (key for key, entry in self._replica.entries.items() if entry.value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __setitem__(self, key: str, value: Any) -> None:
        self._ask("set", None, key, value)

    def __delitem__(self, key: str) -> None:
        self._ask("delete", None, key)

    def set(self, key: str, value: Any) -> Deferred[Any]:
        return self._write("set", key, value)

    def delete(self, key: str) -> Deferred[Any]:
        return self._write("delete", key)

    def close(self) -> None:
        self._ask("close")

    def on(self, name: str, handler: Callable[..., object]) -> None:
        self._handlers[name] = handler

    def observe(self, handler: Callable[[Change], object]) -> None:
        self._handlers["change"] = handler

    def when_saved(self, count: int) -> None:
        """Tells the handler of ``saved`` that count when what is written up to now is kept."""
        self._ask("whenSaved", count)

    def ready(self) -> Deferred[NodeMap]:
        return self._ready

    def _write(self, what: str, *details: object) -> Deferred[Any]:
        self._lasts += 1
        deferred: Deferred[Any] = Deferred()
        self._waiting[self._lasts] = deferred
        self._ask(what, self._lasts, *details)
        return deferred

    # -- what Node.js tells -----------------------------------------------------------------------

    def told(self, what: str, *details: Any) -> Any:
        """Does again what was done there."""
        return getattr(self, f"_told_{what}")(*details)

    def _told_place(self, key: str, entry: list[Any]) -> Update:
        replica = self._replica
        return replica._place(key, _entry(*entry), replica.entries.get(key))

    def _told_remove(self, key: str) -> None:
        del self._replica.entries[key]

    def _within(self, inner: list[list[Any]]) -> None:
        def tell_again() -> list[Update]:
            done = [self.told(what, *details) for what, _, *details in inner]
            return [update for update in done if update is not None]

        self._replica.tell_again = tell_again

    def _told_restamp(self, inner: list[list[Any]], keys: list[str]) -> None:
        self._within(inner)
        self._replica.restamp(keys)

    def _told_rewrite(self, inner: list[list[Any]], key: str) -> None:
        self._within(inner)
        self._replica.rewrite(key, None)

    def _told_forget(self, inner: list[list[Any]], key: str) -> None:
        self._within(inner)
        self._replica.forget(key)

    def _told_adopt(self, inner: list[list[Any]], write: list[Any]) -> None:
        key, stamp, base = write
        stamps = [
            each and Stamp(each["ms"], each["counter"], each["writer"]) for each in (stamp, base)
        ]
        self._within(inner)
        self._call("adopt", self._replica.tell_again, key, *stamps)

    def _told_saved(self, count: int) -> None:
        self._call("saved", count)

    def _told_holdAgain(self, inner: list[list[Any]], ahead: list[Any]) -> None:  # noqa: N802
        self._within(inner)
        self._replica.hold_again()

    def _told_beginSync(self, donor: str) -> None:  # noqa: N802
        self._seat.begin_sync(donor)

    def _told_becameReady(self, how: str) -> None:  # noqa: N802
        self._seat.became_ready(how)

    def _told_state(
        self,
        peers: int,
        peer: str,
        outbox: list[str],
        writes: int,
        syncing: bool,
        serving: int,
        known_ms: int | None,
        offset_ms: float,
        held: list[list[Any]],
    ) -> None:
        self.peers = peers
        self._seat.peer = SimpleNamespace(id=peer, outbox=dict.fromkeys(outbox))
        self._seat._syncs = SimpleNamespace(
            _syncing=True if syncing else None, serving=range(serving)
        )
        self._writes = range(writes)
        self._replica.known_ms = known_ms
        self._replica.offset_ms = offset_ms
        self._replica.held = [(key, _entry(*entry)) for key, *entry in held]

    def _told_status(self, status: str, code: str) -> None:
        self.status = Status(status, _error(code) if code else None)
        self.status.code = code
        self._call("status", self.status)

    def _told_ready(self) -> None:
        self._call("ready", self)

    def _told_superseded(self, key: str, value: Any) -> None:
        self._call("superseded", value, key, self)

    def _told_change(self, key: str, value: Any, old_value: Any, deleted: bool) -> None:
        self._call("change", Change(key, value, old_value, deleted, False, "", 0))

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
        fail(_error(code)).chainDeferred(self._waiting.pop(write))

    def _told_digest(self, count: int, total: int, text: str, size: int, pairs: Any) -> None:
        self._replica.summary = count, total
        if text != f"{total:0{HASH_DIGITS}x}":
            self._broken(f"the digest is {text}, and the sum {total}")
        if size != len(pairs) or dict(pairs) != dict(self):
            self._broken("the map over there is not what it told of itself")
