"""The donor's side of a sync: it answers each request from its replica alone.

Nothing is kept between two requests, so a newcomer can leave at any time and go on with another
donor. See :mod:`distmap.sync` for the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Final, TypeAlias

from msgspec import Raw

from distmap import sync_wire as wire
from distmap.columns import ENTRY_BYTES, make_columns
from distmap.entries import Entry, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.lww import Replica, Update
from distmap.merging import Burials, merge_all
from distmap.ranges import Leaf, digits_of, in_order
from distmap.sync_wire import CHUNK_BYTES

FRESH_MS: Final = 5000
"""An entry younger than this may be on its way: that a side lacks it tells of no divergence. Nor
does a tombstone of which so little of the retention is left: one side may have forgotten it.
"""

Reply: TypeAlias = tuple[list[bytes], list[Update]]
"""Messages to send, and what changed in the replica."""


class Donor:
    """The side that has the state.

    Args:
        replica: what it gives from and takes into.
        reader: the newcomer may only read: nothing is taken of it, whatever it says.

    Attributes:
        done: the conversation is at its end.
        news: entries from the future that the newcomer brought at the end: for the others too.
    """

    def __init__(self, replica: Replica, *, reader: bool = False) -> None:
        self._replica = replica
        self._reader = reader
        self.greeted = False
        self.done = False
        self.news: list[bytes] = []
        self._hello: wire.Hello | None = None
        self._trusts_newcomer = False

    def receive(self, text: bytes | Raw) -> Reply:
        """Answers a message of the newcomer.

        Returns:
            The answers, and what the newcomer brought that was news here: the caller tells it to
            the other peers before it sends the answers.

        Raises:
            RemoteProtocolError, VersionMismatch: the conversation cannot go on.
        """
        self.news = []
        request = wire.decode_request(text)
        if isinstance(request, wire.Hello):
            wire.check_version(request.version)
            self._hello, self._trusts_newcomer = request, trusts(self._replica, request)
            return [encode_hello(self._replica)], []
        if self._hello is None:
            raise RemoteProtocolError("a sync begins with hello")
        if isinstance(request, wire.Push) and self._reader:
            return [wire.encode(wire.Taken(request.id))], []
        if isinstance(request, wire.Push):
            burials = Burials()
            # More may be forgotten meanwhile; and a floor that was taken over hides when that was.
            trusted = self._trusts_newcomer and trusts(self._replica, self._hello)
            updates = merge_all(self._replica, request.entries, trusted=trusted, burials=burials)
            buried = [encode_entry(key, entry) for key, entry in burials.take()]
            return [wire.encode(wire.Taken(request.id, wire.raw_list(buried)))], updates
        if isinstance(request, wire.Done):
            return self._finish(request, self._hello)
        return [wire.encode(self._answer(request))], []

    def _finish(self, request: wire.Done, hello: wire.Hello) -> Reply:
        self.done = True
        replica = self._replica
        if self._reader:
            return [wire.encode(wire.Done(wire.raw_list(held_texts(replica))))], []
        learn_from(replica, hello)
        held = held_texts(replica)
        updates, self.news = hold_all(replica, request.held)
        return [wire.encode(wire.Done(wire.raw_list(held)))], updates

    def _answer(self, request: wire.AskSums | wire.AskEntries) -> wire.Answer:
        replica = self._replica
        if isinstance(request, wire.AskSums):
            parts = [replica.tree.children(prefix) for prefix in request.prefixes]
            return wire.Sums(request.id, [[n for pair in part for n in pair] for part in parts])
        return self._entries(request)

    def _entries(self, request: wire.AskEntries) -> wire.Entries:
        """A chunk; what it takes to gather it is bounded by the chunk and the hashes asked with."""
        prefixes = request.prefixes
        if any(b <= a or b.startswith(a) for a, b in pairwise(prefixes)):
            raise RemoteProtocolError("ranges out of order, or one within another")
        tree = self._replica.tree
        chunk = _Chunk(self._replica, request)
        after = None
        for leaf in chain.from_iterable(tree.leaves(each, request.start) for each in prefixes):
            if not chunk.add_all(leaf):
                after = chunk.add_some(leaf)
                if after is not None:
                    break
        return chunk.answer(after)


class _Chunk:
    """What is gathered for an answer."""

    def __init__(self, replica: Replica, request: wire.AskEntries) -> None:
        self._entries = replica.entries
        self._request = request
        self._unmet = dict.fromkeys(request.hashes)
        self._texts: list[bytes] = []
        # What goes as columns.
        self._keys: list[str] = []
        self._sets: list[Entry] = []
        self._size = 0

    def add_all(self, leaf: Leaf) -> bool:
        """Takes some keys together, as columns; False, and nothing is taken, if they have to be
        looked at one by one.
        """
        if self._unmet or not self._request.columns:
            return False
        found = [self._entries[key] for key in leaf]
        texts = [entry.value for entry in found if entry.extras is None and entry.value is not None]
        if len(texts) < len(found):
            return False
        names = "".join(leaf)
        size = ENTRY_BYTES * len(texts) + len(names.encode()) + sum(map(len, texts))
        if self._size + size > CHUNK_BYTES or not names.isprintable():
            return False
        self._size += size
        self._keys += leaf
        self._sets += found
        return True

    def add_some(self, leaf: Leaf) -> str | None:
        """Takes keys one by one; returns the position of the first that has no room."""
        last = -1
        for place, key, entry_hash in in_order(leaf):
            # Keys of one position stay together, or the next chunk could begin where this one did.
            if self._size >= CHUNK_BYTES and place != last:
                return digits_of(place)
            last = place
            if entry_hash in self._unmet:
                del self._unmet[entry_hash]
            else:
                self._add(key, self._entries[key])
        return None

    def _add(self, key: str, entry: Entry) -> None:
        if self._request.columns and entry.value is not None and entry.extras is None:
            self._keys.append(key)
            self._sets.append(entry)
            self._size += ENTRY_BYTES + len(wire.encode(key)) + len(entry.value)
        else:
            self._texts.append(encode_entry(key, entry))
            self._size += len(self._texts[-1])

    def answer(self, after: str | None) -> wire.Entries:
        """The answer; `after` is where it goes on, if it does."""
        texts = wire.raw_list(self._texts)
        answer = wire.Entries(self._request.id, texts, after, list(self._unmet))
        if self._keys:
            answer.columns = make_columns(self._keys, self._sets)
        return answer


def encode_hello(replica: Replica, *, blank: bool = False) -> bytes:
    """The message that opens the conversation, from either side."""
    count, total = (0, 0) if blank else replica.digest()
    floor_ms, known_ms, gaps = replica.floor_ms, replica.known_ms, replica.gaps
    return wire.encode(wire.Hello(wire.VERSION, count, total, floor_ms, known_ms, gaps))


def trusts(replica: Replica, hello: wire.Hello | None) -> bool:
    """Whether a replica trusts the side that greeted: see :meth:`Replica.trusts`."""
    return hello is not None and replica.trusts(hello.known_ms, hello.gaps)


def tells(entry: Entry, fresh_ms: int, retention_ms: int) -> bool:
    """Whether copies have diverged if one side lacks an entry: it is neither on its way, from
    `fresh_ms` on, nor a tombstone that one may have forgotten before the other; see
    :data:`FRESH_MS`.
    """
    old_ms = fresh_ms + 2 * FRESH_MS - retention_ms if entry.value is None else 0
    return old_ms <= entry.stamp.ms < fresh_ms


def count_repaired(fresh_ms: int, retention_ms: int, entries: Iterable[Entry]) -> int:
    """How many of some entries that a side lacked tell that copies had diverged."""
    return sum(tells(entry, fresh_ms, retention_ms) for entry in entries)


def learn_from(replica: Replica, hello: wire.Hello) -> None:
    """At the end of a sync: takes over the floor, and what the other side knows."""
    replica.adopt_floor(hello.floor_ms)
    replica.learn(hello.known_ms, hello.gaps)


def held_texts(replica: Replica) -> list[bytes]:
    """The entries that a replica holds back, those that are due first, up to a chunk."""
    return cut(iter(sorted(replica.held, key=lambda item: item[1].stamp)))


def hold_all(replica: Replica, texts: list[Raw]) -> tuple[list[Update], list[bytes]]:
    """Takes entries that the other side holds back.

    Returns:
        What changed here, where their time has come; and the entries that are held here from now.
    """
    before = set(replica.held)
    updates = merge_all(replica, texts)
    news = [encode_entry(key, entry) for key, entry in replica.held if (key, entry) not in before]
    return updates, news


def cut(items: Iterator[tuple[str, Entry]]) -> list[bytes]:
    """Takes as many entries as fill a chunk, and encodes them."""
    texts: list[bytes] = []
    size = 0
    for key, entry in items:
        texts.append(encode_entry(key, entry))
        size += len(texts[-1])
        if size >= CHUNK_BYTES:
            break
    return texts
