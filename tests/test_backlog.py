"""distmap.backlog: what is held for all connections together, and who has to give it up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distmap.backlog import Backlog, Queue


class Peer:
    """Has a queue, and something unfinished."""

    def __init__(self, backlog: Backlog, number: int) -> None:
        self.number = number
        self.backlog = backlog
        self.queue = Queue(backlog)
        self.unfinished_bytes = 0
        self.relieved = 0

    def hold(self, size_bytes: int) -> None:
        self.backlog.unfinished_bytes += size_bytes - self.unfinished_bytes
        self.unfinished_bytes = size_bytes

    @property
    def held_bytes(self) -> int:
        return self.queue.size_bytes + self.unfinished_bytes

    def relieve(self) -> None:
        self.relieved += 1
        self.queue.clear()
        self.hold(0)


def frame(size_bytes: int) -> bytes:
    """A frame that is no other's."""
    return bytes(bytearray(size_bytes))


class BacklogTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.backlog = Backlog(1000)
        self.peers = [Peer(self.backlog, number) for number in range(4)]

    def relieved(self) -> list[int]:
        """Who had to give up what was held, after what came is looked at."""
        self.backlog.relieve(self.peers)
        return [peer.number for peer in self.peers if peer.relieved]

    def test_up_to_the_bound(self) -> None:
        self.peers[0].queue.append(frame(600))
        self.peers[1].hold(400)
        self.assertEqual(self.relieved(), [])
        self.peers[1].hold(401)
        self.assertEqual(self.relieved(), [0])
        self.assertEqual((self.backlog.queued_bytes, self.backlog.unfinished_bytes), (0, 401))

    def test_until_a_quarter_is_free(self) -> None:
        for size_bytes, peer in zip((240, 251, 250, 261), self.peers, strict=True):
            peer.queue.append(frame(size_bytes))
        self.assertEqual(self.relieved(), [3])
        self.peers[0].hold(500)
        self.assertEqual(self.relieved(), [0, 3], "who has least in one place may have most")

    def test_of_those_that_hold_as_much_the_oldest(self) -> None:
        for peer in self.peers:
            peer.queue.append(frame(300))
        self.peers.reverse()
        self.assertEqual(sorted(self.relieved()), [0, 1])

    def test_what_waits_for_several_is_there_once(self) -> None:
        shared = frame(900)
        for peer in self.peers:
            peer.queue.append(shared)
        self.assertEqual(self.backlog.queued_bytes, 900)
        self.assertEqual(self.relieved(), [])
        for peer in self.peers[:3]:
            self.assertIs(peer.queue.popleft(), shared)
        self.assertEqual(self.backlog.queued_bytes, 900)
        self.peers[3].queue.clear()
        self.assertEqual(self.backlog.queued_bytes, 0)

    def test_all_who_have_what_is_too_much(self) -> None:
        shared = frame(900)
        for peer in self.peers[:3]:
            peer.queue.append(shared)
        self.peers[3].queue.append(frame(200))
        self.assertEqual(self.relieved(), [0, 1, 2])

    def test_no_bound(self) -> None:
        self.backlog = Backlog(0)
        self.peers = [Peer(self.backlog, 0)]
        self.peers[0].hold(1 << 40)
        self.assertEqual(self.relieved(), [])

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans())))
    def test_counts_are_those_of_the_queues(self, steps: list[tuple[int, int, bool]]) -> None:
        frames = [frame(size_bytes) for size_bytes in (1, 10, 100, 100, 1000, 10_000)]
        backlog = Backlog(0)
        queues = [Queue(backlog) for _ in range(4)]
        for who, which, comes in steps:
            if comes:
                queues[who].append(frames[which])
            elif queues[who]:
                queues[who].popleft()
            held = {id(each): len(each) for queue in queues for each in queue.frames}
            self.assertEqual(backlog.queued_bytes, sum(held.values()))
            for queue in queues:
                self.assertEqual(queue.size_bytes, sum(map(len, queue.frames)))
        for queue in queues:
            queue.clear()
        self.assertEqual((backlog.queued_bytes, backlog._waits), (0, {}))
