"""The handlers of a map's events, and what they are told when it changes."""

from __future__ import annotations

from distmap import values
from distmap.changes import change_of, value_of
from distmap.events import Emitter
from distmap.lww import Update


class Observers(Emitter):
    """The handlers of one map. Where nobody listens nothing is made for them.

    A list of changes is told before its changes are told one by one: a handler of one of them may
    write, and that is a later list.
    """

    def __init__(self) -> None:
        super().__init__(
            *("set", "delete", "ready", "status", "peers", "superseded", "change", "changes")
        )

    def tell_own(self, updates: list[Update]) -> None:
        """This peer wrote these, in one step."""
        self._tell_list(updates, local=True)
        if self.has("change"):
            for update in updates:
                self.emit("change", change_of(update, local=True))

    def tell_others(self, updates: list[Update], source: object) -> None:
        """Other peers' entries took their place, in one step.

        Args:
            updates: what happened.
            source: the map, as handlers get it.
        """
        tells_change, tells_set = self.has("change"), self.has("set")
        tells_delete = self.has("delete")
        if not (tells_change or tells_set or tells_delete or self.has("changes")):
            return
        updates = [update for update in updates if _is_change(update)]
        self._tell_list(updates, local=False)
        for update in updates:
            if tells_change:
                self.emit("change", change_of(update, local=False))
            if update.entry.value is not None:
                if tells_set:
                    self.emit("set", values.decode(update.entry.value), update.key, source)
            elif tells_delete and (old := value_of(update.old)) is not None:
                self.emit("delete", old[0], update.key, source)

    def _tell_list(self, updates: list[Update], *, local: bool) -> None:
        if updates and self.has("changes"):
            self.emit("changes", [change_of(update, local=local) for update in updates])


def _is_change(update: Update) -> bool:
    """Whether there is or was a value: a tombstone of a key that was not there changes nothing."""
    entry, old = update.entry, update.old
    return entry.value is not None or (old is not None and old.value is not None)
