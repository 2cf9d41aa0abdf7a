"""What this peer wrote and the relay has not yet taken.

A write stays here until the relay acknowledges the message that carried it, and is sent again
after a reconnect. While there is no connection only the last write of a key is kept.

The writes of a batch have one stamp, and stand one after the other. They are never cut into two
messages, and share none with other writes.

Nothing here goes through all that waits at once: what has to look at all of it makes a sweep, in as
many steps as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from distmap.clock import Stamp
from distmap.entries import Entry, encode_entry
from distmap.frames import MESSAGE_BYTES
from distmap.sync_wire import CHUNK_BYTES

WINDOW_BYTES: Final = 1024 * 1024
"""What may be on its way to the relay without an acknowledgement."""
SPARE: Final = 1000
"""Writes that were written over and may still be in the queue."""
TIDY_STEPS: Final = 8


class Waiting(msgspec.Struct, gc=False):
    """A write that waits.

    Attributes:
        key: its key.
        entry: what was written.
        base: the stamp of what it replaced, or of what the first of several writes of the key that
            wait replaced; None if there was nothing.
        session: if it is written over, it is still sent in this session, and in no later one.
        is_seen: it was sent, so another peer may have it.
    """

    key: str
    entry: Entry
    base: Stamp | None
    session: int = 0
    is_seen: bool = False


class _Sent(NamedTuple):
    number: int
    size: int
    writes: list[Waiting]


class Outbox:
    """The unacknowledged writes of one map.

    Attributes:
        is_online: a stream is open to the relay.
        sweeps: how many were begun.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}  # the last write of each key
        # What is to be sent, oldest first; in two parts, so that a sweep need not move all of it:
        # what the sweep has seen comes to the end of the front.
        self._front: deque[Waiting] = deque()
        self._back: deque[Waiting] = deque()
        self._to_sweep = 0
        self._sent: deque[_Sent] = deque()
        self._sent_bytes = 0
        self._number = 0
        self._session = 0
        self._requeued = 0  # what was sent up to this message stands in the queue again
        self.sweeps = 0
        self.is_online = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: str) -> bool:
        return key in self._waiting

    @property
    def unsent(self) -> list[str]:
        """The keys whose last write no other peer can have seen, oldest write first."""
        return [write.key for write in self._unsent()]

    def _unsent(self) -> Iterator[Waiting]:
        for write in chain(self._front, self._back):
            if not write.is_seen and self._is_last(write):
                yield write

    def _is_last(self, write: Waiting) -> bool:
        return self._waiting.get(write.key) is write

    def add(self, key: str, entry: Entry, old: Stamp | None = None) -> None:
        """Takes a write, and the stamp of what it replaced."""
        before = self._waiting.get(key)
        base = old if before is None else before.base
        self._waiting[key] = write = Waiting(key, entry, base, self._session)
        self._back.append(write)
        if before is not None and not self._to_sweep:
            self._tidy()

    def _tidy(self) -> None:
        """If much was written over, lets go of some of it: a little at each write, so that no write
        takes long.
        """
        if len(self._front) + len(self._back) <= len(self._waiting) + SPARE:
            return
        for _ in range(TIDY_STEPS):
            if not self._back:
                self._front, self._back = self._back, self._front
            write = self._back.popleft()
            if self._is_last(write):
                self._front.append(write)

    def is_unsent(self, key: str, entry: Entry) -> bool:
        """Whether an entry is a write that waits and that no other peer can have seen."""
        write = self._waiting.get(key)
        return write is not None and write.entry is entry and not write.is_seen

    def put_back(self, write: Waiting) -> None:
        """Takes a write before all others, unless its key was written since it was taken out."""
        if write.key not in self._waiting:
            write.is_seen = False
            self._waiting[write.key] = write
            self._front.appendleft(write)

    def is_older(self, ms: int) -> bool:
        """Whether a write has a stamp below a time."""
        # What was sent comes first; the others wait in the order of their stamps.
        for write in chain(self._front, self._back):
            if self._is_last(write):
                if write.entry.stamp.ms < ms:
                    return True
                if not write.is_seen:
                    return False
        return False

    # -- sweeps -----------------------------------------------------------------------------------

    @property
    def is_sweeping(self) -> bool:
        """Whether a sweep has begun and not ended; nothing is sent meanwhile."""
        return self._to_sweep > 0

    def begin_sweep(self, *, sent: bool = False) -> int:
        """Goes through all writes that wait, oldest first: see :meth:`sweep`. A sweep that is under
        way ends.

        Args:
            sent: also through those that were sent, and that the relay has not acknowledged.

        Returns:
            The number of this sweep.
        """
        self.sweeps += 1
        if len(self._front) > len(self._back):
            self._front.extend(self._back)
            self._front, self._back = deque(), self._front
        else:
            self._back.extendleft(reversed(self._front))
            self._front.clear()
        if sent:
            self._put_sent_before(self._back)
        self._session += 1  # what was written over is not sent any more
        self._to_sweep = len(self._back)
        return self.sweeps

    def sweep(self, most: int, keep: Callable[[Waiting], bool]) -> None:
        """Goes on with a sweep, by up to `most` writes; what comes meanwhile is not a part of it.

        Args:
            most: how many at most; a batch goes as a whole.
            keep: is called with each write; if it returns False the outbox lets go of it.
        """
        write: Waiting | None = None
        while self._to_sweep and (most > 0 or _are_together(write, self._back[0])):
            most -= 1
            self._to_sweep -= 1
            write = self._back.popleft()
            if self._is_last(write):
                if keep(write):
                    self._front.append(write)
                else:
                    del self._waiting[write.key]

    def end_sweep(self) -> None:
        """Ends a sweep early: what it has not come to goes on waiting."""
        self._to_sweep = 0

    # -- the stream -------------------------------------------------------------------------------

    def go_online(self) -> None:
        """A new stream is open to the relay: all that waits is to be sent."""
        self.go_offline()
        self.is_online = True
        self._session += 1
        self._number = self._requeued = 0

    def go_offline(self) -> None:
        """The stream is gone: what was not acknowledged waits."""
        self.is_online = False
        self._put_sent_before(self._front)
        self._sent.clear()
        self._sent_bytes = 0

    def _put_sent_before(self, queue: deque[Waiting]) -> None:
        for sent in reversed(self._sent):
            if sent.number > self._requeued:
                queue.extendleft(write for write in reversed(sent.writes) if self._is_last(write))
        self._requeued = self._number

    def next_message(self) -> bytes | None:
        """The next message to send; None if there is none, or too much is on its way."""
        if not self.is_online or self._to_sweep or self._sent_bytes >= WINDOW_BYTES:
            return None
        writes: list[Waiting] = []
        texts: list[bytes] = []
        size = 0
        first, second = self._shift(), self._shift()
        is_batch = _are_together(first, second)
        while first is not None:
            writes.append(first)
            texts.append(encode_entry(first.key, first.entry))
            size += len(texts[-1])
            first.is_seen = True
            last, first, second = first, second, self._shift()
            if is_batch:
                if not _are_together(last, first):
                    break
            elif size >= CHUNK_BYTES or _are_together(first, second):
                break
        self._front.extendleft(write for write in (second, first) if write is not None)
        if not writes:
            return None
        self._number += 1
        self._sent.append(_Sent(self._number, size, writes))
        self._sent_bytes += size
        return encode_entries(texts)

    def _shift(self) -> Waiting | None:
        """Takes the next write to send out of the queue."""
        while self._front or self._back:
            write = (self._front or self._back).popleft()
            if write.session == self._session or self._is_last(write):
                return write
        return None

    def count_other(self) -> None:
        """A message that carries no writes of this peer was sent: the relay counts it too."""
        self._number += 1

    def acknowledge(self, number: int) -> list[tuple[str, Stamp]]:
        """The relay has taken the first `number` messages of this stream.

        Returns:
            The key and stamp of each write that is now with the relay.
        """
        taken: list[tuple[str, Stamp]] = []
        while self._sent and self._sent[0].number <= number:
            sent = self._sent.popleft()
            self._sent_bytes -= sent.size
            for write in sent.writes:
                if self._is_last(write):
                    del self._waiting[write.key]
                taken.append((write.key, write.entry.stamp))
        return taken


def _are_together(one: Waiting | None, other: Waiting | None) -> bool:
    """Whether two writes are of one batch."""
    return one is not None and other is not None and one.entry.stamp == other.entry.stamp


def encode_messages(texts: list[bytes]) -> Iterator[bytes]:
    """The channel messages of some encoded entries, none of them much over 64 KiB."""
    part: list[bytes] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size >= MESSAGE_BYTES:
            yield encode_entries(part)
            part, size = [], 0
    if part:
        yield encode_entries(part)


def encode_entries(texts: list[bytes]) -> bytes:
    """The channel message of some encoded entries: the entry itself if it is only one."""
    if len(texts) == 1:
        return texts[0]
    return b'{"event":"entries","entries":[%b]}' % b",".join(texts)
