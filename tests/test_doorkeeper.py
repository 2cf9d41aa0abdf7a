"""distmap.doorkeeper: a whole relay in memory with an authorizer, and time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from distmap import DistributedMap
from distmap.access import Grant
from distmap.relay_server import RelayOptions
from distmap.testing import START_SECONDS, Network
from tests.support.authorizers import Scripted


class DoorkeeperTestCase(TestCase):
    def start(self, authorizer: Scripted) -> Network:
        network = Network(options=RelayOptions(authorizer=authorizer))
        self.authorizer = authorizer

        def close() -> None:
            network.close()
            self.assertEqual(network.clock.getDelayedCalls(), [])

        self.addCleanup(close)
        return network

    def state(self, shared: DistributedMap) -> tuple[str, str]:
        return str(shared.status), shared.status.code


class Answers(DoorkeeperTestCase):
    def test_at_once_and_later(self) -> None:
        later: Deferred[Any] = Deferred()

        async def coroutine() -> str:
            return "write"

        network = self.start(Scripted(later=lambda _: later, coroutine=lambda _: coroutine()))
        maps = {name: network.open(credentials=name) for name in ("write", "coroutine", "later")}
        network.settle()
        self.assertEqual(
            [str(each.status) for each in maps.values()], ["ready", "ready", "syncing"]
        )
        later.callback(Grant("write"))
        network.settle()
        self.assertEqual(str(maps["later"].status), "ready")
        self.assertEqual(maps["later"].peers, 2)

    def test_no_round_trip_more(self) -> None:
        network = self.start(Scripted())
        shared = network.open(credentials="write")
        network.clock.advance(0)
        turns = 0
        while shared.status != "ready":
            network.clock.advance(0)
            turns += 1
        alone = Network()
        self.addCleanup(alone.close)
        other = alone.open()
        alone.clock.advance(0)
        for _ in range(turns):
            self.assertNotEqual(other.status, "ready")
            alone.clock.advance(0)
        self.assertEqual(other.status, "ready")

    def test_what_is_no_answer_is_refused_and_logged(self) -> None:
        def fails(_: object) -> None:
            raise RuntimeError("no database")

        network = self.start(Scripted(fails=fails, odd=lambda _: "admin", nothing=lambda _: None))
        for name in ("fails", "odd", "nothing"):
            shared = network.open(credentials=name)
            network.settle()
            self.assertEqual(self.state(shared), ("offline", "refused"))
            shared.connection.close()
        errors = self.flushLoggedErrors(RuntimeError, ValueError)
        self.assertEqual(len(errors), 3)

    def test_never_answers(self) -> None:
        cancelled: list[object] = []
        network = self.start(Scripted(slow=lambda _: Deferred(cancelled.append)))
        shared = network.open(credentials="slow")
        network.settle(9.9)
        self.assertEqual(self.state(shared), ("syncing", ""))
        network.settle(0.2)
        self.assertEqual(self.state(shared), ("offline", "refused"))
        self.assertEqual(len(cancelled), 1)

    def test_gone_while_it_thinks(self) -> None:
        cancelled: list[object] = []
        network = self.start(Scripted(slow=lambda _: Deferred(cancelled.append)))
        shared = network.open(credentials="slow")
        network.settle()
        shared.connection.close()
        network.settle()
        self.assertEqual(len(cancelled), 1)

    def test_what_it_is_told(self) -> None:
        network = self.start(Scripted())
        network.open("/fruits", credentials="write")
        network.settle()
        (request,) = self.authorizer.asked
        self.assertEqual((request.uri, request.credentials), ("/fruits", "write"))
        self.assertEqual((request.address, request.origin), ("", None))
        self.assertNotIn("write", repr(request))


class Deadline(DoorkeeperTestCase):
    def closed(self, network: Network, connection: Any) -> str:
        network.settle(9.9)
        self.assertEqual(connection.status, "open")
        problems: list[Any] = []
        connection.on("offline", problems.append)
        network.settle(0.2)
        return str(problems[0]) if problems else ""

    def test_nothing_shown(self) -> None:
        network = self.start(Scripted())
        for come in (network.connect, lambda: network.open().connection):
            connection = come()
            self.assertIn(
                "4401: no valid credentials within 10 s", self.closed(network, connection)
            )
            connection.close()

    def test_nothing_that_counts(self) -> None:
        network = self.start(Scripted())
        connection = network.open(credentials="wrong").connection
        self.assertIn("4401", self.closed(network, connection))

    def test_shown_and_not_used_yet(self) -> None:
        network = self.start(Scripted())
        connection = network.connect(credentials="whatever")
        self.assertEqual(self.closed(network, connection), "")

    def test_let_in_somewhere(self) -> None:
        network = self.start(
            Scripted(one=lambda request: "write" if request.uri == "/one" else "none")
        )
        shared = network.open("/one", credentials="one")
        DistributedMap(shared.connection, "/two")
        self.assertEqual(self.closed(network, shared.connection), "")
        self.assertEqual(shared.status, "ready")

    def test_where_none_are_needed(self) -> None:
        network = self.start(Scripted(False))
        self.assertEqual(self.closed(network, network.connect()), "")


class Expiry(DoorkeeperTestCase):
    def until(self, seconds: float) -> Any:
        return lambda _: Grant("write", (START_SECONDS + seconds) * 1000)

    def test_the_callable_is_asked_again(self) -> None:
        network = self.start(Scripted(first=self.until(100), second=self.until(500)))
        names = iter(("first", "second", "third"))
        shared = network.open(credentials=lambda: next(names))
        other = network.open(credentials="write")
        network.settle(69)
        self.assertEqual(len(self.authorizer.asked), 2)
        statuses: list[str] = []
        shared.on("status", statuses.append)
        network.settle(60)
        self.assertEqual([each.credentials for each in self.authorizer.asked][2:], ["second"])
        self.assertEqual(statuses, [])
        shared["apple"] = 3
        network.settle()
        self.assertEqual(other["apple"], 3)

    def test_no_answer_and_then_one(self) -> None:
        network = self.start(Scripted(first=self.until(100)))
        answers: list[Any] = ["first"]

        def give() -> Any:
            if not answers:
                raise RuntimeError("the login page is down")
            return answers[-1]

        shared = network.open(credentials=give)
        network.settle(60)
        answers.clear()
        network.settle(45)
        self.assertEqual(str(shared.status), "offline")
        self.assertIn(shared.status.code, ("expired", "refused"))
        self.assertEqual(shared.connection.status, "open")
        self.assertGreater(len(self.flushLoggedErrors(RuntimeError)), 2)
        shared["apple"] = 3
        answers.append("write")
        network.settle(25)
        self.flushLoggedErrors(RuntimeError)
        self.assertEqual(shared.status, "ready")
        self.assertEqual(shared["apple"], 3)

    def test_the_same_string_again(self) -> None:
        network = self.start(Scripted(first=self.until(100)))
        shared = network.open(credentials="first")
        network.settle(99)
        self.assertEqual(shared.status, "ready")
        network.settle(1.2)
        self.assertEqual(str(shared.status), "offline")

    def test_less_than_before(self) -> None:
        network = self.start(Scripted(first=self.until(100)))
        names = iter(("first", *["read"] * 9))
        shared = network.open(credentials=lambda: next(names))
        other = network.open(credentials="write")
        network.settle(60)
        self.assertEqual(shared.access, "write")
        network.settle(15)
        self.assertEqual((shared.access, shared.status), ("read", "ready"))
        other["pear"] = 1
        network.settle()
        self.assertEqual(shared["pear"], 1)
