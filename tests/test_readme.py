"""What README.md shows runs."""

from __future__ import annotations

import re
from unittest import TestCase

from tests.support.peers import ROOT
from tests.test_docs import COMMAND, background, marked_examples, relay, run, run_marked_examples

README = ROOT / "README.md"


class ReadmeTest(TestCase):
    def test_python(self) -> None:
        shared, tested = run_marked_examples(README)
        self.assertEqual(shared, "{'apple': 3, 'pear': {'n': 1}}\n")
        self.assertEqual(tested, "")

    def test_all_python_is_marked(self) -> None:
        fences = README.read_text("utf-8").count("```python")
        self.assertEqual(len(marked_examples(README)), fences)

    def test_shell(self) -> None:
        commands = re.findall(
            r"^\$ \.venv/bin/distmap (\w+) ws://localhost:8080/ (.+)\n((?:\{.*\n)?)",
            README.read_text("utf-8"),
            re.M,
        )
        self.assertEqual([command for command, _, _ in commands], ["watch", "set", "get"])
        with (
            relay() as url,
            background("-c", COMMAND, "watch", url, "/fruits", "--verbose") as peer,
        ):
            peer.wait_for("connected to")
            for command, rest, output in commands[1:]:
                arguments = [part.strip("'") for part in re.findall(r"'[^']*'|\S+", rest)]
                self.assertEqual(run("-c", COMMAND, command, url, *arguments), output)
            peer.wait_for('{"event":"set","key":"apple","value":{"n":3},')

    def test_commands_of_make(self) -> None:
        makefile = (ROOT / "Makefile").read_text("utf-8")
        for target in re.findall(r"`make (\w+)`|^\$ make (\w+)", README.read_text("utf-8"), re.M):
            self.assertRegex(makefile, rf"(?m)^{''.join(target)}:")
