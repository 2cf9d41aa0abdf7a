"""The documentation is true to the code: examples run, names and numbers agree, links lead on."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest, TestCase
from urllib.request import Request, urlopen

import msgspec
from twisted.internet.task import Clock

from distmap import channel_wire, entries, errors, frames, hub, sync_wire
from distmap.frames import encode_frame
from distmap.metrics import RelayCollector
from distmap.ranges import position_text
from distmap.relay_server import RelayOptions, RelayServer
from distmap.router import Link, Relay
from distmap.tap import Options
from tests.simulation.bugs import BUGS
from tests.simulation.plan import FAULTS
from tests.support.peers import ROOT, free_port

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("howto/*.md"))]
SECONDS = 60

TWISTD = "from twisted.scripts.twistd import run; run()"
COMMAND = "from distmap.cli import main; main()"

# -- running things --------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def run(*arguments: str | Path, cwd: Path = EXAMPLES) -> str:
    """Runs Python to its end; returns what it wrote, and fails if it failed or warned."""
    command = [sys.executable, "-X", "dev", "-W", "error", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    if done.returncode or "Warning" in done.stderr or "Traceback" in done.stderr:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def failed(*arguments: str, **more: str) -> str:
    """Runs a command of distmap that has to fail; returns what it said."""
    program = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(
        program, env=environment(**more), capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    if done.returncode != 1 or "Traceback" in done.stderr:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stderr}")
    return done.stderr


@contextmanager
def background(*arguments: str | Path, cwd: Path = EXAMPLES, **more: str) -> Iterator[Background]:
    """Runs Python in the background, and ends it with a SIGTERM.

    Not with a SIGINT: where these tests themselves run in the background, that is ignored.
    """
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, *map(str, arguments)]
        with subprocess.Popen(
            command, cwd=cwd, env=environment(**more), stdout=output, stderr=subprocess.STDOUT
        ) as process:
            running = Background(process, output)
            try:
                yield running
            finally:
                running.stop()


class Background:
    """A program that runs in the background."""

    def __init__(self, process: subprocess.Popen[bytes], output: Any) -> None:
        self._process = process
        self._output = output

    def text(self) -> str:
        """What it has written."""
        self._output.seek(0)
        return str(self._output.read())

    def wait_for(self, text: str) -> str:
        """Waits until it has written a text; returns all that it has written."""
        deadline = time.monotonic() + SECONDS
        while text not in self.text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it never wrote {text!r}, but:\n{self.text()}")
            time.sleep(0.02)
        return self.text()

    def stop(self) -> int:
        """Stops it; returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(SECONDS)


@contextmanager
def relay() -> Iterator[str]:
    """A relay in a process of its own; gives its URL."""
    port = free_port()
    options = ("--nodaemon", "--pidfile=", "distmap", "--port", str(port))
    with background("-c", TWISTD, *options, cwd=ROOT) as running:
        running.wait_for("listening on")
        yield f"ws://127.0.0.1:{port}/"


# -- reading Markdown ------------------------------------------------------------------------------


def marked_examples(page: Path) -> list[tuple[str, bool]]:
    """The Python in a page that is marked as running, and whether it needs a relay."""
    found = re.findall(
        r"^<!-- runs(: relay)? -->\n```python\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M
    )
    return [(code, bool(needs_relay)) for needs_relay, code in found]


def run_marked_examples(page: Path) -> list[str]:
    """Runs them; returns what each wrote."""
    output = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.py"
        for code, needs_relay in marked_examples(page):
            if needs_relay:
                with relay() as url:
                    path.write_text(code.replace("ws://localhost:8080/", url), "utf-8")
                    output.append(run(path, cwd=path.parent))
            else:
                path.write_text(code, "utf-8")
                output.append(run(path, cwd=path.parent))
    return output


def rows(page: str, *headings: str) -> list[list[str]]:
    """The cells of all tables of a page that have these headings."""
    found: list[list[str]] = []
    wanted = False
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if not line.startswith("|"):
            wanted = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == list(headings):
            wanted = True
        elif wanted and set(cells[0]) != {"-"}:
            found.append(cells)
    if not found:
        raise AssertionError(f"{page} has no table with the headings {headings}")
    return found


