"""What comes to a member on its channel, checked: arrays of the relay, objects of other members;
docs/protocol.md is the normative text.

A message of another name is of a newer relay or member, and so is what a known one has behind
what is known.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

from distmap.clock import MAX_TIME_MS
from distmap.errors import RemoteProtocolError
from distmap.values import MAX_INTEGER, NOT_JSON

MAX_NAME_CHARS: Final = 128
"""The longest name of a member, in code points."""

_Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
_Members = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
_Time = Annotated[float, Meta(ge=0, le=MAX_TIME_MS)]
# A slash would make a route of other parts.
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^[^/]*\Z")]


class Details(msgspec.Struct):
    """What the welcome tells: the version, the member's id, the relay's time in milliseconds since
    1970, how many members there are, and whether this one may only ``read``.
    """

    version: tuple[_Count, _Count]
    peer: _Name
    time_ms: _Time
    members: _Members
    access: str = "write"


class _Message(msgspec.Struct, array_like=True):
    pass


class Welcome(_Message, tag="welcome"):
    """Comes first, and once."""

    details: Details


class Members(_Message, tag="members"):
    """How many members there are."""

    count: _Members


class Ack(_Message, tag="ack"):
    """So many objects were passed on; the relay's time."""

    number: _Count
    time_ms: _Time


class Donor(_Message, tag="donor"):
    """The member to sync with."""

    donor: _Name


class Alone(_Message, tag="alone"):
    """There is nobody to sync with."""


class Client(_Message, tag="client"):
    """A newcomer asks to sync. The name is of its own choice: no fault of the relay."""

    name: str


class Reader(_Message, tag="reader"):
    """Likewise, from who may only read."""

    name: str


class Refused(_Message, tag="refused"):
    """So many objects were not passed on: this member may only read."""

    number: _Count


class Time(_Message, tag="time"):
    """The time that was sent, and the relay's."""

    sent_ms: _Time
    time_ms: _Time


Control: TypeAlias = Welcome | Members | Ack | Donor | Alone | Client | Reader | Refused | Time

_NAMES: Final = frozenset(
    {"welcome", "members", "ack", "donor", "alone", "client", "reader", "refused", "time"}
)
_controls: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)
_any = msgspec.json.Decoder(list[Any])


def decode_control(text: bytes) -> Control | None:
    """Decodes a message of the relay; None if its name is unknown.

    Raises:
        RemoteProtocolError: it is malformed.
    """
    try:
        return _controls.decode(text)
    except NOT_JSON as error:
        reason = error
    try:
        message = _any.decode(text)
    except NOT_JSON as error:
        raise RemoteProtocolError(f"the relay sent a malformed message: {error}") from None
    if message and isinstance(message[0], str) and message[0] not in _NAMES:
        return None
    raise RemoteProtocolError(f"the relay sent a malformed message: {reason}")


# -- of other members -----------------------------------------------------------------------------


class _Event(msgspec.Struct):
    event: str


class _Entries(msgspec.Struct):
    entries: list[Raw] = []


class Digest(msgspec.Struct):
    """Another member's digest."""

    peer: str
    count: _Count
    sum: _Count


# One after the other: a field of one message may be anything in another, such as an entry's extras.
_events = msgspec.json.Decoder(_Event)
_many = msgspec.json.Decoder(_Entries)
_digests = msgspec.json.Decoder(Digest)


def decode_said(text: bytes) -> list[Raw] | Digest | None:
    """Decodes what another member said: entries, which are not checked yet, or a digest; None if
    its name is unknown.

    Raises:
        RemoteProtocolError: it is malformed.
    """
    try:
        event = _events.decode(text).event
        if event in ("set", "delete"):
            return [Raw(text)]
        if event == "entries":
            return _many.decode(text).entries
        digest = _digests.decode(text) if event == "digest" else None
    except NOT_JSON as error:
        raise RemoteProtocolError(f"a member sent a malformed message: {error}") from None
    if digest is not None and not is_name(digest.peer):
        raise RemoteProtocolError("a digest of nobody")
    return digest


def is_name(text: str) -> bool:
    """Whether a member could have this name."""
    return 0 < len(text) <= MAX_NAME_CHARS and "/" not in text
