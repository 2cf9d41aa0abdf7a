"""Known holes in what is installed: ``python -m tests.support.audit``.

Runs pip-audit on this environment. A hole fails. If the service that knows them cannot be reached,
nothing is known, and it says so: then it does not fail, or nobody could work without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

SECONDS = 300
COMMAND = ("-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json")
UNREACHABLE = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "NameResolutionError",
    "ServiceError",
)


class Verdict(NamedTuple):
    """What an audit found.

    Attributes:
        code: for the process to end with.
        text: for people.
    """

    code: int
    text: str


def judge(out: str, err: str) -> Verdict:
    """Reads what pip-audit said.

    Args:
        out: its stdout, JSON.
        err: its stderr.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if any(word in err for word in UNREACHABLE):
            return Verdict(0, "NOT AUDITED: the service of advisories cannot be reached")
        return Verdict(1, f"pip-audit failed: {err.strip()[-2000:]}")
    known = [each for each in packages if "vulns" in each]
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}"
        f" (mended in {', '.join(hole.get('fix_versions') or ['no version yet'])})"
        for each in known
        for hole in each["vulns"]
    ]
    if holes:
        return Verdict(1, "\n".join(["packages with known holes:", *holes]))
    if packages and not known:
        return Verdict(
            0, "NOT AUDITED: the service of advisories is not reached, or knows none of them"
        )
    text = f"no known holes in {len(known)} packages"
    if len(known) < len(packages):
        left = [each["name"] for each in packages if "vulns" not in each]
        text += f"; not audited: {', '.join(left)}"
    return Verdict(0, text)


def main() -> int:
    """Audits this environment; returns the exit code."""
    try:
        done = subprocess.run(
            [sys.executable, *COMMAND], capture_output=True, text=True, check=False, timeout=SECONDS
        )
        verdict = judge(done.stdout, done.stderr)
    except subprocess.TimeoutExpired:
        verdict = Verdict(0, f"NOT AUDITED: no answer within {SECONDS} s")
    sys.stdout.write(f"audit: {verdict.text}\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
