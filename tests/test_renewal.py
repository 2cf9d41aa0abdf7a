"""distmap.renewal: Connection.renew(), in memory and over sockets."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from distmap import Connection, DistributedMap, connect, errors
from distmap.access import Grant
from distmap.deferreds import Awaitable
from distmap.relay_server import RelayOptions
from distmap.renewal import JUDGE_SECONDS
from distmap.testing import START_SECONDS, Network
from tests.support.authorizers import Scripted
from tests.support.processes import fires
from tests.support.sockets import start_relay

reactor: Any = _reactor


class RenewalTestCase(SynchronousTestCase):
    """A peer that shows what `shown` is; each of the maps wants what the test says."""

    def setUp(self) -> None:
        self.authorizer = Scripted()
        self.network = Network(options=RelayOptions(authorizer=self.authorizer))
        self.shown: Any = "wrong"
        self.asked = 0
        self.addCleanup(self.end)

    @cached_property
    def connection(self) -> Connection:
        return self.network.connect(credentials=self.give)

    def give(self) -> Any:
        self.asked += 1
        return self.shown() if callable(self.shown) else self.shown

    def end(self) -> None:
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def open(self, uri: str = "/fruits") -> DistributedMap:
        shared = DistributedMap(self.connection, uri)
        self.network.settle()
        return shared

    def renew(self, shown: Any, seconds: float = 0) -> Awaitable[None]:
        self.shown = shown
        renewed = self.connection.renew()
        self.network.settle(seconds)
        return renewed

    def refusal(self, deferred: Deferred[None]) -> str:
        return str(self.failureResultOf(deferred, errors.AccessRefused).value)


class Renew(RenewalTestCase):
    def test_what_was_refused_is_open_at_once(self) -> None:
        fruits = self.open()
        self.assertEqual((fruits.status, fruits.status.code), ("offline", "refused"))
        fruits["apple"] = 3
        self.assertIsNone(self.successResultOf(self.renew("write")))
        self.assertEqual((fruits.status, fruits.access), ("ready", "write"))
        other = self.network.open("/fruits", credentials="write")
        self.network.settle()
        self.assertEqual(dict(other), {"apple": 3})

    def test_what_is_open_stays_open(self) -> None:
        self.shown = "write"
        fruits = self.open()
        statuses: list[str] = []
        fruits.on("status", statuses.append)
        self.assertIsNone(self.successResultOf(self.renew("write")))
        self.assertEqual((self.asked, statuses), (2, []))

    def test_less_than_before(self) -> None:
        self.shown = "write"
        fruits = self.open()
        self.assertIsNone(self.successResultOf(self.renew("read")))
        self.assertEqual((fruits.status, fruits.access), ("ready", "read"))

    def test_refused(self) -> None:
        fruits = self.open()
        self.assertEqual(self.refusal(self.renew("wrong too")), "the relay does not open /fruits")
        self.assertEqual(fruits.status.code, "refused")
        self.assertEqual(self.connection.status, "open")

    def test_taken_away(self) -> None:
        self.shown = "write"
        fruits = self.open()
        self.refusal(self.renew("wrong"))
        self.assertEqual(fruits.status.code, "refused")

    def test_one_map_of_two(self) -> None:
        self.authorizer.answers["one"] = lambda asked: "read" if asked.uri == "/one" else "none"
        one, _ = self.open("/one"), self.open("/two")
        self.assertEqual(self.refusal(self.renew("one")), "the relay does not open /two")
        self.assertEqual(one.access, "read")

    def test_no_map_at_all(self) -> None:
        self.assertIsNone(self.successResultOf(self.renew("whatever")))

    def test_a_map_that_is_closed_is_not_waited_for(self) -> None:
        answer: Deferred[str] = Deferred()
        self.authorizer.answers["slow"] = lambda _: answer
        fruits = self.open()
        renewed = self.renew("slow")
        self.assertNoResult(renewed)
        fruits.close()
        self.network.settle()
        self.assertIsNone(self.successResultOf(renewed))

    def test_an_answer_that_takes_its_time(self) -> None:
        answer: Deferred[str] = Deferred()
        self.authorizer.answers["slow"] = lambda _: answer
        self.shown = "write"
        self.open()
        renewed = self.renew("slow", 5)
        self.assertNoResult(renewed)
        answer.callback("write")
        self.network.settle()
        self.assertIsNone(self.successResultOf(renewed))


class Sources(RenewalTestCase):
    def test_called_twice(self) -> None:
        """The second begins anew: what the first was to show is not shown."""
        fruits = self.open()
        first: Deferred[str] = Deferred()
        renewals = [self.renew(lambda: first), self.renew("write")]
        for renewed in renewals:
            self.assertIsNone(self.successResultOf(renewed))
        self.assertEqual(fruits.status, "ready")
        self.assertNotIn("late", [each.credentials for each in self.authorizer.asked])

    def test_called_again_while_the_relay_thinks(self) -> None:
        answer: Deferred[str] = Deferred()
        self.authorizer.answers["slow"] = lambda _: answer
        self.open()
        first = self.renew("slow")
        second = self.renew("write")
        for renewed in (first, second):
            self.assertIsNone(self.successResultOf(renewed))

    def test_the_relay_judges_what_was_shown_before(self) -> None:
        answer: Deferred[str] = Deferred()
        given: Deferred[str] = Deferred()
        self.authorizer.answers["slow"] = lambda _: answer
        self.shown = "write"
        self.open()
        renewals = [self.renew("slow"), self.renew(lambda: given)]
        answer.callback("write")
        self.network.settle()
        for renewed in renewals:
            self.assertNoResult(renewed)
        given.callback("wrong")
        self.network.settle()
        for renewed in renewals:
            self.refusal(renewed)

    def test_the_source_fails(self) -> None:
        """What was shown before holds on, and nothing is tried behind one's back."""
        self.shown = "write"
        fruits = self.open()

        def raises() -> str:
            raise RuntimeError("no login")

        failure = self.failureResultOf(self.renew(raises, 60), errors.CredentialsFailed)
        self.assertIn("no login", str(failure.value))
        self.assertEqual((fruits.status, self.asked), ("ready", 2))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_nothing_any_more(self) -> None:
        """What was shown cannot be taken back: the connection comes back as nobody."""
        self.shown = "write"
        fruits = self.open()
        self.assertEqual(self.refusal(self.renew(None, 2)), "the relay does not open /fruits")
        self.assertEqual((fruits.status, self.connection.status), ("offline", "open"))
        self.authorizer.answers[None] = "read"
        self.network.settle(20)  # which the relay remembers
        self.assertIsNone(self.successResultOf(self.renew(None)))
        self.assertEqual(fruits.access, "read")

    def test_cancelled(self) -> None:
        answer: Deferred[str] = Deferred()
        self.open()
        renewed = self.renew(lambda: answer)
        renewed.cancel()
        self.failureResultOf(renewed)
        answer.callback("write")
        self.network.settle()

    def test_none_to_begin_with(self) -> None:
        with self.assertRaises(errors.NoCredentials):
            self.network.connect().renew()


