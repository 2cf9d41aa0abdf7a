"""A peer's side of the channel: what it says and hears, against the real hub."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap.channel import Member
from distmap.clock import MAX_AHEAD_MS, HybridClock, Stamp
from distmap.entries import Entry, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.frames import MESSAGE_BYTES, data_prefix
from distmap.hub import Hub
from distmap.lww import Replica, Update
from distmap.outbox import encode_entries
from distmap.peer import ALONE, BY_PEER, TURN_MESSAGES, Peer
from distmap.sync import Donor, Newcomer
from distmap.sync_wire import CHUNK_BYTES

START_MS = 1_700_000_000_000.0
YEAR_MS = 365 * 24 * 3600 * 1000.0


class Side:
    """One peer, its clock, and its place in the network: what a :class:`Peer` asks of it."""

    def __init__(self, network: Network, name: str, skew_ms: float = 0) -> None:
        self.name = name
        self.skew_ms = skew_ms
        self.member: Member[Side] | None = None
        self.replica = Replica(HybridClock(self.now_ms, name))
        self.peer = Peer(self.replica, self, self.now_ms)
        self.sent: list[bytes] = []
        self.asked: list[tuple[str, str]] = []
        self.updates: list[Update] = []
        self.acknowledged: list[tuple[str, Stamp]] = []
        self.new_stamps: list[Update] = []
        self.how: list[str] = []
        self.counts: list[int] = []
        self.digests: list[tuple[str, tuple[int, int]]] = []
        self.works = 0
        self.given_up: list[tuple[str, Entry]] = []
        self.taken_back: list[tuple[str, Entry]] = []
        self._network = network

    def now_ms(self) -> float:
        return self._network.now_ms + self.skew_ms

    # -- what it does -----------------------------------------------------------------------------

    def open(self) -> None:
        self.peer.opened()
        self.member = self._network.hub.join("/u", self, data_prefix("s"), plain=False)

    def lose(self) -> None:
        if self.member is not None:
            self._network.hub.leave(self.member)
            self.member = None
            self.peer.lost()

    def set(self, key: str, value: Any) -> Stamp:
        update = self.replica.set(key, value)
        self.peer.wrote(update)
        self.peer.send_writes()
        return update.entry.stamp

    def work(self) -> None:
        """Takes all the turns that the peer asked for."""
        while self.works:
            self.works = 0
            self.peer.work()

    def dump(self) -> dict[str, Any]:
        return {key: json.loads(value) for key, value in self.replica.items()}

    # -- what its peer asks for -------------------------------------------------------------------

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)
        if self.member is not None:
            self._network.hub.receive(self.member, payload)

    def begin_sync(self, donor: str) -> None:
        self.asked.append(("donor", donor))
        if self._network.syncs:
            self._network.sync(self, donor)

    def serve(self, client: str, *, reader: bool = False) -> None:
        self.asked.append(("reader" if reader else "client", client))

    def refused(self, writes: list[tuple[str, Entry]], updates: list[Update]) -> None:
        self.taken_back += writes
        self.updates += updates

    def updated(self, updates: list[Update]) -> None:
        self.updates += updates

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        self.acknowledged += writes

    def restamped(self, updates: list[Update]) -> None:
        self.new_stamps += updates

    def became_ready(self, how: str) -> None:
        self.how.append(how)

    def peers_changed(self, peers: int) -> None:
        self.counts.append(peers)

    def heard_digest(self, peer: str, digest: tuple[int, int]) -> None:
        self.digests.append((peer, digest))

    def work_soon(self) -> None:
        self.works += 1

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        self.given_up += writes


class Network:
    """The relay's hub and the peers on it."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.hub: Hub[Side] = Hub(lambda: self.now_ms)
        self.sides: list[Side] = []
        self.syncs = True

    def side(self, skew_ms: float = 0, opened: bool = True) -> Side:
        side = Side(self, f"w{len(self.sides)}", skew_ms)
        self.sides.append(side)
        if opened:
            side.open()
            self.settle()
        return side

    def settle(self) -> None:
        for side in self.sides:
            side.work()
        while out := self.hub.flush():
            for text, sides in out:
                for line in text.splitlines():
                    for side in sides:
                        if side.member is not None:
                            side.peer.receive(json.dumps(json.loads(line)[2]).encode())

    def sync(self, newcomer: Side, donor_id: str) -> None:
        """The whole conversation, at once."""
        donor = next(
            each for each in self.sides if each.member is not None and each.peer.id == donor_id
        )
        asking, answering = Newcomer(newcomer.replica), Donor(donor.replica)
        requests = asking.start()
        while requests and not asking.done:
            answers, news = answering.receive(requests.pop(0))
            donor.updated(news)
            donor.peer.learned(news)
            for answer in answers:
                more, updates = asking.receive(answer)
                requests += more
                newcomer.updated(updates)
        newcomer.peer.synced()


