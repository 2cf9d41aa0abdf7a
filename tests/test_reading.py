"""distmap.reading: peers that may only read, well-behaved and hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec import Raw
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from distmap import Change, DistributedMap, absence, connect, reading, sync
from distmap.clock import HybridClock, Stamp
from distmap.entrance import MAX_HELD_BYTES
from distmap.entries import Entry, encode_entry, entry_hash
from distmap.errors import AccessRefused, MapClosed, RemoteProtocolError
from distmap.lww import Replica
from distmap.merging import merge_all
from distmap.reading import Reader
from distmap.relay_server import RelayOptions
from distmap.testing import Network
from tests.support.authorizers import Scripted
from tests.support.processes import fires, until
from tests.support.replicas import check_replica
from tests.support.sockets import RawPeer, raw_peer, start_relay
from tests.test_peer import START_MS, Side
from tests.test_peer import Network as Peers
from tests.vectors.make_vectors import load

CREDENTIALS = {"route": "credentials", "version": [1, 0]}


class MemoryTestCase(TestCase):
    def setUp(self) -> None:
        self.network = Network(options=RelayOptions(authorizer=Scripted()))
        self.addCleanup(self.end)

    def end(self) -> None:
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def open(self, shown: str = "write") -> DistributedMap:
        return self.network.open(credentials=shown)

    def equal(self, *maps: DistributedMap) -> None:
        for each in maps:
            self.assertEqual(dict(each), dict(maps[0]))
            self.assertEqual(each.digest(), maps[0].digest())


class Readers(MemoryTestCase):
    def test_it_reads(self) -> None:
        writer = self.open()
        writer.update({f"key {number}": number for number in range(500)})
        reader = self.open("read")
        self.network.settle()
        self.assertEqual((reader.access, reader.synced, writer.access), ("read", "peer", "write"))
        writer["live"] = True
        del writer["key 7"]
        self.network.settle()
        self.assertEqual(len(reader), 500)
        self.equal(writer, reader)

    def test_it_does_not_write(self) -> None:
        writer, reader = self.open(), self.open("read")
        writer["apple"] = 1
        self.network.settle()
        told: list[Change] = []
        reader.observe(told.append)
        with self.assertRaises(AccessRefused):
            reader["apple"] = 2
        with self.assertRaises(AccessRefused):
            del reader["apple"]
        for write in (
            lambda: reader.set("apple", 2),
            lambda: reader.delete("apple"),
            lambda: reader.update(apple=2),
            reader.batch,
        ):
            with self.assertRaises(AccessRefused):
                write()
        self.assertEqual((dict(reader), told), ({"apple": 1}, []))
        self.network.cut(reader.connection)
        self.network.settle(0.01)
        with self.assertRaises(AccessRefused):
            reader["apple"] = 2

    def test_what_it_wrote_before_it_knew_is_taken_back(self) -> None:
        writer = self.open()
        writer["apple"] = 1
        self.network.settle()
        reader = self.open("read")
        told: list[tuple[str, Any]] = []
        reader.observe(lambda change: told.append((change.key, change.value)))
        done = [reader.set("apple", 99), reader.set("pear", 2), reader.set("pear", 3)]
        with reader.batch() as batch:
            reader["plum"] = 4
        done.append(batch.taken())
        self.assertEqual(dict(reader), {"apple": 99, "pear": 3, "plum": 4})
        self.network.settle()
        for each in done:
            self.failureResultOf(each, AccessRefused)
        self.assertEqual(dict(reader), {"apple": 1})
        self.equal(writer, reader)
        self.assertEqual(
            {key for key, value in told[4:] if value is None}, {"apple", "pear", "plum"}
        )

    def test_what_stood_there_comes_back(self) -> None:
        """A writer that comes back as a reader shows what it had before, in one step."""
        answers = ["read", "write"]
        shared = self.network.open(credentials=answers.pop)
        self.network.settle()
        shared["apple"] = 1
        self.network.settle()
        self.network.cut(shared.connection)
        written = [shared.set("apple", 2), shared.set("apple", 3), shared.delete("apple")]
        told: list[tuple[Any, Any]] = []
        shared.observe(lambda change: told.append((change.old_value, change.value)))
        shared["apple"] = 4
        self.network.settle(10)
        for each in written:
            self.failureResultOf(each, AccessRefused)
        self.assertEqual(dict(shared), {"apple": 1})
        self.assertEqual(told, [(None, 4), (4, 1)])

    def test_what_only_it_has_goes(self) -> None:
        """It could not offer it to anybody, and would differ for ever."""
        writer, reader = self.open(), self.open("read")
        writer.update({f"key {number}": number for number in range(3000)})
        self.network.settle(0.2)
        self.equal(writer, reader)
        writer.connection.close()
        self.network.settle()
        other = self.open()
        other["key 5"] = "another"
        other["new"] = True
        self.network.settle(1)
        self.assertEqual(dict(reader), {"key 5": "another", "new": True})
        self.equal(other, reader)

    def test_alone_and_then_not(self) -> None:
        one, two = self.open("read"), self.open("read")
        self.network.settle()
        self.assertEqual((one.synced, two.synced, one.peers), ("alone", "alone", 1))
        writer = self.network.connect(credentials="write")
        shared = DistributedMap(writer, one.uri)
        shared["apple"] = 1
        self.network.settle(1)
        self.equal(shared, one, two)
        self.assertEqual(shared.synced, "alone")
        second = self.open()
        self.network.settle()
        self.assertEqual(second.synced, "peer")

    def test_a_reader_is_never_the_donor(self) -> None:
        writer = self.open()
        writer["apple"] = 1
        readers = [self.open("read") for _ in range(6)]
        self.network.settle()
        writer.connection.close()
        self.network.settle()
        late = self.open()
        self.network.settle()
        self.assertEqual((late.synced, dict(late)), ("alone", {}))
        self.network.settle(30)
        self.equal(late, *readers)

    def test_it_does_not_gossip_and_is_repaired(self) -> None:
        writer, reader = self.open(), self.open("read")
        writer["apple"] = 1
        self.network.settle()
        reader._replica.forget("apple")
        reader._replica.set("bad", 1)
        self.network.settle(40)
        self.equal(writer, reader)
        self.assertEqual(dict(reader), {"apple": 1})
        (error,) = self.flushLoggedErrors() or [None]
        self.assertIsNone(error)

    def test_broadcasts_during_its_sync_are_kept(self) -> None:
        network = Network(delay_seconds=0.05, options=RelayOptions(authorizer=Scripted()))
        self.addCleanup(network.close)
        writer = network.open(credentials="write")
        network.settle(1)
        writer.update({f"key {number}": number for number in range(2000)})
        network.settle(1)
        reader = network.open(credentials="read")
        for number in range(60):
            writer[f"late {number}"] = number
            writer[f"key {number}"] = -number
            network.settle(0.05)
        network.settle(1)
        self.equal(writer, reader)

    def test_plain_members_only_get(self) -> None:
        writer = self.open()
        connection = self.network.connect(credentials="read")
        stream = connection.create_stream(f"{writer.uri}/channel")
        heard: list[Any] = []
        stream.on("data", heard.append)
        stream.write({"event": "set", "key": "apple", "value": 666, "stamp": [1, 0, "x"]})
        self.network.settle()
        writer["apple"] = 1
        self.network.settle()
        self.assertEqual([each["value"] for each in heard], [1])
        self.assertEqual((dict(writer), str(stream.id) != ""), ({"apple": 1}, True))


class Answers(TestCase):
    """tests/vectors/readers.json: what a reader makes of a donor's answer."""

    def setUp(self) -> None:
        self.vectors = load("readers")

    def reader(self) -> tuple[Replica, Reader, dict[str, int]]:
        """A reader that has asked its donor for entries; and the hashes of its own by key."""
        replica = Replica(HybridClock(lambda: START_MS, "me"), retention_ms=2**52)
        merge_all(replica, [Raw(json.dumps(own).encode()) for own in self.vectors["own"]])
        reader = Reader(replica)
        reader.start()
        messages, _ = reader.receive(json.dumps(self.vectors["hello"]).encode())
        (asked,) = map(json.loads, messages)
        hashes = {key: entry_hash(key, entry) for key, entry in replica.entries.items()}
        self.assertEqual((asked["id"], set(asked["hashes"])), (1, set(hashes.values())))
        return replica, reader, hashes

    def test_vectors(self) -> None:
        for case in self.vectors["answers"]:
            with self.subTest(case["name"]):
                replica, reader, hashes = self.reader()
                before = dict(replica.entries)
                missing = [hashes[key] for key in case["missing"]]
                answer = json.dumps({**case["answer"], "id": 1, "missing": missing}).encode()
                if case["left"] is None:
                    with self.assertRaises(RemoteProtocolError):
                        reader.receive(answer)
                    self.assertEqual((replica.entries, replica.refused), (before, 0))
                else:
                    _, updates = reader.receive(answer)
                    live = {key: json.loads(text) for key, text in replica.items()}
                    self.assertEqual(live, case["left"])
                    changed = {
                        key
                        for key in before.keys() | replica.entries.keys()
                        if before.get(key) is not replica.entries.get(key)
                    }
                    self.assertEqual(sorted(each.key for each in updates), sorted(changed))
                    for each in updates:
                        self.assertIs(each.old, before.get(each.key))
                check_replica(replica)

    def test_many_more_than_the_donor_said(self) -> None:
        """Nothing of that answer takes effect, also not what it says this side has alone."""
        self.patch(sync, "SLACK", 0)
        replica, reader, hashes = self.reader()
        entries = [
            {"event": "set", "key": f"k{at}", "value": 1, "stamp": [1, 0, "x"]} for at in range(5)
        ]
        answer = {"event": "entries", "id": 1, "entries": entries, "next": None}
        with self.assertRaises(RemoteProtocolError):
            reader.receive(json.dumps({**answer, "missing": list(hashes.values())}).encode())
        self.assertEqual(replica.entries.keys(), hashes.keys())


