"""The Deferreds of a map's writes that the relay has not yet taken."""

from __future__ import annotations

from collections import deque
from typing import Any

from distmap.clock import Stamp
from distmap.deferreds import Awaitable
from distmap.lww import Update


class Writes:
    """By key, the Deferreds, oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[Stamp, Awaitable[Any], Any]]] = {}

    def __len__(self) -> int:
        """How many keys have some."""
        return len(self._waiting)

    def add(self, update: Update, result: Any) -> Awaitable[Any]:
        """Adds a write.

        Returns:
            Fires with the result once the relay has the write, or a later one of its key.
        """
        deferred: Awaitable[Any] = Awaitable()
        waiting = self._waiting.setdefault(update.key, deque())
        waiting.append((update.entry.stamp, deferred, result))
        return deferred

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        """The relay has these."""
        for key, stamp in writes:
            waiting = self._waiting.get(key)
            while waiting and waiting[0][0] <= stamp:
                _, deferred, result = waiting.popleft()
                deferred.callback(result)
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
            for _, deferred, _ in self._waiting.pop(each, ()):
                deferred.errback(error)