class PeerTestCase(TestCase):
    def setUp(self) -> None:
        self.network = Network()

    def assert_equal_maps(self, wanted: dict[str, Any]) -> None:
        for side in self.network.sides:
            self.assertEqual(side.dump(), wanted, side.name)

    def hear(self, side: Side, *message: Any) -> None:
        side.peer.receive(json.dumps(message).encode())


def welcome(**changes: Any) -> dict[str, Any]:
    return {"version": [1, 0], "peer": "7", "time_ms": START_MS, "members": 3, **changes}


class RelayTests(PeerTestCase):
    """The messages of the relay."""

    def setUp(self) -> None:
        super().setUp()
        self.side = self.network.side(opened=False)
        self.side.peer.opened()

    def test_nothing_is_sent_before_the_welcome(self) -> None:
        self.side.set("a", 1)
        self.side.peer.sync_failed("3")
        self.side.peer.learned([self.side.replica.set("b", 2)])
        self.assertEqual(self.side.sent, [])
        self.hear(self.side, "welcome", welcome())
        self.assertEqual(len(self.side.sent), 1)
        self.assertEqual(json.loads(self.side.sent[0])["key"], "a")
        self.assertEqual((self.side.peer.id, self.side.peer.peers), ("7", 2))
        self.assertEqual(self.side.counts, [2])

    def test_a_welcome_of_a_newer_relay(self) -> None:
        self.hear(self.side, "welcome", welcome(version=[1, 9], more={"x": 1}))
        self.assertEqual(self.side.peer.id, "7")

    def test_another_major_version(self) -> None:
        with self.assertRaisesRegex(RemoteProtocolError, "version 2"):
            self.hear(self.side, "welcome", welcome(version=[2, 0]))
        self.side.set("a", 1)
        self.assertEqual(self.side.sent, [])

    def test_malformed_messages(self) -> None:
        for bad in (
            *(welcome(version=1), welcome(version=[1]), welcome(version=["1", "0"])),
            *(welcome(peer=7), welcome(time_ms="now"), welcome(members="3"), {}),
        ):
            with self.subTest(bad), self.assertRaises(RemoteProtocolError):
                self.hear(self.side, "welcome", bad)
        self.assertEqual((self.side.peer.id, self.side.peer.peers), ("", 0))
        for text in (b"[", b'["ack",]', b'["\xff"]', b"[" * 100_000):
            with self.subTest(text[:10]), self.assertRaises(RemoteProtocolError):
                self.side.peer.receive(text)

    def test_what_it_does_not_know_is_of_a_newer_relay(self) -> None:
        self.side.peer.receive(b'["nope"]')
        self.hear(self.side, "welcome", welcome(), "more")
        self.side.peer.receive(b'["nope",1]')
        self.assertEqual((self.side.sent, self.side.asked, self.side.how), ([], [], []))
        self.assertEqual(self.side.replica.refused, 0)
        self.hear(self.side, "members", 5, ["8"], [], "more")
        self.hear(self.side, "alone", "more")
        self.assertEqual((self.side.peer.peers, self.side.how), (4, [ALONE]))

    def test_before_the_welcome_and_after_it(self) -> None:
        early: tuple[list[Any], ...] = (
            *(["members", 1], ["alone"], ["donor", "3"], ["client", "3.a"]),
            *(["ack", 1, START_MS], ["time", 1, START_MS]),
        )
        for message in early:
            with self.subTest(message), self.assertRaisesRegex(RemoteProtocolError, "before its"):
                self.hear(self.side, *message)
        self.hear(self.side, "welcome", welcome())
        with self.assertRaisesRegex(RemoteProtocolError, "second welcome"):
            self.hear(self.side, "welcome", welcome(peer="8"))
        self.assertEqual((self.side.peer.id, self.side.asked), ("7", []))

    def test_members(self) -> None:
        self.hear(self.side, "welcome", welcome(members=1))
        for count in (4, 4, 1):
            self.hear(self.side, "members", count, ["8"], [])
        self.assertEqual((self.side.counts, self.side.peer.peers), ([3, 0], 0))

    def test_alone_donor_and_client(self) -> None:
        self.network.syncs = False
        self.hear(self.side, "welcome", welcome())
        self.hear(self.side, "alone")
        self.hear(self.side, "donor", "3")
        self.hear(self.side, "client", "c")
        self.assertEqual(self.side.how, [ALONE])
        self.assertEqual(self.side.asked, [("donor", "3"), ("client", "c")])

    def test_acknowledgements(self) -> None:
        stamp = self.side.set("a", 1)
        self.hear(self.side, "welcome", welcome())
        self.assertEqual(self.side.acknowledged, [])
        self.hear(self.side, "ack", 1, START_MS)
        self.assertEqual(self.side.acknowledged, [("a", stamp)])

    def test_an_acknowledgement_lets_more_go_out(self) -> None:
        self.hear(self.side, "welcome", welcome())
        for at in range(40):
            self.side.set(f"k{at}", "x" * CHUNK_BYTES)
        first = len(self.side.sent)
        self.assertLess(first, 40)
        self.side.work()
        self.hear(self.side, "ack", 10, START_MS)
        self.assertEqual(len(self.side.sent), first + TURN_MESSAGES, "so many in one turn")
        self.side.work()
        self.assertEqual(len(self.side.sent), first + 10)

    def test_lost(self) -> None:
        self.hear(self.side, "welcome", welcome())
        self.side.set("a", 1)
        self.side.sent.clear()
        self.side.peer.lost()
        self.assertEqual((self.side.counts, self.side.peer.peers), ([2, 0], 0))
        self.side.set("b", 2)
        self.assertIsNone(self.side.peer.outbox.next_message())
        self.side.peer.sync_failed("3")
        self.side.peer.lost()
        self.assertEqual((self.side.sent, self.side.counts), ([], [2, 0]))
        self.side.peer.opened()
        self.hear(self.side, "welcome", welcome())
        (message,) = self.side.sent
        self.assertEqual([each["key"] for each in json.loads(message)["entries"]], ["a", "b"])

    def test_what_may_have_been_deleted_waits_until_it_is_ready(self) -> None:
        self.network.syncs = False
        self.network.side()
        late = self.network.side()
        old = Entry(Stamp(int(START_MS - YEAR_MS), 0, "x"), b"1")
        late.peer.receive(encode_entry("dropped", old))
        late.lose()
        late.open()
        self.network.settle()
        late.peer.receive(encode_entry("old", old))
        late.peer.receive(encode_entry("gone", old))
        late.peer.receive(encode_entry("gone", Entry(old.stamp.replace(counter=1), None)))
        self.assertEqual(late.dump(), {})
        late.peer.receive(b'["alone"]')
        self.assertEqual((late.dump(), late.how), ({"old": 1}, [ALONE]))
        self.assertEqual([update.key for update in late.updates if update.entry.value], ["old"])
        self.assertEqual(late.replica.refused, 0)

    def test_who_leaves_when_it_hears_of_what_was_held(self) -> None:
        # The welcome tells the time, and by that time the entry is due.
        self.side.replica.merge("a", Entry(Stamp(int(START_MS + YEAR_MS), 0, "x"), b"1"))
        self.assertEqual(len(self.side.replica.held), 1)
        self.side.updated = lambda updates: self.side.peer.lost()  # type: ignore[method-assign]
        self.hear(self.side, "welcome", welcome(time_ms=START_MS + YEAR_MS))
        self.assertEqual(self.side.dump(), {"a": 1})
        self.assertEqual((self.side.counts, self.side.peer.peers), ([], 0))
        self.side.set("b", 1)
        self.assertEqual(self.side.sent, [])

    def test_who_leaves_when_it_hears_what_became_of_its_writes(self) -> None:
        self.hear(self.side, "welcome", welcome())
        self.side.set("a", 1)
        self.side.peer.absence.was_in_touch = True
        self.side.peer._met(0, True)
        self.side.sent.clear()
        self.side.taken = lambda writes: self.side.peer.lost()  # type: ignore[method-assign]
        self.side.peer.synced()
        self.assertEqual(self.side.how, [], "a map that is left does not get ready")
        self.assertEqual([json.loads(each) for each in self.side.sent], [["ready"]])

    def test_who_leaves_when_it_hears_of_the_peers(self) -> None:
        self.side.set("a", 1)
        self.side.peers_changed = lambda peers: self.side.peer.lost()  # type: ignore[method-assign]
        self.hear(self.side, "welcome", welcome())
        self.side.sent.clear()
        self.side.set("b", 1)
        self.hear(self.side, "ack", 0, START_MS)
        self.assertEqual(self.side.sent, [])


