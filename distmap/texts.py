"""The common case of what a relay reads from a socket: small WebSocket text messages, many at once.

Each is one masked frame (RFC 6455, 5.2). Anything else is left to the WebSocket library: other
opcodes, fragments, long messages, those that have not come whole, and all that is wrong.
"""

from __future__ import annotations

from typing import Final

SMALL_BYTES: Final = 4096
"""Of longer messages the library's own way is the faster one."""

_WHOLE_TEXT: Final = 0x81  # the first byte: the only frame of a text message, no extension
_MASKED: Final = 0x80  # the second: the flag, and the length up to 125
_MASKED_16_BITS: Final = 0x80 | 126  # or the length follows
_HEADER_BYTES: Final = 2 + 4  # with the mask


def cut_texts(data: bytes, max_bytes: int) -> tuple[bytes, int]:
    """Takes whole small text messages from the beginning of what came from a client.

    Args:
        data: what came; a frame begins at its start.
        max_bytes: the longest message that is taken.

    Returns:
        The texts, joined, and how many bytes of data they were. Each is valid UTF-8 by itself.
    """
    texts: list[bytes] = []
    ends: list[int] = []
    at, size = 0, len(data)
    number = int.from_bytes
    while at + _HEADER_BYTES <= size and data[at] == _WHOLE_TEXT:
        length = data[at + 1] - _MASKED
        start = at + _HEADER_BYTES
        if length >= 126:
            length = number(data[at + 2 : at + 4], "big")
            start += 2
            if data[at + 1] != _MASKED_16_BITS or length < 126:
                break
        end = start + length
        if not 0 <= length <= max_bytes or end > size:
            break
        words = (length + 3) >> 2
        text = number(data[start:end], "little") ^ number(data[start - 4 : start] * words, "little")
        texts.append(text.to_bytes(words << 2, "little")[:length])
        ends.append(end)
        at = end
    joined = b"".join(texts)
    if not joined.isascii():
        valid = _count_utf8(texts)
        if valid < len(texts):
            return b"".join(texts[:valid]), ends[valid - 1] if valid else 0
    return joined, at


def _count_utf8(texts: list[bytes]) -> int:
    """How many come before the first that is not UTF-8."""
    for count, text in enumerate(texts):
        try:
            text.decode()
        except UnicodeDecodeError:
            return count
    return len(texts)
