"""Makes values.json, stamps.json, entries.json, columns.json, ranges.json and merges.json beside
this file.

Run it as ``python -m tests.vectors.make_vectors``. What is expected is written out here, or worked
out in a slow and simple way that shares no code with distmap. The texts of the numbers come from
Node.js, which must be installed to make values.json anew.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from hashlib import sha256
from math import isfinite, nextafter
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path(__file__).resolve().parent
KIB = 1024
NOW_MS = 1_760_000_000_000
STRINGIFY = """
const view = new DataView(new ArrayBuffer(8));
const text = (bits) => {
  view.setBigUint64(0, BigInt("0x" + bits));
  return JSON.stringify(view.getFloat64(0));
};
let input = "";
process.stdin.on("data", (data) => (input += data));
process.stdin.on("end", () => console.log(JSON.stringify(JSON.parse(input).map(text))));
"""

Wire = dict[str, Any]


# -- a slow and simple canonicaliser ---------------------------------------------------------------


def canonical(value: Any) -> str:
    """The text of a value as RFC 8785 wants it."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number_text(value)
    return json.dumps(value, ensure_ascii=False)


def number_text(number: float) -> str:
    """Number::toString of ECMA-262, step by step and with its names."""
    if number == 0:
        return "0"
    if number < 0:
        return "-" + number_text(-number)
    parts = Decimal(repr(number)).normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    assert isinstance(parts.exponent, int)
    k, n = len(digits), len(digits) + parts.exponent
    if k <= n <= 21:
        return digits + "0" * (n - k)
    if 0 < n <= 21:
        return digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return "0." + "0" * -n + digits
    exponent = f"e{'+' if n > 0 else '-'}{abs(n - 1)}"
    return digits[0] + ("." + digits[1:] if k > 1 else "") + exponent


def bits_of(number: float) -> str:
    """The bits of a double, as 16 hexadecimal digits."""
    return struct.pack(">d", number).hex()


def from_bits(bits: str) -> float:
    """The double of 16 hexadecimal digits."""
    number: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return number


def hash52(text: str) -> int:
    """The first 52 bits of SHA-256."""
    return int.from_bytes(sha256(text.encode()).digest(), "big") >> 204


# -- values ----------------------------------------------------------------------------------------


def is_refused(number: float) -> bool:
    """Whether a double is no number that a map can hold."""
    return not isfinite(number) or (number.is_integer() and 2**53 <= abs(number) < 10**21)


def doubles() -> list[float]:
    """Doubles at the edges of the rules for writing them, and anywhere."""
    edges = [0.0, 0.1, 0.2, 0.3, 1.0, 1.5, 2 / 3, 4.35, 100.0, 123.456, 1 / 3, 5e-324, 9.5e-7]
    edges += [2.0**power for power in range(-1074, 1024, 37)]
    edges += [float(f"1e{power}") for power in [*range(-323, -10, 24), *range(-10, 26)]]
    edges += [float(f"1e{power}") for power in range(26, 309, 24)]
    edges += [2.0**53 - 1, 2.0**53, 2.0**53 + 2, 2.0**63, 2.0**64, 1e21, 1.7976931348623157e308]
    edges += [2.2250738585072014e-308, 999999999999999900000.0, 1234567890123456.7, 0.000001]
    # Appendix B of RFC 8785.
    appendix = (
        "44b52d02c7e14af5 44b52d02c7e14af6 44b52d02c7e14af7 41b3de4355555553 41b3de4355555554"
    )
    appendix += " 41b3de4355555555 41b3de4355555556 41b3de4355555557 becbf647612f3696"
    appendix += " 43143ff3c1cb0959 444b1ae4d6e2ef4e 444b1ae4d6e2ef4f 444b1ae4d6e2ef50"
    appendix += " 3eb0c6f7a0b5ed8c 3eb0c6f7a0b5ed8d 7fffffffffffffff 7ff0000000000000"
    near = [nextafter(edge, to) for edge in edges for to in (0.0, float("inf"))]
    random = Random(8785)
    anywhere = [from_bits(f"{random.getrandbits(64):016x}") for _ in range(150)]
    middling = [random.getrandbits(53) / 10 ** random.getrandbits(4) for _ in range(60)]
    found = [*edges, *near, *map(from_bits, appendix.split()), *anywhere, *middling]
    return [*found, *(-number for number in found[::5])]


