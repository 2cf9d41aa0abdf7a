"""Values and keys: what a map takes, and the one text of each value."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from math import inf, nan
from typing import Any, NamedTuple
from unittest import TestCase, skipUnless

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from distmap import values
from distmap.errors import DistMapError, InvalidKey, InvalidType, InvalidValue
from tests.support.replicas import SETTINGS, is_refused, json_values
from tests.vectors import make_vectors

VECTORS = make_vectors.load("values")
EDGE = 2**53 - 1


def from_parts(case: dict[str, Any]) -> str:
    """A text of the vectors, which may be given as repeated pieces."""
    if "text" in case:
        text: str = case["text"]
        return text
    return "".join(piece * times for piece, times in case["parts"])


class ValuesTestCase(TestCase):
    """A test of what is taken and what is not."""

    def refused(
        self, error: type[DistMapError], call: Callable[..., object], *arguments: object
    ) -> None:
        """Fails unless a call raises just this error."""
        with self.assertRaises(error) as caught:
            call(*arguments)
        self.assertIs(type(caught.exception), error)
        self.assertTrue(str(caught.exception))


class Vectors(ValuesTestCase):
    """What JavaScript must agree on."""

    def test_file_is_what_the_generator_makes(self) -> None:
        stored = dict(VECTORS["numbers"])
        made = make_vectors.make_values(lambda bits: [stored[each] for each in bits])
        self.assertEqual(make_vectors.text_of(made), make_vectors.path("values").read_text("ascii"))

    @skipUnless(shutil.which("node"), "Node.js is not installed")
    def test_numbers_are_those_of_node(self) -> None:
        bits = [each for each, _ in VECTORS["numbers"]]
        texts = make_vectors.node_texts(bits)
        self.assertEqual(dict(VECTORS["numbers"]), dict(zip(bits, texts, strict=True)))

    def test_numbers(self) -> None:
        self.assertGreater(len(VECTORS["numbers"]), 400)
        for bits, text in VECTORS["numbers"]:
            number = make_vectors.from_bits(bits)
            self.assertEqual(values.encode(number), text.encode(), bits)
            self.assertEqual(values.canonical(text.encode()), text.encode(), bits)
            self.assertEqual(values.decode(text.encode()), number)

    def test_refused_numbers(self) -> None:
        self.assertGreater(len(VECTORS["refused_numbers"]), 30)
        for bits in VECTORS["refused_numbers"]:
            self.refused(InvalidValue, values.encode, make_vectors.from_bits(bits))

    def test_accepted(self) -> None:
        for case in VECTORS["accepted"]:
            text = from_parts(case)
            wanted = case.get("canonical", text).encode()
            self.assertEqual(values.canonical(text.encode()), wanted)
            self.assertEqual(values.canonical(msgspec.Raw(text.encode())), wanted)
            self.assertEqual(values.encode(values.decode(wanted)), wanted)

    def test_refused(self) -> None:
        texts = [from_parts(case).encode() for case in VECTORS["refused"] if "hex" not in case]
        texts += [bytes.fromhex(case["hex"]) for case in VECTORS["refused"] if "hex" in case]
        for text in texts:
            self.refused(InvalidValue, values.canonical, text)
        self.assertEqual(InvalidValue.code, VECTORS["refused_code"])

    def test_keys(self) -> None:
        for case in VECTORS["keys"]:
            key = from_parts(case)
            if case["code"] is None:
                self.assertEqual(values.check_key(key), key)
            else:
                self.refused(InvalidKey, values.check_key, key)
                self.assertEqual(InvalidKey.code, case["code"])

    def test_limits(self) -> None:
        self.assertEqual(
            VECTORS["limits"],
            {
                "key_bytes": values.MAX_KEY_BYTES,
                "value_bytes": values.MAX_VALUE_BYTES,
                "depth": values.MAX_DEPTH,
                "integer": values.MAX_INTEGER,
            },
        )


class Canonical(ValuesTestCase):
    """The text is that of RFC 8785."""

    @SETTINGS
    @given(json_values)
    @example([{"\ue000": 1, "\U0001f600": 2}])
    @example({"\ue000": 1, "\U0001f600": 2, "a": {"é": 0.5, "z": [1e21]}})
    def test_agrees_with_another_canonicaliser(self, value: Any) -> None:
        text = values.encode(value)
        self.assertEqual(text.decode(), make_vectors.canonical(value))
        self.assertEqual(values.canonical(text), text)
        self.assertEqual(values.decode(text), value)

    @SETTINGS
    @given(json_values, st.booleans(), st.sampled_from([None, 2]))
    def test_any_form_of_a_value_has_one_text(
        self, value: Any, ascii_only: bool, indent: int | None
    ) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        self.assertEqual(values.canonical(text.encode()), values.encode(value))

    @SETTINGS
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_numbers(self, number: float) -> None:
        if is_refused(number):
            self.refused(InvalidValue, values.encode, number)
        else:
            self.assertEqual(values.encode(number).decode(), make_vectors.number_text(number))

    @SETTINGS
    @given(st.text("0123456789", min_size=1, max_size=40), st.integers(-400, 400))
    def test_a_number_however_it_is_written(self, digits: str, exponent: int) -> None:
        text = f"{digits[0]}.{digits}e{exponent}"
        number = float(text)
        if number == inf or is_refused(number):
            self.refused(InvalidValue, values.canonical, text.encode())
        else:
            self.assertEqual(values.canonical(text.encode()), values.encode(number))

    @SETTINGS
    @given(st.integers(-(10**330), 10**330) | st.integers(-(10**22), 10**22))
    def test_a_long_integer_reads_as_in_javascript(self, number: int) -> None:
        text = str(number).encode()
        if abs(number) <= EDGE:
            self.assertEqual(values.canonical(text), text)
        elif 10**21 - 2**16 <= abs(number) < 2**1024 - 2**970:
            self.assertEqual(values.canonical(text), values.encode(float(number)))
        else:
            self.refused(InvalidValue, values.canonical, text)

    def test_negative_zero_is_zero(self) -> None:
        self.assertEqual(values.encode([-0.0, 0.0, -0, {"a": -0.0}]), b'[0,0,0,{"a":0}]')

    def test_decode_gives_a_new_object(self) -> None:
        text = values.encode({"a": [1]})
        values.decode(text)["a"].append(2)
        self.assertEqual(values.decode(text), {"a": [1]})


class Limits(ValuesTestCase):
    """At the edge, and past it."""

    def test_integers(self) -> None:
        for number in (EDGE, -EDGE, float(EDGE), -float(EDGE)):
            self.assertEqual(values.encode(number), b"%d" % number)
        for number in (EDGE + 1, -EDGE - 1, 2**63, 2**64, 10**21, 10**5000):
            self.refused(InvalidValue, values.encode, number)
            self.refused(InvalidValue, values.encode, {"a": [number]})

    def test_floats(self) -> None:
        for number in (nan, inf, -inf, 2.0**53, -(2.0**53), 1e20, 999999999999999868928.0):
            self.refused(InvalidValue, values.encode, number)
            self.refused(InvalidValue, values.encode, [{"a": number}])
        self.assertEqual(values.encode([1e21, -1e21, 1e308]), b"[1e+21,-1e+21,1e+308]")

    def test_value_bytes(self) -> None:
        most = values.MAX_VALUE_BYTES
        self.assertEqual(len(values.encode("x" * (most - 2))), most)
        self.refused(InvalidValue, values.encode, "x" * (most - 1))
        self.assertEqual(len(values.encode(["é" * (most // 2 - 2)])), most)
        self.refused(InvalidValue, values.encode, ["é" * (most // 2 - 1)])
        self.refused(InvalidValue, values.encode, "\x00" * (most // 6 + 1))

    def test_value_bytes_of_ones_own(self) -> None:
        self.assertEqual(values.encode("xx", 4), b'"xx"')
        self.refused(InvalidValue, values.encode, "xxx", 4)
        self.assertEqual(values.canonical(b' "xx" ', 4), b'"xx"')
        self.refused(InvalidValue, values.canonical, b'"xxx"', 4)
        # White space is not counted, but it is not read without end either.
        self.refused(InvalidValue, values.canonical, b'  "xx"   ', 4)

    def test_depth(self) -> None:
        def nest(depth: int, inner: Any, wrap: Callable[[Any], Any]) -> Any:
            for _ in range(depth):
                inner = wrap(inner)
            return inner

        wraps: list[Callable[[Any], Any]] = [
            lambda v: [v],
            lambda v: (v,),
            lambda v: {"a": v},
            lambda v: OrderedDict(a=v),
        ]
        for wrap in wraps:
            for inner in (1, 0.5, "a"):
                values.encode(nest(32, inner, wrap))
                self.refused(InvalidValue, values.encode, nest(33, inner, wrap))
                self.refused(InvalidValue, values.encode, nest(5000, inner, wrap))

    def test_cycles(self) -> None:
        row: list[Any] = [1]
        row.append(row)
        table: dict[str, Any] = {}
        table["a"] = [table]
        for value in (row, table):
            self.refused(InvalidValue, values.encode, value)

    def test_lone_surrogates(self) -> None:
        for value in ("\ud800", "a\udfff", ["\ud800"], {"\ud800": 1}, {"a": "\udc00", "é": 1}):
            self.refused(InvalidValue, values.encode, value)
        self.refused(InvalidValue, values.encode, {"\ud800": 1, "\ue000": 0.5})

    def test_keys_that_are_no_strings(self) -> None:
        for key in (None, 1, b"a", True, ("a",), 1.5):
            self.refused(InvalidType, values.check_key, key)


class Text(str):
    """A subclass that msgspec does not know."""

    __slots__ = ()


class Number(int):
    """A subclass that msgspec does not know."""


class Fractional(float):
    """A subclass that shows itself in another way, as numpy's does."""

    def __repr__(self) -> str:
        return f"Fractional({float(self)})"

    def __abs__(self) -> Fractional:
        return Fractional(super().__abs__())


