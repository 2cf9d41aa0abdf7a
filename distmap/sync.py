"""Makes two replicas equal: a conversation between a newcomer and a donor, as messages in and out.

The newcomer leads. It compares the sums of ever smaller ranges, and in the ranges that differ it
takes what the donor has and hands over what the donor lacks; an empty side is filled in chunks.
The donor (:mod:`distmap.sync_donor`) keeps nothing between two requests. See Meyer, "Range-Based
Set Reconciliation" (2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw

from distmap import sync_wire as wire
from distmap.entries import HASH_DIGITS, Entry
from distmap.errors import RemoteProtocolError
from distmap.handover import Handover
from distmap.lww import Replica, Update
from distmap.merging import merge_all, merge_answer, read_sets
from distmap.ranges import DIGITS, position_of
from distmap.sync_donor import (
    FRESH_MS,
    Donor,
    Reply,
    count_repaired,
    cut,
    encode_hello,
    held_texts,
    hold_all,
    learn_from,
    trusts,
)

__all__ = ["Donor", "Newcomer"]

WINDOW: Final = 4
SPLIT_ABOVE: Final = 32
"""A differing range of more entries (both sides together) is divided before it is compared.

Dividing costs 16 sums, 330 bytes at most; comparing costs 17 bytes for each entry of this side. So
with few differences small ranges pay off, and with many the sums add little to the entries.
"""
SPLIT_DENSE_ABOVE: Final = 64
"""The same where over three quarters of the ranges differ: smaller ones would only cost time."""
GATHER: Final = 2048
"""Ranges are compared together up to about so many entries (both sides together)."""
SLACK: Final = 10_000
"""Entries that a donor may send over twice what it said it has: nobody is kept busy for ever."""


class Newcomer:
    """The side that asks, and that has the whole union at the end.

    Args:
        replica: what it takes into and gives from.
        met: is called with the donor's floor, and whether it has forgotten deletes that the replica
            may not know of, before anything is compared; tells whether that may begin.

    Attributes:
        blank: it began with nothing, so it compares nothing: sums are made later.
        done: the conversation is at its end.
        waits: it has met the donor, and compares once :meth:`go_on` is called.
        repaired: how many entries one side lacked that it ought to have had.
    """

    def __init__(
        self,
        replica: Replica,
        met: Callable[[int, bool], bool] = lambda floor_ms, outdated: True,
    ) -> None:
        self.blank = not replica.entries
        self.done = self.waits = False
        self.repaired = 0
        self._replica = replica
        self._fresh_ms = replica.clock.now_ms() - FRESH_MS
        self._met = met
        self._hello: wire.Hello | None = None
        self._trusts_donor = False
        self._budget = 0
        self._handlers: dict[int, Callable[[wire.Answer], list[Update]]] = {}
        self._finishing = False
        self._next_id = 0
        # What is still to do: ranges to divide, ranges to compare and how many entries are there,
        # ranges of which a part is compared and where to go on, what to hand over.
        self._to_split: list[str] = []
        self._to_compare: list[tuple[str, int]] = []
        self._begun: list[tuple[list[str], str]] = []
        self._handover = Handover(replica, GATHER, lambda entry: self._lacks([entry]))

    def start(self) -> list[bytes]:
        """The first message."""
        return [encode_hello(self._replica, blank=self.blank)]

    def receive(self, text: bytes | Raw) -> Reply:
        """Takes a message of the donor.

        Returns:
            What to send, and what changed here. See also :attr:`done`.

        Raises:
            RemoteProtocolError, VersionMismatch: the conversation cannot go on.
        """
        answer = wire.decode_answer(text)
        updates: list[Update] = []
        if isinstance(answer, wire.Hello):
            return self._receive_hello(answer), []
        elif isinstance(answer, wire.Done):
            return [], self._receive_done(answer)
        else:
            handler = self._handlers.pop(answer.id, None)
            if handler is None:
                raise RemoteProtocolError("an answer to no question")
            updates = handler(answer)
        return self._ask(), updates

    def _receive_hello(self, hello: wire.Hello) -> list[bytes]:
        wire.check_version(hello.version)
        if self._hello is not None:
            raise RemoteProtocolError("a second hello")
        self._hello = hello
        replica = self._replica
        self._trusts_donor = trusts(replica, hello)
        outdated = replica.known_ms is not None and hello.floor_ms > replica.known_ms
        self.waits = not self._met(hello.floor_ms, outdated)
        if not outdated:
            replica.adopt_floor(hello.floor_ms)
        self._budget = 2 * hello.count + SLACK
        return [] if self.waits else self.go_on()

    def go_on(self) -> list[bytes]:
        """Begins to compare; returns what to send."""
        assert self._hello is not None
        self.waits = False
        mine = (0, 0) if self.blank else self._replica.digest()
        self._judge("", mine, (self._hello.count, self._hello.sum), SPLIT_ABOVE)
        return self._ask()

    def _receive_done(self, done: wire.Done) -> list[Update]:
        if not self._finishing or self._hello is None:
            raise RemoteProtocolError("the donor was done too early")
        self.done = True
        learn_from(self._replica, self._hello)
        return hold_all(self._replica, done.held)[0]

    def _judge(
        self, prefix: str, mine: tuple[int, int], theirs: tuple[int, int], most: int
    ) -> None:
        """Decides what to do about a range; one of more than `most` entries is divided."""
        if mine == theirs:
            return
        count = mine[0] + theirs[0]
        divisible = len(prefix) < HASH_DIGITS
        if theirs[0] == 0:
            self._handover.add_range(prefix)
        elif mine[0] == 0 and count > GATHER and divisible:
            # In parts, so that several chunks can be under way.
            self._to_compare += [(prefix + digit, count // len(DIGITS)) for digit in DIGITS]
        elif mine[0] and count > most and divisible:
            self._to_split.append(prefix)
        else:
            self._to_compare.append((prefix, count))

    def _ask(self) -> list[bytes]:
        """Sends as many requests as the window has room for."""
        out: list[bytes] = []
        while len(self._handlers) < WINDOW:
            request = self._next_request()
            if request is None:
                break
            out.append(wire.encode(request))
        if not (self._handlers or self._finishing):
            self._finishing = True
            held = wire.raw_list(held_texts(self._replica))
            out.append(wire.encode(wire.Done(held)))
        return out

    def _next_request(self) -> wire.Request | None:
        # Dividing comes last, and deepest ranges first: that bounds how much is still to do.
        if self._handover:
            return self._push()
        if self._begun:
            return self._compare(*self._begun.pop())
        if self._to_compare:
            return self._compare(self._gather(), "")
        if self._to_split:
            return self._ask_sums()
        return None

    def _expect(self, handler: Callable[[wire.Answer], list[Update]]) -> int:
        self._next_id += 1
        self._handlers[self._next_id] = handler
        return self._next_id

    # -- dividing ---------------------------------------------------------------------------------

    def _ask_sums(self) -> wire.Request:
        prefixes = self._to_split[-wire.MAX_PREFIXES :]
        del self._to_split[-wire.MAX_PREFIXES :]
        request_id = self._expect(lambda answer: self._receive_sums(prefixes, answer))
        return wire.AskSums(request_id, prefixes)

    def _receive_sums(self, prefixes: list[str], answer: wire.Answer) -> list[Update]:
        if not isinstance(answer, wire.Sums) or len(answer.sums) != len(prefixes):
            raise RemoteProtocolError("not the sums that were asked for")
        for prefix, numbers in zip(prefixes, answer.sums, strict=True):
            theirs = list(zip(numbers[::2], numbers[1::2], strict=True))
            mine = self._replica.tree.children(prefix)
            differing = sum(ours != others for ours, others in zip(mine, theirs, strict=True))
            most = SPLIT_DENSE_ABOVE if differing > len(DIGITS) * 3 // 4 else SPLIT_ABOVE
            for digit, ours, others in zip(DIGITS, mine, theirs, strict=True):
                self._judge(prefix + digit, ours, others, most)
        return []

    # -- comparing --------------------------------------------------------------------------------

    def _gather(self) -> list[str]:
        """Takes ranges that are compared together."""
        prefixes: list[str] = []
        count = 0
        while self._to_compare and count < GATHER and len(prefixes) < wire.MAX_PREFIXES:
            prefix, more = self._to_compare.pop()
            prefixes.append(prefix)
            count += more
        return sorted(prefixes)

    def _compare(self, prefixes: list[str], start: str) -> wire.Request:
        own = {
            entry_hash: (place, key)
            for prefix in ([] if self.blank else prefixes)
            for place, key, entry_hash in self._replica.tree.items(prefix, start)
        }
        request_id = self._expect(
            lambda answer: self._receive_entries(prefixes, start, own, answer)
        )
        return wire.AskEntries(request_id, prefixes, start, list(own), True)

    def _receive_entries(
        self, prefixes: list[str], start: str, own: dict[int, tuple[int, str]], answer: wire.Answer
    ) -> list[Update]:
        if not isinstance(answer, wire.Entries):
            raise RemoteProtocolError("not the entries that were asked for")
        after, count = answer.next, answer.count
        if after is not None and (after <= start or not count):
            raise RemoteProtocolError("the donor does not get ahead")
        self._budget -= count
        if self._budget < 0:
            raise RemoteProtocolError("many more entries than the donor said it has")
        sets = read_sets(self._replica, answer)
        # Now it is sound: nothing of a faulty answer may take effect.
        if after is not None:
            rest = [prefix for prefix in prefixes if prefix >= after[: len(prefix)]]
            if rest:
                self._begun.append((rest, after))
        lacked = {}
        for entry_hash in answer.missing:
            place, key = own.get(entry_hash, (0, ""))
            if key and (after is None or place < position_of(after)):
                lacked[key] = entry_hash
        return self._take(sets, answer.entries, lacked)

    def _take(
        self, sets: dict[str, Entry], texts: list[Raw], lacked: dict[str, int]
    ) -> list[Update]:
        """Takes what the donor has sent, as :func:`merge_answer` does; it lacks what this side had
        at some keys when it asked, each with the hash that it had then.
        """
        trusted = self._trusts_donor and trusts(self._replica, self._hello)
        burials = self._handover.burials
        updates = merge_answer(self._replica, sets, texts, trusted=trusted, burials=burials)
        self._lacks(update.entry for update in updates)
        # What the donor lacks is its to have, unless what it sent has just replaced that.
        replaced = {update.key for update in updates} if lacked else ()
        self._handover.add(key for key in lacked if key not in replaced)
        return updates

    # -- handing over -----------------------------------------------------------------------------

    def _push(self) -> wire.Request:
        texts = cut(self._handover.take())
        return wire.Push(self._expect(self._receive_taken), wire.raw_list(texts))

    def _receive_taken(self, answer: wire.Answer) -> list[Update]:
        if not isinstance(answer, wire.Taken):
            raise RemoteProtocolError("entries were pushed, and not taken")
        return merge_all(self._replica, answer.buried)

    def _lacks(self, entries: Iterable[Entry]) -> None:
        """One side lacked these entries."""
        self.repaired += count_repaired(self._fresh_ms, self._replica.retention_ms, entries)