def names(cell: str) -> list[str]:
    """What is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def column(page: str, *headings: str) -> list[str]:
    """The first thing marked as code in each row."""
    return [names(row[0])[0] for row in rows(page, *headings)]


def look_up(dotted: str) -> Any:
    """A value in the code: ``distmap.module.NAME``, or the default of ``….Class.field``."""
    module, *path = dotted.removeprefix("distmap.").split(".")
    found: Any = importlib.import_module(f"distmap.{module}")
    for name in path:
        if is_dataclass(found):
            (field,) = (field for field in fields(found) if field.name == name)
            found = field.default if field.default is not MISSING else None
        else:
            found = getattr(found, name)
    return found


def number(cell: str) -> float:
    """The number that a cell begins with."""
    found = re.match(r"\d+(\.\d+)?", cell)
    if found is None:
        raise AssertionError(f"no number in {cell!r}")
    return float(found[0])


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def constants() -> set[str]:
    """All texts in the code."""
    return {
        node.value
        for path in (ROOT / "distmap").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def matched_names(module: Any, function: str) -> set[str]:
    """The names that begin the arrays which a function matches."""
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    (found,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return {
        ast.literal_eval(first.value)
        for node in ast.walk(found)
        if isinstance(node, ast.MatchSequence)
        and isinstance(first := node.patterns[0], ast.MatchValue)
    }


# -- the tests -------------------------------------------------------------------------------------


class ExamplesTest(TestCase):
    """Each file in docs/examples runs, and does what the documentation says."""

    def test_each_example_is_tested(self) -> None:
        modules = (Path(__file__), ROOT / "tests/test_pytest_twisted.py")
        tests = "".join(module.read_text("utf-8") for module in modules)
        untested = [path.name for path in EXAMPLES.glob("*.py") if path.name not in tests]
        self.assertEqual(untested, [])

    def test_each_example_is_shown(self) -> None:
        shown = "".join(page.read_text("utf-8") for page in PAGES)
        for path in EXAMPLES.glob("*.py"):
            self.assertRegex(shown, rf"\{{literalinclude\}} \S*examples/{path.name}\n")

    def test_display_and_shop(self) -> None:
        tutorial = (DOCS / "tutorial.md").read_text("utf-8")
        with relay() as url, background("display.py", url) as display:
            display.wait_for("ready:")
            shop = run("shop.py", url)
            shown = display.wait_for("set closed")
        self.assertIn(f"$ python shop.py\n{shop}```", tutorial)
        self.assertIn(f"$ python display.py\n{shown}```", tutorial)

    def test_small_programs(self) -> None:
        expected = {
            "inline_callbacks.py": "3\n",
            "asyncio_peer.py": "{'apple': 3, 'pear': 1}\n",
            "plain_channel.py": "heard: {'headline': 'rain'}\n",
            "peer_streams.py": "the sum is 6\n",
            "producer.py": "some are still to come: True\nall are there: True\n",
        }
        with relay() as url:
            for name, output in expected.items():
                self.assertEqual(run(name, url), output, name)

    def test_readings(self) -> None:
        watch = ("-c", COMMAND, "watch")
        with (
            relay() as url,
            background(*watch, url, "/readings") as peer,
            background("readings.py", url) as readings,
        ):
            readings.wait_for("feeding /readings")
            peer.wait_for('"key":"wave"')
            readings.stop()
            self.assertNotIn("Traceback", readings.text())

    def test_service(self) -> None:
        watch = ("-c", COMMAND, "watch")
        with relay() as url, background(*watch, url, "/temperatures", "--verbose") as peer:
            peer.wait_for("connected to")
            with background("-c", TWISTD, "--pidfile=", "-noy", "service.py", RELAY=url) as service:
                peer.wait_for('"value":21.5')
                service.wait_for("kitchen is 21.5")
                service.stop()
                self.assertIn("Server Shut Down", service.text())

    def test_mounted_site(self) -> None:
        port = free_port()
        listen = f"tcp:{port}:interface=127.0.0.1"
        twistd = ("-c", TWISTD, "--pidfile=", "-noy", "mounted_site.py")
        with background(*twistd, LISTEN=listen) as site:
            site.wait_for(f"starting on {port}")
            for path in ("relay", "relay/"):
                self.assertEqual(run("inline_callbacks.py", f"ws://127.0.0.1:{port}/{path}"), "3\n")
            site.stop()
            self.assertIn("Server Shut Down", site.text())

    def test_authorizer(self) -> None:
        port = free_port()
        listen, url = f"tcp:{port}:interface=127.0.0.1", f"ws://127.0.0.1:{port}/"
        twistd = ("-c", TWISTD, "--pidfile=", "-noy", "authorizer.py")
        with background(*twistd, LISTEN=listen) as site:
            site.wait_for("for those whom the authorizer lets in")
            self.assertIn("not write", failed("set", url, "/news/x", "a", "1"))
            self.assertIn("you may not do this", failed("dump", url, "/other"))
            writer = {"DISTMAP_CREDENTIALS": "open sesame"}
            self.assertIn("no key", failed("delete", url, "/news/x", "a", **writer))

    def test_tickets_site(self) -> None:
        port = free_port()
        listen, url = f"tcp:{port}:interface=127.0.0.1", f"http://127.0.0.1:{port}/ticket"
        twistd = ("-c", TWISTD, "--pidfile=", "-noy", "tickets_site.py")
        with background(*twistd, LISTEN=listen) as site:
            site.wait_for(f"starting on {port}")
            anna = {"Authorization": "Basic " + b64encode(b"anna:x").decode()}
            with urlopen(Request(url, b"", anna)) as answer:
                ticket = answer.read().decode()
            maps, shown = f"ws://127.0.0.1:{port}/maps/", {"DISTMAP_CREDENTIALS": ticket}
            self.assertIn("no key", failed("delete", maps, "/users/anna", "a", **shown))
            self.assertIn("not write", failed("set", maps, "/fruits/red", "a", "1", **shown))
            for uri in ("/users/bert", "/fruits"):
                self.assertIn("you may not do this", failed("dump", maps, uri, **shown))

    def test_board_with_pytest(self) -> None:
        path = EXAMPLES / "test_board_with_pytest.py"  # with status_board.py
        self.assertIn("3 passed", run("-m", "pytest", "-p", "no:cacheprovider", path))

    def test_board_with_trial(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = f"--temp-directory={folder}/trial"
            module = "test_board_with_trial.py".removesuffix(".py")
            output = run("-m", "twisted.trial", place, module)
        self.assertRegex(output, r"PASSED \(successes=3\)")


class PagesTest(TestCase):
    """What the pages show runs, and what they link to is there."""

    def test_marked_examples_run(self) -> None:
        for page in PAGES[1:]:
            run_marked_examples(page)

    def test_tutorial_in_the_shell(self) -> None:
        blocks = re.split(r"^```(\w+)\n(.*?)^```$", self.tutorial(), flags=re.S | re.M)
        told, printed = [], []
        watching = ("-c", COMMAND, "watch", "--verbose")
        with relay() as url, background(*watching, url, "/fruits") as watch:
            watch.wait_for("connected to")
            before = iter(blocks[:-1])
            for text, language, block in zip(before, before, before, strict=True):
                if "Now stop `watch`" in text:
                    self.assertEqual(watch.stop(), 0)
                if language == "json":
                    told.append(json.loads(block))
                    lines = watch.text().splitlines()
                    printed += [json.loads(line) for line in lines if line.startswith("{")]
                if language == "console":
                    self.shell(block, url)
        self.assertEqual([list(line) for line in told], [list(line) for line in printed[:1]])
        self.assertEqual([line["event"] for line in printed], ["set", "set", "delete"])

    def shell(self, block: str, url: str) -> None:
        """Runs the distmap commands of a block, and compares what they write."""
        for command, output in re.findall(r"^\$ distmap (.*)\n((?:[^$].*\n)*)", block, re.M):
            arguments = re.findall(r"'[^']*'|\S+", command.replace("ws://localhost:8080/", url))
            if arguments[0] != "watch":
                arguments = [argument.strip("'") for argument in arguments]
                self.assertEqual(run("-c", COMMAND, *arguments), output, command)

    def tutorial(self) -> str:
        return (DOCS / "tutorial.md").read_text("utf-8")

    def test_links(self) -> None:
        for page in PAGES:
            text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.S | re.M)
            for target in re.findall(r"\]\(([^)]+)\)", text):
                if target.startswith("http"):
                    continue
                path, _, anchor = target.partition("#")
                other = (page.parent / path).resolve() if path else page
                self.assertTrue(other.is_file(), f"{page.name} links to {target}")
                if anchor:
                    self.assertIn(anchor, headings(other), f"{page.name} links to {target}")

    def test_each_page_is_in_the_index(self) -> None:
        index = (DOCS / "index.md").read_text("utf-8")
        for page in PAGES[1:]:
            name = page.relative_to(DOCS).with_suffix("").as_posix()
            if name != "index":
                self.assertRegex(index, rf"(?m)^{name}$")

    def test_html_is_built_without_a_warning(self) -> None:
        for package in ("sphinx", "myst_parser"):
            if importlib.util.find_spec(package) is None:
                raise SkipTest(f"{package} is not installed; it is in the extra 'docs'")
        with tempfile.TemporaryDirectory() as folder:
            command = ("-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html")
            done = subprocess.run(
                [sys.executable, *command, "-d", f"{folder}/trees", DOCS, f"{folder}/html"],
                env=environment(), capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_pictures_are_current(self) -> None:
        made = runpy.run_path(str(DOCS / "_generate/stream_states.py"))
        hint = "run docs/_generate/stream_states.py"
        self.assertEqual(made["PICTURE"].read_text("utf-8"), made["picture"](), hint)
        page = made["PAGE"].read_text("utf-8")
        self.assertEqual(page, made["page"](page), hint)

    def test_planted_bugs_are_current(self) -> None:
        made = runpy.run_path(str(DOCS / "_generate/simulator.py"))
        page = made["PAGE"].read_text("utf-8")
        self.assertEqual(page, made["page"](page), "run docs/_generate/simulator.py")
        for name, bug in BUGS.items():
            self.assertIn(f"| `{name}` | {(bug.build.__doc__ or '').split(maxsplit=1)[0]} ", page)


class NamesTest(TestCase):
    """Names and numbers in the pages are those of the code."""

    def test_limits(self) -> None:
        tables = [
            *rows("protocol.md", "What", "Limit", "In the code"),
            *rows("operations.md", "What", "Limit", "Then", "In the code"),
        ]
        for row in tables:
            first, *others = [look_up(name) for name in names(row[-1])]
            self.assertEqual(number(row[1]), first - sum(others), row[0])

    def test_numbers_in_the_text(self) -> None:
        for page, text, name, unit in (
            ("tutorial.md", "up to {} bytes", "options.MAX_URI_BYTES", 1),
            ("semantics.md", "a text of 1 to {} bytes", "values.MAX_KEY_BYTES", 1),
            ("semantics.md", "is {} bytes at most", "values.MAX_VALUE_BYTES", 1),
            ("semantics.md", "nested {} deep", "values.MAX_DEPTH", 1),
            ("semantics.md", "more than {} seconds ahead", "clock.MAX_AHEAD_MS", 1000),
            ("semantics.md", "up to {} such entries", "holding.MAX_HELD", 1),
            ("semantics.md", "after {} seconds", "conversation.STALL_SECONDS", 1),
            ("protocol.md", "serves fewer than {} others", "donors.MAX_SERVING", 1),
            ("protocol.md", "After {} donors that failed", "donors.MAX_FAILED_DONORS", 1),
            ("protocol.md", "no more than {} bytes of entries", "outbox.WINDOW_BYTES", 1),
            ("protocol.md", "is taken for {} seconds is given", "donors.SERVING_MS", 1000),
            ("protocol.md", "not more than {} ms after it", "clock.HEARD_MS", 1),
            ("protocol.md", "more than {} after the latest time", "clock.MAX_AHEAD_MS", 1),
            ("protocol.md", "multiple of 1/{} of the retention", "lww.RETENTION_STEPS", 1),
            ("protocol.md", "trickles: {} seconds", "conversation.PATIENCE_SECONDS", 1),
            ("protocol.md", "fewer than {} bytes for each", "conversation.LEAST_RATE_BYTES", 1),
            ("semantics.md", "for {} seconds at most after the relay", "clock.HEARD_MS", 1000),
            ("semantics.md", "for {} seconds at a time", "donors.SERVING_MS", 1000),
            ("semantics.md", "hashes of {} bits", "entries.HASH_BITS", 1),
            ("protocol.md", "or {} seconds of silence", "conversation.STALL_SECONDS", 1),
            ("howto/streams.md", "{} clients wait", "switchboard.MAX_WAITING", 1),
            ("howto/streams.md", "A route is {} bytes", "frames.Limits.route_bytes", 1),
            ("howto/relay.md", "backlog of {}", "tap.BACKLOG", 1),
        ):
            read = " ".join((DOCS / page).read_text("utf-8").split())
            expected = text.format(f"{look_up(f'distmap.{name}') / unit:.0f}")
            self.assertTrue(expected in read, f"{page} does not say {expected!r}")

    def test_versions(self) -> None:
        text = " ".join((DOCS / "protocol.md").read_text("utf-8").split())
        for what, version in (("channel", hub.VERSION), ("sync", sync_wire.VERSION)):
            self.assertIn("{}.{} of the {} protocol".format(*version, what), text)

    def test_frame_events(self) -> None:
        self.assertEqual(
            sorted(column("protocol.md", "Event", "Payload", "Means")), sorted(frames.EVENTS)
        )

    def test_routes(self) -> None:
        for page, count, *head in (
            ("protocol.md", 5, "Route", "What it opens"),
            ("howto/streams.md", 4, "Route", "What it is"),
        ):
            routes = column(page, *head)
            self.assertEqual(len(routes), count)
            for route in routes:
                output = self.open(re.sub(r"<(\w+)>", r"\1", route))
                self.assertNotIn(b"unknown-route", output, route)
        self.assertIn(b"unknown-route", self.open("uri/proxy/server"))

    def open(self, route: str) -> bytes:
        """What a relay answers to a stream with a route."""
        core = Relay(lambda: 0, lambda *_: None)
        link: Link = core.connect("test")
        opts = {"writable": True, "readable": True}
        core.receive(
            link, encode_frame("1", "new", json.dumps({"meta": route, "opts": opts}).encode())
        )
        return b"".join(text for text, _ in core.flush())

    def test_channel_messages(self) -> None:
        told, asked = (
            set(re.findall(r'`\["([a-z]+)"', part))
            for part in self.section("The channel").split("The relay is told:")
        )
        self.assertEqual(told, {cls.__struct_config__.tag for cls in channel_wire.Control.__args__})
        self.assertEqual(asked, matched_names(hub, "_receive_control"))

    def section(self, title: str) -> str:
        text = (DOCS / "protocol.md").read_text("utf-8")
        return text.split(f"\n## {title}\n")[1].split("\n## ")[0]

    def test_sync_messages(self) -> None:
        requests = {cls.__struct_config__.tag: cls for cls in sync_wire.Request.__args__}
        answers = {cls.__struct_config__.tag: cls for cls in sync_wire.Answer.__args__}
        told = rows("protocol.md", "Message", "From", "Fields")
        self.assertEqual({names(row[0])[0] for row in told}, requests.keys() | answers.keys())
        for message, who, its_fields in told:
            (name,) = names(message)
            senders = [
                side
                for side, known in (("newcomer", requests), ("donor", answers))
                if name in known
            ]
            self.assertEqual(who, "both" if len(senders) == 2 else senders[0], name)
            struct: Any = {**answers, **requests}[name]
            self.assertEqual(
                names(its_fields), [field.name for field in msgspec.structs.fields(struct)], name
            )

    def test_error_codes(self) -> None:
        told = set(column("protocol.md", "Code of an error", "Means"))
        self.assertLessEqual(told, constants())
        streams = set(column("howto/streams.md", "Code", "Meaning"))
        self.assertLessEqual(streams, told)
        # Each code that the relay gives an error is told.
        given: set[str] = set()
        for module in ("router", "routes", "entrance", "switchboard", "mux", "hub", "session"):
            for node in ast.walk(ast.parse((ROOT / f"distmap/{module}.py").read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "StreamError":
                    given |= {ast.literal_eval(code) for code in node.args[1:]}
        self.assertLessEqual(given, told)
        self.assertIn("unknown-route", given)

    def test_faults_of_the_simulator(self) -> None:
        told = rows("simulator.md", "Fault", "At most", "What happens")
        self.assertEqual({names(row[0])[0]: number(row[1]) for row in told}, FAULTS)

    def test_commands_of_the_simulator(self) -> None:
        text = (DOCS / "simulator.md").read_text("utf-8")
        options = set(re.findall(r"--[a-z]+", text))
        self.assertLessEqual(
            options, set(re.findall(r"--[a-z]+", run("-m", "tests.simulation", "-h", cwd=ROOT)))
        )
        self.assertLessEqual(set(re.findall(r"--bug '(.*)'", text)), BUGS.keys())
        self.assertIn("<!-- begin: figures -->", text)
        self.assertIn("<!-- end: figures -->", text)

    def test_connection_problems(self) -> None:
        told = column("howto/embed.md", "Code", "What happened")
        codes = {
            cls.code
            for cls in vars(errors).values()
            if isinstance(cls, type) and issubclass(cls, errors.ConnectionProblem)
        }
        self.assertEqual({*told, errors.ConnectionProblem.code}, codes)

    def test_worked_example(self) -> None:
        section = self.section("Hashes")
        cells = dict(re.findall(r"^\| ([\w ]+) \| `?(.+?)`? \|$", section, re.M))
        key, entry = entries.decode_entry(cells["entry"].encode())
        self.assertEqual(entries.encode_entry(key, entry).decode(), cells["entry"])
        self.assertEqual(entries.entry_hash(key, entry), int(cells["hash"]))
        self.assertEqual(entries.hash52(cells["hashed text"].encode()), int(cells["hash"]))
        self.assertEqual(position_text(key), cells["position of the key"])

    def test_modules(self) -> None:
        told = [
            name
            for row in rows("design.md", "Module", "What it holds")
            for name in names(row[0])
        ]  # fmt: skip
        there = {path.stem for path in (ROOT / "distmap").glob("*.py")} - {"__init__"}
        self.assertEqual(sorted(told), sorted(there))

    def test_log_lines(self) -> None:
        texts = constants()
        for line in column("operations.md", "Line", "Level", "Meaning"):
            self.assertIn(line, texts)

    def test_metrics(self) -> None:
        told = [
            name
            for row in rows("operations.md", "Metric", "Kind", "What")
            for name in names(row[0])
        ]  # fmt: skip
        kinds = {"counter": "_total", "gauge": "", "histogram": ""}
        collector = RelayCollector(RelayServer(Clock(), bytes, RelayOptions()))
        there = [f"{metric.name}{kinds[metric.type]}" for metric in collector.collect()]
        self.assertEqual(sorted(told), sorted(there))
        texts = constants()
        for row in rows("operations.md", "Cause", "What happened"):
            self.assertLessEqual(set(names(row[0])), texts)

    def test_relay_options(self) -> None:
        told = {
            name: default.strip("`")
            for last in (["Meaning"], ["What", "Over it"])
            for option, default, *_ in rows("operations.md", "Option", "Default", *last)
            for name in names(option)
        }
        expected = {}
        for name, short, default, *_ in Options.optParameters:
            text = f"{default:g}" if isinstance(default, float) else str(default or "off")
            expected[f"--{name}"] = text
            if short is not None:
                expected[f"-{short}"] = text
        for flag, letter, _ in Options.optFlags:
            expected[f"--{flag}"] = "off"
            if letter is not None:
                expected[f"-{letter}"] = "off"
        for name in vars(Options):
            if name.startswith("opt_"):
                expected[f"--{name.removeprefix('opt_').replace('_', '-')}"] = "off"
        self.assertEqual(told, expected)
