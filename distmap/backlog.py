"""What a relay holds for all its connections together, and who has to go when it is too much.
Without I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

RELIEF: Final = 0.75
"""The part of the bound that is left after a relief, so that the next one is not due at once."""


class Holder(Protocol):
    """A connection, as the backlog knows it."""

    @property
    def number(self) -> int:
        """Its place in the order in which they came."""

    @property
    def held_bytes(self) -> int:
        """What waits for it, and what came of a message that is not whole."""

    def relieve(self) -> None:
        """Gives up what is held for it."""


class Queue:
    """The frames that wait for one connection.

    Args:
        backlog: which counts them too.

    Attributes:
        frames: the oldest first.
        size_bytes: of all of them.
    """

    __slots__ = ("_backlog", "frames", "size_bytes")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self.frames: deque[bytes] = deque()
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.frames)

    def append(self, frame: bytes) -> None:
        """One more waits."""
        self.frames.append(frame)
        self.size_bytes += len(frame)
        self._backlog.add(frame)

    def popleft(self) -> bytes:
        """Takes the oldest out."""
        frame = self.frames.popleft()
        self.size_bytes -= len(frame)
        self._backlog.remove(frame)
        return frame

    def clear(self) -> None:
        """None waits any more."""
        while self.frames:
            self.popleft()


class Backlog:
    """Bounds what waits for peers that do not read, and what came of messages that are not whole.

    Each connection has bounds of its own, and very many connections can be within them.

    Args:
        most_bytes: the bound; 0 for none.

    Attributes:
        queued_bytes: what waits for peers; what waits for several of them is there once.
        unfinished_bytes: what came of messages that are not whole.
    """

    __slots__ = ("_most_bytes", "_waits", "queued_bytes", "unfinished_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.queued_bytes = self.unfinished_bytes = 0
        self._waits: dict[int, int] = {}  # in how many queues a frame is, by its identity

    @property
    def held_bytes(self) -> int:
        """Both together."""
        return self.queued_bytes + self.unfinished_bytes

    @property
    def is_over(self) -> bool:
        """Whether more is held than may be."""
        return 0 < self._most_bytes < self.held_bytes

    def add(self, frame: bytes) -> None:
        """A frame waits for one more connection."""
        name = id(frame)
        waits = self._waits.get(name, 0)
        self._waits[name] = waits + 1
        if not waits:
            self.queued_bytes += len(frame)

    def remove(self, frame: bytes) -> None:
        """A frame waits for one connection less."""
        name = id(frame)
        waits = self._waits.pop(name)
        if waits > 1:
            self._waits[name] = waits - 1
        else:
            self.queued_bytes -= len(frame)

    def relieve(self, holders: Iterable[Holder]) -> None:
        """Has those that hold most give it up, if more is held than may be.

        It goes on until a quarter of the bound is free, so it is seldom due, however many small
        queues there are to sort.
        """
        if not self.is_over:
            return
        for holder in sorted(holders, key=lambda each: (-each.held_bytes, each.number)):
            if self.held_bytes <= self._most_bytes * RELIEF or not holder.held_bytes:
                return
            holder.relieve()
