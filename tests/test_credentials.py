"""distmap.credentials: what a client shows, and when it asks its source."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from distmap.entrance import MAX_CREDENTIALS_BYTES
from distmap.errors import InvalidType
from distmap.fetching import FETCH_SECONDS
from distmap.relay_server import RelayOptions
from distmap.testing import Network
from tests.support.authorizers import Scripted


class CredentialsTest(TestCase):
    def setUp(self) -> None:
        self.authorizer = Scripted()
        self.network = Network(options=RelayOptions(authorizer=self.authorizer))
        self.addCleanup(self.end)

    def end(self) -> None:
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_sources(self) -> None:
        later: Deferred[str] = Deferred()

        async def coroutine() -> str:
            return "write"

        for source in ("write", lambda: "write", lambda: later, coroutine):
            shared = self.network.open(credentials=source)
            self.network.settle()
            if not later.called:
                later.callback("write") if source not in ("write",) and callable(source) else None
            self.network.settle()
            self.assertEqual(shared.status, "ready", source)
            self.assertEqual(self.authorizer.asked[-1].credentials, "write")

    def test_nothing_to_show(self) -> None:
        self.authorizer.answers[None] = "read"
        shared = self.network.open(credentials=lambda: None)
        self.network.settle()
        self.assertEqual((shared.status, shared.access), ("ready", "read"))

    def test_at_each_reconnect(self) -> None:
        calls: list[int] = []

        def give() -> str:
            calls.append(1)
            return "write"

        shared = self.network.open(credentials=give)
        self.network.settle()
        for count in (1, 2, 3):
            self.assertEqual((shared.status, len(calls)), ("ready", count))
            self.network.cut(shared.connection)
            self.network.settle(15)

    def failing(self, source: Any) -> tuple[str, str]:
        shared = self.network.open(credentials=source)
        self.network.settle()
        status = shared.connection.status
        self.assertEqual(status, "offline")
        shared.connection.close()
        self.assertEqual(shared.connection.status, "closed")
        return status.code, status.reason

    def test_failures_are_told(self) -> None:
        def raises() -> str:
            raise RuntimeError("no login")

        for source, words in (
            (raises, "RuntimeError: no login"),
            (lambda: 5, "int is no string"),
            (lambda: "x" * MAX_CREDENTIALS_BYTES, "bytes at most"),
            (lambda: "\ud800", "UnicodeEncodeError"),
        ):
            code, reason = self.failing(source)
            self.assertEqual(code, "credentials-failed")
            self.assertIn(words, reason)
        self.flushLoggedErrors(RuntimeError, UnicodeEncodeError)

    def test_a_failure_is_tried_again(self) -> None:
        answers: list[Any] = ["write", 5, 5, 5]
        shared = self.network.open(credentials=answers.pop)
        self.network.settle(30)
        self.assertEqual((shared.status, answers), ("ready", []))

    def test_never_answers(self) -> None:
        cancelled: list[object] = []
        connection = self.network.connect(credentials=lambda: Deferred(cancelled.append))
        self.network.settle(FETCH_SECONDS - 0.1)
        self.assertEqual(connection.status, "connecting")
        self.network.settle(0.2)
        self.assertEqual(connection.status.code, "credentials-failed")
        self.assertEqual(len(cancelled), 1)

    def test_closed_while_it_waits(self) -> None:
        cancelled: list[object] = []
        connection = self.network.connect(credentials=lambda: Deferred(cancelled.append))
        closed = connection.close()
        self.network.settle()
        self.successResultOf(closed)
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.authorizer.asked, [])

    def test_wrong_kind(self) -> None:
        for source in (5, b"ticket", {"ticket": "x"}):
            with self.assertRaises(InvalidType):
                self.network.connect(credentials=source)  # type: ignore[arg-type]

    def test_a_relay_that_asks_nobody(self) -> None:
        network = Network()
        self.addCleanup(network.close)
        shared = network.open(credentials="anything")
        network.settle()
        self.assertEqual((shared.status, shared.access), ("ready", "write"))
