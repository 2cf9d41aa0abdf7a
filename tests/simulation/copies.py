"""A peer's copy of a map under watch: what it wrote, what it has had, and what it told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from distmap import Change, DistributedMap, Status
from distmap.clock import Stamp
from distmap.correction import Correction
from distmap.entries import Entry, wins
from distmap.errors import MapClosed, Superseded
from distmap.lww import Update
from distmap.peer import BY_PEER
from distmap.sync_donor import held_texts
from tests.simulation.batches import BatchWatch
from tests.simulation.writes import Witness, Write


class Copy:
    """A map on a connection, watched.

    Attributes:
        had: the greatest entry that ever was in place, by key.
        ready_at: since when it is ready; None while it is not.
        syncing_at: since when it is syncing; None while it is not.
        waiting: writes whose Deferred has not fired.
    """

    def __init__(self, witness: Witness, name: str, shared: DistributedMap, uri: str) -> None:
        self.name = name
        self.uri = uri
        self.had: dict[str, Entry] = {}
        self.ready_at: float | None = None
        self.syncing_at: float | None = None
        self.waiting: dict[int, Write] = {}
        self.writes: list[Write] = []
        self.became_ready = False
        self.closed = False
        self._told: dict[str, Any] | None = None  # the map as its events tell it
        self._foreign: dict[str, Stamp] = {}
        # What the first write of each key replaced that waits, and that of those set aside.
        self._bases: dict[str, Stamp | None] = {}
        self._aside: dict[str, Stamp | None] = {}
        self._latest_foreign = (0, 0)
        self._latest_own = (0, 0)
        self._away = False
        self._writing = False
        self._restamping = False
        self._donor: Copy | None = None
        self._offered: dict[str, Entry] = {}
        self._witness = witness
        self.map = shared
        self.replica = self.map._replica
        # A map in Node writes key by key.
        is_ours = isinstance(shared, DistributedMap)
        self._batches = BatchWatch(witness, name, shared) if is_ours else None
        self._hook(self.replica, "_place", self._placed)
        self._hook(self.replica, "_place_many", self._placed_many)
        self._hook(self.replica, "restamp", self._restamped)
        self._hook(self.replica, "rewrite", self._rewritten)
        self._hook(self.replica, "hold", self._holds)
        self._hook(self._correction, "begin", self._is_corrected)
        self._hook(self.replica, "forget", self._forgets)
        self._hook(self.map._seat, "begin_sync", self._begins_sync)
        self._hook(self.map._seat, "became_ready", self._becomes_ready)
        self._status_changed(self.map.status)
        self.map.on("status", self._status_changed)
        self.map.on("ready", self._first_ready)
        self.map.observe(self._changed)
        self.map.on("superseded", self._superseded)
        self.map.ready().addCallbacks(self._ready_fired, self._ready_failed)

    def __repr__(self) -> str:
        return f"<Copy {self.name}{self.uri}>"

    def _hook(self, owner: object, name: str, hook: Callable[..., Any]) -> None:
        setattr(owner, name, partial(hook, getattr(owner, name)))

    # -- writing ----------------------------------------------------------------------------------

    def set(self, key: str, value: Any, *, plainly: bool = False) -> None:
        """Writes a value; plainly: with no Deferred."""
        deferred = None
        self._writing = True
        if plainly:
            self.map[key] = value
        else:
            deferred = self.map.set(key, value)
        self._writing = False
        self._log(key, deferred)

    def delete(self, key: str, *, plainly: bool = False) -> None:
        """Deletes a key, if it is there."""
        if key not in self.map:
            if not plainly:
                self.map.delete(key).addCallback(self._deleted_nothing)
            return
        deferred = None
        self._writing = True
        if plainly:
            del self.map[key]
        else:
            deferred = self.map.delete(key)
        self._writing = False
        self._log(key, deferred)

    def batch(self, values: dict[str, Any], *, plainly: bool = False) -> None:
        """Writes many keys together; those of None are deleted. Plainly: with no Deferreds."""
        if self._batches is None:
            for key, value in values.items():
                if value is None:
                    self.delete(key, plainly=plainly)
                else:
                    self.set(key, value, plainly=plainly)
            return
        deferreds: dict[str, Deferred[Any]] = {}
        before = dict(self.replica.entries)
        with self.map.batch() as batch:
            for key, value in values.items():
                if plainly and value is not None:
                    self.map[key] = value
                elif plainly:
                    self.map.pop(key, None)
                elif value is not None:
                    deferreds[key] = self.map.set(key, value)
                elif key in self.map:
                    deferreds[key] = self.map.delete(key)
            self._writing = True  # all is written at the end
        self._writing = False
        keys = [key for key in values if self.replica.entries.get(key) is not before.get(key)]
        self._log_batch(keys, deferreds)
        if not plainly:
            writes = self.writes[len(self.writes) - len(keys) :]
            batch.taken().addCallbacks(self._all_taken, self._not_all_taken, (writes,))

    def _log_batch(self, keys: list[str], deferreds: dict[str, Deferred[Any]]) -> None:
        if len({self.replica.entries[key].stamp for key in keys}) > 1:
            self._witness.broken(f"{self} wrote a batch with several stamps: {keys}")
        latest = self._latest_own
        for key in keys:
            self._latest_own = latest  # they have one stamp
            self._log(key, deferreds.get(key))

    def _all_taken(self, result: object, writes: list[Write]) -> None:
        if any(write.settled != "taken" for write in writes):
            self._witness.broken(f"{self} has a batch taken, and not all of its writes")

    def _not_all_taken(self, failure: Failure) -> None:
        if not failure.check(Superseded) and not (failure.check(MapClosed) and self.closed):
            self._witness.broken(f"a batch of {self} failed: {failure.value!r}")

    def _deleted_nothing(self, found: bool) -> None:
        if found:
            self._witness.broken(f"{self} deleted what it did not have")

    def _log(self, key: str, deferred: Deferred[Any] | None) -> None:
        entry = self.replica.entries[key]
        write = Write(self, key, entry.stamp, entry.value, self._witness.now)
        self._witness.trace(self.name, "writes", self.uri, key, entry.stamp, entry.value)
        seen = max(self._latest_foreign, self._latest_own)
        if entry.stamp.when <= seen and not self._correction.is_on:
            self._witness.broken(f"{self} wrote {entry.stamp}, not later than what it saw: {seen}")
        self._latest_own = entry.stamp.when
        self.writes.append(write)
        self._witness.written(write)
        if deferred is not None:
            self.waiting[id(write)] = write
            deferred.addCallbacks(self._taken, self._refused, (write,), {}, (write,), {})

    def _taken(self, result: object, write: Write) -> None:
        self.waiting.pop(id(write), None)
        write.settled = "taken"
        if self._batches is not None:
            self._batches.taken(write)
        self._witness.taken(write)

    def _refused(self, failure: Failure, write: Write) -> None:
        self.waiting.pop(id(write), None)
        if failure.check(Superseded):
            write.settled = "superseded"
            return
        write.settled = "closed"
        if not (failure.check(MapClosed) and self.closed):
            self._witness.broken(f"a write of {self} failed: {failure.value!r}")

    # -- what the replica does --------------------------------------------------------------------

    def _placed(self, place: Callable[..., Update], key: str, entry: Entry, old: Any) -> Update:
        update = place(key, entry, old)
        if self._restamping:
            return update
        if entry.value is None:
            self._witness.deleted(self.uri, key, entry.stamp)
        before = self.had.get(key)
        goes_back = before is not None and not wins(key, entry, before)
        if goes_back and not (self._witness.deceived or self._correction.is_on):
            self._witness.broken(f"{self} went back at {key}: from {before} to {entry}")
        self.had[key] = entry
        if self._writing and key not in self.map._seat.peer.outbox:
            self._bases[key] = None if old is None else old.stamp
        if not self._writing:
            self._foreign[key] = entry.stamp
            self._latest_foreign = max(self._latest_foreign, entry.stamp.when)
        return update

    def _placed_many(self, place_many: Callable[..., list[Update]], fresh: Any) -> list[Update]:
        updates = place_many(fresh)
        for update in updates:
            self._placed(lambda *_, done=update: done, update.key, update.entry, update.old)
        return updates

    def _restamped(self, restamp: Callable[..., list[Update]], *args: Any) -> list[Update]:
        old = {key: self.replica.entries[key].stamp for key in args[0]}
        self._restamping = True
        updates = restamp(*args)
        self._restamping = False
        if len({(old[each.key], each.entry.stamp) for each in updates}) > len(set(old.values())):
            self._witness.broken(f"{self} gave a batch several stamps: {updates}")
        for each in updates:
            self._stamped_anew(each.key, each.entry)
        return updates

    def _rewritten(
        self, rewrite: Callable[..., Update], key: str, value: Any, stamp: Stamp | None = None
    ) -> Update:
        if self._writing:
            return rewrite(key, value, stamp)  # by the user
        if key in self._aside:
            base, now = self._aside.pop(key), self.replica.entries.get(key)
            if base != (None if now is None else now.stamp):
                self._witness.broken(f"{self} offers {key}, of {base}, though there is {now} now")
        self._writing = True
        update = rewrite(key, value, stamp)
        self._writing = False
        self._stamped_anew(key, update.entry)
        return update

    def _stamped_anew(self, key: str, entry: Entry) -> None:
        self._witness.trace(self.name, "stamps anew", key, entry.stamp)
        foreign = self._foreign.get(key)
        if foreign is not None and entry.stamp <= foreign:
            self._witness.broken(f"{self} stamped {key} anew before what it replaced: {entry}")
        self.had[key] = entry
        self._latest_own = max(self._latest_own, entry.stamp.when)
        if entry.value is None:
            self._witness.deleted(self.uri, key, entry.stamp)
        for write in self.writes:
            if write.key == key and write.stamp > entry.stamp:
                write.stamp, write.anew = entry.stamp, True
        self._witness.written(Write(self, key, entry.stamp, entry.value, self._witness.now))

    def _holds(self, hold: Callable[[str], None], key: str) -> None:
        """What its wrong clock had let in is out again."""
        hold(key)
        del self.had[key]
        self._foreign.pop(key, None)
        self._latest_foreign = max((s.when for s in self._foreign.values()), default=(0, 0))

    def _is_corrected(self, begin: Callable[[], None]) -> None:
        begin()
        self._latest_own = (0, 0)
        self._latest_foreign = max((s.when for s in self._foreign.values()), default=(0, 0))

    @property
    def _correction(self) -> Correction:
        return self.map._seat.peer.time.correction

    def _forgets(self, forget: Callable[[str], Update], key: str) -> Update:
        """A write is set aside."""
        update = forget(key)
        self._witness.trace(self.name, "sets aside", self.uri, key, update.entry.stamp)
        del self.had[key]
        self._foreign.pop(key, None)
        self._aside.setdefault(key, self._bases[key])
        return update

    @property
    def is_syncing(self) -> bool:
        """Whether it talks with a donor."""
        return self.map._seat._syncs._syncing is not None

    @property
    def serving(self) -> int:
        """How many newcomers it serves."""
        return len(self.map._seat._syncs.serving)

    def has(self, key: str, stamp: Stamp) -> bool:
        """Whether an entry is here, or waits for its time, or a later one is."""
        entry = self.replica.entries.get(key)
        if entry is not None and entry.stamp >= stamp:
            return True
        return any(k == key and e.stamp >= stamp for k, e in self.replica.held)

    # -- what the seat does -----------------------------------------------------------------------

    def _begins_sync(self, begin_sync: Callable[..., None], donor: str) -> None:
        self._away = self.replica.known_ms is not None
        self._donor = self._witness.copy_of(self.uri, donor)
        self._offered = dict(self._donor.replica.entries) if self._donor is not None else {}
        self._witness.trace(self.name, "syncs", self.uri, donor)
        begin_sync(donor)
        if self._donor is not None:
            self._witness.syncs(self, self._donor)

    def _becomes_ready(self, became_ready: Callable[..., None], how: str) -> None:
        donor, self._donor = self._donor, None
        if how == BY_PEER and donor is not None:
            for key, entry in self._offered.items():
                # What the donor has stamped anew meanwhile it never gave to anybody.
                had = donor.had.get(key, entry)
                if not self.has(key, min(entry.stamp, had.stamp)):
                    if self._witness.may_be_gone(self.uri, key, entry.stamp):
                        continue
                    self._witness.broken(f"{self} is ready without {key}: {entry} of {donor}")
                    break
            for replica in (self.replica, donor.replica):
                if len(held_texts(replica)) < len(replica.held):
                    self._witness.left_alone(self, "with a part of what is held")
        elif how == BY_PEER:
            # A liar can make it believe that it knows of all deletes since it was away.
            self._witness.deceived = self._witness.deceived or self._away
            self._witness.left_alone(self, "by a liar")
        else:
            self._witness.left_alone(self, "by the relay")
        self._aside.clear()
        became_ready(how)

    # -- what the map tells -----------------------------------------------------------------------

    def _status_changed(self, status: Status) -> None:
        self._witness.trace(self.name, "is", self.uri, status, status.code)
        now = self._witness.now
        self.ready_at = now if status == "ready" else None
        self.syncing_at = now if status == "syncing" else None

    def _first_ready(self, shared: DistributedMap) -> None:
        self._told = dict(shared)

    def _changed(self, change: Change) -> None:
        if self._told is None:
            return
        if self._told.get(change.key) != change.old_value:
            self._witness.broken(f"{self} told another old value of {change.key} than before")
        if change.deleted:
            self._told.pop(change.key, None)
        else:
            self._told[change.key] = change.value

    def _superseded(self, value: object, key: str, shared: DistributedMap) -> None:
        self._witness.trace(self.name, "gives up", self.uri, key)
        for write in self.writes:
            if write.key == key:
                write.settled = "superseded"

    def check_told(self) -> None:
        """Whether the events tell the same as the map."""
        told, shared = self._told, dict(self.map)
        if told is not None and told != shared:
            self._witness.broken(f"{self} told other changes than there were")

    def _ready_fired(self, shared: DistributedMap) -> None:
        self.became_ready = True

    def _ready_failed(self, failure: Failure) -> None:
        if not (failure.check(MapClosed) and self.closed):
            self._witness.broken(f"ready of {self} failed: {failure.value!r}")

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Leaves the map."""
        self.closed = True
        self._witness.trace(self.name, "leaves", self.uri)
        self.map.close()
        self.check_closed()

    def check_closed(self) -> None:
        """Whether all is over."""
        if self.waiting:
            self._witness.broken(f"{self} is closed, and {len(self.waiting)} writes wait on")
        if self.map.status != "closed":
            self._witness.broken(f"{self} is closed, and its status is {self.map.status}")
        self.ready_at = self.syncing_at = None
