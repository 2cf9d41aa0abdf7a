"""What this peer wrote and the relay has not yet taken.

A write stays here until the relay acknowledges the message that carried it, and is sent again
after a reconnect. While there is no connection only the last write of a key is kept.

The writes of a batch have one stamp, and stand one after the other. They are never cut into two
messages, and share none with other writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from distmap.clock import Stamp
from distmap.entries import Entry, encode_entry, is_burial
from distmap.frames import MESSAGE_BYTES
from distmap.sync_wire import CHUNK_BYTES

WINDOW_BYTES: Final = 1024 * 1024
"""What may be on its way to the relay without an acknowledgement."""


class Waiting(NamedTuple):
    """A write that waits.

    Attributes:
        key: its key.
        entry: what was written.
        base: the stamp of what it replaced, or of what the first of several writes of the key that
            wait replaced; None if there was nothing.
    """

    key: str
    entry: Entry
    base: Stamp | None


class _Sent(NamedTuple):
    number: int
    size: int
    entries: list[tuple[str, Entry]]


class Outbox:
    """The unacknowledged writes of one map."""

    def __init__(self) -> None:
        self._waiting: dict[str, Entry] = {}
        self._unsent: set[str] = set()
        # The stamp of what each waiting write replaced, when the first of them was made.
        self._base: dict[str, Stamp | None] = {}
        self._queue: deque[tuple[str, Entry]] = deque()
        self._sent: deque[_Sent] = deque()
        self._sent_bytes = 0
        self._number = 0
        self.is_online = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: str) -> bool:
        return key in self._waiting

    @property
    def unsent(self) -> list[str]:
        """The keys whose last write no other peer can have seen, oldest write first."""
        return [key for key in self._waiting if key in self._unsent]

    def add(self, key: str, entry: Entry, old: Stamp | None = None) -> None:
        """Takes a write, and the stamp of what it replaced."""
        if self._waiting.pop(key, None) is None:
            self._base[key] = old
        self._waiting[key] = entry
        self._unsent.add(key)
        if self.is_online:
            self._queue.append((key, entry))
            if len(self._queue) > 2 * len(self._waiting) + 1000:
                self._queue = deque((key, self._waiting[key]) for key in self.unsent)

    def replace(self, writes: list[tuple[str, Entry]]) -> None:
        """Takes unsent writes with new stamps: with the old ones they are not sent any more."""
        keys = {key for key, _ in writes}
        self._queue = deque((key, entry) for key, entry in self._queue if key not in keys)
        for key, entry in writes:
            self.add(key, entry)

    def take(self, below_ms: int | None = None) -> list[Waiting]:
        """Takes writes out: all, or those that nobody has seen and whose stamp is below a time."""
        if below_ms is None:
            keys = list(self._waiting)
        else:
            keys = [key for key in self.unsent if self._waiting[key].stamp.ms < below_ms]
        return self._take(keys)

    def take_buried(self, entries: dict[str, Entry]) -> list[Waiting]:
        """Takes out those that were buried, by the entries of the replica."""
        return self._take([k for k, e in self._waiting.items() if is_burial(entries.get(k), e)])

    def _take(self, keys: list[str]) -> list[Waiting]:
        writes = [Waiting(key, self._waiting.pop(key), self._base.pop(key)) for key in keys]
        gone = set(keys)
        self._unsent -= gone
        self._queue = deque(item for item in self._queue if item[0] not in gone)
        return writes

    def is_older(self, ms: int) -> bool:
        """Whether a write has a stamp below a time."""
        return any(entry.stamp.ms < ms for entry in self._waiting.values())

    def go_online(self) -> None:
        """A new stream is open to the relay: all that waits is to be sent."""
        self.go_offline()
        self.is_online = True
        self._number = 0
        self._queue = deque(self._waiting.items())

    def go_offline(self) -> None:
        """The stream is gone: what was not acknowledged waits."""
        self.is_online = False
        self._queue.clear()
        self._sent.clear()
        self._sent_bytes = 0

    def next_message(self) -> bytes | None:
        """The next message to send; None if there is none, or too much is on its way."""
        if not self._queue or self._sent_bytes >= WINDOW_BYTES:
            return None
        entries: list[tuple[str, Entry]] = []
        texts: list[bytes] = []
        size = 0
        is_batch = self._begins_batch()
        while self._queue:
            key, entry = self._queue[0]
            if is_batch:
                if entries and entry.stamp != entries[-1][1].stamp:
                    break
            elif size >= CHUNK_BYTES or self._begins_batch():
                break
            entries.append(self._queue.popleft())
            texts.append(encode_entry(key, entry))
            size += len(texts[-1])
            if self._waiting.get(key) is entry:
                self._unsent.discard(key)
        self._number += 1
        self._sent.append(_Sent(self._number, size, entries))
        self._sent_bytes += size
        return encode_entries(texts)

    def _begins_batch(self) -> bool:
        queue = self._queue
        return len(queue) > 1 and queue[0][1].stamp == queue[1][1].stamp

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
            for key, entry in sent.entries:
                if self._waiting.get(key) is entry:
                    del self._waiting[key], self._base[key]
                taken.append((key, entry.stamp))
        return taken


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
