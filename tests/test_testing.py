"""distmap.testing: what users' own tests stand on."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distmap import errors
from distmap.testing import Network


class NetworkTest(SynchronousTestCase):
    def test_the_example(self) -> None:
        network = Network()
        mine, theirs = network.open("/fruits"), network.open("/fruits")
        mine["apple"] = 3
        network.settle()
        self.assertEqual(theirs["apple"], 3)
        network.close()
        self.assertEqual(network.clock.getDelayedCalls(), [])

    def test_a_clock_of_ones_own(self) -> None:
        clock = Clock()
        called: list[int] = []
        clock.callLater(5, called.append, 1)
        network = Network(clock)
        mine = network.open()
        network.settle()
        self.assertEqual(mine.status, "ready")
        network.close()
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(5)
        self.assertEqual(called, [1])

    def test_delay(self) -> None:
        network = Network(delay_seconds=0.2)
        mine, theirs = network.open(), network.open()
        network.settle(5)
        mine["a"] = 1
        network.settle(0.3)
        self.assertNotIn("a", theirs)
        network.settle(0.2)
        self.assertEqual(theirs["a"], 1)
        network.close()
        self.assertEqual(network.clock.getDelayedCalls(), [])

    def test_relay_stopped_and_started(self) -> None:
        network = Network()
        mine = network.open()
        network.settle()
        network.stop_relay()
        self.assertEqual((mine.status, mine.status.code), ("offline", "connection-lost"))
        network.settle(1)
        self.assertEqual(mine.status.code, "cannot-connect")
        network.start_relay()
        network.settle(11)
        self.assertEqual(mine.status, "ready")
        network.stop_relay()
        closing = mine.connection.close()
        self.successResultOf(closing)
        with self.assertRaises(errors.ConnectionClosed):
            mine.connection.create_stream("/x/channel")
        network.close()
        self.assertEqual(network.clock.getDelayedCalls(), [])

    def test_close_while_connecting(self) -> None:
        network = Network()
        network.stop_relay()
        mine = network.open()
        closing = mine.connection.close()
        network.settle()
        self.successResultOf(closing)
        self.assertEqual(mine.status, "closed")
        self.assertEqual(network.clock.getDelayedCalls(), [])

    def test_the_same_seed_gives_the_same_run(self) -> None:
        def run(seed: int) -> list[str]:
            network = Network(seed=seed)
            mine = network.open()
            writers: list[str] = []
            mine.observe(lambda change: writers.append(change.writer))
            mine["a"] = 1
            network.close()
            return writers

        self.assertEqual(run(1), run(1))
        self.assertNotEqual(run(1), run(2))
