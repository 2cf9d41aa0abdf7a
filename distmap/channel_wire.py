"""The messages that a peer gets on a channel, of the relay and of other peers. Without I/O."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw


class Welcome(msgspec.Struct):
    """The relay's first message."""

    version: tuple[int, int]
    peer: str
    time_ms: float
    members: int
    access: str = "write"


class Message(msgspec.Struct):
    """An object of another peer."""

    event: str
    entries: list[Raw] = []
    peer: str = ""
    count: int = 0
    sum: int = 0


decode_control = msgspec.json.Decoder(list[Any]).decode
decode_message = msgspec.json.Decoder(Message).decode
