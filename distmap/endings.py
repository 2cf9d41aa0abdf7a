"""Which of the messages that wait end a stream: such a one may not be thrown away. Without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# A frame that ends a stream, in a message behind a WebSocket header of 10 bytes at most.
_ENDS = re.compile(rb'(?:\A.{0,10}?|\n)\["(?:[^"\\]|\\.)*","(?:end|close|error)"', re.DOTALL)
_ENDS_PERHAPS: Final = (b'","end"', b'","close"', b'","error"')  # much faster to look for


def ends_any(messages: Iterable[bytes], known: dict[bytes, bool]) -> bool:
    """Whether one of them ends a stream; what stands in many queues is looked at once."""
    for message in messages:
        ends = known.get(message)
        if ends is None:
            ends = known[message] = ends_stream(message)
        if ends:
            return True
    return False


def ends_stream(message: bytes) -> bool:
    """Whether a message has a frame that ends a stream."""
    perhaps = any(end in message for end in _ENDS_PERHAPS)
    return perhaps and _ENDS.search(message) is not None