class Offline(RenewalTestCase):
    def test_is_tried_at_once(self) -> None:
        self.shown = "write"
        fruits = self.open()
        self.network.stop_relay()
        self.network.settle(60)
        renewed = self.renew("write", 5)
        self.assertNoResult(renewed)
        self.network.start_relay()
        again = self.renew("write")
        for each in (renewed, again):
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual(self.connection.status, "open")
        self.network.settle()
        self.assertEqual(fruits.status, "ready")

    def test_lost_on_the_way(self) -> None:
        for first in ("wrong", "write"):
            answer: Deferred[str] = Deferred()
            self.authorizer.answers["slow"] = lambda _, answer=answer: answer
            self.__dict__.pop("connection", None)
            self.shown = first
            self.open()
            renewed = self.renew("slow")
            self.network.cut(self.connection)
            self.authorizer.answers["slow"] = "write"
            self.network.settle(1)
            self.assertIsNone(self.successResultOf(renewed), first)

    def test_while_it_connects(self) -> None:
        """What was fetched by then may be old: it is asked again once it is open."""
        first: Deferred[str] = Deferred()
        self.shown = lambda: first
        fruits = DistributedMap(self.connection, "/fruits")
        renewed = self.renew("write")
        first.callback("wrong")
        self.network.settle()
        self.assertIsNone(self.successResultOf(renewed))
        self.assertEqual(fruits.status, "ready")

    def test_what_was_fetched_before_fails(self) -> None:
        first: Deferred[str] = Deferred()
        self.shown = lambda: first
        fruits = DistributedMap(self.connection, "/fruits")
        renewed = self.renew("write")
        first.errback(RuntimeError("no login"))
        self.network.settle()
        self.assertNoResult(renewed)
        self.network.settle(1)
        self.assertIsNone(self.successResultOf(renewed))
        self.assertEqual(fruits.status, "ready")
        self.flushLoggedErrors(RuntimeError)

    def test_closed(self) -> None:
        answer: Deferred[str] = Deferred()
        self.open()
        renewed = self.renew(lambda: answer)
        self.connection.close()
        self.failureResultOf(renewed, errors.ConnectionClosed)
        with self.assertRaises(errors.ConnectionClosed):
            self.connection.renew()

    def test_the_source_fails_before_the_connection(self) -> None:
        self.connection.on("open", self.fail)
        self.network.stop_relay()
        self.network.settle(1)
        self.failureResultOf(self.renew(5), errors.CredentialsFailed)

    def test_turned_away_meanwhile(self) -> None:
        """The relay has no answer in time, and closes the connection."""
        answer: Deferred[str] = Deferred()
        self.authorizer.answers["wrong"] = lambda _: answer
        self.open()
        self.network.settle(9)
        self.authorizer.answers["slow"] = lambda _: Deferred()
        renewed = self.renew("slow", 40)
        failure = self.failureResultOf(renewed, errors.DistMapError)
        self.assertIn(failure.value.code, ("unauthorized", "refused"))
        self.flushLoggedErrors()


