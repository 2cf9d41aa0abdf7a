"""distmap.conversation: what waits for its turn, and who takes too long."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from distmap.conversation import MAX_INBOX, STALL_SECONDS
from distmap.frames import MESSAGE_BYTES
from distmap.session import Session
from distmap.switchboard import OPEN
from distmap.sync import Newcomer
from distmap.sync_wire import CHUNK_BYTES
from distmap.syncing import Serving
from distmap.syncs import Syncs
from tests.support.memory import NetworkTestCase


class ConversationTest(NetworkTestCase):
    def test_a_newcomer_that_does_not_wait_for_answers(self) -> None:
        (mine,) = self.open(1)
        mine.update({f"key{at}": at for at in range(10)})
        self.network.settle()
        syncs, session = mine._seat._syncs, mine.connection.session
        assert session is not None
        syncs.serve(session, "x.1")
        (serving,) = syncs.serving
        serving.stream_data(Raw(OPEN))
        (hello,) = Newcomer(mine._replica).start()
        for _ in range(MAX_INBOX):
            serving.stream_data(Raw(hello))
        self.assertEqual(syncs.serving, {serving}, "they wait for their turn")
        for _ in range(100):
            serving.stream_data(Raw(hello))
        self.assertEqual(syncs.serving, set())
        self.assertLessEqual(len(serving._inbox), MAX_INBOX + 1)
        self.network.settle(1)
        self.assertEqual((mine.status, len(mine)), ("ready", 10))

    def test_the_text_that_opens_a_joined_stream(self) -> None:
        self.assertEqual(OPEN, b'"[stream-server]:open"')


class SlowNetwork:
    """A transport that takes as much as it is told to, and tells when its buffer is full."""

    BUFFER_BYTES = 65536  # that of Twisted's transports

    def __init__(self) -> None:
        self.session: Session
        self.buffered_bytes = self.most_bytes = 0
        self.answers: list[tuple[str, str]] = []
        """The stream and the event of each message of a sync."""

    def send(self, message: bytes) -> None:
        self.buffered_bytes += len(message)
        self.most_bytes = max(self.most_bytes, self.buffered_bytes)
        for line in message.splitlines():
            stream, event, *payload = json.loads(line)
            if event == "data":
                self.answers.append((stream, payload[0]["event"]))
        if self.buffered_bytes > self.BUFFER_BYTES:
            self.session.congest(True)

    def close(self, code: int, reason: str) -> None:
        """Nothing closes it."""

    def take(self, size_bytes: int) -> None:
        """So much has left."""
        self.buffered_bytes = max(0, self.buffered_bytes - size_bytes)
        if not self.buffered_bytes:
            self.session.congest(False)


class SlowNetworkTest(NetworkTestCase):
    """A donor whose network is slow sends what many newcomers ask for as the network takes it."""

    NEWCOMERS = 12
    ASKED = 4

    def setUp(self) -> None:
        super().setUp()
        (mine,) = self.open(1)
        for at in range(2000):
            mine._replica.set(f"key{at}", "x" * 600)
        mine._replica.digest()
        self.syncs: Syncs = mine._seat._syncs
        self.slow = SlowNetwork()
        self.slow.session = Session(self.network.clock, self.slow)

    def tearDown(self) -> None:
        self.slow.session.lost()
        super().tearDown()

    def serve(self, count: int) -> list[Serving]:
        """Newcomers that ask for as much as they may at a time."""
        known: set[Serving] = set()
        opened = []
        for at in range(count):
            self.syncs.serve(self.slow.session, f"x.{at}")
            (serving,) = self.syncs.serving - known
            known.add(serving)
            opened.append(serving)
            self.hear(serving, json.loads(OPEN))
            self.hear(serving, {"event": "hello", "version": [1, 1], "count": 0, "sum": 0})
            for number in range(self.ASKED):
                asked = {"id": number, "prefixes": ["0123456789abcdef"[number]], "start": ""}
                more = {"hashes": [], "columns": True}
                self.hear(serving, {"event": "ask-entries", **asked, **more})
        return opened

    def hear(self, serving: Serving, message: Any) -> None:
        serving.stream_data(Raw(json.dumps(message).encode()))

    def test_how_much_waits_in_the_buffer(self) -> None:
        self.serve(self.NEWCOMERS)
        asked = self.NEWCOMERS * (1 + self.ASKED)
        turns = 0
        while len(self.slow.answers) < asked:
            self.network.settle()
            self.slow.take(16384)
            turns += 1
            self.assertLess(turns, 1000)
        # What the transport takes before it tells, what is gathered, and the message that is over.
        bound = self.slow.BUFFER_BYTES + MESSAGE_BYTES + 2 * CHUNK_BYTES
        self.assertLess(self.slow.most_bytes, bound)
        self.assertGreater(turns * 16384, 5 * bound, "much more was asked for")

    def test_all_get_as_much(self) -> None:
        self.serve(self.NEWCOMERS)
        counts = dict.fromkeys(self.slow.session._mux.streams, 0)
        self.assertEqual(len(counts), self.NEWCOMERS)
        seen = 0
        while len(self.slow.answers) < self.NEWCOMERS * (1 + self.ASKED):
            self.network.settle()
            self.slow.take(16384)
            for stream, event in self.slow.answers[seen:]:
                counts[stream] += event == "entries"
            seen = len(self.slow.answers)
            self.assertLessEqual(max(counts.values()) - min(counts.values()), 1)
        self.assertEqual(set(counts.values()), {self.ASKED})

    def test_who_waits_for_the_network_is_not_silent(self) -> None:
        serving = self.serve(self.NEWCOMERS)
        self.network.settle(STALL_SECONDS + 1)
        self.assertEqual(self.syncs.serving, set(serving))
        self.assertLess(len(self.slow.answers), self.NEWCOMERS * (1 + self.ASKED) // 2)

    def test_the_connection_is_lost_while_they_wait(self) -> None:
        self.serve(self.NEWCOMERS)
        self.network.settle()
        self.slow.session.lost()
        self.assertEqual(self.syncs.serving, set())

    def test_one_ends_while_it_waits(self) -> None:
        serving = self.serve(3)
        self.network.settle()
        serving[1].stop()
        self.assertNotIn(serving[1], self.slow.session.uplink)
        while len(self.slow.answers) < 2 * (1 + self.ASKED):
            self.network.settle()
            self.slow.take(16384)

    def test_a_program_that_is_busy_when_it_is_its_turn(self) -> None:
        """It goes on when it is not; and who can goes before it."""
        first, second = self.serve(2)
        self.network.settle()
        told = len(self.slow.answers)
        self.syncs.peer.is_busy = True
        self.slow.take(2**20)
        clock: Any = self.network.clock
        for _ in range(50):  # it asks again and again, which settle() would wait for
            call = clock.calls.pop(0)
            call.called = 1
            call.func(*call.args, **call.kw)
        self.assertEqual(len(self.slow.answers), told)
        self.assertEqual(self.syncs.serving, {first, second})
        self.syncs.peer.is_busy = False
        while len(self.slow.answers) < 2 * (1 + self.ASKED):
            self.network.settle()
            self.slow.take(2**20)