class Colour(StrEnum):
    RED = "red"


class Mixed(str, Enum):  # noqa: UP042 (what StrEnum does not do: str() gives another text)
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: float


class Types(ValuesTestCase):
    """The types of Python that have a place in JSON, and those that have none."""

    def everywhere(self, value: Any, text: bytes) -> None:
        """Fails unless a value has this text by itself and within others."""
        self.assertEqual(values.encode(value), text)
        self.assertEqual(values.encode([value]), b"[%b]" % text)
        self.assertEqual(values.encode([0.5, value]), b"[0.5,%b]" % text)
        self.assertEqual(values.encode({"a": (value,)}), b'{"a":[%b]}' % text)

    def test_json(self) -> None:
        for value, text in ((None, b"null"), (True, b"true"), (False, b"false"), (1, b"1")):
            self.everywhere(value, text)

    def test_tuples_become_lists(self) -> None:
        self.everywhere((), b"[]")
        self.everywhere((1, ("a",)), b'[1,["a"]]')
        self.everywhere(Point(1, 0.5), b"[1,0.5]")
        self.assertEqual(values.decode(values.encode((1, 2))), [1, 2])

    def test_subclasses(self) -> None:
        self.everywhere(Text("é"), '"é"'.encode())
        self.everywhere(Number(7), b"7")
        self.everywhere(Fractional(-0.25), b"-0.25")
        self.everywhere(Fractional(2), b"2")
        self.everywhere(OrderedDict(b=1, a=2), b'{"a":2,"b":1}')

    def test_enumerations(self) -> None:
        self.everywhere(Colour.RED, b'"red"')
        self.everywhere(Mixed.RED, b'"red"')
        self.everywhere(Level.HIGH, b"3")

    def test_subclasses_as_keys_of_objects(self) -> None:
        self.everywhere({Text("b"): 1, Colour.RED: 2, "a": 3}, b'{"a":3,"b":1,"red":2}')
        self.everywhere({Mixed.RED: 0.5}, b'{"red":0.5}')

    def test_subclasses_as_keys_of_a_map(self) -> None:
        for key in (Text("red"), Colour.RED, Mixed.RED):
            checked = values.check_key(key)
            self.assertEqual(checked, "red")
            self.assertIs(type(checked), str)

    def test_what_json_does_not_have(self) -> None:
        for value in (
            *(b"a", bytearray(b"a"), memoryview(b"a"), {1}, frozenset(), 1j, Decimal(1)),
            *(Fraction(1, 2), datetime.now(UTC), object(), object, len, ..., range(3)),
            *(iter([]), msgspec.Raw(b"1"), {1: 1}, {None: 1}, {True: 1}, {b"a": 1}, {("a",): 1}),
        ):
            for whole in (value, [value], (0.5, value), {"a": value}, OrderedDict(a=[value])):
                self.refused(InvalidType, values.encode, whole)
        self.assertTrue(issubclass(InvalidType, TypeError))
        self.assertTrue(issubclass(InvalidValue, ValueError))
        self.assertTrue(issubclass(InvalidKey, ValueError))


class Junk(ValuesTestCase):
    """Whatever text comes, there is a value or a clear refusal."""

    def canonical_or_refused(self, text: bytes) -> None:
        try:
            once = values.canonical(text)
        except (InvalidValue, InvalidType):
            return
        self.assertEqual(values.canonical(once), once)

    @SETTINGS
    @given(st.binary(max_size=60) | st.text('[]{}:,"\\0123456789.eE+-truefalsn \n').map(str.encode))
    @example(b"9" * 4301)
    @example(b"1" + b"0" * 308)
    @example(b"[" * 200_000)
    @example(b'{"":' * 100_000)
    @example(b"-" * 1000)
    @example(b"\xff\xfe1\x00")
    def test_bytes(self, text: bytes) -> None:
        self.canonical_or_refused(text)

    @SETTINGS
    @given(json_values, st.randoms(use_true_random=False))
    def test_damaged_texts(self, value: Any, random: Any) -> None:
        text = bytearray(json.dumps(value).encode())
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(text) + 1)
            text[at : at + random.randrange(3)] = random.choice([b"", b'"', b"\\", b"\xed", b"1e9"])
        self.canonical_or_refused(bytes(text))
