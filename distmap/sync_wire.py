"""The messages by which two replicas are made equal; docs/protocol.md is the normative text.

The newcomer asks, the donor answers. Requests carry an id, and each answer the id of its request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from distmap.columns import Columns
from distmap.entries import HASH_DIGITS
from distmap.errors import RemoteProtocolError, VersionMismatch
from distmap.knowledge import MAX_GAPS
from distmap.ranges import FAN_OUT
from distmap.values import MAX_INTEGER, NOT_JSON

VERSION: Final = (1, 1)
"""Major and minor: another major is refused, another minor is taken."""
MAX_PREFIXES: Final = 128
"""So many ranges are divided or compared with one request; their sums are 40 KB."""
MAX_HASHES: Final = 8192
CHUNK_BYTES: Final = 64 * 1024
"""A message of entries ends with the entry that brings it over this size."""

_Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
# "$" would let a newline pass at the end.
_Prefix = Annotated[str, Meta(max_length=HASH_DIGITS, pattern=r"^[0-9a-f]*\Z")]
_Divisible = Annotated[str, Meta(max_length=HASH_DIGITS - 1, pattern=r"^[0-9a-f]*\Z")]
_Hashes = Annotated[list[_Count], Meta(max_length=MAX_HASHES)]
_Version = tuple[_Count, _Count]


class _Message(msgspec.Struct, tag_field="event"):
    pass


class Hello(_Message, tag="hello", omit_defaults=True):
    """Opens the conversation, from both sides: the version and the digest of the whole replica.

    Below `floor_ms` this side may have collected tombstones. `known_ms` is told by a side that does
    not know of all deletes so far: it knows of all until then. `gaps` are the times before that,
    from and until, in which deletes may have become known that it does not know of. A field that a
    version does not know is ignored; `cursor` (how far this side had heard the other) has its place
    here.
    """

    version: _Version
    count: _Count
    sum: _Count
    floor_ms: _Count = 0
    known_ms: _Count | None = None
    gaps: Annotated[list[tuple[_Count, _Count]], Meta(max_length=MAX_GAPS)] = []


class _Greeting(msgspec.Struct):
    event: str
    version: _Version


class AskSums(_Message, tag="ask-sums"):
    """Asks for the 16 summaries of each of some ranges."""

    id: _Count
    prefixes: Annotated[list[_Divisible], Meta(max_length=MAX_PREFIXES)]


class Sums(_Message, tag="sums"):
    """Answers with count, sum, count, sum … of the 16 parts of each range asked for."""

    id: _Count
    sums: Annotated[
        list[Annotated[list[_Count], Meta(min_length=2 * FAN_OUT, max_length=2 * FAN_OUT)]],
        Meta(max_length=MAX_PREFIXES),
    ]


class AskEntries(_Message, tag="ask-entries"):
    """Asks for the entries of some ranges, from a position on, other than those of these hashes.

    The ranges are in ascending order and have nothing in common. The hashes are of the entries
    that the newcomer has there. It takes `columns` in the answer, if it says so.
    """

    id: _Count
    prefixes: Annotated[list[_Prefix], Meta(max_length=MAX_PREFIXES)]
    start: _Prefix = ""
    hashes: _Hashes = []
    columns: bool = False


class Entries(_Message, tag="entries"):
    """Answers AskEntries with one chunk.

    `next` is the position where it goes on, or None at the end. `missing` are those hashes of the
    question that the donor did not meet up to there; what it has behind `next` is among them.
    `columns` are more entries, for a newcomer that takes them.
    """

    id: _Count
    entries: list[Raw]
    next: _Prefix | None = None
    missing: _Hashes = []
    columns: Columns | UnsetType | None = UNSET

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self.entries) + (len(self.columns.keys) if self.columns else 0)


class Push(_Message, tag="push"):
    """Hands entries to the donor."""

    id: _Count
    entries: list[Raw]


class Taken(_Message, tag="taken"):
    """Answers Push: the entries are merged, and news among them are told to the others.

    `buried` are tombstones for those that were deleted so long ago that the deletes are forgotten.
    """

    id: _Count
    buried: list[Raw] = []


class Done(_Message, tag="done"):
    """Ends the conversation, from the newcomer; the donor answers. Both tell the entries that they
    hold back until their time, those that are due first, up to a chunk.
    """

    held: list[Raw] = []


Request: TypeAlias = Hello | AskSums | AskEntries | Push | Done
Answer: TypeAlias = Hello | Sums | Entries | Taken | Done

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_greetings: msgspec.json.Decoder[_Greeting] = msgspec.json.Decoder(_Greeting)
encode = msgspec.json.Encoder().encode


def decode_request(text: bytes | Raw) -> Request:
    """Decodes what a newcomer sent.

    Raises:
        RemoteProtocolError: it is no request.
        VersionMismatch: it is the hello of another major version.
    """
    try:
        return _requests.decode(text)
    except NOT_JSON as error:
        _check_greeting(text)
        raise RemoteProtocolError(f"not a sync request: {error}") from None


def decode_answer(text: bytes | Raw) -> Answer:
    """Decodes what a donor sent.

    Raises:
        RemoteProtocolError: it is no answer.
        VersionMismatch: it is the hello of another major version.
    """
    try:
        return _answers.decode(text)
    except NOT_JSON as error:
        _check_greeting(text)
        raise RemoteProtocolError(f"not a sync answer: {error}") from None


def _check_greeting(text: bytes | Raw) -> None:
    """A hello of another major version may lack what this one needs: then that is the reason."""
    try:
        greeting = _greetings.decode(text)
    except NOT_JSON:
        return
    if greeting.event == "hello":
        check_version(greeting.version)


def check_version(version: tuple[int, int]) -> None:
    """Refuses another major version.

    Raises:
        VersionMismatch: the other side's major version is not ours.
    """
    if version[0] != VERSION[0]:
        raise VersionMismatch(
            f"the other side speaks version {version[0]}.{version[1]} of the sync protocol, "
            f"this one {VERSION[0]}.{VERSION[1]}"
        )


def is_push(text: bytes) -> bool:
    """Whether a message of ours is a :class:`Push`."""
    return text.startswith(b'{"event":"push"')


def raw_list(texts: Iterable[bytes]) -> list[Raw]:
    """Encoded entries, as the messages hold them."""
    return [Raw(text) for text in texts]
