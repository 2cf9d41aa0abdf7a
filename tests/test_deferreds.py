"""distmap.deferreds: one Deferred for inlineCallbacks, Twisted's coroutines and asyncio's tasks."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    ensureDeferred,
    gatherResults,
    inlineCallbacks,
)
from twisted.trial.unittest import SynchronousTestCase, TestCase

from distmap import DistributedMap, connect
from distmap.deferreds import Awaitable, Waiters, fired
from tests.support.processes import Process, fires
from tests.support.sockets import start_relay


class AwaitableTest(SynchronousTestCase):
    def test_coroutine(self) -> None:
        waits: Awaitable[int] = Awaitable()

        async def coroutine() -> list[int]:
            return [await fired(1), await waits]

        result = ensureDeferred(coroutine())
        self.assertNoResult(result)
        waits.callback(2)
        self.assertEqual(self.successResultOf(result), [1, 2])

    def test_coroutine_and_an_error(self) -> None:
        waits: Awaitable[int] = Awaitable()

        async def coroutine() -> str:
            try:
                await waits
            except ZeroDivisionError as error:
                return str(error)
            return "no error"

        result = ensureDeferred(coroutine())
        waits.errback(ZeroDivisionError("zero"))
        self.assertEqual(self.successResultOf(result), "zero")

    def test_inline_callbacks(self) -> None:
        waits: Awaitable[int] = Awaitable()

        @inlineCallbacks
        def generator() -> Any:
            first = yield fired(1)
            second = yield from waits
            return [first, second]

        result: Deferred[Any] = generator()
        waits.callback(2)
        self.assertEqual(self.successResultOf(result), [1, 2])

    def test_cancelled_coroutine(self) -> None:
        waits: Awaitable[int] = Awaitable()

        async def coroutine() -> None:
            await waits

        result = ensureDeferred(coroutine())
        result.cancel()
        self.failureResultOf(result, CancelledError)
        waits.callback(1)  # too late, and no error


class WaitersTest(SynchronousTestCase):
    def test_all_fire(self) -> None:
        waiters = Waiters()
        waiting = [waiters.wait() for _ in range(3)]
        waiters.fire("now")
        self.assertEqual([self.successResultOf(each) for each in waiting], ["now"] * 3)
        later = waiters.wait()
        self.assertNoResult(later)
        waiters.fire(None)
        self.assertIsNone(self.successResultOf(later))

    def test_error(self) -> None:
        waiters = Waiters()
        waiting = [waiters.wait() for _ in range(2)]
        waiters.fire(ValueError("no"))
        for each in waiting:
            self.failureResultOf(each, ValueError)

    def test_cancelled(self) -> None:
        waiters = Waiters()
        given_up, waiting = waiters.wait(), waiters.wait()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        waiters.fire(1)
        self.assertEqual(self.successResultOf(waiting), 1)

    def test_one_cancels_another(self) -> None:
        waiters = Waiters()
        first, second, third = (waiters.wait() for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        waiters.fire(1)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), 1)

    def test_one_waits_again(self) -> None:
        waiters = Waiters()
        again: list[Any] = []
        waiters.wait().addCallback(lambda _: again.append(waiters.wait()))
        waiters.fire(1)
        self.assertNoResult(again[0])
        waiters.fire(2)
        self.assertEqual(self.successResultOf(again[0]), 2)


class RelayTest(TestCase):
    """All that the public names return, against a real relay."""

    timeout = 60

    def setUp(self) -> None:
        _, port = start_relay(self)
        self.url = f"ws://127.0.0.1:{port}/"

    def open(self) -> Any:
        """A new map; of any type, because tests look at results that are always None."""
        connection = connect(reactor, self.url)
        self.addCleanup(connection.close)
        return DistributedMap(connection, "/fruits")

    async def test_coroutine(self) -> None:
        fruits = self.open()
        self.assertIs(await fires(fruits.ready()), fruits)
        self.assertIs(await fruits.ready(), fruits)
        self.assertIsNone(await fruits.set("apple", 3))
        self.assertIs(await fruits.delete("apple"), True)
        self.assertIs(await fruits.delete("apple"), False)
        self.assertIsNone(await fruits.close())
        self.assertIsNone(await fruits.connection.close())

    @inlineCallbacks
    def test_inline_callbacks(self) -> Any:
        fruits = self.open()
        self.assertIs((yield fruits.ready()), fruits)
        self.assertIsNone((yield fruits.set("apple", 3)))
        self.assertIs((yield fruits.delete("apple")), True)
        yield gatherResults([fruits.set(f"key{at}", at) for at in range(10)])
        self.assertIsNone((yield fruits.close()))
        self.assertIsNone((yield fruits.connection.close()))

    def test_callbacks(self) -> Deferred[Any]:
        fruits = self.open()
        done: Deferred[Any] = fruits.ready().addCallback(lambda same: same.set("apple", 3))
        return done.addCallback(lambda _: self.assertEqual(fruits["apple"], 3))

    async def test_a_write_that_is_given_up(self) -> None:
        """Only the waiting is: the write stays, and its acknowledgement finds nobody."""
        fruits = self.open()
        written = fruits.set("apple", 3)
        written.addErrback(lambda failure: failure.trap(CancelledError))
        written.cancel()
        await fires(fruits.ready())
        await fruits.set("pear", 4)
        self.assertEqual(dict(fruits), {"apple": 3, "pear": 4})

    async def test_asyncio(self) -> None:
        peer = Process(self, "-m", "tests.support.asyncio_peer", self.url)
        done = await peer.finished()
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(
            done.out.splitlines(),
            [
                "ready True True",
                "deleted True False",
                "gathered 11",
                "error unknown-route",
                "timeout",
                "cancelled True 3",
                "coroutine",
                "inlineCallbacks True",
                "nested task",
                "inside 4",
                "left 0",
                "done",
            ],
        )


class ReactorTest(TestCase):
    timeout = 60

    async def test_importing_installs_no_reactor(self) -> None:
        """Who installs one after the import would get an error."""
        modules = "connector map relay tap testing cli streams deferreds site"
        imports = "; ".join(f"import distmap.{name}" for name in modules.split())
        program = (
            f"import sys, distmap; {imports}; "
            "assert 'twisted.internet.reactor' not in sys.modules; "
            "from twisted.internet import selectreactor; selectreactor.install()"
        )
        self.assertEqual(await Process(self, "-c", program).finished(), (0, "", ""))
