"""Makes cases of cases: by the grammar of what is sent, and by bytes."""

from __future__ import annotations

import re
from random import Random
from typing import Any, Final

import msgspec

from tests.fuzz.cases import Case, Step

MAX_STEPS: Final = 24
MAX_STEP_BYTES: Final = 3000

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode

# What has its own meaning to one language or the other, to JSON, or to the rules.
SCALARS: Final[tuple[bytes, ...]] = (
    b"0", b"-0", b"1", b"-1", b"2", b"true", b"false", b"null", b"1.0", b"-0.0", b"0.5", b"1e3",
    b"1E5",
    b"1e21", b"1e-7", b"1e308", b"1e309", b"-1e999", b"5e-324", b"4503599627370495",
    b"4503599627370496", b"8640000000000000", b"9007199254740991", b"9007199254740992",
    b"-9007199254740991", b"18446744073709551616", b"1" + b"0" * 40, b"9" * 400, b"01", b"1.", b"-",
    b"NaN", b"Infinity", b'""', b'"a"', b'"0"', b'"f"', b'"\\u0000"', b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\ud83d\\ude00"', b'"\xc3\xa9"', b'"\xf0\x9f\x98\x80"', b'"\xff"', b'"\xed\xa0\x80"',
    b'"\\q"', b'"\n"',
    b'"__proto__"', b'"constructor"', b'"toString"', b'"a/b"', b'"1/proxy/client/2"',
    b'"\xe2\x80\xa8"',
    b'"' + b"x" * 130 + b'"', b'"' + b"k" * 1025 + b'"', b"[]", b"{}", b"[[]]", b'{"":0}',
    b'{"__proto__":1}', b'{"__proto__":{"event":"set"}}', b"[0,0]", b"[1,0]", b"[2,0]", b"[true,0]",
    b'[1,0,"w"]', b'[1,0,"w",0]', b'[1700000000000,0,"zz"]', b'[9007199254740991,0,"w"]',
    b'[1,0,"__proto__"]', b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33,
    b"[" * 1100 + b"]" * 1100, b"\xef\xbb\xbf1", b" 1 ", b"\t", b"", b",", b"//", b"'a'",
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2, 1.5, 2**53 - 1, 2**53, 2**70, "", "a", "f", "0" * 13,
    "0" * 14, "__proto__",
    [], {}, [[]], [1, 0], [True, 0], ["x"], {"__proto__": 1}, {"event": "set"}, 1_700_000_000_000,
    1_700_000_060_001, "x" * 40, "new", "data", "end", "close", "error", "pause", "resume",
    "welcome",
    "alone", "donor", "ack", "members", "client", "time", "ready", "sync", "hello", "done",
    "entries",
    "push", "taken", "sums", "ask-sums", "ask-entries", "set", "delete", "digest",
)  # fmt: skip
NAMES: Final = (
    "event", "key", "value", "stamp", "entries", "version", "peer", "time_ms", "members", "id",
    "prefixes",
    "start", "hashes", "next", "missing", "buried", "held", "count", "sum", "sums", "floor_ms",
    "known_ms",
    "meta", "opts", "route", "writable", "readable", "allowHalfOpen", "message", "code",
    "__proto__", "x",
)  # fmt: skip

_DEEP = (b"[" * 9, b'{"a":' * 9)

# Tokens of JSON, roughly: a string, a number, a word.
_TOKENS = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?[0-9][0-9.eE+-]*|[a-z]+')
_BYTES = (
    b"\n",
    b"]\n",
    b"[",
    b"{",
    b'"',
    b",",
    b"\\",
    b"\x00",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\r",
    b" ",
    b"1",
)


