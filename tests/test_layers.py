"""Holds the shape of the package: who imports whom, and what stays out of the library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest import TestCase

# Bottom up. A module may import those of the rows above its own, and no others of the package.
CORE: list[list[str]] = [
    ["errors", "clock", "backoff", "offset", "gossip", "tombstones"],
    ["restart", "values", "frames", "status", "texts", "counts", "throttle", "admission"],
    ["endings", "knowledge", "tries", "backlog"],
    ["entries", "states", "routes", "origins", "proxies"],
    ["ranges", "mux", "access", "channel", "options", "holding", "columns"],
    ["lww", "sync_wire", "channel_wire", "switchboard", "donors", "gate"],
    ["hub", "entrance"],
    ["merging", "outbox", "router", "changes", "port"],
    ["sync_donor", "handover"],
    ["aside", "correction", "doubts"],
    ["absence", "sync", "timekeeping"],
    ["reading"],
    ["peer"],
]
ADAPTERS: list[list[str]] = [
    ["deferreds", "events", "writing", "uplink", "websocket_options", "authorizer"],
    ["relay_log", "relay_port", "relay_intake", "relay_options", "relay_status"],
    ["websocket", "session", "page", "relay_site", "settings"],
    ["doorkeeper", "tickets", "passwords"],
    ["auth"],
    ["streams", "relay_socket", "attempts"],
    ["connection", "renewal", "fetching", "relay_connection", "site", "writes", "observers"],
    ["conversation"],
    ["connector", "credentials", "syncing", "relay_server", "batches"],
    ["syncs", "watching", "metrics"],
    ["seat", "relay"],
    ["map", "relay_process"],
    ["__init__"],
    ["arguments"],
    ["ticket_command"],
    ["testing", "tap", "cli"],
]

# The core gets bytes, time and chance as arguments, so it has no use for any of these.
NOT_IN_CORE = {
    *("twisted", "autobahn", "txaio", "zope", "asyncio"),
    *("threading", "concurrent", "multiprocessing", "subprocess", "signal"),
    *("socket", "ssl", "select", "selectors"),
    *("os", "io", "pathlib", "shutil", "tempfile", "sqlite3", "logging"),
    *("time", "datetime", "random", "secrets", "uuid"),
}

# Modules with no tests/test_<module>.py of their own, and why.
NO_TEST_OF_ITS_OWN: dict[str, str] = {
    "__init__": "it only gathers the public names",
    "attempts": "it is only Protocols: names and types, nothing that runs",
    "port": "it is only a Protocol: names and types, nothing that runs",
    "relay_port": "likewise",
    "fetching": "tests/test_credentials.py has it, with those who ask",
    "endings": "tests/test_relay_connection.py has it, with the queues that need it",
    "relay_options": "it is only fields; tests/test_settings.py and others set them",
    "websocket_options": "tests/test_websocket.py and tests/test_relay_socket.py have it",
}

MAX_LINES = 300
MAY_PRINT = {"cli"}
MAY_USE_THE_REACTOR = {"cli", "tap"}  # nobody passes them one; inside a function only

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "distmap"
LAYERS = CORE + ADAPTERS
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}
CORE_MODULES = {name for names in CORE for name in names}


class Import(NamedTuple):
    """One imported name, such as ``distmap.frames.Frame`` or ``os.path``."""

    name: str
    line: int
    in_function: bool


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by name: ``mux``, ``web.page``, ``__init__``."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def tree(module: str) -> ast.Module:
    path = modules()[module]
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(module: str) -> Iterator[Import]:
    """Every import of a module, wherever it stands."""
    return read_imports(tree(module), ["distmap", *module.split(".")[:-1]])


def read_imports(node: ast.AST, package: list[str], in_function: bool = False) -> Iterator[Import]:
    """The imports in a piece of source of that package, with relative ones spelled out."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function)
    elif isinstance(node, ast.ImportFrom):
        origin = package[: len(package) - node.level + 1] if node.level else []
        origin = [*origin, node.module] if node.module else origin
        for alias in node.names:
            yield Import(".".join([*origin, alias.name]), node.lineno, in_function)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        in_function = True
    for child in ast.iter_child_nodes(node):
        yield from read_imports(child, package, in_function)


def imported_module(name: str) -> str | None:
    """Which module of the package an imported name comes from; None for other packages' names."""
    parts = name.split(".")
    if parts[0] != "distmap":
        return None
    for end in range(len(parts), 1, -1):
        candidate = ".".join(parts[1:end])
        if candidate in modules():
            return candidate
    return "__init__"


