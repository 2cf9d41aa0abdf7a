"""The browser client in Node alone: its own tests, its types, and what its modules may import."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import TestCase

import distmap
from tests.test_javascript import JS, ROOT, TSC, node

IMPORT = re.compile(r'^(?:import|export|}) (?:.* )?from "(.*)"$', re.MULTILINE)
OUTSIDE = re.compile(
    r"\b(Date|random\(\)|console|WebSocket|fetch|location|document|window|crypto|performance"
    r"|set(Timeout|Interval|Immediate)|queueMicrotask|MessageChannel|indexedDB|navigator)\b"
)
# The modules that talk to the world, as Python's adapters do.
ADAPTERS = {
    *("distmap", "connection", "connector", "credentials", "events", "map", "persistence"),
    *("fetching", "scheduler", "seat", "session", "store", "syncs", "wake"),
}


def run(*command: str | Path) -> None:
    """Runs a command in tests/js; fails with what it said if it fails."""
    done = subprocess.run(
        command, cwd=JS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{command[1:]} ended with {done.returncode}:\n{done.stdout}")


def sources() -> list[Path]:
    """The modules of the client."""
    web = ROOT / "distmap" / "web"
    return sorted([*web.glob("*.js"), *(web / "js").glob("*.js")])


def imports(path: Path) -> set[Path]:
    """What a module imports."""
    return {(path.parent / name).resolve() for name in IMPORT.findall(path.read_text("utf-8"))}


class Alone(TestCase):
    """What needs no Python."""

    timeout = 600

    def test_with_node(self) -> None:
        """The tests in tests/js."""
        tests = sorted(path.name for path in JS.glob("test_*.mjs"))
        self.assertGreater(len(tests), 8)
        run(node(), "--test", *tests)

    def test_types(self) -> None:
        """The compiler of TypeScript finds nothing wrong with the sources and the tests."""
        run(node(), TSC, "-p", ".")

    def test_imports_no_package(self) -> None:
        """Every module imports only what lies beside it: a page can load the client as it is. And
        only what comes before it in some order: no two modules need each other.
        """
        page = (ROOT / "distmap" / "web" / "page").glob("*.js")
        needs = {path: imports(path) for path in [*sources(), *page]}
        self.assertGreater(len(needs), 30)
        while needs:
            ready = [path for path, needed in needs.items() if not needed & needs.keys()]
            self.assertTrue(ready, f"they need each other: {sorted(path.name for path in needs)}")
            for path in ready:
                self.assertEqual([each for each in needs.pop(path) if not each.is_file()], [])

    def test_core_does_no_input_or_output(self) -> None:
        """Time, chance and sockets are handed in."""
        found = [
            f"{path.name}:{number}: {line.strip()}"
            for path in sources()
            if path.stem not in ADAPTERS
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
            if OUTSIDE.search(line) and not line.lstrip().startswith(("//", "*", "/*"))
        ]
        self.assertEqual(found, [])

    def test_package(self) -> None:
        """What npm would publish has the version of the Python package, and what it names."""
        web = ROOT / "distmap" / "web"
        package = json.loads((web / "package.json").read_text("utf-8"))
        self.assertEqual(package["version"], distmap.__version__)
        named = [*package["exports"]["."].values(), *package["files"]]
        self.assertEqual([name for name in named if not (web / name).exists()], [])