class TakingBack(TestCase):
    """Own writes of one that may only read go some in each turn."""

    STEP = 10

    def setUp(self) -> None:
        self.patch(reading, "STEP_WRITES", self.STEP)
        self.patch(absence, "STEP_WRITES", self.STEP)
        self.side = Side(Peers(), "me")
        self.peer = self.side.peer

    def write(self, *keys: str) -> list[str]:
        """Keys, in one batch if several; returns them."""
        replica = self.side.replica
        olds = [replica.entries[key].stamp for key in keys if key in replica.entries]
        stamp = replica.clock.tick(max(olds, default=None))
        for key in keys:
            self.peer.wrote(replica.rewrite(key, b'"mine"', stamp))
        return list(keys)

    def write_each(self, count: int) -> list[str]:
        return [key for at in range(count) for key in self.write(f"k{at:02}")]

    def others(self, key: str, ms: float) -> Entry:
        """Another peer's entry comes."""
        entry = Entry(Stamp(int(ms), 0, "x"), b'"theirs"')
        self.peer.receive(encode_entry(key, entry))
        return entry

    def welcome(self, access: str) -> None:
        self.peer.opened()
        details = {"version": [1, 0], "peer": "7", "time_ms": START_MS, "members": 2}
        self.peer.receive(json.dumps(["welcome", {**details, "access": access}]).encode())

    def sent(self) -> list[str]:
        """The keys of the entries that were sent since the last call, in their order."""
        messages = [json.loads(payload) for payload in self.side.sent]
        self.side.sent.clear()
        said = [each for each in messages if isinstance(each, dict)]
        return [entry["key"] for each in said for entry in each.get("entries", [each])]

    def back(self) -> list[str]:
        """The keys that were taken back since the last call, in their order."""
        keys = [key for key, _ in self.side.taken_back]
        self.side.taken_back.clear()
        return keys

    def work(self) -> list[list[str]]:
        """Takes all turns; returns what was taken back in each that took something back."""
        turns = []
        while self.side.works:
            self.side.works = 0
            self.peer.work()
            turns.append(self.back())
        return [turn for turn in turns if turn]

    def test_some_in_each_turn(self) -> None:
        theirs = {key: self.others(key, START_MS - 9) for key in ("k03", "k17")}
        keys = self.write_each(25)
        self.side.updates.clear()
        self.welcome("read")
        self.assertEqual((self.back(), self.peer.is_busy), (keys[:10], True))
        self.assertEqual(self.side.replica.entries["k03"], theirs["k03"])
        self.assertEqual(self.side.dump()["k17"], "mine")
        self.assertEqual(self.work(), [keys[10:20], keys[20:]])
        self.assertEqual((self.side.replica.entries, self.peer.is_busy), (theirs, False))
        told = {update.key: update.entry.value for update in self.side.updates}
        self.assertEqual(told, {**dict.fromkeys(keys), **dict.fromkeys(theirs, b'"theirs"')})
        self.assertEqual((len(self.side.updates), self.sent()), (25, []))
        self.assertEqual((self.peer.reading._originals, len(self.peer.outbox)), ({}, 0))
        check_replica(self.side.replica)

    def test_a_batch_goes_as_a_whole(self) -> None:
        first = self.write_each(8)
        batch = self.write("x", "y", "z", "p", "q")
        self.write("last")
        self.welcome("read")
        self.assertEqual(self.back(), first + batch)
        self.assertEqual(self.work(), [["last"]])

    def test_it_is_ready_when_all_is_taken_back(self) -> None:
        self.write_each(25)
        self.welcome("read")
        self.peer.receive(b'["alone"]')
        self.assertEqual(self.side.how, [])
        self.work()
        self.assertEqual((self.side.how, self.side.dump()), (["alone"], {}))

    def test_another_peer_writes_meanwhile(self) -> None:
        self.write_each(25)
        self.welcome("read")
        self.back()
        theirs = {key: self.others(key, START_MS + 5) for key in ("k03", "k17")}
        self.side.updates.clear()
        self.assertEqual([len(keys) for keys in self.work()], [10, 5])
        self.assertEqual(self.side.replica.entries, theirs)
        self.assertNotIn("k17", [update.key for update in self.side.updates])

    def test_what_it_writes_meanwhile_goes_too(self) -> None:
        """A map does not; what a clock's correction writes once more comes so."""
        keys = self.write_each(15)
        self.welcome("read")
        self.assertEqual(self.back(), keys[:10])
        self.write("late")
        self.assertEqual(self.work(), [keys[10:]])
        self.peer.receive(b'["refused",1]')
        self.assertEqual((self.work(), self.sent()), ([["late"]], ["late"]))

    def test_the_connection_is_lost_meanwhile(self) -> None:
        """It goes on: what the relay said last holds."""
        theirs = {"k17": self.others("k17", START_MS - 9)}
        keys = self.write_each(25)
        self.welcome("read")
        self.peer.lost()
        self.assertEqual(self.back(), keys[:10])
        self.assertEqual(self.work(), [keys[10:20], keys[20:]])
        self.assertEqual((self.side.replica.entries, self.peer.is_busy), (theirs, False))

    def test_it_may_only_read_again(self) -> None:
        theirs = {"k17": self.others("k17", START_MS - 9)}
        keys = self.write_each(25)
        self.welcome("read")
        self.peer.lost()
        self.welcome("read")
        self.assertEqual(self.back(), keys[:20])
        self.assertEqual(self.work(), [keys[20:]])
        self.assertEqual(self.side.replica.entries, theirs)

    def test_it_may_write_after_all(self) -> None:
        """What is left is sent: once, and in its order."""
        keys = self.write_each(25)
        self.welcome("read")
        self.peer.lost()
        self.welcome("write")
        self.assertEqual((self.back(), self.sent()), (keys[:10], keys[10:]))
        self.assertEqual(self.work(), [])
        self.assertEqual(set(self.side.dump()), set(keys[10:]))
        self.peer.receive(json.dumps(["ack", 1, START_MS]).encode())
        self.assertEqual([key for key, _ in self.side.acknowledged], keys[10:])
        self.assertEqual((len(self.peer.outbox), self.peer.is_busy), (0, False))

    def test_what_was_sent_already(self) -> None:
        """The relay says so when it gets them; they are on their way, and sent again only once."""
        self.welcome("write")
        keys = self.write_each(25)
        self.peer.send_writes()
        self.assertEqual(self.sent(), keys)
        self.peer.receive(b'["refused",1]')
        self.peer.receive(b'["refused",1]')
        self.assertEqual((self.back(), self.peer.is_busy), ([], True), "in turns of their own")
        self.write("late")
        self.peer.send_writes()
        self.assertEqual(self.sent(), [], "nothing is sent meanwhile")
        self.peer.work()
        self.peer.lost()
        self.welcome("write")
        self.assertEqual((self.back(), self.sent()), (keys[:10], [*keys[10:], "late"]))

    def asked(self) -> int:
        """How often it has asked for a sync since the last call."""
        count = self.side.sent.count(b'["sync",null]')
        self.side.sent.clear()
        return count

    def test_what_the_relay_refuses_all_of_a_sudden_is_fetched(self) -> None:
        """What it had replaced is not remembered: one sync brings it, however many were refused."""
        self.welcome("write")
        self.others("k03", START_MS - 9)
        self.write_each(25)
        self.peer.send_writes()
        self.assertEqual(self.asked(), 0)
        self.peer.receive(b'["refused",1]')
        self.side.works = 0
        self.peer.work()
        self.peer.receive(b'["refused",2]')
        self.assertEqual(self.asked(), 0, "not before all is taken back")
        self.work()
        self.assertEqual((self.side.dump(), self.asked()), ({}, 1))
        self.peer.receive(b'["refused",3]')
        self.work()
        self.assertEqual(self.asked(), 0, "there was nothing left")

    def test_nothing_is_fetched_without_need(self) -> None:
        """It remembers what was replaced before it was told; and a reconnect brings a sync."""
        self.write_each(25)
        self.welcome("read")
        self.work()
        self.assertEqual(self.asked(), 0)
        for access in ("write", "read"):
            with self.subTest(access):
                self.peer.lost()
                self.welcome("write")
                self.write_each(25)
                self.peer.send_writes()
                self.peer.receive(b'["refused",1]')
                self.peer.lost()
                self.welcome(access)
                self.work()
                self.assertEqual(self.asked(), 0)

    def test_an_acknowledgement_meanwhile(self) -> None:
        """What the relay has is not taken back."""
        self.welcome("write")
        keys = self.write_each(25)
        self.peer.send_writes()
        self.peer.receive(b'["refused",1]')
        self.side.works = 0
        self.peer.work()
        self.peer.receive(json.dumps(["ack", 1, START_MS]).encode())
        self.assertEqual(self.back(), keys[:10])
        self.assertEqual((self.work(), self.peer.is_busy), ([], False))
        self.assertEqual(set(self.side.dump()), set(keys[10:]))

    def test_nothing_to_take_back(self) -> None:
        self.welcome("read")
        self.assertEqual((self.back(), self.peer.is_busy, self.side.works), ([], False, 0))

    def test_a_clock_is_put_right_meanwhile(self) -> None:
        """First the stamps, then this; nothing is sent in between."""
        self.side.skew_ms = 3_600_000
        keys = self.write_each(25)
        self.welcome("read")
        turns = [self.back(), *self.work()]
        self.assertEqual([key for turn in turns for key in turn], keys)
        self.assertEqual((self.sent(), self.side.replica.entries), ([], {}))

    # -- what is set aside ------------------------------------------------------------------------

    def set_aside(self) -> list[str]:
        """Writes, and puts them aside as a long absence does."""
        keys = self.write_each(8) + self.write("x", "y", "z") + self.write("last")
        aside = self.peer.absence.aside
        self.peer.outbox.begin_sweep(sent=True)
        self.peer.outbox.sweep(100, lambda write: aside.put(write) is None)
        self.assertEqual(len(aside), len(keys))
        return keys

    def test_what_is_set_aside_goes_too(self) -> None:
        keys = self.set_aside()
        waits = self.write("waits")
        self.welcome("read")
        self.assertEqual(self.back(), waits + keys[:11], "a batch goes as a whole")
        self.assertTrue(self.peer.is_busy)
        self.peer.lost()
        self.assertEqual(self.work(), [keys[11:]])
        self.assertFalse(self.peer.absence.is_open)
        self.assertEqual(self.side.dump(), {})

    def test_what_is_set_aside_is_kept_for_one_that_may_write_after_all(self) -> None:
        keys = self.set_aside()
        self.welcome("read")
        self.peer.lost()
        self.welcome("write")
        self.assertEqual((self.back(), self.sent(), self.work()), (keys[:11], [], []))
        self.peer.receive(b'["alone"]')
        self.assertEqual((self.work(), self.sent()), ([], ["last"]))
        self.assertEqual(self.side.dump(), {"last": "mine"})