class PeersTests(PeerTestCase):
    """What other peers say."""

    def setUp(self) -> None:
        super().setUp()
        self.side = self.network.side()

    def receive(self, text: bytes) -> None:
        self.side.peer.receive(text)

    def test_entries_are_taken(self) -> None:
        one, two = (Entry(Stamp(int(START_MS), n, "x"), b"%d" % n) for n in (1, 2))
        gone = Entry(Stamp(int(START_MS), 3, "x"), None)
        self.receive(encode_entry("a", one))
        self.receive(encode_entries([encode_entry("b", two), encode_entry("a", gone)]))
        self.assertEqual(self.side.dump(), {"b": 2})
        self.assertEqual([each.key for each in self.side.updates], ["a", "b", "a"])
        self.receive(encode_entry("b", two))
        self.assertEqual(len(self.side.updates), 3, "it is no news")

    def test_sets_that_came_together(self) -> None:
        sets = [
            encode_entry(key, Entry(Stamp(int(START_MS), n, "x"), b"%d" % n))
            for n, key in enumerate("abca")
        ]
        told: list[list[str]] = []
        self.side.updated = lambda updates: told.append(  # type: ignore[method-assign]
            [update.key for update in updates]
        )
        self.side.peer.receive(*sets)
        self.assertEqual(told, [["a", "b", "c"], ["a"]], "one key twice is two steps")
        self.assertEqual(self.side.dump(), {"a": 3, "b": 1, "c": 2})

    def test_a_handler_leaves_between_what_came_together(self) -> None:
        texts = [
            encode_entry("a", Entry(Stamp(int(START_MS), n, "x"), b"%d" % n)) for n in range(3)
        ]
        self.side.updated = lambda updates: self.side.peer.lost()  # type: ignore[method-assign]
        self.side.peer.receive(*texts)
        self.assertEqual(self.side.dump(), {"a": 0})

    def test_junk_is_counted(self) -> None:
        good = encode_entry("a", Entry(Stamp(int(START_MS), 1, "x"), b"1"))
        for at, junk in enumerate(
            (
                *(b"{", b"{}", b'{"event":1}', b"1", b'"x"', b"null", b"", b"\xff", b'{"a":1}'),
                *(b'{"event":"set"}', b'{"event":"set","key":"a","value":1}'),
                *(b'{"event":"delete","key":""}', b'{"event":"entries","entries":1}'),
                *(b'{"event":"entries","entries":[1]}', b'{"event":"entries","entries":[[]]}'),
                good.replace(b'"value":1', b'"value":1e999'),
                good.replace(b'"a"', b'"%b"' % (b"k" * 2000)),
                b'{"event":"set","value":' + b"[" * 10_000,
            ),
            start=1,
        ):
            with self.subTest(junk[:40]):
                self.receive(junk)
                self.assertEqual(self.side.replica.refused, at)
        self.assertEqual(self.side.dump(), {})

    def test_junk_beside_good_entries(self) -> None:
        good = encode_entry("a", Entry(Stamp(int(START_MS), 1, "x"), b"1"))
        self.receive(b'{"event":"entries","entries":[{},%b,7]}' % good)
        self.assertEqual((self.side.dump(), self.side.replica.refused), ({"a": 1}, 2))

    def test_events_of_a_newer_peer_are_ignored(self) -> None:
        for text in (b'{"event":"presence","x":[1]}', b'{"event":"sync","id":"x"}'):
            self.receive(text)
        self.receive(b'{"event":"entries","entries":[]}')
        self.assertEqual((self.side.replica.refused, self.side.updates), (0, []))

    @settings(deadline=None, max_examples=300)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["event", "key", "value", "stamp", "entries", "x"]), inner
                )
            ),
            max_leaves=10,
        ),
        st.sampled_from(["set", "delete", "entries", "nope", None]),
    )
    def test_whatever_comes(self, content: Any, event: str | None) -> None:
        if isinstance(content, dict) and event is not None:
            content["event"] = event
        text = json.dumps(content).encode()
        if not text.startswith(b"["):
            self.receive(text)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=60))
    def test_any_bytes(self, text: bytes) -> None:
        if not text.startswith(b"["):
            self.receive(text)


