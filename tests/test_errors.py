"""distmap.errors: who can catch what."""

from __future__ import annotations

from unittest import TestCase

from distmap import errors


class ErrorsTest(TestCase):
    def test_bad_keys_and_values_are_plain_errors_too(self) -> None:
        self.assertTrue(issubclass(errors.InvalidKey, ValueError))
        self.assertTrue(issubclass(errors.InvalidValue, ValueError))
        self.assertTrue(issubclass(errors.InvalidType, TypeError))

    def test_each_has_a_code_of_its_own(self) -> None:
        kinds = [
            each
            for each in vars(errors).values()
            if isinstance(each, type) and issubclass(each, errors.DistMapError)
        ]
        codes = [each.code for each in kinds if each is not errors.StreamError]
        # StreamError has the code that the other side gave it.
        self.assertEqual(errors.StreamError("text", "slow").code, "slow")
        self.assertEqual(len(codes), len(set(codes)))
        self.assertTrue(all(code == code.lower() and " " not in code for code in codes))
