"""Installs the rivals from npm and PyPI, each once; what cannot be had is told in a word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import JS, ROOT, VENV

NPM_SYSTEMS = ("ws", "Yjs", "Hocuspocus", "TinyBase", "distmap (JavaScript)")
PYTHON_SYSTEMS = ("pycrdt",)
REQUIREMENTS = ROOT / "benchmarks" / "rivals" / "requirements.txt"
SECONDS = 600


def install(systems: set[str]) -> dict[str, str]:
    """Installs what some systems need, if it is not there yet or is older than it should be.

    Args:
        systems: as the tables name them; more may stand behind a comma.

    Returns:
        The systems that cannot be measured, and why, in a word.
    """
    missing: dict[str, str] = {}
    for names, get in ((NPM_SYSTEMS, _npm), (PYTHON_SYSTEMS, _venv)):
        needing = [system for system in systems if system.partition(", ")[0] in names]
        problem = get() if needing else None
        if problem is not None:
            print(f"{', '.join(needing)} skipped: {problem}", file=sys.stderr)
            missing |= dict.fromkeys(needing, f"skipped: {problem}")
    return missing


def _npm() -> str | None:
    if shutil.which("node") is None:
        return "no Node.js"
    if _is_new(JS / "node_modules" / ".installed", JS / "package-lock.json"):
        return None
    if shutil.which("npm") is None:
        return "no npm"
    if not _succeeds(["npm", "ci", "--silent"], JS):
        return "npm ci failed"
    (JS / "node_modules" / ".installed").touch()
    return None


def _venv() -> str | None:
    if _is_new(VENV / ".installed", REQUIREMENTS):
        return None
    if not _succeeds([sys.executable, "-m", "venv", "--clear", str(VENV)], ROOT):
        return "no venv"
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    if not _succeeds([*pip, "--disable-pip-version-check", "-r", str(REQUIREMENTS)], ROOT):
        return "pip install failed"
    (VENV / ".installed").touch()
    return None


def _is_new(stamp: Path, source: Path) -> bool:
    return stamp.is_file() and stamp.stat().st_mtime >= source.stat().st_mtime


def _succeeds(command: list[str], folder: Path) -> bool:
    try:
        run = subprocess.run(command, cwd=folder, check=False, timeout=SECONDS, stdout=sys.stderr)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def versions(missing: dict[str, str]) -> dict[str, str]:
    """The versions of the rivals that are there and can run."""
    found = {}
    if not missing.keys() & NPM_SYSTEMS and (JS / "node_modules" / ".installed").is_file():
        wanted = json.loads((JS / "package.json").read_text("utf-8"))["dependencies"]
        for name in wanted:
            package = JS / "node_modules" / name / "package.json"
            found[name] = json.loads(package.read_text("utf-8"))["version"]
    if not missing.keys() & PYTHON_SYSTEMS and (VENV / ".installed").is_file():
        for line in REQUIREMENTS.read_text("utf-8").splitlines():
            name, _, version = line.partition("==")
            found[name] = version
    return found
