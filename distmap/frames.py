"""The wire format of mux-demux: JSON lines, each ``[id, event, payload]``.

This module holds the event names, the limits and the codec, and nothing else; docs/protocol.md is
the normative text. Payloads stay undecoded (:class:`msgspec.Raw`), so that a relay can pass them
on byte for byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

from distmap.errors import LimitExceeded, RemoteProtocolError

NEW: Final = "new"
DATA: Final = "data"
END: Final = "end"
CLOSE: Final = "close"
ERROR: Final = "error"
PAUSE: Final = "pause"
RESUME: Final = "resume"

EVENTS: Final = frozenset({NEW, DATA, END, CLOSE, ERROR, PAUSE, RESUME})

MESSAGE_BYTES: Final = 256 * 1024
"""What is gathered for one recipient is cut into messages of about this size."""

MAX_CODE: Final = 2**53 - 1
"""Of the codes of errors that are integers, either way from 0."""

Frame: TypeAlias = tuple[str, str, Raw]
"""``(stream id, event, payload)``; the payload of an event that has none is empty."""

NO_PAYLOAD: Final = Raw(b"")

_LONG_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side of a connection takes from the other; going over it is a protocol error.

    Attributes:
        frame_bytes: one frame, without its newline.
        streams: streams open at one time.
        meta_bytes: the meta that opens a stream.
        id_bytes: a stream id.
        maps: of those streams, the ones that are open on channels (the relay's side alone).
        route_bytes: a route, which names a map by its URI (likewise).
    """

    frame_bytes: int = 1024 * 1024
    streams: int = 1024
    meta_bytes: int = 4096
    id_bytes: int = 128
    maps: int = 1000
    route_bytes: int = 1024


DEFAULT_LIMITS: Final = Limits()

_data_frames = msgspec.json.Decoder(tuple[str, str, Raw])
_bare_frames = msgspec.json.Decoder(tuple[str, str])
# msgspec reports an invalid text in several ways; all of them mean a malformed frame.
MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_data_of = re.compile(rb'\["((?:[^"\\]|\\.)*)","data",(.*)\]', re.DOTALL).fullmatch

encode_json = msgspec.json.encode


def _check_utf8(text: bytes) -> None:
    # msgspec does not look into the strings of a Raw payload, but a WebSocket text message with
    # invalid UTF-8 would cost whoever the payload is passed on to its connection.
    if not text.isascii():
        text.decode()


def encode_frame(stream_id: str, event: str, payload: bytes = b"") -> bytes:
    """Encodes one frame with its newline.

    Args:
        stream_id: the id of the stream.
        event: one of :data:`EVENTS`.
        payload: JSON text without a newline, or empty for an event that has no payload.
    """
    if payload:
        return b'[%b,"%b",%b]\n' % (encode_json(stream_id), event.encode(), payload)
    return b'[%b,"%b"]\n' % (encode_json(stream_id), event.encode())


@lru_cache(maxsize=1024)
def data_prefix(stream_id: str) -> bytes:
    """What stands before the payload in each data frame of a stream; ``]\\n`` stands after it."""
    return b'[%b,"data",' % encode_json(stream_id)


def are_objects(data: bytes, count: int, prefix: bytes) -> bool:
    """Whether a text that :class:`FrameDecoder` took for so many frames is nothing but data frames
    of one stream, each with an object, and begun by what :func:`data_prefix` tells of it.
    """
    first = prefix + b"{"
    ends = data.startswith(first) and data.endswith(b"]\n")
    return ends and data.count(b"]\n" + first) == count - 1


def change_prefix(data: bytes, old: bytes, new: bytes) -> bytes:
    """Puts data frames of one stream into another, by what :func:`data_prefix` tells of the two."""
    return data if old == new else (b"\n" + data).replace(b"\n" + old, b"\n" + new)[1:]


def _is_cut_well(data: bytes, count: int) -> bool:
    """Whether every newline in a text of so many frames stands behind one of them: one inside a
    payload would cut the frame in two for whoever the payload is passed on to.
    """
    if len(data) < _LONG_BYTES * count:
        # "]\\n[" is valid JSON nowhere else than between two frames.
        return data.count(b"\n") == count and data.count(b"]\n[") == count - 1
    # To look for a byte is much quicker than to count it, but for the first step.
    end = -1
    for _ in range(count - 1):
        end = data.find(b"\n", end + 1)
        if data[end - 1 : end + 2] != b"]\n[":
            return False
    return data.find(b"\n", end + 1) == len(data) - 1


def decode_frame(line: bytes, *, is_last: bool = False) -> Frame:
    """Decodes one frame, without its newline.

    Args:
        line: the frame.
        is_last: see :class:`FrameDecoder`.

    Raises:
        RemoteProtocolError: it is not a JSON array of two strings and at most one payload.
    """
    try:
        _check_utf8(line)
        return _data_frames.decode(line)
    except MALFORMED as error:
        reason = str(error)
        if is_last and isinstance(error, RecursionError) and (found := _data_of(line)):
            return msgspec.json.decode(b'"%b"' % found[1], type=str), DATA, Raw(found[2])
    try:
        return *_bare_frames.decode(line), NO_PAYLOAD
    except MALFORMED:
        raise RemoteProtocolError(f"a frame is malformed: {reason}") from None


