"""How a map writes: key by key, or in batches, which go to the others in one message.

In the block of a batch nothing is written yet: what it sets and deletes is checked, and kept aside
where reading sees it. At the end all of it gets one stamp. So where two batches write the same keys
at one time, the same one of the two wins all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

import msgspec

from distmap import values
from distmap.deferreds import Awaitable, Waiters, fired
from distmap.errors import BatchError, InvalidValue
from distmap.lww import Replica, Update
from distmap.writes import Faint, Waiter, Writes

MAX_BATCH_BYTES: Final = 768 * 1024
"""What the entries of a batch have together, so that their message fits a frame."""
ENTRY_BYTES: Final = 128
"""What is counted for each entry beside its key and its value: more than it can have."""

_encode_key = msgspec.json.Encoder().encode


class Batch:
    """Writes that go together: the block of a `with`. Made by :meth:`DistributedMap.batch`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._asked = Waiters()
        self._faint = Faint(self)
        self._left: int | None = None  # how many of its writes the relay has not taken
        self.error: Exception | None = None  # why it, or a part of it, is not written
        self.entered = False
        self.outer: Batch | None = None
        # By key, the texts of the values; None for a delete.
        self.texts: dict[str, bytes | None] = {}
        self.size = 0
        # Who waits for a write of this batch, by its key, and with what result.
        self.waiters: list[tuple[str, Waiter, Any]] = []

    def __enter__(self) -> Batch:
        self._writer.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.leave(self, raised=error is not None)

    def taken(self) -> Awaitable[None]:
        """Fires with None once the relay has taken the whole batch for the network, also after a
        reconnect; may be called within the block and after it.

        Errbacks with BatchError if nothing of the batch was written, with MapClosed if the map is
        closed before that, with Superseded if a part of it was not kept.
        """
        if self.error is None and self._left == 0:
            return fired(None)
        deferred: Awaitable[None] = self._asked.wait()
        self._faint.keep()
        if self.error is not None:
            self._asked.fire(self.error)
        return deferred

    # -- what the writer tells --------------------------------------------------------------------

    def ended(self) -> None:
        """The block is at its end: now this waits for each of its writes."""
        self._left = len(self.texts)
        self.waiters += ((key, self._faint, None) for key in self.texts)
        if not self._left:
            self._asked.fire(None)

    def abandon(self, error: Exception) -> None:
        """Nothing of it is written."""
        self.errback(error)
        waiters, self.waiters = self.waiters, []
        for _, waiter, _ in waiters:
            waiter.errback(error)

    def callback(self, result: Any, /) -> None:
        """The relay has one of the writes: see :class:`distmap.writes.Waiter`."""
        assert self._left is not None
        self._left -= 1
        if not self._left and self.error is None:
            self._asked.fire(None)

    def errback(self, fail: Exception, /) -> None:
        """One of the writes will not be taken."""
        if self.error is None:
            self.error = fail
            self._asked.fire(fail)


