"""distmap.syncing: donors that die, stall or lie are replaced; large maps come in chunks."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger

from distmap import DistributedMap
from distmap import sync_wire as wire
from distmap.conversation import STALL_SECONDS
from distmap.sync import Donor, Newcomer
from distmap.syncing import Serving
from distmap.syncs import Syncs
from tests.support.memory import NetworkTestCase


class SyncingTest(NetworkTestCase):
    def fill(self, shared: DistributedMap, count: int, size: int = 60) -> None:
        for at in range(count):
            shared[f"key{at}"] = "x" * size
        self.network.settle()

    def serving(self, shared: DistributedMap) -> set[Serving]:
        return shared._seat._syncs.serving

    def test_large_map_in_chunks(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 5000, 100)
        newcomer = self.network.open("/fruits")
        largest = 0
        attempt_received = newcomer.connection.attempt_received

        def measured(message: bytes) -> None:
            nonlocal largest
            largest = max(largest, len(message))
            attempt_received(message)

        self.patch(newcomer.connection, "attempt_received", measured)
        self.network.settle()
        self.assertEqual(dict(newcomer), dict(mine))
        self.assertLess(largest, 300_000)
        self.assertEqual((newcomer.synced, self.serving(mine)), ("peer", set()))

    def test_donor_dies_midway(self) -> None:
        one, two = self.open(2)
        self.fill(one, 3000)
        newcomer = self.network.open("/fruits")
        while not len(newcomer):
            self._step()
        (donor,) = [each for each in (one, two) if self.serving(each)]
        self.assertLess(len(newcomer), 3000)
        self.network.cut(donor.connection)
        self.network.settle(12)
        self.assertEqual((newcomer.synced, len(newcomer)), ("peer", 3000))
        self.assertEqual(dict(one), dict(two))

    def _step(self) -> None:
        """Runs one call of the clock: settle() would leave no midway."""
        clock: Any = self.network.clock
        call = clock.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)

    def test_silent_donor_is_replaced(self) -> None:
        one, two = self.open(2)
        self.fill(one, 10)
        silence = self.patch(Serving, "_step", _say_nothing)
        newcomer = self.network.open("/fruits")
        self.network.settle(STALL_SECONDS - 1)
        self.assertEqual(newcomer.status, "syncing")
        self.assertEqual(len(self.serving(one)) + len(self.serving(two)), 1)
        first = one if self.serving(one) else two
        silence.restore()
        self.network.settle(2)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
        self.assertEqual(dict(newcomer), dict(one))
        self.assertEqual(self.serving(first), set())

    def test_all_donors_silent(self) -> None:
        """Nobody can keep a newcomer from becoming ready."""
        maps = self.open(5)
        self.fill(maps[0], 10)
        self.patch(Serving, "_step", _say_nothing)
        newcomer = self.network.open("/fruits")
        self.network.settle(3 * STALL_SECONDS + 1)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))

    def test_only_donor_leaves_before_it_answers(self) -> None:
        (mine,) = self.open(1)
        newcomer = self.network.open("/fruits")
        self.patch(mine._seat, "serve", lambda client: mine.close())
        self.network.settle()
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))

    def test_lying_donor_is_replaced(self) -> None:
        one, two = self.open(2)
        self.fill(one, 200)

        def lie(serving: Any) -> None:
            if serving._inbox:
                serving._inbox.clear()
                serving._send([b'{"event":"sums","id":77,"sums":[]}'])

        original = Serving._step

        def step(serving: Any) -> None:
            lie(serving) if serving._party is one._seat._syncs else original(serving)

        self.patch(Serving, "_step", step)
        newcomers = [self.network.open("/fruits") for _ in range(4)]
        self.network.settle()
        for newcomer in newcomers:
            self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
            self.assertEqual(dict(newcomer), dict(two))

    def test_a_crowd_of_newcomers(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 300)
        crowd = [self.network.open("/fruits") for _ in range(60)]
        self.network.settle(1)
        for each in crowd:
            self.assertEqual((each.status, each.synced, len(each)), ("ready", "peer", 300))

    def test_writes_during_the_sync(self) -> None:
        (mine,) = self.open(1)
        self.fill(mine, 2000)
        newcomer = self.network.open("/fruits")
        at = 0
        while newcomer.status != "ready":
            self._step()
            at += 1
            if at % 7 == 0:
                mine[f"key{at}"] = at
                newcomer[f"mine{at}"] = at
            if at % 11 == 0:
                mine.delete(f"key{at + 1}")
        self.network.settle()
        self.assertEqual(dict(newcomer), dict(mine))


class VersionsTest(NetworkTestCase):
    """Peers of other versions of the sync protocol, with real peers on the other side."""

    def setUp(self) -> None:
        super().setUp()
        self.warnings: list[LogEvent] = []
        self.patch(Syncs, "_log", Logger(observer=cast(ILogObserver, self.warnings.append)))

    def hello_of(self, version: list[int], **more: Any) -> None:
        """From now on, hellos of newcomers look so."""
        start = Newcomer.start

        def other(newcomer: Newcomer) -> list[bytes]:
            (text,) = start(newcomer)
            return [json.dumps({**json.loads(text), "version": version, **more}).encode()]

        self.patch(Newcomer, "start", other)

    def test_another_major_version_is_refused_on_both_sides(self) -> None:
        (mine,) = self.open(1)
        mine["a"] = 1
        self.network.settle()
        refused: list[str] = []
        fail = Serving._fail

        def failed(serving: Serving, reason: str) -> None:
            refused.append(reason)
            fail(serving, reason)

        self.patch(Serving, "_fail", failed)
        self.hello_of([2, 0])
        newcomer = self.network.open("/fruits")
        self.network.settle(1)
        # The donor says why, the newcomer hears it; then it has tried all, and is alone.
        wanted = "the other side speaks version 2.0 of the sync protocol, this one 1.1"
        self.assertEqual(refused, [wanted])
        self.assertIn(wanted, [event.get("reason") for event in self.warnings])
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))

    def test_a_donor_of_another_major_version(self) -> None:
        (mine,) = self.open(1)
        mine["a"] = 1
        self.network.settle()
        receive = Donor.receive

        def answer(donor: Donor, text: Any) -> Any:
            if b'"hello"' in bytes(text):
                donor.greeted = True
                hello = wire.Hello((3, 1), *donor._replica.digest())
                return [wire.encode(hello)], []
            return receive(donor, text)

        self.patch(Donor, "receive", answer)
        newcomer = self.network.open("/fruits")
        self.network.settle(1)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "alone"))
        wanted = "the other side speaks version 3.1 of the sync protocol, this one 1.1"
        self.assertIn(wanted, [event.get("reason") for event in self.warnings])

    def test_another_minor_version_and_unknown_fields(self) -> None:
        (mine,) = self.open(1)
        mine["a"] = 1
        self.network.settle()
        for version in ([1, 9], [1, 0]):
            self.hello_of(version, cursor=["x", 1, 2], later={"a": [1]})
            newcomer = self.network.open("/fruits")
            self.network.settle(1)
            self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
            self.assertEqual(dict(newcomer), {"a": 1})
        self.assertEqual(self.warnings, [])


class BadDonorsTest(NetworkTestCase):
    """Donors that answer late, twice, wrong or without end: each newcomer gets all from another."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open(2)
        self.one.update({f"key{at}": "x" * 60 for at in range(2000)})
        self.network.settle(1)
        self.bad: Any = None

    def spoil(self, spoiled: Any) -> None:
        """The first donor asked sends `spoiled(text)` for each of its answers."""
        send = Serving._send

        def sending(serving: Any, messages: list[bytes]) -> None:
            self.bad = self.bad or serving._party
            if serving._party is self.bad:
                messages = [each for text in messages for each in spoiled(text)]
            send(serving, messages)

        self.patch(Serving, "_send", sending)

    def joins(self, seconds: float = 2.0) -> DistributedMap:
        newcomer = self.network.open("/fruits")
        self.network.settle(seconds)
        self.assertEqual((newcomer.status, newcomer.synced), ("ready", "peer"))
        self.assertEqual(dict(newcomer), dict(self.one))
        self.assertEqual(dict(self.two), dict(self.one))
        return newcomer

    def test_twice(self) -> None:
        self.spoil(lambda text: [text, text])
        self.joins()

    def test_wrong(self) -> None:
        for wrong in (b"", b"{}", b'{"event":"taken","id":1}', b'{"event":"done"}'):
            with self.subTest(wrong):
                self.bad = None
                self.spoil(lambda text, wrong=wrong: [text if b"hello" in text else wrong])
                self.joins()

    def test_late(self) -> None:
        """Answers that come after the newcomer has gone to another are for nobody."""
        late: list[Any] = []
        send = Serving._send

        def sending(serving: Any, messages: list[bytes]) -> None:
            self.bad = self.bad or serving._party
            if serving._party is self.bad:
                late.append((serving, messages))
            else:
                send(serving, messages)

        self.patch(Serving, "_send", sending)
        newcomer = self.joins(STALL_SECONDS + 2)
        for serving, messages in late:
            send(serving, messages)
        self.network.settle(1)
        self.assertEqual(dict(newcomer), dict(self.one))

    def test_without_end(self) -> None:
        """It makes up entries and never comes to the last chunk."""
        made = 0

        def endless(text: bytes) -> list[bytes]:
            nonlocal made
            answer = wire.decode_answer(text)
            if not isinstance(answer, wire.Entries):
                return [text]
            texts = []
            for _ in range(500):
                made += 1
                texts.append(b'{"event":"delete","key":"m%d","stamp":[1,0,"w"]}' % made)
            position = f"{min(made, 0xFFFFF):013x}"
            return [wire.encode(wire.Entries(answer.id, wire.raw_list(texts), position, []))]

        self.spoil(endless)
        newcomer = self.network.open("/fruits")
        self.network.settle(2)
        self.assertEqual(newcomer.status, "ready")
        self.assertEqual(dict(newcomer), dict(self.one))
        self.assertLess(made, 30_000)

    def test_a_poisoned_answer_adds_and_never_takes(self) -> None:
        """What it makes up is there, as from any peer; what others have is not hurt."""

        def poison(text: bytes) -> list[bytes]:
            answer = wire.decode_answer(text)
            if isinstance(answer, wire.Entries):
                made_up = [
                    b'{"event":"delete","key":"key1","stamp":[1,0,"w"]}',
                    b'{"event":"set","key":"made up","value":1,"stamp":[1,0,"w"]}',
                ]
                answer.entries = wire.raw_list(made_up)
                answer.missing, answer.next = [], None
                return [wire.encode(answer)]
            return [text]

        self.spoil(poison)
        newcomer = self.network.open("/fruits")
        self.network.settle(60)
        wanted = {f"key{at}": "x" * 60 for at in range(2000)}
        self.assert_equal_maps([self.one, self.two, newcomer], {**wanted, "made up": 1})


def _say_nothing(serving: Any) -> None:
    serving._inbox.clear()
