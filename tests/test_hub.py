"""The hub: membership, acknowledgements, donors, and that nothing stays of who has left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from distmap.channel import Member
from distmap.donors import MAX_FAILED_DONORS, MAX_SERVING
from distmap.errors import RemoteProtocolError
from distmap.frames import data_prefix
from distmap.hub import MAX_NAMES, PROMPT_MEMBERS, VERSION, Hub

READY = b'["ready"]'


class Harness:
    """A hub whose links are names, and what was handed out to each."""

    def __init__(self) -> None:
        self.now_ms = 5000.0
        self.hub: Hub[str] = Hub(lambda: self.now_ms)
        self.inbox: dict[str, list[Any]] = {}
        self.messages = 0
        self._links = 0

    def join(self, uri: str = "/u", *, plain: bool = False) -> Member[str]:
        self._links += 1
        link = f"link{self._links}"
        self.inbox[link] = []
        return self.hub.join(uri, link, data_prefix("s"), plain=plain)

    def crowd(self, count: int) -> list[Member[str]]:
        return [self.join() for _ in range(count)]

    def flush(self, everything: bool = False) -> None:
        out = self.hub.flush_membership() if everything else self.hub.flush()
        assert everything or not (self.hub._dirty or self.hub._controls)
        self.messages += len(out)
        for text, links in out:
            for line in text.splitlines():
                stream_id, event, payload = json.loads(line)
                assert (stream_id, event) == ("s", "data")
                for link in links:
                    self.inbox[link].append(payload)

    def got(self, member: Member[str]) -> list[Any]:
        """What a member got since the last call."""
        inbox, self.inbox[member.link] = self.inbox[member.link], []
        return inbox

    def told(self, member: Member[str], *names: str) -> list[Any]:
        """Those messages of the relay among it that have one of the names."""
        return [each for each in self.got(member) if isinstance(each, list) and each[0] in names]

    def ready(self, *members: Member[str]) -> None:
        for member in members:
            self.hub.receive(member, READY)

    def sync(self, member: Member[str], failed: str | None = None) -> None:
        self.hub.receive(member, json.dumps(["sync", failed]).encode())

    def fail(self, member: Member[str]) -> str:
        """A newcomer says that its donor has failed it; returns which one that was."""
        assert member.donor is not None
        donor = member.donor.id
        self.sync(member, donor)
        return donor


class HubTestCase(TestCase):
    def setUp(self) -> None:
        self.net = Harness()
        self.hub = self.net.hub

    def all_leave(self) -> None:
        for channel in list(self.hub.channels.values()):
            for member in list(channel.members.values()):
                self.hub.leave(member)
        assert_holds_nothing(self, self.hub)


def assert_holds_nothing(case: TestCase, hub: Hub[str]) -> None:
    case.assertEqual((hub.channels, hub._dirty, hub._changed), ({}, {}, {}))
    case.assertEqual(hub.flush(), [])
    case.assertEqual(hub._controls, [])
    case.assertEqual(hub.members, 0)
    case.assertFalse(hub.membership_waits)


class WelcomeTests(HubTestCase):
    def test_the_first_member_is_alone_at_once(self) -> None:
        member = self.net.join()
        self.net.flush()
        welcome = {"version": list(VERSION), "peer": member.id, "time_ms": 5000.0, "members": 1}
        self.assertEqual(
            self.net.got(member),
            [["welcome", welcome], ["alone"], ["members", 1, [member.id], []]],
        )
        self.assertTrue(member.ready)
        self.all_leave()

    def test_news_of_members_comes_after_the_welcome(self) -> None:
        member = self.net.join()
        self.net.flush(everything=True)  # before the end of the turn in which it joined
        self.assertEqual(
            [name for name, *_ in self.net.got(member)], ["welcome", "alone", "members"]
        )
        self.all_leave()

    def test_the_second_gets_the_first_as_its_donor(self) -> None:
        first, second = self.net.crowd(2)
        self.net.flush()
        self.assertEqual(
            [each[:2] for each in self.net.got(second)],
            [
                ["welcome", {**self.welcome(second), "members": 2}],
                ["donor", first.id],
                ["members", 2],
            ],
        )
        self.assertEqual((second.donor, first.serving, second.ready), (first, {second}, False))
        self.net.ready(second)
        self.assertEqual((second.donor, first.serving, second.ready), (None, set(), True))
        self.all_leave()

    def welcome(self, member: Member[str]) -> dict[str, Any]:
        return {"version": list(VERSION), "peer": member.id, "time_ms": 5000.0}

    def test_a_newcomer_hears_nobody_before_its_welcome(self) -> None:
        first = self.net.join()
        self.net.flush()
        self.hub.receive(first, b'{"n":1}')
        second = self.net.join()
        self.net.flush()
        got = self.net.got(second)
        self.assertEqual([got[0][0], got[1], got[2]], ["welcome", ["donor", first.id], {"n": 1}])

    def test_channels_know_nothing_of_each_other(self) -> None:
        one, other = self.net.join("/one"), self.net.join("/other")
        self.hub.receive(one, b'{"n":1}')
        self.net.flush()
        self.assertTrue(one.ready and other.ready)
        self.assertNotIn({"n": 1}, self.net.got(other))
        self.assertEqual(self.hub.members, 2)
        self.assertNotEqual(one.id, other.id)
        self.all_leave()

    def test_a_plain_member_gets_no_word_of_the_relay(self) -> None:
        plain = self.net.join(plain=True)
        peer = self.net.join()
        for payload in (b'{"n":1}', b'["ready"]', b"7"):
            self.hub.receive(plain, payload)
        self.net.flush()
        self.assertEqual(self.net.got(plain), [])
        self.assertFalse(plain.ready, "it is no donor, whatever it says")
        got = self.net.got(peer)
        self.assertEqual(got[0][1]["members"], 2)
        self.assertEqual(got[1:], [["alone"], {"n": 1}, ["members", 2, [plain.id, peer.id], []]])
        self.all_leave()


class PayloadTests(HubTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.members = self.net.crowd(3)
        self.net.flush()
        for member in self.members:
            self.net.got(member)

    def test_the_sender_gets_no_echo_but_an_acknowledgement(self) -> None:
        one, two, three = self.members
        self.hub.receive(one, b'{"n":1}')
        self.hub.receive(one, b'{"n":2}')
        self.net.flush()
        self.assertEqual(self.net.got(one), [["ack", 2, 5000.0]])
        self.assertEqual(self.net.got(two), [{"n": 1}, {"n": 2}])
        self.hub.receive(one, b'{"n":3}')
        self.hub.receive(two, b'{"n":4}')
        self.net.flush()
        self.assertEqual(self.net.got(one), [{"n": 4}, ["ack", 3, 5000.0]], "cumulative")
        self.assertEqual(self.net.got(two), [{"n": 3}, ["ack", 1, 5000.0]])
        self.assertEqual(self.net.got(three), [{"n": n} for n in (1, 2, 3, 4)])

    def test_objects_together_are_counted_one_by_one(self) -> None:
        one, two = self.net.crowd(2)
        self.net.flush()
        self.net.got(one), self.net.got(two)
        self.hub.receive(one, b"{}")
        self.hub.receive_objects(one, data_prefix("s") + b'{"n":1}]\n' + one.prefix + b"{}]\n", 2)
        self.net.flush()
        self.assertEqual(self.net.got(two), [{}, {"n": 1}, {}])
        self.assertEqual(self.net.got(one), [["ack", 3, 5000.0]], "one for the turn")

    def test_messages_for_the_relay_are_not_counted(self) -> None:
        one = self.members[0]
        self.hub.receive(one, b'["time",1]')
        self.hub.receive(one, b"{}")
        self.net.flush()
        self.assertEqual(self.net.got(one), [["time", 1, 5000.0], ["ack", 1, 5000.0]])

    def test_no_member_forges_a_message_of_the_relay(self) -> None:
        plain = self.net.join(plain=True)
        one, two, _ = self.members
        for forged in (b'["welcome",{}]', b'["members",99,[],[]]', b'["alone"]'):
            self.hub.receive(plain, forged)
            with self.assertRaises(RemoteProtocolError):
                self.hub.receive(one, forged)
        self.net.flush()
        self.assertEqual(self.net.told(two, "welcome", "alone"), [])

    def test_payloads_that_nobody_wants(self) -> None:
        one = self.members[0]
        for payload in (
            *(b"1", b'"x"', b"null", b"true", b"", b"-"),
            *(b"[]", b'["nope"]', b'["sync"]', b'["sync",1]', b'["sync","a","b"]', b'["ready",1]'),
            *(b'["time"]', b'["time","1"]', b'["time",1e999]', b'["time",null]', b"[1]", b"[[]]"),
            *(b'["time",true]', b'["sync",true]'),
            *(b"[", b'["\\ud800"]', b'["\xff"]', b"[" * 100_000, b'["time",%b]' % (b"9" * 9999)),
        ):
            with self.subTest(payload[:20]), self.assertRaises(RemoteProtocolError):
                self.hub.receive(one, payload)
        self.net.flush()
        self.assertEqual(self.net.got(one), [])
        self.assertEqual(one.received, 0)

    def test_the_relay_tells_the_time(self) -> None:
        one = self.members[0]
        self.net.now_ms = 7000.5
        for sent in (1, -1.5, 0, 10**30):
            self.hub.receive(one, b'["time",%b]' % str(sent).encode())
            self.net.flush()
            self.assertEqual(self.net.got(one), [["time", sent, 7000.5]])

    def test_a_member_is_told_of_a_client(self) -> None:
        self.hub.tell_client(self.members[0], "c")
        self.net.flush()
        self.assertEqual(self.net.got(self.members[0]), [["client", "c"]])

    def test_who_left_in_the_turn_in_which_it_sent(self) -> None:
        one, two, _ = self.members
        self.hub.receive(one, b'{"n":1}')
        self.hub.receive(one, b'["time",1]')
        self.hub.leave(one)
        self.net.flush()
        self.assertEqual(self.net.got(two), [{"n": 1}, ["members", 2, [], [one.id]]])
        self.assertEqual(self.net.got(one), [], "its stream is gone: neither an answer nor an ack")

    def test_the_last_one_leaves_in_the_turn_in_which_it_sent(self) -> None:
        for member in self.members:
            self.hub.receive(member, b"{}")
        self.all_leave()

    def test_a_flush_for_a_thousand_is_one_message(self) -> None:
        crowd = self.net.crowd(997)
        self.net.flush()
        self.net.flush(everything=True)
        self.net.messages = 0
        self.hub.receive(crowd[500], b'{"n":1}')
        self.net.flush()
        self.assertEqual(self.net.messages, 2, "one for all, and the acknowledgement")
        self.assertEqual(self.net.got(crowd[499])[-1], {"n": 1})


class MembershipTests(HubTestCase):
    def test_joins_and_leaves_are_told(self) -> None:
        one = self.net.join()
        self.net.flush()
        two, three = self.net.crowd(2)
        self.net.flush()
        self.assertEqual(
            self.net.told(one, "members")[1:], [["members", 3, [two.id, three.id], []]]
        )
        self.hub.leave(two)
        self.hub.leave(two)
        self.net.flush()
        self.assertEqual(self.net.told(one, "members"), [["members", 2, [], [two.id]]])
        self.net.flush()
        self.assertEqual(self.net.got(one), [])

    def test_those_of_a_large_channel_are_gathered(self) -> None:
        crowd = self.net.crowd(PROMPT_MEMBERS)
        self.net.flush()
        self.assertFalse(self.hub.membership_waits)
        crowd += self.net.crowd(2)
        self.net.got(crowd[0])
        self.net.flush()
        self.assertEqual(self.net.got(crowd[0]), [])
        self.assertTrue(self.hub.membership_waits)
        self.hub.leave(crowd[5])
        self.net.flush()
        self.net.messages = 0
        self.net.flush(everything=True)
        news = ["members", PROMPT_MEMBERS + 1, [crowd[-2].id, crowd[-1].id], [crowd[5].id]]
        self.assertEqual(self.net.got(crowd[0]), [news])
        self.assertEqual((self.net.messages, self.hub.membership_waits), (1, False))
        self.all_leave()

    def test_a_large_channel_that_shrinks_is_told_at_once_again(self) -> None:
        crowd = self.net.crowd(PROMPT_MEMBERS + 1)
        self.net.flush()
        self.hub.leave(crowd.pop())
        self.net.flush()
        self.assertFalse(self.hub.membership_waits)
        self.assertEqual(self.net.told(crowd[0], "members")[0][1], PROMPT_MEMBERS)

    def test_a_large_channel_that_empties_waits_for_nothing(self) -> None:
        self.net.crowd(PROMPT_MEMBERS + 1)
        self.net.flush()
        self.assertTrue(self.hub.membership_waits)
        self.all_leave()

    def test_a_message_names_so_many_at_most(self) -> None:
        one, *crowd = self.net.crowd(MAX_NAMES + 10)
        self.net.flush()
        for member in crowd[:5]:
            self.hub.leave(member)
        self.net.flush(everything=True)
        first, second = self.net.told(one, "members")
        self.assertEqual((len(first[2]), len(first[3])), (MAX_NAMES, 5))
        self.assertEqual((len(second[2]), len(second[3])), (10, 0))
        self.assertEqual(first[1], second[1])


class DonorTests(HubTestCase):
    def ready_crowd(self, count: int) -> list[Member[str]]:
        crowd = self.net.crowd(count)
        while not all(member.ready for member in crowd):
            self.net.ready(*[member for member in crowd if member.donor is not None])
        self.net.flush()
        for member in crowd:
            self.net.got(member)
        return crowd

    def donors(self, members: list[Member[str]]) -> list[str]:
        return [member.donor.id if member.donor is not None else "" for member in members]

    def test_the_one_chosen_longest_ago_comes_first(self) -> None:
        crowd = self.ready_crowd(4)
        newcomers = self.net.crowd(8)
        chosen = self.donors(newcomers)
        self.assertEqual(set(chosen), {member.id for member in crowd})
        self.assertEqual(chosen[:4], chosen[4:], "in turn")
        self.assertEqual({len(member.serving) for member in crowd}, {2})

    def test_who_is_ready_latest_comes_last(self) -> None:
        first = self.ready_crowd(1)[0]
        second = self.net.join()
        self.net.ready(second)
        self.assertEqual(self.donors(self.net.crowd(4)), [first.id, second.id] * 2)

    def test_the_number_that_one_serves_is_bounded(self) -> None:
        first = self.ready_crowd(1)[0]
        newcomers = self.net.crowd(MAX_SERVING + 3)
        served, waiting = newcomers[:MAX_SERVING], newcomers[MAX_SERVING:]
        self.assertEqual(first.serving, set(served))
        self.assertEqual(self.donors(waiting), [""] * 3)
        self.net.flush()
        self.assertEqual(self.net.told(waiting[0], "donor", "alone"), [])

    def test_a_slot_that_is_free_goes_to_who_waits_longest(self) -> None:
        first = self.ready_crowd(1)[0]
        newcomers = self.net.crowd(MAX_SERVING + 3)
        served, waiting = newcomers[:MAX_SERVING], newcomers[MAX_SERVING:]
        self.hub.leave(served[0])
        self.assertEqual(self.donors(waiting), [first.id, "", ""])
        self.sync(served[1])
        self.assertEqual(self.donors(waiting), [first.id, "", ""], "it took its own slot again")
        self.net.ready(served[1])
        # That one is a donor too now, and has room for the others.
        self.assertEqual(set(self.donors(waiting)), {first.id, served[1].id})
        self.net.flush()
        self.assertEqual(len(self.net.told(waiting[2], "donor")), 1)

    def sync(self, member: Member[str], failed: str | None = None) -> None:
        self.net.sync(member, failed)

    def test_a_new_donor_serves_those_that_wait(self) -> None:
        self.ready_crowd(1)
        newcomers = self.net.crowd(30)
        self.net.ready(newcomers[0])
        self.assertEqual(len(newcomers[0].serving) + len(newcomers[0].channel.waiting), 30 - 1 - 4)
        while waiting := [member for member in newcomers if not member.ready]:
            self.net.ready(*[member for member in waiting if member.donor is not None])
        self.all_leave()

    def test_all_who_are_ready_leave(self) -> None:
        first = self.ready_crowd(1)[0]
        newcomers = self.net.crowd(MAX_SERVING + 3)
        self.hub.leave(first)
        alone, *rest = newcomers[MAX_SERVING:]
        self.assertTrue(alone.ready)
        self.assertEqual(self.donors(rest), [alone.id] * 2)
        self.net.flush()
        self.assertEqual(self.net.told(alone, "alone", "donor"), [["alone"]])
        # Those it served notice for themselves, and ask.
        for orphan in newcomers[:MAX_SERVING]:
            self.assertIsNone(orphan.donor)
            self.sync(orphan, first.id)
            self.assertEqual(orphan.failed, set(), "it is gone: that counts for nothing")
        self.assertEqual(self.donors(newcomers[:2]), [alone.id] * 2)
        self.net.ready(*newcomers)
        self.all_leave()

    def test_a_donor_that_failed_is_not_offered_again(self) -> None:
        self.ready_crowd(5)
        newcomer = self.net.join()
        failed = []
        for _ in range(MAX_FAILED_DONORS):
            self.assertFalse(newcomer.ready)
            failed.append(self.net.fail(newcomer))
        self.assertEqual(len(set(failed)), MAX_FAILED_DONORS)
        self.assertTrue(newcomer.ready, "enough is enough")
        self.net.flush()
        told = self.net.told(newcomer, "donor", "alone")
        self.assertEqual(told, [*(["donor", each] for each in failed), ["alone"]])
        self.all_leave()

    def test_no_donor_is_left_to_try(self) -> None:
        first = self.ready_crowd(1)[0]
        newcomer = self.net.join()
        self.assertEqual(self.net.fail(newcomer), first.id)
        self.assertTrue(newcomer.ready)
        self.assertEqual((newcomer.donor, first.serving), (None, set()))

    def test_the_failed_are_forgotten_once_it_is_ready(self) -> None:
        first, second = self.ready_crowd(2)
        newcomer = self.net.join()
        failed = self.net.fail(newcomer)
        self.net.ready(newcomer)
        self.hub.leave(second if failed == first.id else first)
        self.sync(newcomer)
        self.assertEqual(self.donors([newcomer]), [failed])

    def test_a_donor_that_it_did_not_have_cannot_fail_it(self) -> None:
        crowd = self.ready_crowd(5)
        newcomer = self.net.join()
        for member in crowd:
            if member is not newcomer.donor:
                self.sync(newcomer, member.id)
        for failed in ("", "x", "999", newcomer.id):
            self.sync(newcomer, failed)
        self.assertLessEqual(len(newcomer.failed), 1)
        self.assertFalse(newcomer.ready)

    def test_who_tried_the_free_ones_waits_for_the_others_and_keeps_nobody_waiting(self) -> None:
        first, second = self.ready_crowd(2)
        newcomers = self.net.crowd(2 * MAX_SERVING + 1)
        full = [member for member in newcomers if member.donor is not None]
        waiting = newcomers[-1]
        picky = full[0]
        refused = self.net.fail(picky)
        tried, other = (first, second) if refused == first.id else (second, first)
        self.assertIsNone(picky.donor)
        self.assertIs(waiting.donor, tried, "the slot went to the next")
        another = self.net.join()
        self.hub.leave(next(iter(tried.serving)))
        self.assertIs(another.donor, tried)
        self.assertIsNone(picky.donor)
        self.hub.leave(next(iter(other.serving)))
        self.assertIs(picky.donor, other)
        self.all_leave()

    def test_who_says_that_it_is_ready_waits_no_longer(self) -> None:
        self.ready_crowd(1)
        newcomers = self.net.crowd(MAX_SERVING + 1)
        self.net.ready(newcomers[-1])
        self.assertEqual(len(newcomers[0].channel.waiting), 0)
        self.hub.leave(newcomers[0])
        self.assertIsNone(newcomers[-1].donor)

    def test_one_that_is_ready_syncs_again(self) -> None:
        first, second = self.ready_crowd(2)
        self.sync(first)
        self.assertEqual(self.donors([first]), [second.id])
        self.assertTrue(first.ready, "it serves others meanwhile")
        self.net.ready(first)
        self.assertEqual((first.donor, second.serving), (None, set()))
        self.hub.leave(second)
        self.net.flush()
        self.net.got(first)
        self.sync(first)
        self.net.flush()
        self.assertEqual(self.net.got(first), [["alone"]])

    def test_asking_twice_takes_one_slot(self) -> None:
        first = self.ready_crowd(1)[0]
        newcomer = self.net.join()
        for _ in range(10):
            self.sync(newcomer)
        self.assertEqual(first.serving, {newcomer})

    def test_waiting_is_left(self) -> None:
        self.ready_crowd(1)
        newcomers = self.net.crowd(MAX_SERVING + 2)
        self.hub.leave(newcomers[-2])
        self.hub.leave(newcomers[0])
        self.assertIsNotNone(newcomers[-1].donor)
        self.all_leave()

    def test_a_crowd_of_thousands(self) -> None:
        newcomers = self.net.crowd(5000)
        while waiting := [member for member in newcomers if not member.ready]:
            self.net.ready(*[member for member in waiting if member.donor is not None])
        self.net.hub.flush()
        for member in newcomers:
            self.hub.leave(member)
        assert_holds_nothing(self, self.hub)


class HubMachine(RuleBasedStateMachine):
    """Anybody does anything in any order; what is said of the hub stays true."""

    @initialize()
    def start(self) -> None:
        self.net = Harness()
        self.hub = self.net.hub
        self.members: list[Member[str]] = []
        self.orphans: set[Member[str]] = set()
        self.expected: dict[str, list[Any]] = {}
        self.news: dict[str, set[str]] = {}
        self.sent: dict[str, int] = {}
        self.n = 0

    indexes = st.integers(0, 10_000)

    def pick(self, at: int) -> Member[str]:
        return self.members[at % len(self.members)]

    @rule(plain=st.sampled_from([False, False, False, True]), count=st.sampled_from([1, 1, 1, 9]))
    def join(self, plain: bool, count: int) -> None:
        for _ in range(count):
            member = self.net.join(plain=plain)
            self.members.append(member)
            self.expected[member.link] = []
            self.sent[member.link] = 0
            # It hears all that is handed out while it is a member.
            for sender, frame, _ in member.channel.pending:
                self.expect(sender, json.loads(frame)[2], [member])

    @precondition(lambda self: self.members)
    @rule(at=indexes)
    def leave(self, at: int) -> None:
        member = self.pick(at)
        self.members.remove(member)
        self.orphans = (self.orphans | member.serving) - {member}
        self.hub.leave(member)
        del self.expected[member.link]
        before = len(self.net.inbox[member.link])
        self.hub.leave(member)
        self.net.flush()
        assert len(self.net.inbox[member.link]) == before, "a word to one that has left"
        self.check_inboxes()

    @precondition(lambda self: self.members)
    @rule(at=indexes, count=st.integers(1, 3), is_object=st.booleans())
    def send(self, at: int, count: int, is_object: bool) -> None:
        member = self.pick(at)
        for _ in range(count):
            self.n += 1
            payload: Any = {"n": self.n} if is_object or not member.plain else ["ready", self.n]
            self.hub.receive(member, json.dumps(payload).encode())
            self.expect(member, payload, self.members)
            self.sent[member.link] += 1

    def expect(self, sender: Member[str], payload: Any, members: list[Member[str]]) -> None:
        for member in members:
            if member is not sender and (member.plain or isinstance(payload, dict)):
                self.expected[member.link].append(payload)

    @precondition(lambda self: any(not m.plain for m in self.members))
    @rule(at=indexes)
    def ready(self, at: int) -> None:
        member = self.versioned(at)
        self.net.ready(member)
        self.orphans.discard(member)
        assert member.ready

    @precondition(lambda self: any(not m.plain for m in self.members))
    @rule(at=indexes, failed=st.sampled_from(["donor", "donor", "none", "other"]), other=indexes)
    def sync(self, at: int, failed: str, other: int) -> None:
        member = self.versioned(at)
        named = {
            "donor": member.donor.id if member.donor is not None else "nobody",
            "none": None,
            "other": self.pick(other).id,
        }
        before = member.donor
        self.net.sync(member, named[failed])
        self.orphans.discard(member)
        if failed == "donor" and before is not None:
            assert member.donor is not before

    def versioned(self, at: int) -> Member[str]:
        peers = [member for member in self.members if not member.plain]
        return peers[at % len(peers)]

    @rule()
    def flush(self) -> None:
        self.net.flush()
        self.check_inboxes()

    def check_inboxes(self) -> None:
        for member in self.members:
            got = self.net.got(member)
            payloads, told = list(self.split(got, member.plain)), self.relays(got, member.plain)
            assert payloads == self.expected[member.link], (payloads, self.expected[member.link])
            self.expected[member.link] = []
            acks = [each[1] for each in told if each[0] == "ack"]
            assert acks == sorted(set(acks)), "each says more than the last"
            assert not acks or acks[-1] == self.sent[member.link]
            for each in told:
                assert each[0] in ("welcome", "ack", "members", "donor", "alone"), each
                if each[0] == "members":
                    known = self.news.setdefault(member.link, set())
                    known.update(each[2])
                    known.difference_update(each[3])
                elif each[0] == "welcome":
                    assert each is got[0], "it comes first"
                    assert each[1]["peer"] == member.id

    @staticmethod
    def split(got: list[Any], plain: bool) -> Iterator[Any]:
        return (each for each in got if plain or isinstance(each, dict))

    @staticmethod
    def relays(got: list[Any], plain: bool) -> list[Any]:
        return [each for each in got if not plain and isinstance(each, list)]

    @invariant()
    def slots_add_up(self) -> None:
        for member in self.members:
            served = {each for each in self.members if each.donor is member}
            assert member.serving == served
            assert len(served) <= MAX_SERVING
            assert len(member.failed) < MAX_FAILED_DONORS
            assert member.donor is None or member.donor.ready

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for member in self.members:
            channel = member.channel
            waits = member.id in channel.waiting
            if member.plain:
                assert not (member.ready or member.donor or waits)
            else:
                assert member.ready or member.donor or waits or member in self.orphans
            assert (member.id in channel.ready) == member.ready
            free = member.ready and len(member.serving) < MAX_SERVING
            assert (member.id in channel.free) == free
            assert not (waits and member.donor)
            if waits:
                assert channel.free.keys() <= {*member.failed, member.id}, "a slot stays unused"
                assert channel.ready

    @invariant()
    def it_knows_who_is_there(self) -> None:
        assert self.hub.members == len(self.members)
        known = {name for each in self.hub.channels.values() for name in each.members}
        assert known == {member.id for member in self.members}

    def teardown(self) -> None:
        self.net.flush()
        self.net.flush(everything=True)
        self.check_inboxes()
        everybody = {member.id for member in self.members}
        for member in self.members:
            if not member.plain:
                known = self.news.get(member.link, set())
                # It is not told of those that were there before it; those have smaller ids.
                assert known <= everybody
                later = {each for each in everybody if int(each) >= int(member.id)}
                assert later <= known
        for member in self.members:
            self.hub.leave(member)
        assert_holds_nothing(TestCase(), self.hub)


HubMachineTests = HubMachine.TestCase
HubMachineTests.settings = settings(deadline=None, max_examples=80, stateful_step_count=60)