class UnderWay(RenewalTestCase):
    """Each message takes a second: what the relay says may be of what was shown before."""

    def setUp(self) -> None:
        super().setUp()
        self.network.close()
        options = RelayOptions(authorizer=self.authorizer)
        self.network = Network(options=options, delay_seconds=1)
        self.assertEqual(self.connection.status, "connecting")
        self.network.settle(5)
        self.fruits = DistributedMap(self.connection, "/fruits")

    def test_refused_for_what_was_shown_before(self) -> None:
        renewed = self.renew("write", 2.5)
        self.assertNoResult(renewed)  # that refusal, and the word that all is judged, are here
        self.network.settle(2)
        self.assertIsNone(self.successResultOf(renewed))
        self.assertEqual(self.fruits.access, "write")

    def test_let_in_for_what_was_shown_before(self) -> None:
        renewals = [self.renew("write", 2.5), self.renew("wrong", 1.7)]
        self.assertEqual(self.fruits.access, "write")
        for renewed in renewals:
            self.assertNoResult(renewed)
        self.network.settle(5)
        for renewed in renewals:
            self.refusal(renewed)


class OtherRelays(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self.network.close)
        self.shared = self.network.open(credentials="anything")
        self.network.settle()

    def test_one_that_asks_nobody(self) -> None:
        renewed = self.shared.connection.renew()
        self.network.settle()
        self.assertIsNone(self.successResultOf(renewed))

    def test_one_that_does_not_answer(self) -> None:
        """It is of an older version."""
        assert self.network.relay is not None
        self.patch(self.network.relay.core.entrance, "judge_none", lambda *_: None)
        renewed = self.shared.connection.renew()
        self.network.settle(JUDGE_SECONDS - 1)
        self.assertNoResult(renewed)
        self.network.settle(1.1)
        self.failureResultOf(renewed, errors.CredentialsFailed)
        self.assertEqual(self.shared.status, "ready")

    def test_one_that_knows_no_credentials(self) -> None:
        assert self.network.relay is not None

        def unknown(link: Any, stream: Any, route: Any) -> None:
            raise errors.StreamError("no such route", "unknown-route")

        self.patch(self.network.relay.core.entrance, "opened", unknown)
        connection = self.network.connect(credentials="anything")
        self.network.settle()
        renewed = connection.renew()
        self.network.settle()
        self.assertIsNone(self.successResultOf(renewed))


