"""When a digest is told, and when a difference is believed."""

from __future__ import annotations

from unittest import TestCase

from distmap.gossip import INTERVAL_SECONDS, PATIENCE_SECONDS, SETTLE_SECONDS, Gossip

MINE = (3, 33)
OTHER = (3, 34)


class GossipTest(TestCase):
    def setUp(self) -> None:
        self.chance = 0.5
        self.gossip = Gossip(lambda: self.chance)

    def test_intervals_are_jittered(self) -> None:
        found = []
        for self.chance in (0.0, 0.5, 1.0):
            found.append(self.gossip.next_seconds())
        self.assertEqual(found, [INTERVAL_SECONDS * part for part in (0.5, 1.0, 1.5)])

    def test_who_hears_its_own_digest_says_nothing(self) -> None:
        self.assertTrue(self.gossip.should_tell())
        self.assertTrue(self.gossip.should_tell())
        self.assertIsNone(self.gossip.hear("2", MINE, MINE, 0))
        self.assertFalse(self.gossip.should_tell())
        self.assertTrue(self.gossip.should_tell(), "each interval anew")

    def test_who_hears_another_digest_tells_its_own(self) -> None:
        self.gossip.hear("2", OTHER, MINE, 0)
        self.assertTrue(self.gossip.should_tell())

    def test_a_difference_that_lasts(self) -> None:
        for self.chance in (0.0, 1.0):
            wait = self.gossip.hear("2", OTHER, MINE, 0)
            self.assertEqual(wait, SETTLE_SECONDS * (1 + self.chance))
            self.assertIsNone(self.gossip.hear("3", OTHER, MINE, 1), "one at a time")
            self.assertEqual(self.gossip.confirm(MINE, 2), "2")
            self.assertIsNone(self.gossip.confirm(MINE, 3))

    def test_a_difference_that_passes(self) -> None:
        self.gossip.hear("2", OTHER, MINE, 0)
        self.assertIsNone(self.gossip.confirm(OTHER, 2), "entries came meanwhile")
        self.gossip.hear("2", OTHER, MINE, 10)
        self.gossip.hear("3", MINE, MINE, 11)
        self.assertIsNone(self.gossip.confirm(MINE, 12), "another peer agrees")

    def test_in_a_map_that_never_rests(self) -> None:
        now = 0.0
        for at in range(1000):
            own = (at, at)
            if self.gossip.hear("2", (at, at + 1), own, now) is not None:
                now += SETTLE_SECONDS
                suspect = self.gossip.confirm((at + 1, at), now)
                self.assertEqual(suspect, "2" if now >= PATIENCE_SECONDS else None)
                if suspect is not None:
                    return
        self.fail("the difference was never believed")

    def test_settle(self) -> None:
        self.gossip.hear("2", OTHER, MINE, 0)
        self.gossip.settle()
        self.assertIsNone(self.gossip.confirm(MINE, 2))
        self.assertIsNotNone(self.gossip.hear("3", OTHER, MINE, PATIENCE_SECONDS))
        self.assertIsNone(self.gossip.confirm(OTHER, PATIENCE_SECONDS + 2), "time begins anew")
