"""A base for tests of whole peers in memory."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distmap import DistributedMap
from distmap.testing import Network


class NetworkTestCase(SynchronousTestCase):
    """Has a network, and checks at the end that nothing of it is left on the clock."""

    def setUp(self) -> None:
        self.network = Network()
        self.addCleanup(self._close)

    def _close(self) -> None:
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])
        if self.network.relay is not None:
            self.assertEqual(self.network.relay.core.hub.channels, {})

    def open(self, count: int, uri: str = "/fruits") -> list[DistributedMap]:
        """So many maps, each on a connection of its own, all ready."""
        maps = [self.network.open(uri) for _ in range(count)]
        self.network.settle()
        for each in maps:
            self.assertEqual(each.status, "ready")
        return maps

    def assert_equal_maps(self, maps: list[DistributedMap], wanted: dict[str, Any]) -> None:
        for each in maps:
            self.assertEqual(dict(each), wanted)
            self.assertEqual(len(each), len(wanted))
