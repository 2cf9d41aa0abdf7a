"""What another peer says is in a map, brought into a replica. Without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from msgspec import Raw

from distmap import sync_wire as wire
from distmap.columns import read_columns
from distmap.entries import Entry, decode_entries, decode_plain
from distmap.lww import Replica, Update


class Burials:
    """Tombstones for entries that another peer has and that were deleted long ago."""

    def __init__(self) -> None:
        self._entries: deque[tuple[str, Entry]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: str, entry: Entry) -> None:
        """Of the same stamp: it is forgotten wherever the delete is."""
        self._entries.append((key, Entry(entry.stamp, None)))

    def take(self) -> Iterator[tuple[str, Entry]]:
        """Hands them out."""
        while self._entries:
            yield self._entries.popleft()


def merge_all(
    replica: Replica,
    texts: Sequence[Raw],
    *,
    trusted: bool = False,
    doubtful: dict[str, Entry] | None = None,
    burials: Burials | None = None,
) -> list[Update]:
    """Merges entries from another peer; one that no map can hold is left out, the rest is taken.

    Args:
        replica: takes them.
        texts: the entries.
        trusted: that of :meth:`Replica.merge`.
        doubtful: that of :meth:`Replica.merge`.
        burials: takes what the floor forbids.
    """
    found = list(decode_entries(texts, replica.max_value_bytes))
    items = [item for item in found if item is not None]
    replica.refused += len(found) - len(items)
    together = dict(items)
    if len(together) < len(items):
        return _merge(replica, items, trusted=trusted, doubtful=doubtful, burials=burials)
    if trusted:
        return replica.merge_many(together)
    return merge_items(replica, together, doubtful=doubtful, burials=burials)


def merge_items(
    replica: Replica,
    items: dict[str, Entry],
    *,
    doubtful: dict[str, Entry] | None = None,
    burials: Burials | None = None,
) -> list[Update]:
    """Merges entries from another peer that is not trusted; the arguments are those of
    :func:`merge_all`.
    """
    if doubtful is None and len(items) > 1 and (updates := replica.merge_new(items)) is not None:
        return updates
    return _merge(replica, items.items(), trusted=False, doubtful=doubtful, burials=burials)


def gather_sets(texts: Iterable[bytes], max_value_bytes: int) -> Iterator[dict[str, Entry] | bytes]:
    """Texts of a channel in their order: those that are plain sets of different keys, and stand
    side by side, as one dict; all others as they are.
    """
    run: dict[str, Entry] = {}
    for text in texts:
        plain = decode_plain(text, max_value_bytes)
        if run and (plain is None or plain[0] in run):
            yield run
            run = {}
        if plain is None:
            yield text
        else:
            run[plain[0]] = plain[1]
    if run:
        yield run


def read_sets(replica: Replica, answer: wire.Entries) -> dict[str, Entry]:
    """The sets of a donor's answer, from its columns; nothing is merged yet.

    Raises:
        RemoteProtocolError: the columns do not belong together.
    """
    if not answer.columns:
        return {}
    sets, refused = read_columns(answer.columns, replica.max_value_bytes)
    replica.refused += refused
    return sets


def merge_answer(
    replica: Replica,
    sets: dict[str, Entry],
    texts: Sequence[Raw],
    *,
    trusted: bool,
    burials: Burials,
) -> list[Update]:
    """Merges what a donor answered: its sets, and the texts of its other entries. The other
    arguments are those of :func:`merge_all`.
    """
    merge = replica.merge_many if trusted else partial(merge_items, replica, burials=burials)
    return merge(sets) + merge_all(replica, texts, trusted=trusted, burials=burials)


def _merge(
    replica: Replica,
    items: Iterable[tuple[str, Entry]],
    *,
    trusted: bool,
    doubtful: dict[str, Entry] | None = None,
    burials: Burials | None,
) -> list[Update]:
    updates = []
    for key, entry in items:
        update = replica.merge(key, entry, trusted=trusted, doubtful=doubtful)
        if update is not None:
            updates.append(update)
        elif burials is not None and not trusted and replica.forbids(key, entry):
            burials.add(key, entry)
    return updates
