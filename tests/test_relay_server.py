"""distmap.relay_server: turns, membership of crowds, and the end, with memory for sockets."""

from __future__ import annotations

from typing import Any

from distmap import errors
from distmap.relay_server import MEMBERSHIP_SECONDS, SERVICE_RESTART, RelayOptions
from distmap.testing import Network
from tests.support.memory import NetworkTestCase


class RelayServerTest(NetworkTestCase):
    def relay(self) -> Any:
        assert self.network.relay is not None
        return self.network.relay

    def test_readers_share_one_message_a_turn(self) -> None:
        """What is prepared and written does not grow with what one turn brings."""
        maps = self.open(30)
        prepared: list[bytes] = []

        def prepare(text: bytes) -> bytes:
            prepared.append(text)
            return text

        self.patch(self.relay(), "_prepare", prepare)
        for at in range(50):
            maps[0][f"k{at}"] = at
        self.network.settle()
        # One for the 29 readers, one with the writer's acknowledgement.
        self.assertEqual(len(prepared), 2)
        self.assertEqual({len(each) for each in maps}, {50})

    def test_joins_of_a_crowd_are_gathered(self) -> None:
        maps = self.open(80)
        told: list[int] = []
        maps[0].on("peers", told.append)
        for _ in range(20):
            self.network.open("/fruits")
            self.network.settle()
        self.network.settle(MEMBERSHIP_SECONDS * 2)
        self.assertEqual(told[-1], 99)
        self.assertLess(len(told), 4)

    def test_stop_tells_the_peers(self) -> None:
        (mine,) = self.open(1)
        done = self.relay().stop()
        self.assertNoResult(done)
        self.network.settle()
        self.successResultOf(done)
        self.assertIn(str(SERVICE_RESTART), mine.status.reason)
        self.network.relay = None

    def test_stop_drops_who_does_not_go(self) -> None:
        self.network = Network(options=RelayOptions(grace_seconds=3))
        (mine,) = self.open(1)
        wire: Any = self.network.wire(mine.connection)
        self.patch(wire._relay.socket, "close", lambda code, reason: None)
        done = self.relay().stop()
        self.network.settle(2)
        self.assertNoResult(done)
        self.network.settle(1.1)
        self.successResultOf(done)
        self.assertEqual(mine.status.code, errors.ConnectionLost.code)
        self.network.relay = None

    def test_nothing_is_kept_of_who_came_and_went(self) -> None:
        for _ in range(50):
            shared = self.network.open()
            shared["a"] = 1
            self.network.settle()
            shared.connection.close()
            self.network.settle()
        core = self.relay().core
        self.assertEqual((self.relay().connections, core.links), (set(), set()))
        self.assertEqual((core.hub.channels, core.switchboard._listeners), ({}, {}))
