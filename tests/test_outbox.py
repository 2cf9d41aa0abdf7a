"""The outbox: nothing is lost, nothing is acknowledged before the relay has it."""

from __future__ import annotations

import json
from collections import deque
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

from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.outbox import WINDOW_BYTES, Outbox, Waiting, encode_entries
from distmap.sync_wire import CHUNK_BYTES


def entry(number: int, value: bytes = b"1") -> Entry:
    return Entry(Stamp(number, 0, "w"), value)


def entries_of(message: bytes | None) -> list[tuple[str, int]]:
    """The keys and numbers of the entries in a message."""
    assert message is not None
    content = json.loads(message)
    each: list[Any] = content["entries"] if content["event"] == "entries" else [content]
    return [(one["key"], one["stamp"][0]) for one in each]


def taken_of(taken: list[tuple[str, Stamp]]) -> list[tuple[str, int]]:
    return [(key, stamp.ms) for key, stamp in taken]


class OutboxTests(TestCase):
    def setUp(self) -> None:
        self.outbox = Outbox()
        self.count = 0

    def write(self, *keys: str, size: int = 1) -> None:
        for key in keys:
            self.count += 1
            self.outbox.add(key, entry(self.count, b'"%b"' % (b"x" * size)))

    def messages(self) -> list[list[tuple[str, int]]]:
        """All that it would send now."""
        messages = []
        while (message := self.outbox.next_message()) is not None:
            messages.append(entries_of(message))
        return messages

    def test_one_entry_is_the_message(self) -> None:
        self.assertEqual(encode_entries([b'{"a":1}']), b'{"a":1}')
        self.assertEqual(
            json.loads(encode_entries([b'{"a":1}', b'{"b":2}'])),
            {"event": "entries", "entries": [{"a": 1}, {"b": 2}]},
        )

    def test_nothing_is_sent_offline(self) -> None:
        self.write("a")
        self.assertIsNone(self.outbox.next_message())
        self.assertEqual((len(self.outbox), self.outbox.unsent), (1, ["a"]))

    def test_offline_only_the_last_write_of_a_key_is_kept(self) -> None:
        self.write("a", "b", "a", "c", "a")
        self.assertEqual((len(self.outbox), self.outbox.unsent), (3, ["b", "c", "a"]))
        self.outbox.go_online()
        self.assertEqual(self.messages(), [[("b", 2), ("c", 4), ("a", 5)]])
        self.assertEqual(self.outbox.unsent, [])
        self.assertEqual(taken_of(self.outbox.acknowledge(1)), [("b", 2), ("c", 4), ("a", 5)])
        self.assertEqual(len(self.outbox), 0)

    def test_online_every_write_is_sent_in_order(self) -> None:
        self.outbox.go_online()
        self.write("a", "b", "a")
        self.assertEqual(self.messages(), [[("a", 1), ("b", 2), ("a", 3)]])
        self.write("a")
        self.assertEqual(self.messages(), [[("a", 4)]])
        self.assertEqual(len(self.outbox), 2)
        self.assertEqual(taken_of(self.outbox.acknowledge(1)), [("a", 1), ("b", 2), ("a", 3)])
        self.assertEqual(len(self.outbox), 1, "the last write of a is still under way")
        self.assertEqual(taken_of(self.outbox.acknowledge(2)), [("a", 4)])
        self.assertEqual(len(self.outbox), 0)

    def test_acknowledgements_are_cumulative(self) -> None:
        self.outbox.go_online()
        for key in "abc":
            self.write(key)
            self.messages()
        self.assertEqual(self.outbox.acknowledge(0), [])
        self.assertEqual(taken_of(self.outbox.acknowledge(2)), [("a", 1), ("b", 2)])
        self.assertEqual(self.outbox.acknowledge(2), [])
        self.assertEqual(taken_of(self.outbox.acknowledge(9)), [("c", 3)])

    def test_other_messages_count_too(self) -> None:
        self.outbox.go_online()
        self.outbox.count_other()
        self.write("a")
        self.messages()
        self.outbox.count_other()
        self.write("b")
        self.messages()
        self.assertEqual(self.outbox.acknowledge(1), [])
        self.assertEqual(taken_of(self.outbox.acknowledge(2)), [("a", 1)])
        self.assertEqual(self.outbox.acknowledge(3), [])
        self.assertEqual(taken_of(self.outbox.acknowledge(4)), [("b", 2)])

    def test_what_was_not_acknowledged_is_sent_again(self) -> None:
        self.outbox.go_online()
        for key in "abc":
            self.write(key)
            self.messages()
        self.outbox.acknowledge(1)
        self.outbox.go_offline()
        self.write("d", "b")
        self.assertEqual(self.outbox.unsent, ["d", "b"], "somebody may have seen c")
        self.outbox.go_online()
        self.assertEqual(self.messages(), [[("c", 3), ("d", 4), ("b", 5)]])
        self.assertEqual(taken_of(self.outbox.acknowledge(1)), [("c", 3), ("d", 4), ("b", 5)])
        self.assertEqual(len(self.outbox), 0)

    def test_an_acknowledgement_of_the_stream_before_means_nothing(self) -> None:
        self.outbox.go_online()
        self.write("a")
        self.messages()
        self.outbox.go_offline()
        self.assertEqual(self.outbox.acknowledge(1), [])
        self.outbox.go_online()
        self.assertEqual(self.outbox.acknowledge(1), [], "nothing was sent yet")
        self.assertEqual(self.messages(), [[("a", 1)]])

    def test_messages_are_cut(self) -> None:
        self.outbox.go_online()
        size = 10_000
        self.write(*(f"k{at}" for at in range(30)), size=size)
        while (message := self.outbox.next_message()) is not None:
            self.assertLess(len(message), CHUNK_BYTES + 2 * size)

    def test_so_much_is_under_way_at_a_time(self) -> None:
        self.outbox.go_online()
        size = CHUNK_BYTES // 2
        count = 3 * WINDOW_BYTES // size
        self.write(*(f"k{at}" for at in range(count)), size=size)
        rounds = [self.messages()]
        number = 0
        while rounds[-1]:
            sent = sum(len(each) for each in rounds[-1]) * size
            self.assertLess(sent, WINDOW_BYTES + 2 * CHUNK_BYTES)
            number += len(rounds[-1])
            self.outbox.acknowledge(number)
            rounds.append(self.messages())
        self.assertEqual(len(rounds), 4)
        self.assertEqual(sum(len(each) for one in rounds for each in one), count)
        self.assertEqual(len(self.outbox), 0)

    def test_room_is_made_by_each_acknowledgement(self) -> None:
        self.outbox.go_online()
        self.write(*(f"k{at}" for at in range(100)), size=CHUNK_BYTES)
        first = len(self.messages())
        self.assertLess(first, 100)
        self.outbox.acknowledge(1)
        self.assertEqual(len(self.messages()), 1)

    def test_a_key_that_is_written_without_end_does_not_grow_the_queue(self) -> None:
        self.outbox.go_online()
        self.write("big", size=2 * WINDOW_BYTES)
        self.messages()
        self.write(*("hot" for _ in range(50_000)), "cold")
        self.assertLess(len(self.outbox._front) + len(self.outbox._back), 1100)
        self.assertEqual(taken_of(self.outbox.acknowledge(1)), [("big", 1)])
        sent = [each for message in self.messages() for each in message]
        self.assertEqual(sent[-2:], [("hot", self.count - 1), ("cold", self.count)])
        self.assertEqual(sent, sorted(sent, key=lambda each: each[1]))
        self.assertNotIn("big", dict(sent), "it was sent before")

    def test_a_later_write_of_a_key_that_was_cut_off_is_not_sent_yet(self) -> None:
        self.outbox.go_online()
        self.write("a", size=CHUNK_BYTES)
        self.write("a")
        self.assertEqual(entries_of(self.outbox.next_message()), [("a", 1)])
        self.assertEqual(self.outbox.unsent, ["a"])
        self.messages()
        self.assertEqual(self.outbox.unsent, [])

    def test_unsent_writes_with_new_stamps(self) -> None:
        for online in (False, True):
            with self.subTest(online=online):
                self.setUp()
                if online:
                    self.outbox.go_online()
                self.write("a", "b", "a", "c")
                anew = {"b": entry(91), "a": entry(92)}

                def stamp_anew(write: Waiting, anew: dict[str, Entry] = anew) -> bool:
                    write.entry = anew.get(write.key, write.entry)
                    return True

                self.outbox.begin_sweep()
                self.outbox.sweep(9, stamp_anew)
                self.assertEqual(self.outbox.unsent, ["b", "a", "c"])
                self.outbox.go_online() if not online else None
                self.assertEqual(self.messages(), [[("b", 91), ("a", 92), ("c", 4)]])
                self.assertEqual(
                    taken_of(self.outbox.acknowledge(1)), [("b", 91), ("a", 92), ("c", 4)]
                )

    def test_a_sweep(self) -> None:
        self.outbox.go_online()
        self.write("sent")
        self.messages()
        self.write("a", "b", "a", "c")
        seen: list[tuple[str, int]] = []

        def keep(write: Waiting) -> bool:
            seen.append((write.key, write.entry.stamp.ms))
            return write.key != "b"

        self.outbox.begin_sweep()
        self.outbox.sweep(2, keep)
        self.write("late")
        self.assertEqual((seen, self.outbox.is_sweeping), ([("b", 3)], True))
        self.assertIsNone(self.outbox.next_message(), "it is not known what will be left")
        self.outbox.sweep(2, keep)
        self.assertEqual((seen[1:], self.outbox.is_sweeping), ([("a", 4), ("c", 5)], False))
        self.assertEqual(self.messages(), [[("a", 4), ("c", 5), ("late", 6)]])
        self.assertEqual(len(self.outbox), 4)
        seen.clear()
        self.outbox.begin_sweep(sent=True)
        self.outbox.sweep(9, keep)
        self.assertEqual(seen, [("sent", 1), ("a", 4), ("c", 5), ("late", 6)])

    def test_writes_that_are_put_back_come_first(self) -> None:
        taken: list[Waiting] = []
        self.write("a", "b", "c")
        self.outbox.begin_sweep()

        def drop(write: Waiting) -> bool:
            taken.insert(0, write)
            return False

        self.outbox.sweep(9, drop)
        self.assertEqual(len(self.outbox), 0)
        self.write("b", "d")
        for write in taken:
            self.outbox.put_back(write)
        self.assertEqual(self.outbox.unsent, ["a", "c", "b", "d"])
        self.assertTrue(self.outbox.is_older(2))
        self.assertFalse(self.outbox.is_older(1))

    def test_what_was_written_over_is_let_go_of_bit_by_bit(self) -> None:
        """However many keys wait: no write takes long, and the queue does not grow."""
        self.write(*(f"k{at}" for at in range(5000)))
        self.write(*("hot" for _ in range(30_000)))
        outbox = self.outbox
        self.assertLess(len(outbox._front) + len(outbox._back), 5000 + 1000 + 5000 // 7 + 10)
        outbox.go_online()
        sent = [each for message in self.messages() for each in message]
        self.assertEqual(sent, [*((f"k{at}", at + 1) for at in range(5000)), ("hot", self.count)])


class OutboxMachine(RuleBasedStateMachine):
    """Writes, a relay that takes some and tells of some, connections that come and go."""

    keys = st.sampled_from("abcdef")

    @initialize()
    def start(self) -> None:
        self.outbox = Outbox()
        self.online = False
        self.count = 0
        self.last: dict[str, int] = {}
        self.relay: set[tuple[str, int]] = set()
        self.acknowledged: list[tuple[str, int]] = []
        self.offline()

    def offline(self) -> None:
        self.wire: deque[bytes] = deque()
        self.received = 0
        self.acks: deque[int] = deque()

    @rule(key=keys, size=st.sampled_from([1, 1, 1, CHUNK_BYTES // 2, WINDOW_BYTES // 2]))
    def write(self, key: str, size: int) -> None:
        self.count += 1
        self.last[key] = self.count
        self.outbox.add(key, entry(self.count, b'"%b"' % (b"x" * size)))

    @precondition(lambda self: not self.online)
    @rule()
    def go_online(self) -> None:
        self.online = True
        self.outbox.go_online()

    @precondition(lambda self: self.online)
    @rule()
    def go_offline(self) -> None:
        self.online = False
        self.outbox.go_offline()
        self.offline()

    @rule()
    def send(self) -> None:
        while (message := self.outbox.next_message()) is not None:
            assert self.online
            self.wire.append(message)

    @precondition(lambda self: self.online)
    @rule()
    def send_other(self) -> None:
        self.outbox.count_other()
        self.wire.append(b'{"event":"entries","entries":[]}')

    @rule(most=st.integers(1, 5))
    def arrive(self, most: int) -> None:
        for _ in range(min(most, len(self.wire))):
            self.relay.update(entries_of(self.wire.popleft()))
            self.received += 1
        self.acks.append(self.received)

    @precondition(lambda self: self.acks)
    @rule()
    def acknowledge(self) -> None:
        for each in taken_of(self.outbox.acknowledge(self.acks.popleft())):
            assert each in self.relay, "it was promised, and the relay does not have it"
            self.acknowledged.append(each)

    @rule(sent=st.booleans())
    def begin_sweep(self, sent: bool) -> None:
        self.outbox.begin_sweep(sent=sent)

    @precondition(lambda self: self.outbox.is_sweeping)
    @rule(most=st.integers(1, 3), drops=st.booleans())
    def sweep(self, most: int, drops: bool) -> None:
        """What is dropped comes back; the last of it first, as it was first."""
        dropped: list[Waiting] = []

        def keep(write: Waiting) -> bool:
            if drops and not write.is_seen:
                dropped.append(write)
                return False
            return True

        self.outbox.sweep(most, keep)
        for write in reversed(dropped):
            assert write.key not in self.outbox
            self.outbox.put_back(write)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert len(self.acknowledged) == len(set(self.acknowledged)), "told once for each stamp"
        done = set(self.acknowledged)
        waiting = {key for key, number in self.last.items() if (key, number) not in done}
        assert self.outbox._waiting.keys() == waiting
        seen = {key for key, number in self.last.items() if (key, number) in self.relay}
        assert not seen & set(self.outbox.unsent)

    def teardown(self) -> None:
        if not self.online:
            self.go_online()
        self.outbox.sweep(10**6, lambda write: True)
        assert not self.outbox.is_sweeping
        for _ in range(3 * self.count + 3):
            self.send()
            self.arrive(1000)
            while self.acks:
                self.acknowledge()
        assert not len(self.outbox)
        assert {(key, number) for key, number in self.last.items()} <= set(self.acknowledged)
        assert (self.outbox._sent_bytes, list(self.outbox._sent)) == (0, [])


OutboxMachineTests = OutboxMachine.TestCase
OutboxMachineTests.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