class Options(msgspec.Struct, rename="camel"):
    """How a stream was opened, told from the receiver's side; npm leaves out what is not so."""

    writable: bool = False
    readable: bool = False
    allow_half_open: bool = False


class _New(msgspec.Struct):
    opts: Options
    # JSON has no undefined: npm's createStream() without a meta sends none.
    meta: Raw = Raw(b"null")


class _Fault(msgspec.Struct):
    # JSON.stringify(new Error("lost")) is "{}": npm sends just that.
    message: str = ""
    code: str | Annotated[int, Meta(ge=-MAX_CODE, le=MAX_CODE)] = "error"


_MANY_DIGITS: Final = re.compile(rb"\d{309}")
_new = msgspec.json.Decoder(_New)
_fault = msgspec.json.Decoder(str | _Fault)


def decode_new(payload: Raw, meta_bytes: int) -> tuple[Any, Options]:
    """Decodes what opens a stream: its meta (a JSON value) and its options.

    Raises:
        RemoteProtocolError: a part is missing or of the wrong type, or the meta has a number that
            no double can hold, or half a surrogate pair.
        LimitExceeded: the meta is over meta_bytes.
    """
    try:
        new = _new.decode(payload)
        if len(new.meta) > meta_bytes:
            raise LimitExceeded(f"the meta of a stream is over {meta_bytes} bytes")
        meta = msgspec.json.decode(new.meta)
        if _MANY_DIGITS.search(new.meta):
            json.loads(bytes(new.meta), parse_int=lambda digits: float(int(digits)))
        return meta, new.opts
    except (*MALFORMED, OverflowError):
        raise RemoteProtocolError("malformed options of a new stream") from None


def decode_fault(payload: Raw) -> tuple[str, str]:
    """Decodes the payload of an error, which is a text or an object, to (message, code).

    Raises:
        RemoteProtocolError: it is neither.
    """
    try:
        fault = _fault.decode(payload)
    except MALFORMED:
        raise RemoteProtocolError("malformed payload of an error") from None
    return (fault, "error") if isinstance(fault, str) else (fault.message, str(fault.code))


def encode_fault(message: str, code: str) -> bytes:
    """Encodes the payload of an error."""
    return encode_json({"message": message, "code": code})


class FrameDecoder:
    """Cuts a byte stream into frames; a frame may be cut over any number of chunks.

    Args:
        limits: what is taken.
        is_last: payloads are not passed on from here. How deeply nested a payload can be checked
            depends on how deep the stack is here. One that was not too deep for the relay must not
            cost whoever it comes to the connection: it is then taken without a check, and is the
            business of the stream.
    """

    __slots__ = ("_is_last", "_limits", "_partial")

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, is_last: bool = False) -> None:
        self._is_last = is_last
        self._limits = limits
        self._partial = bytearray()

    @property
    def partial_bytes(self) -> int:
        """What came of a frame that is not whole."""
        return len(self._partial)

    def feed(self, data: bytes) -> tuple[list[Frame], RemoteProtocolError | None]:
        """Takes the next chunk of the stream.

        Returns:
            The frames that it completes, and the error that ends the connection, if any: the
            frames that came before the fault are valid and are to be handled first.
        """
        if not self._partial and data.endswith(b"\n") and len(data) <= self._limits.frame_bytes:
            try:
                _check_utf8(data)
                frames = _data_frames.decode_lines(data)
            except MALFORMED:
                pass
            else:
                if _is_cut_well(data, len(frames)):
                    return frames, None
        return self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> tuple[list[Frame], RemoteProtocolError | None]:
        frames: list[Frame] = []
        *lines, rest = data.split(b"\n")
        limit = self._limits.frame_bytes
        try:
            for line in lines:
                whole = self._complete(line)
                if len(whole) > limit:
                    raise LimitExceeded(f"a frame is over {limit} bytes")
                if whole.strip(b" \t\r"):
                    frames.append(decode_frame(whole, is_last=self._is_last))
            self._partial += rest
            if len(self._partial) > limit:
                raise LimitExceeded(f"a frame is over {limit} bytes")
        except RemoteProtocolError as error:
            return frames, error
        return frames, None

    def _complete(self, line: bytes) -> bytes:
        if not self._partial:
            return line
        whole = bytes(self._partial + line)
        self._partial.clear()
        return whole


def gather(parts: list[bytes]) -> list[bytes]:
    """Joins encoded frames to messages that are not much over :data:`MESSAGE_BYTES`."""
    if not parts:
        return []
    messages: list[bytes] = []
    size = start = 0
    for at, part in enumerate(parts):
        size += len(part)
        if size >= MESSAGE_BYTES:
            messages.append(b"".join(parts[start : at + 1]))
            start, size = at + 1, 0
    if start < len(parts):
        messages.append(b"".join(parts[start:]))
    return messages
