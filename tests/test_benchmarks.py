"""The benchmarks run, count right, and leave nothing behind; their seconds are not tested."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp
from unittest import TestCase
from unittest.mock import patch
from xml.etree import ElementTree

from benchmarks import plot, summary, table
from benchmarks.__main__ import MORE, ROWS
from benchmarks.frame import Aim, Case, Metric, Plot, Result, Row, judge, measure
from benchmarks.processes import JS, ROOT, Failed
from benchmarks.sockets import Counter, frame
from tests.support.processes import start_module

SECONDS = 60
ONE = Metric("one", "ones/s")


def case(what: str, system: str, *values: float, x: float | None = None) -> Case:
    """A case whose runs find these, one after the other, and then fails."""
    left = list(values)

    def run() -> dict[str, float]:
        if not left:
            raise Failed("out of values")
        return {"one": left.pop(0)}

    return Case(what, system, run, x)


class FrameTest(TestCase):
    """Cases are run in turn, and compared by their medians."""

    def test_in_turn(self) -> None:
        order: list[str] = []

        def noting(system: str) -> Case:
            def run() -> dict[str, float]:
                order.append(system)
                return {"one": 1}

            return Case("all", system, run)

        measure(Row("row", "size", [ONE], [noting("a"), noting("b")]), 3, {})
        self.assertEqual(order, ["a", "b"] * 3)

    def test_failures_stay_alone(self) -> None:
        row = Row("row", "size", [ONE], [case("1", "a", 1), case("1", "b", 1, 2), case("1", "c")])
        first, second, third = measure(row, 2, {"c": "skipped: no npm"})
        self.assertEqual((first.failed, first.median("one")), ("failed: out of values", None))
        self.assertEqual((second.failed, second.median("one")), (None, 1.5))
        self.assertEqual((third.failed, third.runs), ("skipped: no npm", []))

    def test_aims(self) -> None:
        cases = [case("1", "a", 6, 10, 2), case("1", "b", 3, 4, 3), case("1", "c")]
        here, other, lost = (("1", system) for system in "abc")
        aims = [
            Aim("at least twice", "one", here, other, 2),
            Aim("at most once", "one", here, other, 1, at_most=True),
            Aim("at least 7", "one", here, None, 7),
            Aim("beside nothing", "one", here, lost, 1),
            Aim("of nothing", "one", ("2", "a"), other, 1),
        ]
        row = Row("row", "size", [ONE], cases, aims)
        verdicts = judge(row, measure(row, 3, {}))
        self.assertEqual([verdict.ratio for verdict in verdicts], [2, 2, 6, None, None])
        self.assertEqual([verdict.held for verdict in verdicts], [True, False, False, None, None])


class TableTest(TestCase):
    """The results become Markdown, and get into a page."""

    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="distmap-benchmarks-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_numbers(self) -> None:
        numbers = [0, 0.001234, 0.99999, 1.5, 12.34, 99.96, 123456, 1234567]
        texts = ["0", "0.00123", "1.00", "1.50", "12.3", "100", "123,000", "1,230,000"]
        self.assertEqual([table.number(each) for each in numbers], texts)

    def test_of_a_row(self) -> None:
        cases = [case("1", "a", 6, 10, 2), case("1", "b")]
        aims = [Aim("at least 3", "one", ("1", "a"), None, 3)]
        row = Row("row", "size", [ONE, Metric("two", "twos")], cases, aims)
        results = measure(row, 3, {})
        self.assertEqual(
            table.of_row(row, results, judge(row, results)).splitlines(),
            [
                "| size | system | ones/s | twos |",
                "|---|---|---:|---:|",
                "| 1 | a | 6.00 (2.00 to 10.0) |  |",
                "|  | b | failed: out of values |  |",
                "",
                "| aim | found |  |",
                "|---|---:|---|",
                "| at least 3 | 6.00 | met |",
            ],
        )

    def test_pasted(self) -> None:
        page = self.folder / "page.md"
        text = (
            "one\n<!-- begin: a -->\nold\n<!-- end: a -->\ntwo\n<!-- begin: b -->\n<!-- end: b -->"
        )
        page.write_text(text, "utf-8")
        for new in ("first", "second"):
            table.paste(page, "a", new)
        self.assertEqual(page.read_text("utf-8"), text.replace("old", "\nsecond\n"))
        with self.assertRaises(ValueError):
            table.paste(page, "c", "new")

    def test_plot(self) -> None:
        plots = [Plot("found", "Ones", "size", ONE), Plot("none", "Ones", "size", Metric("no", ""))]
        cases = [case(str(x), "a & b", 5 * x, x=x) for x in (1, 10, 1000)]
        row = Row("row", "size", [ONE], cases, [], plots)
        plot.draw(row, measure(row, 1, {}), self.folder)
        self.assertEqual([each.name for each in self.folder.iterdir()], ["found.svg"])
        picture = ElementTree.parse(self.folder / "found.svg").getroot()
        name = "{http://www.w3.org/2000/svg}"
        self.assertEqual(len(picture.findall(f"{name}circle")), 3)
        self.assertIn("a & b", [each.text for each in picture.findall(f"{name}text")])

    def test_no_plot_of_nothing(self) -> None:
        row = Row("row", "size", [ONE], [], [], [Plot("found", "Ones", "size", ONE)])
        plot.draw(row, [Result(case("1", "a"))], self.folder)
        self.assertEqual(list(self.folder.iterdir()), [])


class ReaderTest(TestCase):
    """The load clients count what comes, however it is cut."""

    def test_cut_anywhere(self) -> None:
        stream = b"--~#v:xx~#v:~#v:--" * 3

        class Socket:
            def __init__(self, parts: list[bytes]) -> None:
                self.parts = parts

            def recv_into(self, room: memoryview) -> int:
                part = self.parts.pop(0) if self.parts else b""
                room[: len(part)] = part
                return len(part)

        for size in range(1, len(stream) + 1):
            parts = [stream[at : at + size] for at in range(0, len(stream), size)]
            counter = Counter(b"~#v:")
            read = counter.reader(Socket(parts))  # type: ignore[arg-type]
            while parts:
                read()
            self.assertEqual(counter.total, 9, size)
            with self.assertRaises(ConnectionError):
                read()

    def test_frames_are_masked(self) -> None:
        for size in (1, 125, 126, 65535, 65536):
            payload = b"x" * size
            made = frame(payload)
            masked = made[-size:]
            key = made[-size - 4 : -size]
            clear = bytes(each ^ key[at % 4] for at, each in enumerate(masked))
            self.assertEqual(clear, payload)


class DocumentTest(TestCase):
    """The page has a place for each row, and names no row that there is not."""

    def test_markers(self) -> None:
        text = (ROOT / "docs" / "performance.md").read_text("utf-8")
        for name in ("machine", *ROWS):
            self.assertEqual(text.count(f"<!-- begin: {name} -->"), 1, name)
            self.assertEqual(text.count(f"<!-- end: {name} -->"), 1, name)
        self.assertEqual(text.count("<!-- begin: "), len(ROWS) + 1)

    def test_readme_has_what_the_page_has(self) -> None:
        page = (ROOT / "docs" / "performance.md").read_text("utf-8")
        readme = (ROOT / "README.md").read_text("utf-8")
        wanted = summary.table(page)
        self.assertIn(f"<!-- begin: measured -->\n\n{wanted}\n<!-- end: measured -->", readme)

    def test_plots(self) -> None:
        text = (ROOT / "docs" / "performance.md").read_text("utf-8")
        files = [plot.file for make in ROWS.values() for plot in make(False).plots]
        for name in files:
            self.assertIn(f"({name}.svg)", text)
            self.assertTrue((ROOT / "docs" / f"{name}.svg").is_file(), name)

    def test_rows_are_named_for_themselves(self) -> None:
        for quick in (False, True):
            for name, make in (ROWS | MORE).items():
                row = make(quick)
                self.assertEqual(row.name, name)
                self.assertTrue(row.cases)

    def test_aims_are_about_cases(self) -> None:
        for make in ROWS.values():
            row = make(False)
            known = {(each.what, each.system) for each in row.cases}
            names = {metric.name for metric in row.metrics}
            for aim in row.aims:
                self.assertIn(aim.case, known)
                self.assertTrue(aim.against is None or aim.against in known, aim)
                self.assertIn(aim.metric, names)

    def test_lock_names_no_registry(self) -> None:
        self.assertNotIn('"resolved"', (JS / "package-lock.json").read_text("utf-8"))


class SummaryTest(TestCase):
    PAGE = """
