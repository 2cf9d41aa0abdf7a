"""Many sets together, column by column: shorter than one by one, and made and checked together.

What a newcomer gets is nearly all of one kind: sets without extras, of texts that are canonical as
they stand. Such columns are checked as a whole. Where one of them has anything unusual each entry
is checked alone, as :func:`distmap.entries.check_entry` does it, and left out alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from distmap import values
from distmap.clock import Stamp
from distmap.entries import Entry, WireSet, check_entry, check_writer
from distmap.errors import RemoteProtocolError

ENTRY_BYTES: Final = 48
"""What is counted for each entry beside its key and its value. It is more than a stamp mostly
takes, and bounds how many small entries a chunk has.
"""

MAX_SETS: Final = 4096
"""In the columns of one message. A chunk has a third of that, but who sends may not keep to it."""

_Count = Annotated[int, Meta(ge=0, le=values.MAX_INTEGER)]

_Counts = Annotated[list[_Count], Meta(max_length=MAX_SETS)]
_Texts = Annotated[list[str], Meta(max_length=MAX_SETS)]
_QUOTE: Final = ord('"')
_texts = msgspec.json.Decoder(list[Raw])


class Columns(msgspec.Struct):
    """Sets without extras. All but `since_ms` and `names` have one item for each set.

    Attributes:
        keys: no key comes twice.
        values: an array of them.
        since_ms: from here the milliseconds are counted.
        ms: of the stamps, less `since_ms`.
        counters: of the stamps.
        names: of the writers.
        writers: of the stamps, as places in `names`.
    """

    keys: _Texts
    values: Raw
    since_ms: _Count
    ms: _Counts
    counters: _Counts
    names: _Texts
    writers: _Counts


def make_columns(keys: list[str], entries: Sequence[Entry]) -> Columns:
    """The columns of sets without extras, each of another key."""
    stamps = [entry.stamp for entry in entries]
    since_ms = min([stamp.ms for stamp in stamps], default=0)
    places: dict[str, int] = {}
    texts = b",".join([entry.value for entry in entries if entry.value is not None])
    return Columns(
        keys=keys,
        values=Raw(b"[%b]" % texts),
        since_ms=since_ms,
        ms=[stamp.ms - since_ms for stamp in stamps],
        counters=[stamp.counter for stamp in stamps],
        writers=[places.setdefault(stamp.writer, len(places)) for stamp in stamps],
        names=list(places),
    )


def read_columns(columns: Columns, max_value_bytes: int) -> tuple[dict[str, Entry], int]:
    """Checks columns.

    Returns:
        The entries by key, and how many are left out because no map can hold them.

    Raises:
        RemoteProtocolError: the columns do not belong together.
    """
    keys, stamps = columns.keys, _read_stamps(columns)
    try:
        texts = list(map(bytes, _texts.decode(columns.values)))
    except values.NOT_JSON as error:
        raise RemoteProtocolError(f"the values of columns are no array: {error}") from None
    if not len(keys) == len(texts) == len(stamps):
        raise RemoteProtocolError("columns of different lengths")
    entries = dict(zip(keys, map(Entry, stamps, texts), strict=True))
    if len(entries) < len(keys):
        raise RemoteProtocolError("a key comes twice in columns")
    for at in _doubtful(columns, texts, max_value_bytes):
        key, text, stamp = keys[at], texts[at], stamps[at]
        wire = WireSet(key, Raw(text), (stamp.ms, stamp.counter, stamp.writer))
        try:
            entries[key] = check_entry(wire, max_value_bytes)[1]
        except RemoteProtocolError:
            del entries[key]
    return entries, len(keys) - len(entries)


def _read_stamps(columns: Columns) -> list[Stamp]:
    since_ms, ms, counters = columns.since_ms, columns.ms, columns.counters
    if not len(ms) == len(counters) == len(columns.writers):
        raise RemoteProtocolError("columns of different lengths")
    if since_ms + max(ms, default=0) > values.MAX_INTEGER:
        raise RemoteProtocolError("a stamp is out of its bounds")
    names = [check_writer(name) for name in columns.names]
    try:
        writers = [names[place] for place in columns.writers]
    except IndexError:
        raise RemoteProtocolError("a writer without a name") from None
    return list(map(Stamp, [since_ms + each for each in ms], counters, writers))


def _doubtful(columns: Columns, texts: list[bytes], max_value_bytes: int) -> Iterable[int]:
    """Those to be checked alone; the others are keys of ASCII, and strings that are canonical as
    they stand: of ASCII and without an escape.
    """
    keys, column = columns.keys, bytes(columns.values)
    usual = (
        "".join(keys).isascii()
        and "" not in keys
        and max(map(len, keys), default=0) <= values.MAX_KEY_BYTES
        and max(map(len, texts), default=0) <= max_value_bytes
        and column.isascii()
        and b"\\" not in column
    )
    if not usual:
        return range(len(keys))
    return [at for at, text in enumerate(texts) if text[0] != _QUOTE]