class Mutator:
    """Makes cases.

    Args:
        random: all chance comes from it.
        actors: steps are of actors 0 up to here.
    """

    def __init__(self, random: Random, actors: int) -> None:
        self._random = random
        self._actors = actors
        self._steps = (
            self._change_json, self._change_json, self._change_json, self._change_token,
            self._change_token, self._change_bytes,
        )  # fmt: skip

    def mutate(self, case: Case, other: Case) -> Case:
        """A case made of one, with steps of another."""
        random = self._random.random
        steps = list(case)
        while True:
            if not steps or random() < 0.25:
                self._change_steps(steps, other)
            if steps:
                at = int(random() * len(steps))
                who, text = steps[at]
                change = self._steps[int(random() * len(self._steps))]
                steps[at] = (who, change(text)[:MAX_STEP_BYTES])
            if random() < 0.6:
                return tuple(steps[:MAX_STEPS])

    def _change_steps(self, steps: list[Step], other: Case) -> None:
        random = self._random.random
        at = int(random() * (len(steps) + 1))
        kind = int(random() * 6)
        if kind == 0 and steps:
            del steps[at - 1]
        elif kind == 1 and steps:
            steps.insert(at, steps[int(random() * len(steps))])
        elif kind == 2 and len(steps) > 1:
            to = int(random() * len(steps))
            steps[at - 1], steps[to] = steps[to], steps[at - 1]
        elif kind == 3 and steps:
            steps[at - 1] = int(random() * self._actors), steps[at - 1][1]
        elif kind == 4:
            del steps[at:]
        elif other:
            start = int(random() * len(other))
            steps[at:at] = other[start : start + 1 + int(random() * 4)]

    # -- by JSON ----------------------------------------------------------------------------------

    def _change_json(self, text: bytes) -> bytes:
        """Changes a line of it as a tree."""
        lines = text.split(b"\n")
        at = int(self._random.random() * len(lines))
        if any(deep in lines[at] for deep in _DEEP):
            return self._change_token(text)  # to decode it would take much longer than all else
        try:
            lines[at] = _encode(self._change_value(_decode(lines[at])))
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
            return self._change_token(text)
        return b"\n".join(lines)

    def _change_value(self, value: Any) -> Any:
        random = self._random.random
        if isinstance(value, list) and random() < 0.85:
            at = int(random() * (len(value) + 1))
            kind = random()
            if kind < 0.75 and at < len(value):
                value[at] = self._change_value(value[at])
            elif kind < 0.85 and value:
                del value[at - 1]
            else:
                value.insert(at, value[at - 1] if value and kind < 0.93 else self._value())
            return value
        if isinstance(value, dict) and random() < 0.85:
            names = list(value)
            kind = random()
            if kind < 0.75 and names:
                name = names[int(random() * len(names))]
                value[name] = self._change_value(value[name])
            elif kind < 0.85 and names:
                del value[names[int(random() * len(names))]]
            else:
                value[NAMES[int(random() * len(NAMES))]] = self._value()
            return value
        if type(value) is int and random() < 0.5:
            return value + int(random() * 5) - 2
        if isinstance(value, str) and random() < 0.3:
            at = int(random() * (len(value) + 1))
            return value[:at] + str(VALUES[int(random() * 12)]) + value[at:]
        return self._value() if random() < 0.8 else [value]

    def _value(self) -> Any:
        return VALUES[int(self._random.random() * len(VALUES))]

    # -- by tokens and bytes ----------------------------------------------------------------------

    def _change_token(self, text: bytes) -> bytes:
        """Replaces a token, or writes something before it: also what is no JSON."""
        random = self._random.random
        found = _TOKENS.search(text, int(random() * len(text)))
        if found is None:
            return self._change_bytes(text)
        start, end = found.span()
        kind = random()
        if kind < 0.3 and (other := _TOKENS.search(text, int(random() * len(text)))):
            if kind < 0.15:
                return text[:start] + other[0] + text[end:]
            # A name twice.
            return text[:start] + other[0] + b":" + self._scalar() + b"," + text[start:]
        return text[:start] + self._scalar() + text[end:]

    def _scalar(self) -> bytes:
        return SCALARS[int(self._random.random() * len(SCALARS))]

    def _change_bytes(self, text: bytes) -> bytes:
        random = self._random.random
        at, to = sorted((int(random() * (len(text) + 1)), int(random() * (len(text) + 1))))
        kind = int(random() * 6)
        if kind == 0:
            return text[:at] + text[to:]
        if kind == 1:
            return text[:to] + text[at:]
        if kind == 2:
            return text[:at]
        if kind == 3 and at < len(text):
            return text[:at] + bytes((text[at] ^ (1 << int(random() * 8)),)) + text[at + 1 :]
        if kind == 4:
            return text[:at] + bytes((int(random() * 256),)) + text[at:]
        return text[:at] + _BYTES[int(random() * len(_BYTES))] + text[at:]
