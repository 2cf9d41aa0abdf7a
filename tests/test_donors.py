"""distmap.donors: who serves whom, and that nobody keeps a place for ever."""

from __future__ import annotations

from unittest import TestCase

from distmap.channel import Channel, Member
from distmap.donors import MAX_FAILED_DONORS, MAX_SERVING, SERVING_MS, Donors


class DonorsTest(TestCase):
    """One channel, with members on connections that are only names."""

    def setUp(self) -> None:
        self.now_ms = 0.0
        self.told: list[tuple[str, str, str]] = []
        self.donors: Donors[str] = Donors(
            lambda: self.now_ms,
            lambda member, name, donor="": self.told.append((member.id, name, donor)),
        )
        self.channel: Channel[str] = Channel("/fruits")

    def join(self, link: str = "", *, ready: bool = False) -> Member[str]:
        number = str(len(self.channel.members) + 1)
        member = Member(number, self.channel, link or f"link {number}", b"", plain=False)
        self.channel.add(member)
        if ready:
            self.donors.ready(member)
        else:
            self.donors.find(member)
        return member

    def test_one_that_takes_long_gives_up_its_place(self) -> None:
        donor = self.join(ready=True)
        slow = [self.join() for _ in range(MAX_SERVING)]
        waits = self.join()
        self.assertIsNone(waits.donor)
        self.assertTrue(self.donors.busy)
        self.now_ms = SERVING_MS - 1
        self.donors.expire()
        self.assertIsNone(waits.donor)
        self.now_ms = SERVING_MS
        self.donors.expire()
        self.assertIs(waits.donor, donor)
        self.assertEqual([each.donor for each in slow], [None] * MAX_SERVING)
        self.assertEqual(donor.serving, {waits})

    def test_one_that_took_long_and_is_done(self) -> None:
        donor = self.join(ready=True)
        slow = self.join()
        self.now_ms = SERVING_MS
        self.donors.expire()
        self.donors.ready(slow)
        self.assertEqual(set(self.channel.ready), {donor.id, slow.id})
        self.assertFalse(self.donors.busy)

    def test_one_that_took_long_and_whose_donor_failed(self) -> None:
        donors = [self.join(ready=True) for _ in range(MAX_FAILED_DONORS)]
        slow = self.join()
        for _ in donors:
            asked = slow.asked
            self.now_ms += SERVING_MS
            self.donors.expire()
            self.donors.find_another(slow, asked)
        names = [name for number, name, _ in self.told if number == slow.id]
        self.assertEqual(names, ["donor"] * MAX_FAILED_DONORS + ["alone"])

    def test_a_connection_has_one_place_at_a_time(self) -> None:
        donor = self.join(ready=True)
        crowd = [self.join("crowd") for _ in range(MAX_SERVING)]
        other = self.join()
        self.assertEqual(donor.serving, {crowd[0], other})
        self.donors.ready(crowd[0])
        self.assertIs(crowd[1].donor, donor)
        self.assertIsNone(crowd[2].donor)

    def test_a_connection_with_many_newcomers_waits_behind_the_others(self) -> None:
        donor = self.join(ready=True)
        crowd = [self.join("crowd") for _ in range(MAX_SERVING)]
        served = [self.join() for _ in range(MAX_SERVING - 1)]
        late = self.join()
        self.assertEqual(donor.serving, {crowd[0], *served})
        self.now_ms = SERVING_MS
        self.donors.expire()
        self.assertEqual(donor.serving, {crowd[1], late})
        self.assertEqual([each.donor for each in crowd[2:]], [None] * (MAX_SERVING - 2))

    def test_a_donor_leaves(self) -> None:
        donor, spare = self.join(ready=True), self.join(ready=True)
        newcomer = self.join()
        self.assertIs(newcomer.donor, donor)
        self.channel.remove(donor)
        self.donors.leave(donor)
        self.assertIsNone(newcomer.donor)
        self.assertFalse(self.donors.busy)
        self.donors.find_another(newcomer, donor.id)
        self.assertIs(newcomer.donor, spare)
        self.assertEqual(newcomer.failed, set())

    def test_all_leave(self) -> None:
        members = [self.join(ready=True), self.join(), self.join()]
        for member in members:
            self.channel.remove(member)
            self.donors.leave(member)
        self.assertFalse(self.donors.busy)
        self.assertEqual(self.donors._served, set())