def calls(module: str) -> Iterator[tuple[str, int]]:
    """The dotted names that a module calls, each with its line."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


class SourceTestCase(TestCase):
    """A test that reads the sources."""

    def none(self, problems: list[str]) -> None:
        """Fails with a line for each problem."""
        if problems:
            self.fail("\n".join(["", *dict.fromkeys(problems)]))


class Layers(SourceTestCase):
    """The package is a stack, and its core does no input or output."""

    def test_every_module_has_its_place(self) -> None:
        self.none(
            [
                f"distmap/{module}.py is in no row: add it to CORE or ADAPTERS in {__name__}"
                for module in modules()
                if module not in ROW
            ]
        )

    def test_no_module_has_two_places(self) -> None:
        self.assertEqual(len(ROW), sum(len(names) for names in LAYERS))

    def test_imports_go_down(self) -> None:
        self.none(
            [
                f"distmap/{module}.py:{found.line} imports {target}, which is in no row above it"
                for module in modules()
                if module in ROW
                for found in imports(module)
                if (target := imported_module(found.name)) is not None
                and ROW.get(target, len(LAYERS)) >= ROW[module]
            ]
        )

    def test_core_does_no_input_or_output(self) -> None:
        self.none(
            [
                f"distmap/{module}.py:{found.line} imports {found.name}, which no core module may"
                for module in modules()
                if module in CORE_MODULES
                for found in imports(module)
                if found.name.partition(".")[0] in NOT_IN_CORE
            ]
            + [
                f"distmap/{module}.py:{line} calls {name}()"
                for module in modules()
                if module in CORE_MODULES
                for name, line in calls(module)
                if name in {"open", "input", "__import__"}
            ]
        )


class House(SourceTestCase):
    """What holds for each file of the package by itself."""

    def test_reactor_is_passed_in(self) -> None:
        self.none(
            [
                f"distmap/{module}.py:{found.line} imports the global reactor"
                for module in modules()
                for found in imports(module)
                if found.name.startswith("twisted.internet.reactor")
                and not (found.in_function and module in MAY_USE_THE_REACTOR)
            ]
        )

    def test_nothing_prints_or_sleeps(self) -> None:
        self.none(
            [
                f"distmap/{module}.py:{line} calls {name}()"
                for module in modules()
                for name, line in calls(module)
                if name == "time.sleep" or (name == "print" and module not in MAY_PRINT)
            ]
            + [
                f"distmap/{module}.py:{found.line} imports time.sleep"
                for module in modules()
                for found in imports(module)
                if found.name == "time.sleep"
            ]
        )

    def test_files_stay_short(self) -> None:
        lengths = {path: len(path.read_text("utf-8").splitlines()) for path in modules().values()}
        self.none(
            [
                f"{path.relative_to(ROOT)} has {lines} lines, of {MAX_LINES} at most"
                for path, lines in lengths.items()
                if lines > MAX_LINES
            ]
        )

    def test_every_module_has_its_test(self) -> None:
        def test_of(module: str) -> str:
            return f"test_{module.replace('.', '_')}.py"

        missing = [
            module for module in modules() if not (ROOT / "tests" / test_of(module)).is_file()
        ]
        self.none(
            [
                f"distmap/{module}.py has no tests/{test_of(module)}: write it, or say why not in"
                f" NO_TEST_OF_ITS_OWN in {__name__}"
                for module in missing
                if module not in NO_TEST_OF_ITS_OWN
            ]
            + [
                f"NO_TEST_OF_ITS_OWN lists {module}, which has a test or is gone"
                for module in NO_TEST_OF_ITS_OWN
                if module not in missing
            ]
        )


class Reading(TestCase):
    """The checks above are as good as what they read: no form of import slips past them."""

    def read(self, source: str) -> list[Import]:
        return list(read_imports(ast.parse(source), ["distmap"]))

    def test_plain(self) -> None:
        self.assertEqual(
            self.read("import os.path as p, json"), [("os.path", 1, False), ("json", 1, False)]
        )

    def test_relative(self) -> None:
        self.assertEqual(
            self.read("from . import mux\nfrom .frames import Frame"),
            [("distmap.mux", 1, False), ("distmap.frames.Frame", 2, False)],
        )

    def test_in_a_function_and_in_a_condition(self) -> None:
        self.assertEqual(
            self.read("def f():\n if f:\n  from a import b\nif True:\n from c import d"),
            [("a.b", 3, True), ("c.d", 5, False)],
        )

    def test_which_module_a_name_is_of(self) -> None:
        self.assertEqual(imported_module("distmap.errors.MapClosed"), "errors")
        self.assertEqual(imported_module("distmap.errors"), "errors")
        self.assertEqual(imported_module("distmap.connect"), "__init__")
        self.assertIsNone(imported_module("twisted.internet.defer.Deferred"))
