"""The rules of keys and values, and the one text that each value has.

A value is JSON: null, booleans, finite numbers, strings, arrays and objects with string keys. Its
text is canonical (RFC 8785, the JSON Canonicalization Scheme): no white space, object keys sorted
by UTF-16 code units, numbers as ECMAScript writes them. So the same value has the same bytes, and
the same hash, in Python and in JavaScript.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import msgspec

from distmap.errors import InvalidKey, InvalidType, InvalidValue

MAX_KEY_BYTES: Final = 1024
MAX_VALUE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1
# From here on ECMAScript writes an integral number with an exponent, so it reads as no integer.
_EXPONENT_FROM: Final = 1e21

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode

# What msgspec raises on a text that is no JSON.
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def check_key(key: object) -> str:
    """Returns the key if a map can hold it.

    Raises:
        InvalidType: it is not a string.
        InvalidKey: it is empty, over 1 KiB of UTF-8, or has a lone surrogate.
    """
    if type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES:
        return key
    if not isinstance(key, str):
        raise InvalidType(f"a key is a string, not {type(key).__name__}")
    if not key:
        raise InvalidKey("a key cannot be empty")
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey("a key cannot have a lone surrogate") from None
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"a key is {MAX_KEY_BYTES} bytes at most, not {size}")
    # A subclass, such as a member of a StrEnum, would be encoded in ways of its own.
    return str.__str__(key)


def encode(value: object, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Checks a value and returns its canonical JSON text.

    Args:
        value: made of None, bool, int, float, str, list, tuple (it becomes a list) and dict.
        max_bytes: the longest text allowed.

    Raises:
        InvalidType: JSON has no such type.
        InvalidValue: a number is not finite or out of range, a string has a lone surrogate, the
            value is more than 32 deep, or its text is over max_bytes.
    """
    return _encode_checked(value, max_bytes, False)


def _encode_checked(value: object, max_bytes: int, from_text: bool) -> bytes:
    try:
        if type(value) is str:
            text = _encode(value)
        else:
            plain = _check(value, int(_nests(value)), from_text)
            text = _encode_sorted(value) if plain else _write(value)
    except UnicodeEncodeError:
        raise InvalidValue("a value cannot have a lone surrogate") from None
    if len(text) > max_bytes:
        raise InvalidValue(f"a value is {max_bytes} bytes at most, not {len(text)}")
    return text


def canonical(text: bytes | msgspec.Raw, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """Checks JSON text that came from another peer and returns the canonical text of its value.

    Raises:
        InvalidType, InvalidValue: as :func:`encode`; InvalidValue also if it is no JSON.
    """
    if len(text) > 2 * max_bytes:
        raise InvalidValue(f"a value is {max_bytes} bytes at most")
    try:
        value = _decode(text)
    except NOT_JSON as error:
        raise InvalidValue(f"a value is not JSON: {error}") from None
    return _encode_checked(value, max_bytes, True)


def decode(text: bytes) -> Any:
    """The value of a canonical text; a new object at each call."""
    return _decode(text)


def _check(value: object, depth: int, from_text: bool) -> bool:
    """Checks a value; True if msgspec's sorted encoding of it is canonical.

    It is not for numbers with a fraction, keys outside of ASCII (msgspec sorts by code points), and
    subclasses, such as those of enumerations, which msgspec encodes in ways of its own or not.
    """
    if depth > MAX_DEPTH:
        raise InvalidValue(f"a value is {MAX_DEPTH} levels deep at most")
    kind = type(value)
    if value is None or kind is bool:
        return True
    if isinstance(value, str):
        return kind is str
    if isinstance(value, int):
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return kind is int
        # ECMAScript makes no difference between 1e21 and its digits written out.
        if not (from_text and _reads_as_float(value)):
            raise InvalidValue("an integer is within +-(2**53 - 1)")
        return False
    if isinstance(value, float):
        if not isfinite(value):
            raise InvalidValue("a number is finite")
        if value.is_integer() and MAX_INTEGER < abs(value) < _EXPONENT_FROM:
            raise InvalidValue("an integer is within +-(2**53 - 1)")
        return False
    if isinstance(value, list | tuple):
        plain = kind is list or kind is tuple
        for item in value:
            plain = _check(item, depth + _nests(item), from_text) and plain
        return plain
    if isinstance(value, dict):
        plain = kind is dict
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidType(f"an object's keys are strings, not {type(key).__name__}")
            plain = _check(item, depth + _nests(item), from_text) and plain
            plain = plain and type(key) is str and key.isascii()
        return plain
    raise InvalidType(f"JSON has no {kind.__name__}")


def _nests(item: object) -> bool:
    return isinstance(item, list | tuple | dict)


def _reads_as_float(number: int) -> bool:
    try:
        return abs(float(number)) >= _EXPONENT_FROM
    except OverflowError:
        return False


def _write(value: Any) -> bytes:
    """The canonical text of a checked value."""
    if value is None or isinstance(value, bool):
        return _encode(value)
    if isinstance(value, int):
        return b"%d" % value if abs(value) <= MAX_INTEGER else _write_float(value)
    if isinstance(value, float):
        return _write_float(value)
    if isinstance(value, str):
        return _encode(str.__str__(value))
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return b"{%b}" % b",".join(
            b"%b:%b" % (_encode(str.__str__(k)), _write(v)) for k, v in items
        )
    return b"[%b]" % b",".join(map(_write, value))


def _write_float(number: float) -> bytes:
    """Number::toString of ECMAScript; Python's repr has the same shortest digits."""
    number = float(number)  # subclasses, such as that of numpy, have another repr
    if number.is_integer() and abs(number) < _EXPONENT_FROM:
        return b"%d" % int(number)
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}".encode()
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}".encode()
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}".encode()
