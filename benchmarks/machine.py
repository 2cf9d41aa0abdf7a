"""What the numbers were found on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("twisted", "autobahn", "msgspec")


def facts() -> dict[str, str]:
    """The machine, the interpreters and our own libraries."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "Node": _node(),
        **{name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        info = ""
    found = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _node() -> str:
    try:
        run = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return run.stdout.strip().removeprefix("v")


def text(found: dict[str, str], rivals: dict[str, str]) -> str:
    """All of that in Markdown."""
    said = ", ".join(f"{name} {value}" for name, value in found.items())
    others = ", ".join(f"{name} {value}" for name, value in rivals.items()) or "none"
    return f"The machine: {said}.\n\nRivals: {others}.\n"


def runs_text(runs: int, when: str) -> str:
    """How a table was made."""
    if runs == 1:
        return f"One run, on {when}.\n"
    return f"Medians of {runs} runs on {when}; the least and the greatest in brackets.\n"
