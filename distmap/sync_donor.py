"""The donor's side of a sync: it answers each request from its replica alone.

Nothing is kept between two requests, so a newcomer can leave at any time and go on with another
donor. See :mod:`distmap.sync` for the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import TypeAlias

from msgspec import Raw

from distmap import sync_wire as wire
from distmap.entries import Entry, decode_entry, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.lww import Replica, Update
from distmap.sync_wire import CHUNK_BYTES

Reply: TypeAlias = tuple[list[bytes], list[Update]]
"""Messages to send, and what changed in the replica."""


def merge_all(replica: Replica, texts: Iterable[Raw], *, trusted: bool = False) -> list[Update]:
    """Merges entries from another peer; one that no map can hold is left out, the rest is taken.

    `trusted` is that of :meth:`Replica.merge`.
    """
    updates = []
    for text in texts:
        try:
            key, entry = decode_entry(text, replica.max_value_bytes)
        except RemoteProtocolError:
            replica.refused += 1
            continue
        update = replica.merge(key, entry, trusted=trusted)
        if update is not None:
            updates.append(update)
    return updates


class Donor:
    """The side that has the state.

    Args:
        replica: what it gives from and takes into.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.greeted = False
        self._trusted = False
        self.done = False

    def receive(self, text: bytes | Raw) -> Reply:
        """Answers a message of the newcomer.

        Returns:
            The answers, and what the newcomer brought that was news here: the caller tells it to
            the other peers before it sends the answers.

        Raises:
            RemoteProtocolError, VersionMismatch: the conversation cannot go on.
        """
        request = wire.decode_request(text)
        if isinstance(request, wire.Hello):
            wire.check_version(request.version)
            self.greeted = True
            # It has forgotten at least the same tombstones: what it has was not deleted.
            self._trusted = request.floor_ms >= self._replica.floor_ms
            return [encode_hello(self._replica)], []
        if not self.greeted:
            raise RemoteProtocolError("a sync begins with hello")
        if isinstance(request, wire.Push):
            updates = merge_all(self._replica, request.entries, trusted=self._trusted)
            return [wire.encode(wire.Taken(request.id))], updates
        return [wire.encode(self._answer(request))], []

    def _answer(self, request: wire.AskSums | wire.AskEntries | wire.Done) -> wire.Answer:
        replica = self._replica
        if isinstance(request, wire.AskSums):
            parts = [replica.tree.children(prefix) for prefix in request.prefixes]
            return wire.Sums(request.id, [[n for pair in part for n in pair] for part in parts])
        if isinstance(request, wire.AskEntries):
            return self._entries(request)
        self.done = True
        held = sorted(replica.held, key=lambda item: item[1].stamp)
        return wire.Done(wire.raw_list(cut(iter(held))))

    def _entries(self, request: wire.AskEntries) -> wire.Entries:
        """A chunk; what it takes to gather it is bounded by the chunk and the hashes asked with."""
        prefixes = request.prefixes
        if any(b <= a or b.startswith(a) for a, b in pairwise(prefixes)):
            raise RemoteProtocolError("ranges out of order, or one within another")
        replica = self._replica
        unmet = dict.fromkeys(request.hashes)
        texts: list[bytes] = []
        size = 0
        last = ""
        after = None
        for path, key, entry_hash in chain.from_iterable(
            replica.tree.items(prefix, request.start) for prefix in prefixes
        ):
            # Keys of one position stay together, or the next chunk could begin where this one did.
            if size >= CHUNK_BYTES and path != last:
                after = path
                break
            last = path
            if entry_hash in unmet:
                del unmet[entry_hash]
            else:
                texts.append(encode_entry(key, replica.entries[key]))
                size += len(texts[-1])
        return wire.Entries(request.id, wire.raw_list(texts), after, list(unmet))


def encode_hello(replica: Replica, *, blank: bool = False) -> bytes:
    """The message that opens the conversation, from either side."""
    count, total = (0, 0) if blank else replica.digest()
    return wire.encode(wire.Hello(wire.VERSION, count, total, replica.floor_ms))


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