class NetworkTests(PeerTestCase):
    """Several peers on one hub."""

    def test_writes_reach_the_others_and_are_acknowledged(self) -> None:
        one, two, three = (self.network.side() for _ in range(3))
        self.assertEqual([side.how for side in self.network.sides], [[ALONE], [BY_PEER], [BY_PEER]])
        stamps = [one.set("a", 1), one.set("b", 2)]
        two.set("c", 3)
        self.network.settle()
        self.assert_equal_maps({"a": 1, "b": 2, "c": 3})
        self.assertEqual(one.acknowledged, list(zip("ab", stamps, strict=True)))
        self.assertEqual([each.key for each in three.updates], ["a", "b", "c"])
        self.assertEqual([side.peer.peers for side in self.network.sides], [2, 2, 2])

    def test_all_who_are_offline_write_and_come_back(self) -> None:
        sides = [self.network.side() for _ in range(3)]
        for side in sides:
            side.lose()
        for n, side in enumerate(sides):
            side.set(side.name, n)
            side.set("shared", n)
        for side in sides:
            side.open()
            self.network.settle()
        self.assert_equal_maps({"w0": 0, "w1": 1, "w2": 2, "shared": 2})
        for side in sides:
            self.assertEqual(len(side.peer.outbox), 0)
            self.assertEqual([key for key, _ in side.acknowledged], [side.name, "shared"])

    def test_a_message_that_is_no_write_keeps_the_count_right(self) -> None:
        one, two = self.network.side(), self.network.side()
        one.peer.learned([two.replica.set("x", 1)])
        stamp = one.set("a", 1)
        self.hear(one, "ack", 1, START_MS)
        self.assertEqual(one.acknowledged, [], "that was the first of the two messages")
        one.peer.learned([two.replica.set("y", 1)])
        self.network.settle()
        self.assertEqual(one.acknowledged, [("a", stamp)])
        self.assertEqual(len(one.peer.outbox), 0)
        later = one.set("b", 1)
        self.assertEqual(one.acknowledged, [("a", stamp)])
        self.network.settle()
        self.assertEqual(one.acknowledged[1:], [("b", later)])

    def test_what_a_newcomer_brings_is_news_to_all(self) -> None:
        one, two = self.network.side(), self.network.side()
        late = self.network.side(opened=False)
        size = 50_000
        for at in range(20):
            # Its own writes of another life: not in its outbox.
            late.replica.set(f"k{at}", "x" * size)
        one.sent.clear()
        two.sent.clear()
        late.open()
        self.network.settle()
        self.assert_equal_maps({f"k{at}": "x" * size for at in range(20)})
        broadcast = one.sent + two.sent
        self.assertGreater(len(broadcast), 1)
        for message in broadcast:
            self.assertLess(len(message), MESSAGE_BYTES + 2 * size)

    def test_broadcasts_are_bounded(self) -> None:
        one = self.network.side()
        one.sent.clear()
        size = 60_000
        updates = [one.replica.set(f"k{at}", "x" * size) for at in range(50)]
        one.peer.learned(updates)
        self.assertGreater(len(one.sent), 5)
        self.assertLess(max(map(len, one.sent)), MESSAGE_BYTES + 2 * size)
        keys = [each["key"] for text in one.sent for each in json.loads(text)["entries"]]
        self.assertEqual(keys, [update.key for update in updates])
        one.sent.clear()
        one.peer.learned([])
        self.assertEqual(one.sent, [])

    def test_what_is_held_is_told_after_the_sync(self) -> None:
        one, late = self.network.side(), self.network.side(opened=False)
        future = Entry(Stamp(int(START_MS + 2 * MAX_AHEAD_MS), 0, "x"), b"1")
        late.replica.merge("a", future)
        self.assertEqual(list(late.replica.held), [("a", future)])
        late.open()
        self.network.settle()
        self.assertEqual((list(one.replica.held), one.dump()), ([("a", future)], {}))
        self.assertEqual(json.loads(late.sent[0]), ["ready"])
        self.network.now_ms += MAX_AHEAD_MS + 1
        for side in self.network.sides:
            side.peer.release()
            self.assertEqual(side.updates, [], "nobody has told the time since")
            self.hear(side, "time", side.now_ms(), self.network.now_ms)
            side.peer.release()
            self.assertEqual([update.key for update in side.updates], ["a"])
        self.assert_equal_maps({"a": 1})

    def test_another_donor_when_one_fails(self) -> None:
        one, two = self.network.side(), self.network.side()
        one.set("a", 1)
        self.network.settle()
        self.network.syncs = False
        late = self.network.side()
        ((_, first),) = late.asked
        self.network.syncs = True
        late.peer.sync_failed(first)
        self.network.settle()
        self.assertEqual({donor for _, donor in late.asked}, {one.peer.id, two.peer.id})
        self.assertEqual(late.how, [BY_PEER])
        self.assert_equal_maps({"a": 1})