<!-- begin: join -->

| keys | system | s | MiB |
|---|---|---:|---:|
| 10,000 | distmap | 0.0322 (0.0243 to 0.0415) | 57.1 |
|  | Yjs | skipped: no npm |  |
| 100,000 | distmap | 0.270 (0.188 to 0.306) | 87.6 |
|  | Yjs | 1.51 (1.39 to 1.62) | 36.2 |

| aim | found |  |
"""

    def test_medians(self) -> None:
        found = summary.medians(self.PAGE, "join")
        self.assertEqual(found["100,000", "Yjs"], ["1.51", "36.2"])
        self.assertEqual(found["10,000", "Yjs"], ["skipped: no npm", ""])
        self.assertEqual(len(found), 4)
        self.assertRaises(ValueError, summary.medians, self.PAGE, "fanout")

    def test_the_best_is_bold(self) -> None:
        figures = tuple(each for each in summary.FIGURES if each.row == "join")
        with patch.object(summary, "FIGURES", figures):
            *_, first, second, third = summary.table(self.PAGE).splitlines()
        self.assertIn("| **0.0322** |  |  |", first)
        self.assertIn("| **0.270** |  | 1.51 |", second)
        self.assertIn("| 87.6 |  | **36.2** |", third)

    def test_what_distmap_must_have(self) -> None:
        self.assertRaises(ValueError, summary.table, self.PAGE)
        page = self.PAGE.replace("0.270 (0.188 to 0.306)", "not run")
        figures = tuple(each for each in summary.FIGURES if each.row == "join")
        with patch.object(summary, "FIGURES", figures):
            self.assertRaises(ValueError, summary.table, page)


class ProgramTest(TestCase):
    """``python -m benchmarks`` on rows that need no rival."""

    def setUp(self) -> None:
        self.folder = Path(mkdtemp(prefix="distmap-benchmarks-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *args: str, system: str = "distmap", **more: str) -> subprocess.Popen[str]:
        return start_module(self, "benchmarks", "--quick", "--system", system, *args, **more)

    def test_a_row(self) -> None:
        file = self.folder / "found.json"
        process = self.start("--only", "fanout", "--size", "10", "--runs", "2", "--json", str(file))
        out, err = process.communicate(timeout=SECONDS)
        self.assertEqual(process.returncode, 0, err)
        titles, line, row, *_ = out.partition("## fanout\n\n")[2].splitlines()
        self.assertRegex(titles, r"^\| readers \| system \| deliveries/s \|")
        self.assertRegex(line, r"^\|---\|---\|(---:\|)+$")
        number = r"[\d,.]+( \([\d,.]+ to [\d,.]+\))?"
        self.assertRegex(row, rf"^\| 10 \| distmap( \| {number}){{3}} \|$")
        found = json.loads(file.read_text("utf-8"))
        (only,) = found["rows"]["fanout"]["cases"]
        self.assertEqual((only["readers"], only["system"], only["failed"]), ("10", "distmap", None))
        self.assertEqual(len(only["runs"]), 2)
        for run in only["runs"]:
            self.assertGreater(run["deliveries_per_second"], 0)
        self.assertIn("twisted", found["machine"])
        self.assertEqual(processes_of(process.pid), [])

    def test_a_rival_that_cannot_be_had(self) -> None:
        process = self.start("--only", "latency", system="ws", PATH=str(self.folder))
        out, err = process.communicate(timeout=SECONDS)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("| 100/s | ws | skipped: no Node.js |  |", out)
        self.assertIn("Node none", out)

    def test_interrupted(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("--only", "fanout", "--size", "1")
            deadline = time.monotonic() + SECONDS
            while len(processes_of(process.pid)) < 3:  # itself, a relay and the load
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            process.send_signal(number)
            process.communicate(timeout=SECONDS)
            self.assertNotEqual(process.returncode, 0)
            self.assertEqual(processes_of(process.pid), [])

    def test_bad_arguments(self) -> None:
        for args in (["--only", "nothing"], ["--runs", "0"], ["--docs"]):
            process = self.start(*args)
            _, err = process.communicate(timeout=SECONDS)
            self.assertEqual(process.returncode, 2)
            self.assertIn(args[0], err)


def processes_of(session: int) -> list[int]:
    """The processes of a session that run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(of) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found