def node_texts(bits: list[str]) -> list[str]:
    """What JSON.stringify of Node.js makes of doubles."""
    done = subprocess.run(
        ["node", "-e", STRINGIFY], input=json.dumps(bits), stdout=subprocess.PIPE, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    texts: list[str] = json.loads(done.stdout)
    return texts


def nested(depth: int) -> list[list[Any]]:
    """The parts of a text of arrays in arrays."""
    return [["[", depth], ["]", depth]]


ACCEPTED = [
    # the text as it came, and its canonical text
    ("null", "null"),
    (" true\n", "true"),
    ("false", "false"),
    ('""', '""'),
    ("-0", "0"),
    ("-0.0", "0"),
    ("0.10", "0.1"),
    ("1.0", "1"),
    ("1e3", "1000"),
    ("1E-7", "1e-7"),
    ("1e-999", "0"),
    ("9007199254740991", "9007199254740991"),
    ("-9007199254740991.0", "-9007199254740991"),
    ("1e21", "1e+21"),
    ("1000000000000000000000", "1e+21"),
    ("[-123456789012345678901234567890]", "[-1.2345678901234568e+29]"),
    ("0.1000000000000000055511151231257827", "0.1"),
    ('"\\u0041\\/\\"\\\\"', '"A/\\"\\\\"'),
    ('"\\u0008\\u0009\\u000a\\u000c\\u000d"', '"\\b\\t\\n\\f\\r"'),
    ('"\\u0000\\u001F\\u007f\\u2028"', '"\\u0000\\u001f\x7f\u2028"'),
    ('"\\ud83d\\ude00 \\u20ac"', '"\U0001f600 €"'),
    ("[ ]", "[]"),
    ("{ }", "{}"),
    ('[1, "a", [null, {"x": [ ]}]]', '[1,"a",[null,{"x":[]}]]'),
    ('{"b": 1, "a": 2, "aa": 3, "B": 4, "": 5}', '{"":5,"B":4,"a":2,"aa":3,"b":1}'),
    ('{"10": 1, "9": 2, "1": 3}', '{"1":3,"10":1,"9":2}'),
    ('{"a": 1, "a": 2}', '{"a":2}'),
    ('{"__proto__": {"x": 1}}', '{"__proto__":{"x":1}}'),
    # by UTF-16 code units: U+1F600 is before U+E000
    ('{"\ue000": 1, "\U0001f600": 2}', '{"\U0001f600":2,"\ue000":1}'),
    ('{"\ue000": 1, "\U0001f600": 2, "é": 0.5}', '{"é":0.5,"\U0001f600":2,"\ue000":1}'),
]
REFUSED = [
    *("", " ", "nul", "NaN", "Infinity", "-", "01", "1.", ".5", "+1", "0x10", "1 2", "'a'", '"a'),
    *("[1,]", '{"a":1,}', "{a:1}", '{"a"}', "[", "]", '"\x01"', '"\\x41"', "undefined"),
    *("\ufeff1", "\x001", "1e999", "-1e999", "9007199254740992", "-9007199254740993.0", "1e20"),
    *("123456789012345678901", "[9007199254740992]"),
    *('"\\ud800"', '"\\ude00\\ud83d"', '{"\\udfff":1}'),
]  # fmt: skip
REFUSED_HEX = ["22ff22", "22c08022", "22eda08022", "7b22f0288cbc223a317d", "ff", "22e2822822"]


def make_values(texts_of: Callable[[list[str]], list[str]] = node_texts) -> dict[str, Any]:
    """Which values and keys a map can hold, and the canonical text of each.

    Args:
        texts_of: gives the texts of doubles, each of which comes as the digits of its bits.
    """
    numbers = dict.fromkeys(map(bits_of, doubles()))
    good = [bits for bits in numbers if not is_refused(from_bits(bits))]
    bad = [bits for bits in numbers if is_refused(from_bits(bits))]
    long_value = 256 * KIB
    accepted: list[Wire] = [{"text": text, "canonical": wanted} for text, wanted in ACCEPTED]
    # Long texts are given as pieces, each with how often it is repeated.
    accepted += [
        {"parts": parts}
        for parts in (
            [['"', 1], ["x", long_value - 2], ['"', 1]],
            [['"', 1], ["é", long_value // 2 - 1], ['"', 1]],
            [["[", 1], ["10,", 87380], ["10]", 1]],
            nested(32),
            [*nested(32)[:1], ["1", 1], *nested(32)[1:]],
            [['{"a":', 32], ["null", 1], ["}", 32]],
        )
    ]
    refused: list[Wire] = [{"text": text} for text in REFUSED]
    refused += [{"hex": text} for text in REFUSED_HEX]
    refused += [
        {"parts": parts}
        for parts in (
            [['"', 1], ["x", long_value - 1], ['"', 1]],
            [['"', 1], ["é", long_value // 2], ['"', 1]],
            nested(33),
            [['{"a":', 33], ["null", 1], ["}", 33]],
            [['[{"a":', 16], ["[]", 1], ["}]", 16]],
            nested(100_000),
            [["[", 100_000]],
            [["1", 400]],
            [["9", 5000]],
        )
    ]
    keys = [
        {"parts": parts, "code": code}
        for parts, code in (
            ([["a", 1]], None),
            ([["\x00", 1]], None),
            ([["\U0001f600", 1]], None),
            ([["a", KIB]], None),
            ([["é", KIB // 2]], None),
            ([["\U0001f600", KIB // 4]], None),
            ([], "invalid-key"),
            ([["a", KIB + 1]], "invalid-key"),
            ([["é", KIB // 2], ["a", 1]], "invalid-key"),
            ([["\U0001f600", KIB // 4], ["a", 1]], "invalid-key"),
            ([["\ud800", 1]], "invalid-key"),
            ([["a\udc00b", 1]], "invalid-key"),
        )
    ]
    return {
        "limits": {"key_bytes": KIB, "value_bytes": long_value, "depth": 32, "integer": 2**53 - 1},
        "numbers": [list(pair) for pair in zip(good, texts_of(good), strict=True)],
        "refused_numbers": bad,
        "refused_code": "invalid-value",
        "accepted": accepted,
        "refused": refused,
        "keys": keys,
    }


# -- stamps ----------------------------------------------------------------------------------------


def make_stamps() -> dict[str, Any]:
    """The order of stamps, and what a clock does step by step."""
    most = 2**53 - 1
    ordered = [
        [0, 0, "a"],
        [0, 1, "a"],
        [1, 0, "-"],
        [1, 0, "0"],
        [1, 0, "A"],
        [1, 0, "B"],
        [1, 0, "_"],
        [1, 0, "a"],
        [1, 0, "aa"],
        [1, 2, "a"],
        [1, 10, "a"],
        [2, 0, "a"],
        [10, 0, "a"],
        [NOW_MS, 0, "a"],
        [NOW_MS, most, "a"],
        [NOW_MS + 1, 0, "a"],
        [most, most, "z" * 32],
    ]

    def tick(wall_ms: float, gives: list[int], after: list[Any] | None = None) -> Wire:
        return {"wall_ms": wall_ms, "do": "tick", "after": after, "gives": [*gives, "me"]}

    def observe(wall_ms: float, ms: int, counter: int) -> Wire:
        return {"wall_ms": wall_ms, "do": "observe", "stamp": [ms, counter, "you"]}

    def is_ahead(wall_ms: float, ms: int, gives: bool) -> Wire:
        return {"wall_ms": wall_ms, "do": "is_ahead", "stamp": [ms, 0, "you"], "gives": gives}

    def correct(wall_ms: float, offset_ms: float, gives: bool) -> Wire:
        return {"wall_ms": wall_ms, "do": "correct", "offset_ms": offset_ms, "gives": gives}

    steps = [
        tick(1000.7, [1000, 0]),
        tick(1000.9, [1000, 1]),
        tick(1001, [1001, 0]),
        tick(500, [1001, 1]),
        observe(1001, 1000, 7),
        tick(1001, [1001, 2]),
        observe(1001, 1001, 9),
        tick(1001, [1001, 10]),
        observe(1001, 1400, 3),
        tick(1001, [1400, 4]),
        tick(1001, [1500, 3], [1500, 2, "you"]),
        tick(1001, [1500, 4], [1500, 1, "you"]),
        tick(1600, [1600, 0], [1500, 9, "you"]),
        is_ahead(1600, 61_600, False),
        is_ahead(1600, 61_601, True),
        is_ahead(-5000, 1600, False),
        is_ahead(-5000, 60_000, False),
        is_ahead(-5000, 60_001, True),
        observe(1600, 1700, most),
        tick(1600, [1701, 0]),
        correct(1701, 2.5, False),
        tick(1701, [1703, 0]),
        correct(1702, -1000, False),
        tick(1702, [1703, 1]),
        tick(80_000, [79_000, 0]),
        correct(80_000, -61_000, False),
        correct(80_000, -61_001, True),
        tick(80_000, [18_999, 1]),
        tick(80_001, [19_000, 0]),
    ]
    return {"ordered": ordered, "max_ahead_ms": 60_000, "clock": {"writer": "me", "steps": steps}}


# -- entries ---------------------------------------------------------------------------------------

KNOWN = ("event", "key", "value", "stamp")


def put(key: str, value: Any, ms: int, counter: int = 0, writer: str = "w", **extras: Any) -> Wire:
    """A set, as it stands on the wire."""
    return {"event": "set", "key": key, "value": value, "stamp": [ms, counter, writer], **extras}


def drop(key: str, ms: int, counter: int = 0, writer: str = "w", **extras: Any) -> Wire:
    """A delete, as it stands on the wire."""
    return {"event": "delete", "key": key, "stamp": [ms, counter, writer], **extras}


def content(wire: Wire) -> str:
    """The text of an entry that is hashed."""
    extras = {name: wire[name] for name in wire if name not in KNOWN}
    parts = [wire["event"], wire["key"], wire["stamp"]]
    parts += [wire["value"]] if wire["event"] == "set" else []
    return canonical(parts + ([extras] if extras else []))


def wire_text(wire: Wire) -> str:
    """The text of an entry as a peer sends it: the known fields in their order, then the others."""
    known = [name for name in KNOWN if name in wire]
    others = sorted(
        (name for name in wire if name not in KNOWN), key=lambda n: n.encode("utf-16-be")
    )
    return "{" + ",".join(f"{canonical(n)}:{canonical(wire[n])}" for n in known + others) + "}"


def order(wire: Wire) -> tuple[Any, ...]:
    """What decides between two entries of a key."""
    text = content(wire)
    return (*wire["stamp"], wire["event"] == "delete", hash52(text), text.encode())


ENTRIES: list[Wire] = [
    put("a", None, 0),
    put("a", 1, NOW_MS, 3, "Az09_-"),
    drop("a", NOW_MS, 3, "Az09_-"),
    put("key", {"b": [1, 2.5, "x"], "a": {}}, NOW_MS, 0, "w" * 32),
    put('quote " and \\ and \n', "\x00\x1f\x7f", 1),
    put("\U0001f600 € \ue000", {"\ue000": 1, "\U0001f600": 1e21}, 2**53 - 1, 2**53 - 1),
    put("extras", 1, 5, expires_ms=12345),
    put("extras", 1, 5, z=[1.5, None], a={"y": 1, "x": "é"}) | {"": 0},
    drop("extras", 5, signature="abc"),
    put("__proto__", {"__proto__": 1}, 7),
]
OTHER_FORMS = [
    # entries as another program may write them, and as they are passed on
    (
        ' {"stamp" : [1e3, 2.0, "w"],"value":{"b":1.0, "a":-0},"key":"\\u0061", "event":"set" } ',
        put("a", {"a": 0, "b": 1}, 1000, 2),
    ),
    (
        '{"event":"set","key":"a","value":1,"more":[1.0, {"b":2,"a":1}],"stamp":[1,0,"w"],"Z":1}',
        put("a", 1, 1, more=[1, {"a": 1, "b": 2}], Z=1),
    ),
    ('{"key":"a","stamp":[1,0,"w"],"event":"delete","x":null}', drop("a", 1, x=None)),
]
S, D = '{"event":"set","key":"a",', '{"event":"delete","key":"a",'
REFUSED_ENTRIES = [
    *("", "1", "[]", "null", '"set"', "{}", S + '"value":1}', S + '"stamp":[1,0,"w"]}'),
    D + '"value":1,"stamp":[1,0,"w"]}',
    '{"event":"get","key":"a","stamp":[1,0,"w"]}',
    '{"event":null,"key":"a","stamp":[1,0,"w"]}',
    '{"key":"a","value":1,"stamp":[1,0,"w"]}',
    '{"event":"delete","stamp":[1,0,"w"]}',
    '{"event":"delete","key":"","stamp":[1,0,"w"]}',
    '{"event":"delete","key":1,"stamp":[1,0,"w"]}',
    '{"event":"delete","key":null,"stamp":[1,0,"w"]}',
    '{"event":"delete","key":"\\ud800","stamp":[1,0,"w"]}',
    '{"event":"delete","key":"' + "a" * (KIB + 1) + '","stamp":[1,0,"w"]}',
    *(
        D + f'"stamp":{stamp}}}'
        for stamp in (
            *('[1,0,""]', '[1,0,"a b"]', '[1,0,"é"]', '[1,0,"w\\n"]', f'[1,0,"{"w" * 33}"]'),
            *('[-1,0,"w"]', '[1,-1,"w"]', '[1.5,0,"w"]', '[1,0.5,"w"]', '["1",0,"w"]', "[1,0,1]"),
            *("[1,0]", '[1,0,"w",0]', "[]", "null", "1", '{"0":1,"1":0,"2":"w"}', '[true,0,"w"]'),
            *('[9007199254740992,0,"w"]', '[1,9007199254740992,"w"]', '[1e999,0,"w"]'),
        )
    ),
    *(
        S + f'"value":{value},"stamp":[1,0,"w"]}}'
        for value in ("9007199254740992", '"\\ud800"', "[" * 33 + "]" * 33, "1e999", "x", "")
    ),
    S + '"value":1,"stamp":[1,0,"w"],"extra":9007199254740992}',
    S + '"value":1,"stamp":[1,0,"w"],"extra":' + "[" * 32 + "]" * 32 + "}",
    S + '"value":1,"stamp":[1,0,"w"],"extra":"' + "x" * 4096 + '"}',
    S + '"value":1,"stamp":[1,0,"w"]} x',
]  # fmt: skip


def make_entries() -> dict[str, Any]:
    """Entries, their texts, positions and hashes, and the order of those of one key."""
    forms = [(wire_text(wire), wire) for wire in ENTRIES]
    forms += OTHER_FORMS
    # Of one stamp a tombstone wins, or else the hash decides, which says nothing about the values.
    values: list[Any] = [1, 2, 3, None, "a", [], 0.5]
    rivals = [put("k", value, NOW_MS) for value in values]
    rivals += [
        drop("k", NOW_MS),
        drop("k", NOW_MS, more=1),
        put("k", 1, NOW_MS, more=1),
        put("k", 1, NOW_MS, more=2),
    ]
    rivals += [put("k", 1, NOW_MS - 1, 9), put("k", 1, NOW_MS, 1), put("k", 1, NOW_MS, 0, "a")]
    rivals += [drop("k", NOW_MS, 0, "x"), put("k", 1, 0), drop("k", 2**53 - 1)]
    return {
        "accepted": [
            {
                "text": text,
                "sent": wire_text(wire),
                "key": wire["key"],
                "position": f"{hash52(wire['key']):013x}",
                "hash": hash52(content(wire)),
            }
            for text, wire in forms
        ],
        "refused": REFUSED_ENTRIES,
        "refused_code": "protocol",
        "ordered": [wire_text(wire) for wire in sorted(rivals, key=order)],
    }


# -- columns ---------------------------------------------------------------------------------------


def columns_text(wires: list[Wire]) -> str:
    """The columns of some sets, as a peer sends them."""
    stamps = [wire["stamp"] for wire in wires]
    since_ms = min(ms for ms, _, _ in stamps)
    names = list(dict.fromkeys(writer for _, _, writer in stamps))
    columns = {
        "keys": [wire["key"] for wire in wires],
        "values": [wire["value"] for wire in wires],
        "since_ms": since_ms,
        "ms": [ms - since_ms for ms, _, _ in stamps],
        "counters": [counter for _, counter, _ in stamps],
        "names": names,
        "writers": [names.index(writer) for _, _, writer in stamps],
    }
    return "{" + ",".join(f'"{name}":{canonical(columns[name])}' for name in columns) + "}"


def columns_with(**columns: str) -> str:
    """The columns of two plain sets, some exchanged for other texts, or left out if empty."""
    plain = {
        "keys": '["a","b"]',
        "values": '["x","y"]',
        "since_ms": "1000",
        "ms": "[0,5]",
        "counters": "[0,1]",
        "names": '["w"]',
        "writers": "[0,0]",
    }
    return "{" + ",".join(f'"{n}":{text}' for n, text in {**plain, **columns}.items() if text) + "}"


COLUMNS_VALUE_BYTES = 400
SETS = [list({w["key"]: w for w in ENTRIES if w.keys() == set(KNOWN)}.values())]
SETS += [
    [put(f"k{n}", f"text {n}", NOW_MS + n % 3, n % 2, "vw"[n % 2]) for n in range(5)],
    [put("long", "x" * 300, 0), put("Z", [1, "a", {"b": None}], 2**53 - 1, 1, "z" * 32)],
    [put('a","b', '","', 1), put('"', '",', 1, 1), put("]", '"]', 1, 2), put(",", "\\", 1, 3)],
    [put("a", True, 1), put("b", False, 1), put("c", 0, 1), put("d", -1, 1), put("e", 0.5, 1)],
]
ODD_COLUMNS = [
    # columns as another program may write them: the entries, and how many are left out
    (columns_with(), [put("a", "x", 1000), put("b", "y", 1005, 1)], 0),
    (
        columns_with(values=' [ "\\u0041" ,{"z":1.0, "b":-0} ]', more="[1]"),
        [put("a", "A", 1000), put("b", {"b": 0, "z": 1}, 1005, 1)],
        0,
    ),
    (columns_with(names='["w","v"]', writers="[1,0]"), [
        put("a", "x", 1000, 0, "v"), put("b", "y", 1005, 1)], 0),
    (columns_with(values='["x",9007199254740992]'), [put("a", "x", 1000)], 1),
    (columns_with(values='["x",1e999]'), [put("a", "x", 1000)], 1),
    (columns_with(values="[" + "[" * 33 + "]" * 33 + ",1]"), [put("b", 1, 1005, 1)], 1),
    (columns_with(values='["' + "x" * (COLUMNS_VALUE_BYTES - 1) + '","y"]'), [
        put("b", "y", 1005, 1)], 1),
    (columns_with(values='["' + "x" * (COLUMNS_VALUE_BYTES - 2) + '","y"]'), [
        put("a", "x" * (COLUMNS_VALUE_BYTES - 2), 1000), put("b", "y", 1005, 1)], 0),
    (columns_with(keys='["","b"]'), [put("b", "y", 1005, 1)], 1),
    (columns_with(keys='["a","' + "b" * (KIB + 1) + '"]'), [put("a", "x", 1000)], 1),
    (columns_with(keys='["a","' + "é" * (KIB // 2) + '"]'), [
        put("a", "x", 1000), put("é" * (KIB // 2), "y", 1005, 1)], 0),
    (columns_with(keys='["a","' + "é" * (KIB // 2 + 1) + '"]'), [put("a", "x", 1000)], 1),
    (columns_with(since_ms="9007199254740986"), [
        put("a", "x", 2**53 - 6), put("b", "y", 2**53 - 1, 1)], 0),
    (columns_with(keys="[]", values="[]", ms="[]", counters="[]", names="[]", writers="[]"), [], 0),
]  # fmt: skip
BAD_COLUMNS = [
    *("null1", "1", "[]", "{}", '"columns"'),
    *(columns_with(**{name: ""}) for name in ("keys", "values", "since_ms", "names", "writers")),
    *(columns_with(**{name: '["a"]'}) for name in ("keys", "values")),
    *(columns_with(**{name: "[0]"}) for name in ("ms", "counters", "writers")),
    *(columns_with(**{name: "[0,0,0]"}) for name in ("ms", "counters", "writers", "values")),
    *(columns_with(**{name: "null"}) for name in ("keys", "values", "since_ms", "ms", "counters")),
    *(columns_with(values=text) for text in ('"ab"', "12", '{"0":1,"1":2}')),
    *(columns_with(**{name: "[0,-1]"}) for name in ("ms", "counters", "writers")),
    *(columns_with(**{name: "[0,1.5]"}) for name in ("ms", "counters", "writers")),
    *(columns_with(**{name: '[0,"1"]'}) for name in ("ms", "counters", "writers")),
    *(columns_with(**{name: "[0,9007199254740992]"}) for name in ("ms", "counters", "writers")),
    *(columns_with(since_ms=text) for text in ("-1", "0.5", '"0"', "9007199254740987")),
    *(columns_with(keys=text) for text in ('["a","a"]', '["a",1]', '["a",null]')),
    *(columns_with(names=text) for text in ("[]", '[""]', '["a b"]', "[1]", '["w","é"]')),
    columns_with(writers="[0,1]"),
    columns_with(names='["' + "w" * 33 + '"]'),
]


def make_columns() -> dict[str, Any]:
    """Columns, what they hold, and what are none."""
    return {
        "max_value_bytes": COLUMNS_VALUE_BYTES,
        "made": [
            {"entries": list(map(wire_text, wires)), "text": columns_text(wires)} for wires in SETS
        ],
        "read": [
            {"text": text, "entries": list(map(wire_text, wires)), "refused": refused}
            for text, wires, refused in ODD_COLUMNS
        ],
        "refused": BAD_COLUMNS,
        "refused_code": "protocol",
    }


# -- ranges ----------------------------------------------------------------------------------------


def make_ranges() -> dict[str, Any]:
    """The sums of a set of keys, before and after some changes."""
    first = {f"key {i}": hash52(f"first {i}") for i in range(700)}
    changed = {f"key {i}": hash52(f"second {i}") for i in range(0, 700, 9)}
    dropped = [f"key {i}" for i in range(0, 700, 4)]
    second = {key: h for key, h in {**first, **changed}.items() if key not in dropped}
    return {
        "comment": "key i gets the hash of 'first i', every 9th then that of 'second i', every 4th"
        " is taken out; a hash is the first 52 bits of SHA-256",
        "keys": 700,
        "changed_every": 9,
        "dropped_every": 4,
        "before": sums_of(first),
        "after": sums_of(second),
    }


def sums_of(hashes: dict[str, int]) -> dict[str, Any]:
    """Sums over some ranges."""
    places = sorted((f"{hash52(key):013x}", key) for key in hashes)
    whole = places[5][0]
    prefixes = ["", "0", "7", "f", "3c", "e01", *(whole[:n] for n in (2, 3, 4, 12, 13))]

    def summary(prefix: str) -> list[int]:
        chosen = [hashes[key] for place, key in places if place.startswith(prefix)]
        return [len(chosen), sum(chosen) % 2**52]

    def items(prefix: str, start: str) -> list[str]:
        return [key for place, key in places if place.startswith(prefix) and place >= start]

    asked = [("", ""), ("", "8"), ("3", "3c"), ("3", "4"), ("3", ""), (whole, whole)]
    return {
        "summaries": [[prefix, *summary(prefix)] for prefix in prefixes],
        "children": [
            [prefix, [n for digit in "0123456789abcdef" for n in summary(prefix + digit)]]
            for prefix in prefixes
            if len(prefix) < len(whole)
        ],
        "items": [[prefix, start, items(prefix, start)[:12]] for prefix, start in asked],
    }


# -- merges ----------------------------------------------------------------------------------------


def merge_case(name: str, wires: Iterable[Wire]) -> Wire:
    """What a replica has after some entries, at NOW_MS."""
    wires = list(wires)
    due = [wire for wire in wires if wire["stamp"][0] <= NOW_MS + 60_000]
    later = [wire for wire in wires if wire["stamp"][0] > NOW_MS + 60_000]
    kept = {wire["key"]: wire for wire in sorted(due, key=order)}
    held = {(wire["key"], wire["stamp"][2]): wire for wire in sorted(later, key=order)}
    return {
        "name": name,
        "entries": [wire_text(wire) for wire in wires],
        "kept": sorted(map(wire_text, kept.values())),
        "held": sorted(map(wire_text, held.values())),
        "live": sum(wire["event"] == "set" for wire in kept.values()),
        "digest": [len(kept), sum(hash52(content(wire)) for wire in kept.values()) % 2**52],
    }


def make_merges() -> dict[str, Any]:
    """What is left of some entries, in whatever order and however often they come."""

    def anything() -> Iterator[Wire]:
        random = Random(1)
        for _ in range(120):
            key, ms = f"k{random.randrange(12)}", NOW_MS + random.randrange(-2, 2)
            counter, writer = random.randrange(2), random.choice("abc")
            if random.random() < 0.3:
                yield drop(key, ms, counter, writer)
            else:
                yield put(key, random.choice([1, 2, "x", None, [0.5]]), ms, counter, writer)

    def once(value: Any, **extras: Any) -> Wire:
        return put("a", value, NOW_MS, 4, "same", **extras)

    buried = drop("a", NOW_MS, 4, "same")
    bound = NOW_MS + 60_000
    old = NOW_MS - 3_600_000  # and yet no tombstone of then is forgotten
    cases = [
        merge_case("nothing", []),
        merge_case("the later milliseconds", [put("a", 1, old + 10), put("a", 2, old + 9)]),
        merge_case("the greater counter", [put("a", 1, old + 10, 2), put("a", 2, old + 10, 10)]),
        merge_case(
            "the greater writer", [put("a", 1, old + 10, 0, "b"), put("a", 2, old + 10, 0, "a")]
        ),
        merge_case("a tombstone over a value", [put("a", 1, old + 10), drop("a", old + 11)]),
        merge_case("a value over a tombstone", [put("a", 1, old + 11), drop("a", old + 10)]),
        merge_case("a tombstone of what never was", [drop("a", old + 10)]),
        merge_case("one stamp, two values", [once(1), once(2)]),
        merge_case("one stamp, a value and a tombstone", [once(1), buried]),
        merge_case("one stamp, seven values and a tombstone", [*map(once, range(7)), buried]),
        merge_case("one stamp, a value with extras and a tombstone", [once(1, e=1), buried]),
        merge_case(
            "one stamp, tombstones with and without extras",
            [buried, *(drop("a", NOW_MS, 4, "same", e=n) for n in range(5))],
        ),
        merge_case("a value later than its tombstone", [once(1), buried, put("a", 2, NOW_MS, 5)]),
        merge_case("one stamp, with and without extras", [once(1), once(1, e=1)]),
        merge_case("one stamp, seven values", [once(n) for n in range(7)]),
        merge_case("at the bound, and over it", [put("a", 1, bound), put("b", 1, bound + 1)]),
        merge_case(
            "held behind what is there",
            [put("a", 1, old), put("a", 2, bound + 1), drop("a", bound + 2), put("a", 3, old + 1)],
        ),
        merge_case(
            "one stamp, a value and a tombstone held",
            [*(put("a", n, bound + 1) for n in range(5)), drop("a", bound + 1)],
        ),
        merge_case(
            "one held for each key and writer",
            [
                *(put("a", 1, bound + 5, 0, "x"), put("a", 2, bound + 9, 0, "y")),
                *(put("a", 3, bound + 7, 0, "x"), put("b", 4, bound + 7, 0, "x")),
            ],
        ),
        merge_case("anything", anything()),
    ]
    return {"now_ms": NOW_MS, "cases": cases}


# -- the files -------------------------------------------------------------------------------------

FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "values": make_values,
    "stamps": make_stamps,
    "entries": make_entries,
    "columns": make_columns,
    "ranges": make_ranges,
    "merges": make_merges,
}


def path(name: str) -> Path:
    """Where a file stands."""
    return FOLDER / f"{name}.json"


def load(name: str) -> Any:
    """What stands in a file."""
    return json.loads(path(name).read_text("ascii"))


def text_of(made: dict[str, Any]) -> str:
    """The text of a file, in ASCII, with an item of a list to a line."""
    fields = []
    for name, value in made.items():
        if isinstance(value, list):
            lines = ",\n".join(f"    {json.dumps(item)}" for item in value)
            fields.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
        else:
            fields.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


if __name__ == "__main__":
    for file_name, make in FILES.items():
        path(file_name).write_text(text_of(make()), "ascii")
