"""One entry of a map: a value or a tombstone, its stamp, and how it looks on the wire.

On the wire an entry is an object: ``{"event":"set","key":…,"value":…,"stamp":[ms,counter,writer]}``
or ``{"event":"delete","key":…,"stamp":…}``. Fields that this version does not know are its extras:
kept, hashed and passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from sys import intern
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from distmap import values
from distmap.clock import Record, Stamp
from distmap.errors import InvalidKey, InvalidType, InvalidValue, RemoteProtocolError

HASH_BITS: Final = 52
"""Hashes and their sums fit the integers of JavaScript, also while two are added."""
HASH_DIGITS: Final = HASH_BITS // 4
MAX_EXTRAS_BYTES: Final = 4096

_encode = msgspec.json.Encoder().encode
_is_writer = re.compile(r"[A-Za-z0-9_-]{1,32}").fullmatch


@lru_cache(4096)
def check_writer(name: str) -> str:
    """A writer's name, one object for all its entries.

    Raises:
        RemoteProtocolError: no writer has such a name.
    """
    if not _is_writer(name):
        raise RemoteProtocolError("a writer is 1 to 32 of A-Z a-z 0-9 _ -")
    return intern(name)


INVALID: Final = (InvalidKey, InvalidType, InvalidValue)


class Entry(Record, frozen=True, gc=False):
    """A value or a tombstone, and its stamp.

    Attributes:
        stamp: when and by whom it was written.
        value: canonical JSON text; None in a tombstone.
        extras: canonical JSON text of an object with the fields that this version does not know.
    """

    stamp: Stamp
    value: bytes | None
    extras: bytes | None = None


def hash52(text: bytes) -> int:
    """The first 52 bits of SHA-256."""
    return int(sha256(text).hexdigest()[:HASH_DIGITS], 16)


def position(key: str) -> int:
    """Where a key stands among all possible hashes of keys."""
    return hash52(key.encode())


def _content(key: str, entry: Entry) -> bytes:
    stamp, value, extras = entry.stamp, entry.value, entry.extras
    ms, counter, writer = stamp.ms, stamp.counter, stamp.writer
    parts = b"%b,[%d,%d,%b]" % (_encode(key), ms, counter, _encode(writer))
    more = b"" if extras is None else b"," + extras
    if value is None:
        return b'["delete",%b%b]' % (parts, more)
    return b'["set",%b,%b%b]' % (parts, value, more)


def entry_hash(key: str, entry: Entry) -> int:
    """The hash of a whole entry; equal in all replicas and both languages.

    It is of the text ``["set",key,[ms,counter,writer],value]`` or ``["delete",key,[…]]``, followed
    by the extras if there are any.
    """
    return hash52(_content(key, entry))


def wins(key: str, new: Entry, old: Entry | None) -> bool:
    """Whether `new` replaces `old`: the later stamp; at the same stamp a tombstone, or else the
    greater hash.
    """
    if old is None:
        return True
    if new.stamp != old.stamp:
        return new.stamp > old.stamp
    if new == old:
        return False
    if (new.value is None) != (old.value is None):
        return new.value is None
    first, second = _content(key, new), _content(key, old)
    return (hash52(first), first) > (hash52(second), second)


def is_burial(entry: Entry | None, of: Entry) -> bool:
    """Whether an entry is the tombstone that others have put in the place of a value because it may
    have been deleted long ago.
    """
    if entry is None or entry.value is not None or of.value is None:
        return False
    return entry.stamp == of.stamp


# -- the wire -------------------------------------------------------------------------------------

_Count = Annotated[int, Meta(ge=0, le=values.MAX_INTEGER)]
_WireStamp = tuple[_Count, _Count, Annotated[str, Meta(min_length=1, max_length=32)]]


class WireSet(msgspec.Struct, tag_field="event", tag="set", forbid_unknown_fields=True):
    """A set, as it stands on the wire."""

    key: str
    value: Raw
    stamp: _WireStamp


class WireDelete(msgspec.Struct, tag_field="event", tag="delete", forbid_unknown_fields=True):
    """A delete, as it stands on the wire."""

    key: str
    stamp: _WireStamp


class _Set(msgspec.Struct, tag_field="event", tag="set", gc=False):
    """A set, as it is written; without the checks of what is read."""

    key: str
    value: Raw
    stamp: Stamp


class _Delete(msgspec.Struct, tag_field="event", tag="delete", gc=False):
    """A delete, as it is written."""

    key: str
    stamp: Stamp


# What nearly all entries look like: written by this module, of printable ASCII, a string or a small
# integer. Such a value is canonical as it stands.
PLAIN_VALUE: Final = rb'(?:"[ !#-\[\]-~]*"|0|-?[1-9][0-9]{0,14}|true|false|null)'
_match_plain_value = re.compile(PLAIN_VALUE).fullmatch
_match_plain = re.compile(
    rb'\{"event":"set","key":"([ !#-\[\]-~]{1,1024})","value":(' + PLAIN_VALUE + rb"),"
    rb'"stamp":\[(0|[1-9][0-9]{0,14}),(0|[1-9][0-9]{0,14}),"([A-Za-z0-9_-]{1,32})"\]\}'
).fullmatch

_known = msgspec.json.Decoder(WireSet | WireDelete)
_known_list = msgspec.json.Decoder(list[WireSet | WireDelete])
_fields = msgspec.json.Decoder(dict[str, Raw])
_name = msgspec.json.Decoder(str)
_stamp = msgspec.json.Decoder(_WireStamp)
_NAMES = frozenset({"event", "key", "value", "stamp"})


def encode_entry(key: str, entry: Entry) -> bytes:
    """The JSON text of an entry on the wire."""
    value, extras = entry.value, entry.extras
    if value is None:
        text = _encode(_Delete(key, entry.stamp))
    else:
        text = _encode(_Set(key, Raw(value), entry.stamp))
    return text if extras is None else b"%b,%b" % (text[:-1], extras[1:])


def check_entry(wire: WireSet | WireDelete, max_value_bytes: int) -> tuple[str, Entry]:
    """The key and entry of what was decoded.

    Raises:
        RemoteProtocolError: no map can hold them.
    """
    try:
        key = values.check_key(wire.key)
        if type(wire) is not WireSet:
            value = None
        elif len(wire.value) <= max_value_bytes and _match_plain_value(wire.value):
            value = bytes(wire.value)
        else:
            value = values.canonical(wire.value, max_value_bytes)
    except INVALID as error:
        raise RemoteProtocolError(str(error)) from None
    ms, counter, writer = wire.stamp
    return key, Entry(Stamp(ms, counter, check_writer(writer)), value)


def decode_entries(
    texts: Sequence[bytes | Raw], max_value_bytes: int = values.MAX_VALUE_BYTES
) -> Iterator[tuple[str, Entry] | None]:
    """Decodes and checks many entries together, which takes less time than one by one.

    Returns:
        What :func:`decode_entry` would for each, and None instead of an error.
    """
    try:
        wires = _known_list.decode(b"[%b]" % b",".join(texts))
    except values.NOT_JSON:  # one of them is malformed, or has extras
        wires = []
    if len(wires) == len(texts):
        decode: Callable[[Any, int], tuple[str, Entry]] = check_entry
        found: Sequence[Any] = wires
    else:
        decode, found = decode_entry, texts
    for each in found:
        try:
            yield decode(each, max_value_bytes)
        except RemoteProtocolError:
            yield None


def decode_plain(text: bytes | Raw, max_value_bytes: int) -> tuple[str, Entry] | None:
    """Decodes a set as this module writes most of them; None if it is anything else."""
    plain = _match_plain(text)
    if plain is None:
        return None
    key, value, ms, counter, writer = plain.groups()
    if len(value) > max_value_bytes:
        return None
    return key.decode(), Entry(Stamp(int(ms), int(counter), check_writer(writer.decode())), value)


def decode_entry(
    text: bytes | Raw, max_value_bytes: int = values.MAX_VALUE_BYTES
) -> tuple[str, Entry]:
    """Decodes and checks an entry.

    Raises:
        RemoteProtocolError: it is malformed, or no map can hold it.
    """
    plain = decode_plain(text, max_value_bytes)
    if plain is not None:
        return plain
    try:
        return check_entry(_known.decode(text), max_value_bytes)
    except values.NOT_JSON:
        return _decode_with_extras(text, max_value_bytes)


def _decode_with_extras(text: bytes | Raw, max_value_bytes: int) -> tuple[str, Entry]:
    try:
        fields = _fields.decode(text)
        extras = {name: raw for name, raw in fields.items() if name not in _NAMES}
        event, key = _name.decode(fields["event"]), _name.decode(fields["key"])
        # For ECMAScript 1e3 is an integer too; its canonical text is one for msgspec as well.
        stamp = _stamp.decode(values.canonical(fields["stamp"], MAX_EXTRAS_BYTES))
        if event == "set":
            wire: WireSet | WireDelete = WireSet(key, fields["value"], stamp)
        elif event == "delete" and "value" not in fields:
            wire = WireDelete(key, stamp)
        else:
            raise RemoteProtocolError("an entry is a set with a value or a delete without")
        key, entry = check_entry(wire, max_value_bytes)
        if not extras:
            return key, entry
        more = values.canonical(msgspec.json.encode(extras), MAX_EXTRAS_BYTES)
    except KeyError as error:
        raise RemoteProtocolError(f"an entry without {error.args[0]}") from None
    except (*values.NOT_JSON, *INVALID) as error:
        raise RemoteProtocolError(f"a malformed entry: {error}") from None
    return key, entry.replace(extras=more)
