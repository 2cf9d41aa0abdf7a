"""Nothing may depend on where objects lie in memory, or a run could not be repeated."""

from __future__ import annotations

from typing import Any

from distmap import DistributedMap


class OrderedSet(dict[Any, None]):
    """A set in the order of what was added."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        super().pop(item, None)

    def pop(self) -> Any:  # type: ignore[override]
        return self.popitem()[0]


def order_sets(shared: DistributedMap) -> None:
    """Gives a map's sets, which are empty now, an order."""
    seat: Any = shared._seat
    replica: Any = shared._replica
    replica._stale = OrderedSet()
    seat._syncs.serving = OrderedSet()
    seat._watching._calls = OrderedSet()
