"""Builds the package and installs it, each way that people do, into environments of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from configparser import ConfigParser
from pathlib import Path
from tempfile import mkdtemp
from unittest import TestCase
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 300
HELP_LINE = re.compile(r"^\s+distmap\s+The relay of a distributed map$", re.MULTILINE)

TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
WHERE = (
    "import distmap, twisted.plugins.distmap_plugin as plugin;"
    " print(distmap.__file__, plugin.__file__, sep='\\n')"
)


def copy_checkout(target: Path) -> None:
    """Copies what the package is built from, so that a build leaves nothing in the checkout."""
    target.mkdir()
    left_behind = shutil.ignore_patterns("__pycache__", "dropin.cache", "node_modules")
    for source in ("distmap", "twisted", "tests", "docs"):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target / source, ignore=left_behind)
    for pattern in ("*.cfg", "*.toml", "*.in", "*.md", "LICENSE", "Makefile"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, target)


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Runs a command with no sight of this checkout; returns its output, raises if it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Packaging(TestCase):
    """What is built, and that Twisted finds the relay in it."""

    def setUp(self) -> None:
        self.base = Path(mkdtemp(prefix="distmap-packaging-")).resolve()
        self.addCleanup(shutil.rmtree, self.base)
        self.checkout = self.base / "checkout"
        copy_checkout(self.checkout)

    def build_wheel(self) -> Path:
        """Builds an sdist and from that, unpacked, the wheel: MANIFEST.in is tried as well."""
        dist = self.base / "dist"
        run(sys.executable, "-m", "build", "-n", "--outdir", dist, self.checkout, cwd=self.base)
        (wheel,) = dist.glob("*.whl")
        return wheel

    def environment(self, *install: str | Path) -> tuple[Path, Path]:
        """An environment that has the libraries of this one; returns its Python and its home."""
        home = Path(mkdtemp(dir=self.base)).resolve()
        venv.create(home, symlinks=os.name != "nt", with_pip=False)
        variables = {"base": str(home), "platbase": str(home)}
        site = Path(sysconfig.get_path("purelib", "venv", variables))
        # A folder named by a .pth file is searched, but the .pth files in it are not read: the
        # checkout that these tests run from stays out of sight.
        libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
        python = Path(sysconfig.get_path("scripts", "venv", variables)) / "python"
        if install:
            pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
            alone = ["--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation"]
            run(*pip, *alone, *install, cwd=home)
        return python, home

    def assert_found(self, python: Path, cwd: Path, inside: Path, **environment: str) -> None:
        """Twistd finds the relay, and package and plugin are those that lie in that folder."""
        listed = run(python, "-c", TWISTD, "--help", cwd=cwd, **environment)
        self.assertRegex(listed, HELP_LINE)
        options = run(python, "-c", TWISTD, "distmap", "--help", cwd=cwd, **environment)
        self.assertIn("--port=", options)
        places = run(python, "-c", WHERE, cwd=cwd, **environment).split("\n")[:2]
        for place in places:
            self.assertTrue(Path(place).is_relative_to(inside), f"{place} is not in {inside}")

    def test_wheel_is_complete(self) -> None:
        there = {
            path.relative_to(self.checkout).as_posix()
            for folder in ("distmap", "twisted")
            for path in (self.checkout / folder).rglob("*")
            if path.is_file()
        }
        with ZipFile(self.build_wheel()) as archive:
            packed = {name for name in archive.namelist() if ".dist-info/" not in name}
            texts = {
                name.partition(".dist-info/")[2]: archive.read(name).decode()
                for name in archive.namelist()
                if ".dist-info/" in name
            }
        self.assertEqual(packed, there)
        self.assertIn("distmap/py.typed", packed)
        self.assertIn("twisted/plugins/distmap_plugin.py", packed)
        self.assertIn("MIT License", texts["licenses/LICENSE"])
        self.assertIn("distmap = distmap.cli:main", texts["entry_points.txt"])

    def test_plugin_folders_are_no_packages(self) -> None:
        for folder in ("twisted", "twisted/plugins"):
            self.assertFalse((ROOT / folder / "__init__.py").exists())

    def test_found_in_wheel(self) -> None:
        python, home = self.environment(self.build_wheel())
        self.assert_found(python, cwd=home, inside=home)

    def test_found_in_editable_install(self) -> None:
        python, home = self.environment("--editable", self.checkout)
        self.assert_found(python, cwd=home, inside=self.checkout)

    def test_found_in_bare_checkout_as_working_directory(self) -> None:
        python, _ = self.environment()
        self.assert_found(python, cwd=self.checkout, inside=self.checkout)

    def test_found_in_bare_checkout_on_the_path(self) -> None:
        python, home = self.environment()
        self.assert_found(python, cwd=home, inside=self.checkout, PYTHONPATH=str(self.checkout))


class LowestVersions(TestCase):
    """The lower bounds that are promised are those that are tested."""

    def test_bounds_are_the_pins(self) -> None:
        config = ConfigParser()
        config.read(ROOT / "setup.cfg", "utf-8")
        needs = config["options"]["install_requires"] + config["options.extras_require"]["tls"]
        bounds = dict(re.findall(r"^([\w.]+)>=([\w.]+)$", needs, re.MULTILINE))
        pins = dict(
            re.findall(r"^([\w.]+)==([\w.]+)$", (ROOT / "tests/lowest.txt").read_text(), re.M)
        )
        self.assertEqual(bounds, pins)
        self.assertGreaterEqual(set(bounds), {"autobahn", "msgspec", "twisted", "zope.interface"})
