"""The Deferreds of a map's writes that the relay has not yet taken."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol
from weakref import ref

from distmap.clock import Stamp
from distmap.lww import Update


class Waiter(Protocol):
    """A Deferred, or what one stands behind."""

    def callback(self, result: Any, /) -> None:
        """The relay has the write."""

    def errback(self, fail: Any, /) -> None:
        """The write will not be taken."""


class Faint:
    """Stands for a waiter that is forgotten once nobody refers to it: else those of batches that
    nobody asks about would gather while there is no connection.
    """

    __slots__ = ("_kept", "_waiter")

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = ref(waiter)
        self._kept: Waiter | None = None

    def keep(self) -> None:
        """It is to be told, whoever refers to it."""
        self._kept = self._waiter()

    @property
    def is_gone(self) -> bool:
        """Whether it is forgotten."""
        return self._waiter() is None

    def callback(self, result: Any, /) -> None:
        """See :class:`Waiter`."""
        if (waiter := self._waiter()) is not None:
            waiter.callback(result)

    def errback(self, fail: Any, /) -> None:
        """See :class:`Waiter`."""
        if (waiter := self._waiter()) is not None:
            waiter.errback(fail)


class Writes:
    """By key, the Deferreds, oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Stamp, Waiter, Any]]] = {}

    def __len__(self) -> int:
        """How many keys have some."""
        return len(self._waiting)

    def add(self, update: Update, waiter: Waiter, result: Any) -> None:
        """Adds a write; the waiter gets the result once the relay has the write, or a later one of
        its key.
        """
        waiting = self._waiting.setdefault(update.key, deque())
        while waiting and isinstance(last := waiting[-1][1], Faint) and last.is_gone:
            waiting.pop()
        waiting.append((update.entry.stamp, waiter, result))

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        """The relay has these."""
        for key, stamp in writes:
            waiting = self._waiting.get(key)
            while waiting and waiting[0][0] <= stamp:
                _, waiter, result = waiting.popleft()
                waiter.callback(result)
            if waiting is not None and not waiting:
                self._waiting.pop(key, None)

    def restamped(self, updates: list[Update]) -> None:
        """These have new stamps."""
        for update in updates:
            key, entry = update.key, update.entry
            if key in self._waiting:
                waiting = self._waiting[key]
                self._waiting[key] = deque((entry.stamp, *rest) for _, *rest in waiting)

    def fail(self, error: Exception, key: str | None = None) -> None:
        """Those of a key, or all, will not be taken."""
        for each in list(self._waiting) if key is None else [key]:
            for _, waiter, _ in self._waiting.pop(each, ()):
                waiter.errback(error)
