"""What a peer can send, in any order: see :mod:`tests.fuzz`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from random import Random
from typing import Any
from unittest import TestCase

from tests.fuzz.cases import CORPUS, Broken, Case, Target, is_odd, load
from tests.fuzz.engine import Fuzzer, minimise
from tests.fuzz.mutations import MAX_STEP_BYTES, MAX_STEPS, Mutator
from tests.fuzz.targets import SHARES

EXECUTIONS = 10_000
"""Of all targets together, of each a share."""
LEAST = 60


class Fuzz(TestCase):
    """Nothing comes of it that must not."""

    def setUp(self) -> None:
        self.targets = [make() for make in SHARES]

    def test_the_corpus_is_replayed(self) -> None:
        """Where JavaScript has to make the same of it, it says what Python makes of it today."""
        for target in self.targets:
            kept = load(target.name)
            self.assertGreater(len(kept), 20, target.name)
            for case, verdict in kept:
                with self.subTest(target.name, case=case):
                    target.run(case)
                    self.assertEqual(_plain(target.verdict(case)), verdict)

    def test_the_corpus_is_small_and_has_nothing_twice(self) -> None:
        paths = list(CORPUS.iterdir())
        self.assertEqual({path.stem for path in paths}, {target.name for target in self.targets})
        self.assertLess(sum(path.stat().st_size for path in paths), 1_000_000)
        for path in paths:
            lines = path.read_text("ascii").splitlines()
            self.assertEqual(len(lines), len(set(lines)), path.name)

    def test_fresh_cases(self) -> None:
        for target, share in zip(self.targets, SHARES.values(), strict=True):
            fuzzer = Fuzzer(target, seed=1)
            before = fuzzer.executions

            def failed(case: Case, error: Exception, target: Target = target) -> None:
                raise AssertionError(f"{target.name}: {case!r}") from error

            many = max(LEAST, round(EXECUTIONS * share / 100))
            fuzzer.run(many, failed)
            self.assertGreaterEqual(fuzzer.executions, before + many)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


class Fragile:
    """A target that breaks at a certain word, behind another."""

    name = "fragile"
    actors = 1
    twin = False
    executions = 1

    def seeds(self) -> Iterator[Case]:
        yield ((0, b'{"event":1}'), (0, b"[2]"))

    def run(self, case: Case) -> Hashable:
        texts = [text for _, text in case]
        seen = any(b"set" in text for text in texts)
        if seen and any(b"delete" in text for text in texts):
            raise Broken("both")
        return seen

    def verdict(self, case: Case) -> Any:
        return None


class Engine(TestCase):
    """What does the fuzzing finds what there is, and finds it again."""

    def fuzz(self, seed: int) -> list[Case]:
        found: list[Case] = []
        Fuzzer(Fragile(), seed).run(20_000, lambda case, _: found.append(case))
        return found

    def test_it_finds_what_breaks(self) -> None:
        first = self.fuzz(3)
        self.assertGreater(len(first), 0)
        self.assertEqual(first, self.fuzz(3), "the same seed finds the same")
        self.assertNotEqual(first, self.fuzz(4))

        def breaks(case: Case) -> bool:
            try:
                Fragile().run(case)
            except Broken:
                return True
            return False

        least = minimise(Fragile(), first[0], breaks)
        self.assertEqual(sorted(b"".join(text for _, text in least)), sorted(b"setdelete"))

    def test_cases_stay_in_bounds(self) -> None:
        mutator = Mutator(Random(1), actors=2)
        case: Case = ((0, b'{"a":[1,"b"]}\n["c","data",1]'),)
        for _ in range(3000):
            case = mutator.mutate(case, ((1, b"[]"),)) or ((0, b"[1]"),)
            self.assertLessEqual(len(case), MAX_STEPS)
            for who, text in case:
                self.assertIn(who, (0, 1))
                self.assertLessEqual(len(text), MAX_STEP_BYTES)

    def test_what_the_languages_may_differ_about(self) -> None:
        for text in (b"[1.0]", b'{"a":1,"a":2}', b'{"a":[{"b":1e3}]}', b"[" * 9999):
            self.assertTrue(is_odd(text), text[:20])
        for text in (b"[1.5]", b'{"a":1,"b":2}', b'["1.0"]', b"[", b"\xff", b""):
            self.assertFalse(is_odd(text), text[:20])


_: Callable[[], Target] = Fragile
