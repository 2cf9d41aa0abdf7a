"""What is below a map of the JavaScript client, as the checker sees it: see node_maps."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from distmap.clock import HybridClock, Stamp
from distmap.entries import Entry
from distmap.lww import Update

Ask = Callable[..., None]
"""Has a command carried out, and tells what was done."""
Do = Callable[..., Any]
"""Does again something that was done there."""


def entry_of(ms: int, counter: int, writer: str, value: str | None, extras: str | None) -> Entry:
    """An entry as it is told."""
    texts = [None if text is None else text.encode() for text in (value, extras)]
    return Entry(Stamp(ms, counter, writer), *texts)


class Within:
    """What was done within a call: it is done again when the same call is made here."""

    def __init__(self, do: Do) -> None:
        self._do = do
        self._inner: list[list[Any]] = []

    def during(self, inner: list[list[Any]]) -> None:
        """The next call is the one within which these were done."""
        self._inner = inner

    def do(self) -> list[Update]:
        """Does them again.

        Returns:
            What took its place.
        """
        inner, self._inner = self._inner, []
        return [done for what, *details in inner if (done := self._do(what, *details)) is not None]


class NodeReplica:
    """The entries; see :class:`distmap.lww.Replica`."""

    def __init__(self, ask: Ask, now_ms: Callable[[], int], within: Within) -> None:
        self.entries: dict[str, Entry] = {}
        self.held: list[tuple[str, Entry]] = []
        self.known_ms: int | None = None
        self.may_forget = False
        self.clock = HybridClock(now_ms, "")
        self.summary = (0, 0)
        self._ask = ask
        self._within = within

    def digest(self) -> tuple[int, int]:
        """Of the entries over there; what is too old is forgotten there then."""
        self._ask("digest")
        return self.summary

    def _place(self, key: str, entry: Entry, old: Entry | None) -> Update:
        self.entries[key] = entry
        return Update(key, entry, old)

    def _place_many(self, fresh: Any) -> list[Update]:
        """It takes them one by one, and tells of each."""
        raise AssertionError

    def restamp(self, keys: list[str]) -> list[Update]:
        return self._within.do()

    def rewrite(self, key: str, value: bytes | None, stamp: Stamp | None = None) -> Update:
        return self._within.do()[-1]

    def forget(self, key: str) -> Update:
        entry = self.entries[key]
        self._within.do()
        return Update(key, entry.replace(value=None), entry)

    def hold(self, key: str) -> None:
        self._within.do()


class Waiting(NamedTuple):
    """A write in the outbox, of which only the stamp is told."""

    stamp: Stamp


class NodeOutbox:
    """The outbox; see :class:`distmap.outbox.Outbox`."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._sent: list[Any] = []
        self.unsent: list[str] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: object) -> bool:
        return key in self._waiting

    def next_message(self) -> bytes | None:
        """It is told after it was sent."""
        return b"{}"

    def wait(self, waiting: list[list[Any]]) -> None:
        """These wait now."""
        self._waiting = {key: Waiting(Stamp(*stamp)) for key, *stamp in waiting}

    def send(self, sent: list[list[Any]], waiting: list[list[Any]], unsent: list[str]) -> None:
        """These leave."""
        entries = [(key, Waiting(Stamp(*stamp))) for key, *stamp in sent]
        self._sent = [SimpleNamespace(entries=entries)]
        self.unsent = unsent
        self.wait(waiting)
        self.next_message()


class NodeCorrection:
    """The correction of a wrong clock; see :class:`distmap.correction.Correction`."""

    def __init__(self) -> None:
        self.is_on = False

    def begin(self) -> None:
        """It does."""
        self.is_on = True


class NodePeer:
    """The peer; see :class:`distmap.peer.Peer`."""

    def __init__(self, within: Within) -> None:
        self.id = ""
        self.outbox = NodeOutbox()
        self.time = SimpleNamespace(correction=NodeCorrection())
        self._within = within

    def receive(self, payload: object) -> None:
        """Others sent something."""
        self._within.do()


class NodeSeat:
    """The seat; see :class:`distmap.seat.Seat`. What it does is told before it is done."""

    def __init__(self, within: Within) -> None:
        self.peer = NodePeer(within)
        self._syncs = SimpleNamespace(_syncing=None, serving=())

    def begin_sync(self, donor: str) -> None:
        """It does."""

    def became_ready(self, how: str) -> None:
        """It did."""
