"""What pytest alone needs. Trial reads none of this, so no test may depend on it."""

from __future__ import annotations

import os

import pytest
import twisted.trial.unittest  # noqa: F401  (pytest looks for it when it starts, to work with it)

# A machine that lacks something, such as Node.js, skips the tests that need it, and they say so.
# With CI=true everything is set up, and a skip fails the run: nothing goes unchecked unseen.
SKIPS_FAIL = os.environ.get("CI", "").lower() in {"1", "true"}


class Skips:
    """Fails the run if anything in it was skipped."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.nodes.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.nodes.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.nodes and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.nodes:
            terminalreporter.section("with CI=true a skip is a failure", red=True)
            for node in self.nodes:
                terminalreporter.line(node)


def pytest_configure(config: pytest.Config) -> None:
    if SKIPS_FAIL:
        config.pluginmanager.register(Skips(), "distmap-skips")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    functions = [item.nodeid for item in items if getattr(item, "cls", None) is None]
    if functions:
        raise pytest.UsageError(f"trial runs no bare functions: make methods of {functions}")
