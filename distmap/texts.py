"""The common case of what comes from a socket: WebSocket text messages of one frame, many at once.

Anything else (RFC 6455, 5.2) is left to the WebSocket library: other opcodes, fragments, messages
that have not come whole, and all that is wrong.
"""

from __future__ import annotations

from typing import Final

SMALL_BYTES: Final = 4096
"""Longer masked messages are left too: the library's way to unmask those is the faster one."""

SENT_BYTES: Final = 1024
"""Likewise, of those that a client sends."""

_WHOLE_TEXT: Final = 0x81  # the first byte: the only frame of a text message, no extension
_MASKED: Final = 0x80  # the second: the flag, and the length up to 125
_16_BITS: Final = 126  # or the length follows
_64_BITS: Final = 127
_HEADER_BYTES: Final = 2
_MASK_BYTES: Final = 4


def cut_masked(data: bytes, max_bytes: int) -> tuple[bytes, int]:
    """Takes small text messages from the beginning of what came from a client.

    Args:
        data: what came; a frame begins at its start.
        max_bytes: the longest message that may come.

    Returns:
        The texts, joined, and how many bytes of data they were. Each is valid UTF-8 by itself.
    """
    texts: list[bytes] = []
    ends: list[int] = []
    at, size = 0, len(data)
    number = int.from_bytes
    max_bytes = min(max_bytes, SMALL_BYTES)
    while at + _HEADER_BYTES <= size and data[at] == _WHOLE_TEXT:
        length = data[at + 1] - _MASKED
        start = at + _HEADER_BYTES + _MASK_BYTES
        if length >= _16_BITS:
            if length == _64_BITS:
                break
            length = number(data[at + 2 : at + 4], "big")
            start += 2
            if length < _16_BITS:
                break
        end = start + length
        if not 0 <= length <= max_bytes or end > size:
            break
        words = (length + 3) >> 2
        text = number(data[start:end], "little") ^ number(data[start - 4 : start] * words, "little")
        texts.append(text.to_bytes(words << 2, "little")[:length])
        ends.append(end)
        at = end
    return _join(texts, ends)


def cut_unmasked(data: bytes, max_bytes: int) -> tuple[bytes, int]:
    """Takes text messages from the beginning of what came from a server; see :func:`cut_masked`."""
    texts: list[bytes] = []
    ends: list[int] = []
    at, size = 0, len(data)
    while at + _HEADER_BYTES <= size and data[at] == _WHOLE_TEXT:
        length = data[at + 1]
        start = at + _HEADER_BYTES
        if length >= _16_BITS:
            if length > _64_BITS:
                break
            more, least = (2, _16_BITS) if length == _16_BITS else (8, 1 << 16)
            length = int.from_bytes(data[start : start + more], "big")
            start += more
            if length < least:
                break
        end = start + length
        if length > max_bytes or end > size:
            break
        texts.append(data[start:end])
        ends.append(end)
        at = end
    return _join(texts, ends)


def make_masked(text: bytes, mask: bytes) -> bytes:
    """Makes a text message of up to 65,535 bytes, as a client sends it.

    Args:
        text: valid UTF-8.
        mask: 4 bytes of chance.
    """
    length = len(text)
    if length < _16_BITS:
        head = bytes((_WHOLE_TEXT, _MASKED | length))
    else:
        head = bytes((_WHOLE_TEXT, _MASKED | _16_BITS)) + length.to_bytes(2, "big")
    number, words = int.from_bytes, (length + 3) >> 2
    masked = number(text, "little") ^ number((mask * words)[:length], "little")
    return head + mask + masked.to_bytes(length, "little")


def _join(texts: list[bytes], ends: list[int]) -> tuple[bytes, int]:
    """Joins those before the first that is not UTF-8, and tells where they end."""
    joined = b"".join(texts)
    if not joined.isascii():
        valid = _count_utf8(texts)
        if valid < len(texts):
            del texts[valid:], ends[valid:]
            joined = b"".join(texts)
    return joined, ends[-1] if ends else 0


def is_utf8(text: bytes) -> bool:
    """Whether a text is valid UTF-8 by itself."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _count_utf8(texts: list[bytes]) -> int:
    """How many come before the first that is not UTF-8."""
    return next((count for count, text in enumerate(texts) if not is_utf8(text)), len(texts))