class ClockTests(PeerTestCase):
    """The relay's time rules, whatever a peer's own clock says."""

    def test_an_offset_is_estimated_at_the_welcome(self) -> None:
        for skew_ms in (YEAR_MS, -YEAR_MS, 5_000.0, 0.0):
            side = self.network.side(skew_ms)
            self.assertEqual(side.replica.clock.now_ms(), START_MS)

    def test_the_relays_time_is_taken_half_way(self) -> None:
        side = self.network.side(opened=False)
        side.peer.opened()
        self.network.now_ms += 300
        self.hear(side, "welcome", welcome(time_ms=START_MS + 10_150.0))
        self.assertEqual(side.replica.clock.offset_ms, 10_000)
        self.hear(side, "time", self.network.now_ms - 100, self.network.now_ms - 50 + 7)
        self.assertEqual(side.replica.clock.offset_ms, 7)

    def test_a_peer_a_year_ahead_writes_before_it_is_connected(self) -> None:
        one = self.network.side()
        one.set("a", "first")
        ahead = self.network.side(YEAR_MS, opened=False)
        for key in ("a", "b", "a"):
            ahead.set(key, f"ahead {key}")
        self.network.now_ms += 1000
        ahead.open()
        self.network.settle()
        self.assert_equal_maps({"a": "ahead a", "b": "ahead b"})
        self.assertEqual([each.key for each in ahead.new_stamps], ["b", "a"])
        for each in ahead.new_stamps:
            self.assertLessEqual(each.entry.stamp.ms, self.network.now_ms)
        self.assertEqual(
            ahead.acknowledged, [(each.key, each.entry.stamp) for each in ahead.new_stamps]
        )
        self.assertEqual((len(one.replica.held), len(ahead.replica.held)), (0, 0))
        one.set("a", "last")
        self.network.settle()
        self.assert_equal_maps({"a": "last", "b": "ahead b"})

    def test_a_peer_a_year_behind_overwrites_what_it_has_seen(self) -> None:
        one = self.network.side()
        one.set("a", "first")
        self.network.now_ms += 1000
        behind = self.network.side(-YEAR_MS)
        self.assertEqual(behind.dump(), {"a": "first"})
        behind.set("a", "behind")
        self.network.settle()
        self.assert_equal_maps({"a": "behind"})

    def test_what_it_wrote_a_year_behind_loses(self) -> None:
        one = self.network.side()
        one.set("a", "first")
        behind = self.network.side(-YEAR_MS, opened=False)
        behind.set("a", "behind")
        behind.set("b", "behind")
        behind.open()
        self.network.settle()
        self.assert_equal_maps({"a": "first", "b": "behind"})
        self.assertEqual(behind.new_stamps, [])

    def test_what_waits_is_not_sent_with_the_stamps_it_had(self) -> None:
        side, other = self.network.side(), self.network.side()
        size = CHUNK_BYTES
        side.skew_ms = YEAR_MS  # somebody sets its clock while it is connected
        for at in range(40):
            side.set(f"k{at}", "x" * size)
        sent = len(side.sent)
        unsent = side.peer.outbox.unsent
        self.assertGreater(len(unsent), 10)
        self.hear(side, "time", side.now_ms(), self.network.now_ms)
        self.network.settle()
        for text in side.sent[sent:]:
            if text[:1] == b"{":
                for each in json.loads(text).get("entries", [json.loads(text)]):
                    # Of what had been sent, all are told what is held here.
                    if each["stamp"][0] > self.network.now_ms:
                        self.assertNotIn(each["key"], unsent)
        # What was sent with them is written once more, with stamps that nobody holds back.
        self.assertEqual(side.dump(), {f"k{at}": "x" * size for at in range(40)})
        self.assertEqual(other.dump(), side.dump())
        self.assertEqual(len(other.replica.held), 40 - len(unsent))
        self.assertEqual(len(side.peer.outbox), 0)

    def test_what_another_has_overwritten_gets_no_new_stamp(self) -> None:
        ahead = self.network.side(YEAR_MS, opened=False)
        ahead.set("a", "mine")
        later = Entry(Stamp(int(START_MS + YEAR_MS) + 10, 0, "x"), b'"theirs"')
        ahead.peer.receive(encode_entry("a", later))
        ahead.set("b", "mine")
        ahead.open()
        self.network.settle()
        self.assertEqual([each.key for each in ahead.new_stamps], ["b"])
        self.assertEqual(list(ahead.replica.held), [("a", later)])
