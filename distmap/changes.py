"""What observers of a map are told."""

from __future__ import annotations

from typing import Any, NamedTuple

from distmap import values
from distmap.entries import Entry
from distmap.lww import Update


class Change(NamedTuple):
    """One change of a map, as :meth:`DistributedMap.observe` tells it.

    Attributes:
        key: of the entry.
        value: what is there now; None if it was deleted.
        old_value: what was there before; None if nothing was.
        deleted: whether this is a delete.
        local: whether this peer wrote it.
        writer: the id of the replica that wrote.
        time_ms: when it wrote, by the relay's time: milliseconds since 1970.
    """

    key: str
    value: Any
    old_value: Any
    deleted: bool
    local: bool
    writer: str
    time_ms: int


def value_of(entry: Entry | None) -> tuple[Any] | None:
    """The value of an entry in a tuple; None if it has none."""
    return None if entry is None or entry.value is None else (values.decode(entry.value),)


def change_of(update: Update, *, local: bool) -> Change:
    """What an update means for an observer."""
    key, entry, old = update.key, update.entry, update.old
    before, after = value_of(old), value_of(entry)
    return Change(
        key=key,
        value=after[0] if after else None,
        old_value=before[0] if before else None,
        deleted=after is None,
        local=local,
        writer=entry.stamp.writer,
        time_ms=entry.stamp.ms,
    )
