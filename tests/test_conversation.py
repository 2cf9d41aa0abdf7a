"""distmap.conversation: what waits for its turn, and who takes too long."""

from __future__ import annotations

from msgspec import Raw

from distmap.conversation import MAX_INBOX
from distmap.switchboard import OPEN
from distmap.sync import Newcomer
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