class Writer:
    """The writing of one map, and reading that sees what an open batch has kept aside.

    Args:
        replica: the entries.
        writes: gets who waits for the relay.
        wrote: is told of what was written in one step.
        check_open: raises MapClosed once the map is closed.
    """

    def __init__(
        self,
        replica: Replica,
        writes: Writes,
        wrote: Callable[[list[Update]], None],
        check_open: Callable[[], None],
    ) -> None:
        self._replica = replica
        self._entries = replica.entries
        self._writes = writes
        self._wrote = wrote
        self._check_open = check_open
        self._batch: Batch | None = None  # the innermost one that is open

    # -- reading ----------------------------------------------------------------------------------

    def text(self, key: str) -> bytes | None:
        """The text of a key's value; None if it has none."""
        if self._batch is not None:
            for batch in self._batches():
                if key in batch.texts:
                    return batch.texts[key]
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def __len__(self) -> int:
        """How many keys have a value."""
        return self._replica.live if self._batch is None else sum(1 for _ in self.keys())

    def keys(self) -> Iterator[str]:
        """The keys that have a value."""
        if self._batch is None:
            return (key for key, _ in self._replica.items())
        aside: dict[str, bytes | None] = {}
        for batch in reversed(self._batches()):
            aside.update(batch.texts)
        old = [key for key, _ in self._replica.items() if aside.get(key, b"") is not None]
        known = set(old)
        return iter(old + [k for k, text in aside.items() if text is not None and k not in known])

    # -- writing ----------------------------------------------------------------------------------

    def set(self, key: str, value: object, waiter: Waiter | None = None) -> None:
        """Writes a value; the waiter gets None.

        Raises:
            InvalidKey, InvalidValue, InvalidType: no map can hold it.
            InvalidValue: the batch would be too large.
            MapClosed: the map is closed.
        """
        self._check_open()
        if self._batch is None:
            self._write(self._replica.set(key, value), waiter, None)
        else:
            key = values.check_key(key)
            self._put(key, values.encode(value, self._replica.max_value_bytes), waiter, None)

    def delete(self, key: str, waiter: Waiter | None = None) -> bool:
        """Deletes a key; the waiter gets True. False if there is no such key.

        Raises:
            InvalidKey, InvalidType: no map can hold such a key.
            InvalidValue: the batch would be too large.
            MapClosed: the map is closed.
        """
        self._check_open()
        if self._batch is None:
            update = self._replica.delete(key)
            if update is not None:
                self._write(update, waiter, True)
            return update is not None
        key = values.check_key(key)
        found = self.text(key) is not None
        if found:
            self._put(key, None, waiter, True)
        return found

    def _write(self, update: Update, waiter: Waiter | None, result: Any) -> None:
        if waiter is not None:
            self._writes.add(update, waiter, result)
        self._wrote([update])

    def _put(self, key: str, text: bytes | None, waiter: Waiter | None, result: Any) -> None:
        batch = self._batch
        assert batch is not None
        head = ENTRY_BYTES + len(_encode_key(key))
        size = batch.size + head + len(text or b"")
        for each in self._batches():
            if key in each.texts:
                size -= head + len(each.texts[key] or b"")
                break
        if size > MAX_BATCH_BYTES:
            raise InvalidValue(
                f"a batch is {MAX_BATCH_BYTES} bytes at most, and this would make it {size}"
            )
        batch.size = size
        batch.texts[key] = text
        if waiter is not None:
            batch.waiters.append((key, waiter, result))

    def _batches(self) -> list[Batch]:
        """Those that are open, the innermost first."""
        batches = []
        batch = self._batch
        while batch is not None:
            batches.append(batch)
            batch = batch.outer
        return batches

    # -- batches ----------------------------------------------------------------------------------

    def enter(self, batch: Batch) -> None:
        """A block begins.

        Raises:
            BatchError: the batch has had its block.
            MapClosed: the map is closed.
        """
        self._check_open()
        if batch.entered:
            raise BatchError("a batch is for one block: make another with batch()")
        batch.entered = True
        batch.outer = self._batch
        batch.size = 0 if batch.outer is None else batch.outer.size
        self._batch = batch

    def leave(self, batch: Batch, *, raised: bool) -> None:
        """A block is at its end, and raised or not.

        Raises:
            BatchError: it began in another block that has ended before.
            MapClosed: the map is closed.
        """
        overlap = BatchError("a batch ended before one within it: do not wait in a block")
        if batch.error is not None or batch is not self._batch:
            self._abandon(batch, overlap)
            if not raised:
                raise overlap
        elif raised:
            self._abandon(batch, BatchError("the block of the batch raised"))
        else:
            self._end(batch)

    def _abandon(self, batch: Batch, error: Exception) -> None:
        """Gives up a batch and those that began within it."""
        open_batches = self._batches()
        if batch in open_batches:
            self._batch = batch.outer
            for each in open_batches[: open_batches.index(batch) + 1]:
                each.abandon(error)

    def _end(self, batch: Batch) -> None:
        outer = batch.outer
        if outer is None and batch.texts:
            try:
                self._check_open()
            except Exception as error:
                self._abandon(batch, error)
                raise
        self._batch = outer
        batch.ended()
        if outer is None:
            self._write_all(batch)
        else:
            outer.size = batch.size
            outer.texts.update(batch.texts)
            outer.waiters += batch.waiters

    def _write_all(self, batch: Batch) -> None:
        """Writes a batch in one step."""
        entries = self._entries
        # A delete of what others have deleted meanwhile, or of what only this batch had set.
        live = {key for key in batch.texts if key in entries and entries[key].value is not None}
        texts = {k: text for k, text in batch.texts.items() if text is not None or k in live}
        olds = [entries[key].stamp for key in texts if key in entries]
        stamp = self._replica.clock.tick(max(olds, default=None)) if texts else None
        updates = {key: self._replica.rewrite(key, text, stamp) for key, text in texts.items()}
        for key, waiter, result in batch.waiters:
            if key in updates:
                self._writes.add(updates[key], waiter, result)
        if updates:
            self._wrote(list(updates.values()))
        for key, waiter, result in batch.waiters:
            if key not in updates:
                waiter.callback(result)