@implementer(ILogObserver)
class Notes:
    """The warnings and errors of the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] > LogLevel.info:
            self.lines.append(formatEvent(event).partition(";")[0])


class Refused(RenewalTestCase):
    """What happens while nobody renews: it is tried again ever more rarely, and told once."""

    def setUp(self) -> None:
        super().setUp()
        notes = Notes()
        self.lines = notes.lines
        globalLogPublisher.addObserver(notes)
        self.addCleanup(globalLogPublisher.removeObserver, notes)

    def test_everywhere(self) -> None:
        fruits = self.open()
        self.network.settle(3600)
        self.assertEqual(
            [line for line in self.lines if "memory:" not in line],
            [
                "the relay ended the channel of /fruits (refused): you may not do this",
                "no connection to memory (unauthorized): the connection was closed with 4401:"
                " no valid credentials within 10 s",
            ],
        )
        self.assertLess(self.asked, 40)
        problems: list[errors.ConnectionProblem] = []
        self.connection.on("offline", problems.append)
        self.network.settle(600)
        self.assertEqual({type(each) for each in problems}, {errors.Unauthorized})
        self.assertEqual({each.close_code for each in problems}, {4401})
        renewed = self.renew("write")
        self.assertIsNone(self.successResultOf(renewed))
        self.assertEqual(fruits.status, "ready")

    def test_one_map_of_two(self) -> None:
        self.authorizer.answers["one"] = lambda asked: "write" if asked.uri == "/one" else "none"
        self.shown = "one"
        one, two = self.open("/one"), self.open("/two")
        self.network.settle(3600)
        self.assertEqual(len(self.lines), 1)
        asked = [each for each in self.authorizer.asked if each.uri == "/two"]
        self.assertLess(len(asked), 25)
        # The relay has another mind now: it is open within minutes, and a new refusal is news.
        self.authorizer.answers["one"] = "write"
        self.network.settle(301)
        self.assertEqual((one.status, two.status), ("ready", "ready"))

    def test_expired_and_renewed_by_itself(self) -> None:
        until_ms = (START_SECONDS + 100) * 1000
        self.authorizer.answers["soon over"] = lambda _: Grant("write", until_ms)
        self.shown = "soon over"
        fruits = self.open()
        self.network.settle(200)
        self.assertEqual(fruits.status, "offline")
        self.shown = "write"
        self.assertIsNone(self.successResultOf(self.renew("write")))
        self.assertEqual(fruits.status, "ready")

    def test_what_the_relay_asks_for_opens_what_was_refused(self) -> None:
        """Nobody called renew(), and its turn would be much later."""
        until_ms = (START_SECONDS + 1000) * 1000
        self.authorizer.answers["one"] = lambda asked: (
            Grant("write", until_ms) if asked.uri == "/one" else "none"
        )
        self.shown = "one"
        _, two = self.open("/one"), self.open("/two")
        self.network.settle(950)
        self.assertEqual(two.status, "offline")
        self.shown = "write"
        while self.asked == 1:
            self.network.settle(0.1)
        self.assertEqual(two.status, "ready")

    def test_hope_makes_it_try_sooner(self) -> None:
        self.open()
        self.network.settle(3600)
        self.refusal(self.renew("as wrong"))
        asked = self.asked
        self.network.settle(25)
        self.assertGreater(self.asked, asked)

    def test_writes_that_are_taken_back_are_told_once(self) -> None:
        self.shown = "read"
        fruits = DistributedMap(self.connection, "/fruits")
        for number in range(2000):
            fruits[f"k{number}"] = number
        self.network.settle()
        self.assertEqual(dict(fruits), {})
        self.assertEqual(self.lines, ["writes to /fruits are taken back: it may only be read"])


class OverSockets(TestCase):
    timeout = 60

    async def test_renew(self) -> None:
        _, port = start_relay(self, RelayOptions(authorizer=Scripted()))
        shown = "wrong"
        connection = connect(reactor, f"ws://127.0.0.1:{port}/", credentials=lambda: shown)
        self.addCleanup(connection.close)
        fruits = DistributedMap(connection, "/fruits")
        with self.assertRaises(errors.AccessRefused):
            await fires(connection.renew())
        shown = "read"
        await fires(connection.renew())
        self.assertEqual(fruits.access, "read")
        shown = "write"
        await fires(connection.renew())
        await fires(fruits.set("apple", 3))

    async def test_turned_away(self) -> None:
        options = RelayOptions(authorizer=Scripted(), authorizer_seconds=0.05)
        _, port = start_relay(self, options)
        connection = connect(reactor, f"ws://127.0.0.1:{port}/", credentials="wrong")
        self.addCleanup(connection.close)
        DistributedMap(connection, "/fruits")
        offline: Deferred[errors.ConnectionProblem] = Deferred()
        connection.on("offline", offline.callback)
        problem = await fires(offline)
        self.assertIsInstance(problem, errors.Unauthorized)
        self.assertEqual((problem.code, problem.close_code), ("unauthorized", 4401))