class TakingBackMaps(MemoryTestCase):
    """The same with whole peers."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(reading, "STEP_WRITES", 10)
        self.answers = ["read", "write"]
        self.shared = self.network.open(credentials=self.answers.pop)
        self.writer = self.open()
        self.network.settle()
        self.keys = [f"k{at:02}" for at in range(25)]
        self.writer.update(dict.fromkeys(self.keys, "old"))
        self.network.settle(0.1)
        self.network.cut(self.shared.connection)
        self.written = [self.shared.set(key, "mine") for key in self.keys]
        self.addCleanup(lambda: [each.addErrback(lambda _: None) for each in self.written])

    def on_turn(self, then: Callable[[int], object]) -> None:
        """Calls `then` after each turn in which some are taken back, with how many are left."""
        outbox, port = self.shared._seat.peer.outbox, self.shared._seat
        refused = port.refused

        def refused_and_then(*args: Any) -> None:
            refused(*args)
            then(len(outbox))

        self.patch(port, "refused", refused_and_then)

    def test_this_program_writes_meanwhile(self) -> None:
        left = []

        def write(waiting: int) -> None:
            left.append(waiting)
            with self.assertRaises(AccessRefused):
                self.shared["k20"] = "again"
            with self.assertRaises(AccessRefused):
                self.shared.update(new=1)

        self.on_turn(write)
        self.network.settle(20)
        self.assertEqual(left, [15, 5, 0])
        for each in self.written:
            self.failureResultOf(each, AccessRefused)
        self.equal(self.writer, self.shared)
        self.assertEqual(dict(self.shared), dict.fromkeys(self.keys, "old"))

    def test_what_another_wrote_before(self) -> None:
        """It is older than what is taken back, and later than what that had replaced."""
        mine, old = self.shared.stamp("k20"), self.writer.stamp("k20")
        assert mine is not None and old is not None
        between = Entry(Stamp(mine.ms, 0, "-"), b'"theirs"')
        self.assertLess(old, between.stamp)
        self.assertLess(between.stamp, mine)
        self.writer._replica.merge("k20", between)
        self.network.settle(20)
        self.assertEqual((self.shared["k20"], self.shared.divergences), ("theirs", 0))
        self.equal(self.writer, self.shared)

    def test_the_relay_refuses_all_of_a_sudden(self) -> None:
        """What the others have is here again at once, and not when digests are compared."""
        self.answers[:] = ["write"]
        self.network.settle(20)
        self.assertEqual((self.shared.status, self.shared.access), ("ready", "write"))
        relay, peer = self.network.relay, self.shared._seat.peer
        assert relay is not None
        relay.core.hub.channels[self.shared.uri].members[peer.id].reader = True
        late = [self.shared.set(key, "late") for key in [*self.keys, "new"]]
        self.network.settle(0.5)
        for each in late:
            self.failureResultOf(each, AccessRefused)
        self.assertEqual(dict(self.shared), dict.fromkeys(self.keys, "mine"))
        self.equal(self.writer, self.shared)
        self.assertEqual((self.shared.status, self.shared.divergences), ("ready", 0))

    def test_the_map_is_closed_meanwhile(self) -> None:
        self.on_turn(lambda waiting: self.shared.close())
        self.network.settle(20)
        for each in self.written[:10]:
            self.failureResultOf(each, AccessRefused)
        for each in self.written[10:]:
            self.failureResultOf(each, MapClosed)

    def test_the_connection_is_cut_meanwhile(self) -> None:
        self.answers.insert(0, "write")

        def cut(waiting: int) -> None:
            if waiting == 15:
                self.network.cut(self.shared.connection)

        self.on_turn(cut)
        self.network.settle(20)
        for each in self.written:
            self.failureResultOf(each, AccessRefused)
        self.shared["k20"] = "again"
        self.network.settle()
        self.assertEqual(self.writer["k20"], "again")
        self.equal(self.writer, self.shared)


class Hostile(TestCase):
    """A reader that speaks the protocol as it likes, over a real socket."""

    timeout = 60

    async def reader(self, port: int) -> RawPeer:
        peer = await raw_peer(self, port)
        peer.open("shown", CREDENTIALS)
        peer.send_mux("shown", "data", "read")
        peer.open("/u/channel", {"route": "/u/channel", "version": [1, 0]})
        await until(lambda: peer.got("/u/channel", "data"), what=lambda: peer.lines)
        return peer

    async def test_it_cannot_write(self) -> None:
        service, port = start_relay(self, RelayOptions(authorizer=Scripted()))
        connections = [
            connect(reactor, f"ws://127.0.0.1:{port}/", credentials=shown)
            for shown in ("write", "read")
        ]
        for each in connections:
            self.addCleanup(each.close)
        writer, victim = [DistributedMap(each, "/u") for each in connections]
        await fires(writer.ready())
        await fires(victim.ready())
        await fires(writer.set("apple", 1))
        await until(lambda: "apple" in victim)
        donor = writer._seat.peer.id
        told: list[Change] = []
        writer.observe(told.append)
        victim.observe(told.append)

        peer = await self.reader(port)
        now_ms = int(reactor.seconds() * 1000)
        forged = {"event": "set", "key": "apple", "value": 666, "stamp": [now_ms, 9, "x"]}
        channel = "/u/channel"
        # On the channel, one by one and many at once, and as a member of the old kind.
        peer.send_mux(channel, "data", forged)
        peer.send(b"".join(b'["/u/channel","data",%b]\n' % _encode(forged) for _ in range(50)))
        peer.send_mux(channel, "data", {"event": "entries", "entries": [forged]})
        digest = {"event": "digest", "peer": "1", "count": 9, "sum": 9}
        peer.send_mux(channel, "data", digest)
        await until(lambda: peer.got(channel, "data", ["refused", 53]), what=lambda: peer.lines)
        peer.open("plain", "/u/channel")
        peer.send_mux("plain", "data", forged)
        # As somebody who serves others.
        peer.send_mux(channel, "data", ["ready"])
        welcome = next(line[2][1] for line in peer.lines if line[2][:1] == ["welcome"])
        for name, meta in (
            ("listen", "/u/proxy/server/s"),
            ("digits", f"/u/proxy/server/{welcome['peer']}"),
            ("take", f"/u/proxy/server/{donor}/client/c/1"),
            ("named", "/u/proxy/client/s/c"),
        ):
            peer.open(name, meta)
            await until(lambda name=name: peer.got(name, "error"))  # type: ignore[misc]
            (error,) = [line[2] for line in peer.lines if line[:2] == [name, "error"]]
            self.assertEqual(error["code"], "refused")
        # As a newcomer that hands over what it likes, with floors and held entries too.
        peer.open("sync", f"/u/proxy/client/{donor}/c1")
        await until(lambda: peer.got("sync", "data", "[stream-server]:open"))
        hello = {"event": "hello", "version": [1, 0], "count": 1, "sum": 5, "floor_ms": now_ms}
        held = {**forged, "stamp": [now_ms + 10**9, 0, "x"]}
        for message in (
            hello,
            {"event": "push", "id": 1, "entries": [forged]},
            {"event": "done", "held": [held, forged]},
        ):
            peer.send_mux("sync", "data", message)
        await until(lambda: any(line[2].get("event") == "done" for line in _data(peer, "sync")))
        taken = [line[2] for line in _data(peer, "sync") if line[2].get("event") == "taken"]
        self.assertEqual(len(taken), 1)
        # Nobody asks it for anything, although it said that it is ready.
        third = connect(reactor, f"ws://127.0.0.1:{port}/", credentials="write")
        self.addCleanup(third.close)
        late = DistributedMap(third, "/u")
        await fires(late.ready())
        self.assertFalse(
            [line for line in peer.lines if line[1:2] == ["data"] and "client" in line[2]]
        )
        await fires(writer.set("pear", 2))
        await until(lambda: "pear" in victim and "pear" in late)
        for shared in (writer, victim, late):
            self.assertEqual(dict(shared), {"apple": 1, "pear": 2})
            self.assertEqual(len(shared._replica.held), 0)
            self.assertEqual(shared._replica.floor_ms, 0)
        self.assertEqual({change.key for change in told}, {"pear"})
        self.assertTrue(any("pear" in str(line) for line in _data(peer, channel)))
        self.assertEqual(
            service.server.core.hub.channels["/u"].ready.keys() & {welcome["peer"]}, set()
        )

    async def test_who_may_nothing_holds_nothing_up(self) -> None:
        """What it sends before the answer is bounded."""
        _, port = start_relay(self, RelayOptions(authorizer=Scripted()))
        peer = await raw_peer(self, port)
        peer.open("shown", CREDENTIALS)
        peer.open("/u/channel", "/u/channel")
        for _ in range(3):
            peer.send_mux("/u/channel", "data", "x" * (MAX_HELD_BYTES // 2))
        await until(lambda: peer.got("/u/channel", "error"))
        (error,) = [line[2] for line in peer.lines if line[1] == "error"]
        self.assertEqual(error["code"], "limit")


def _data(peer: RawPeer, stream: str) -> list[Any]:
    found = [line for line in peer.lines if line[:2] == [stream, "data"]]
    return [line for line in found if not isinstance(line[2], str)]


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode()
