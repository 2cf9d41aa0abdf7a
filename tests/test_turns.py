"""How much one turn of the reactor does: a bound that does not depend on how large the map is.

Counted are the entries that are encoded, decoded, hashed and placed, one call of the clock at a
time; seconds are measured by ``python -m benchmarks.turns``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from distmap import (
    DistributedMap,
    aside,
    correction,
    lww,
    merging,
    outbox,
    peer,
    sync_donor,
)
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.relay_server import RelayOptions
from distmap.testing import START_SECONDS, Network
from tests.support.authorizers import Scripted
from tests.support.memory import NetworkTestCase
from tests.support.quick_clock import QuickClock
from tests.support.rejoin import fill

SMALL, LARGE = 5_000, 100_000
BOUND = 2_500
"""Entries a turn, of each kind of work. What comes in one turn is a message of 256 KiB at most, of
which an entry has, or counts as, over 110 bytes."""


class TurnsTest(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = QuickClock(START_SECONDS)
        self.network = Network(self.clock)
        self.work: Counter[str] = Counter()
        for module in (sync_donor, outbox, peer):
            self.count(module, "encode_entry")
        self.count(merging, "decode_entries", size=lambda texts, _: len(texts))
        self.count(sync_donor, "make_columns", size=lambda keys, _: len(keys))
        self.count(merging, "read_columns", size=lambda columns, _: len(columns.keys))
        self.count(lww, "entry_hash")
        self.count(lww.Replica, "_place")
        self.count(lww.Replica, "_place_many", size=lambda _, fresh: len(fresh))
        self.count(lww.Replica, "forget")
        self.count(lww.Replica, "restamp", size=lambda _, keys, stamps: len(keys))
        self.count(correction.Correction, "_look_at", size=lambda _, keys: len(keys))
        self.count(outbox.Outbox, "sweep", size=lambda one, most, _: min(most, len(one._back)))
        self.count(aside.Aside, "_take")

    def count(self, owner: object, name: str, size: Callable[..., int] = lambda *args: 1) -> None:
        """Counts the calls of a function, or the entries that it is given."""
        call: Callable[..., Any] = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            self.work[name] += size(*args)
            return call(*args, **kwargs)

        self.patch(owner, name, counting)

    def settle(
        self, until: Callable[[], bool], seconds: float = 20.0, *, at_once: bool = False
    ) -> Counter[str]:
        """Runs turn by turn until something holds; at once: all that is due comes later.

        Returns:
            The most entries that one turn worked on, for each kind of work.
        """
        self.work.clear()
        most: Counter[str] = Counter()
        end = self.clock.seconds() + seconds
        while not until():
            self.assertLess(self.clock.seconds(), end)
            while not (at_once and until()) and self.clock.step():
                most |= self.work
                self.work.clear()
            self.clock.rightNow += 0.01
        return most

    def ready(self, *maps: DistributedMap) -> Callable[[], bool]:
        return lambda: all(each.status == "ready" for each in maps)

    def open_ready(self, maps: int) -> list[DistributedMap]:
        """So many new maps of one URI."""
        opened = [self.network.open(f"/{len(self.network._connectors)}")]
        opened += [self.network.open(opened[0].uri) for _ in range(maps - 1)]
        self.settle(self.ready(*opened))
        return opened

    def bounded(self, run: Callable[[int], Counter[str]], **most: int) -> None:
        """The bounds hold at both sizes."""
        for count in (SMALL, LARGE):
            turns = run(count)
            self.assertGreater(turns["_place"] + turns["_place_many"], 0)
            for kind, entries in turns.items():
                self.assertLessEqual(entries, most.get(kind, BOUND), (kind, count))

    # -- what is done with a large map ------------------------------------------------------------

    def join(self, count: int) -> Counter[str]:
        (mine,) = self.open_ready(1)
        fill([mine], count)
        newcomer = self.network.open(mine.uri)
        turns = self.settle(self.ready(newcomer))
        self.assertEqual(len(newcomer), count)
        return turns

    def bring(self, count: int) -> Counter[str]:
        donor, third, newcomer = self.open_ready(3)
        self.network.cut(newcomer.connection)
        fill([newcomer], count)
        turns = self.settle(lambda: len(third) == count)
        self.assertEqual(len(donor), count)
        return turns

    def go_online(self, count: int) -> Counter[str]:
        mine, theirs = self.open_ready(2)
        self.network.cut(mine.connection)
        for at in range(count):
            mine[f"key-{at}"] = "x" * 58
        turns = self.settle(lambda: len(theirs) == count)
        self.assertEqual(dict(mine), dict(theirs))
        return turns

    def come_back_changed(self, count: int) -> Counter[str]:
        return self.come_back(count, count // 10)

    def come_back(self, count: int, changed: int = 10) -> Counter[str]:
        donor, newcomer = self.open_ready(2)
        self.network.cut(newcomer.connection)
        fill([donor, newcomer], count)
        for at in range(0, count, count // changed):
            donor._replica.set(f"key-{at}", "y")
            newcomer._replica.set(f"only-{at}", "z")
        self.settle(lambda: newcomer.status == "offline")
        turns = self.settle(self.ready(newcomer))
        self.assertEqual(donor.digest(), newcomer.digest())
        return turns

    def leave_for_long(self, count: int) -> tuple[DistributedMap, DistributedMap]:
        """One of two writes so many keys, and is away for so long that deletes are forgotten."""
        home, away = self.open_ready(2)
        home["kept"] = 0
        self.settle(lambda: "kept" in away)
        for each in (home, away):
            each._replica.retention_ms = 1000
        self.network.cut(away.connection)
        self.settle(lambda: away.status == "offline")
        for at in range(count):
            away[f"key-{at}"] = "x" * 58
        self.clock.rightNow += 5
        home._replica.floor_ms = home._replica.clock.latest_ms() - 1000
        return home, away

    def offer(self, count: int) -> Counter[str]:
        home, away = self.leave_for_long(count)
        home["key-7"] = "theirs"
        given_up: list[str] = []
        away.on("superseded", lambda value, key, shared: given_up.append(key))
        turns = self.settle(lambda: len(home) == len(away) == count + 1)
        self.assertEqual((turns["forget"] > 0, given_up), (True, ["key-7"]))
        self.assertEqual(dict(home), dict(away))
        return turns

    def restore(self, count: int) -> Counter[str]:
        home, away = self.leave_for_long(count)
        absence = away._seat.peer.absence
        turns = self.settle(lambda: len(absence.aside) == count, at_once=True)
        self.assertEqual(len(away), 1)
        home.connection.close()
        turns |= self.settle(self.ready(away))
        self.assertEqual((away.peers, len(away)), (0, count + 1))
        return turns

    def take_back(self, count: int) -> Counter[str]:
        self.network.close()
        self.network = Network(self.clock, options=RelayOptions(authorizer=Scripted()))
        home = self.network.open(credentials="write")
        access = ["read", "write"]
        away = self.network.open(credentials=access.pop)
        self.settle(self.ready(home, away))
        fill([home, away], count // 2)
        self.network.cut(away.connection)
        self.settle(lambda: away.status == "offline")
        refused: list[Failure] = []
        for at in range(count):
            away.set(f"key-{at}", "x" * 58).addErrback(refused.append)
        turns = self.settle(self.ready(away))
        self.assertEqual((away.access, len(refused), len(away)), ("read", count, count // 2))
        self.assertGreater(turns["forget"], 0)
        self.assertEqual(home.digest(), away.digest())
        return turns

    def correct(self, count: int) -> Counter[str]:
        mine, theirs = self.open_ready(2)
        fill([mine, theirs], count // 2)
        self.network.cut(mine.connection)
        self.settle(lambda: mine.status == "offline")
        clock = mine._replica.clock
        clock.offset_ms += 3_600_000
        for at in range(count // 2):
            mine[f"own-{at}"] = "x" * 58
        turns = self.settle(lambda: len(theirs) == count)
        self.assertLess(mine.stamp("own-0").ms, mine.now_ms() + 1000)  # type: ignore[union-attr]
        self.assertEqual(mine.digest(), theirs.digest())
        return turns

    def take_old(self, count: int) -> Counter[str]:
        donor, newcomer = self.open_ready(2)
        self.network.cut(newcomer.connection)
        self.settle(lambda: newcomer.status == "offline")
        self.settle(lambda: newcomer.status == "syncing", at_once=True)
        aside = newcomer._seat.peer.doubts.aside
        assert aside is not None
        for at in range(count):
            aside[f"key-{at}"] = Entry(Stamp(at + 1, 0, "w"), b"1")
        turns = self.settle(self.ready(newcomer))
        self.assertEqual(len(newcomer), count)
        donor.close()
        return turns

    # -- how much of it in one turn ---------------------------------------------------------------

    def test_join(self) -> None:
        """The donor sends all that it has, and the newcomer takes it."""
        self.bounded(self.join)

    def test_a_newcomer_that_brings_everything(self) -> None:
        """It hands over all that it has, and the donor tells a third one."""
        self.bounded(self.bring)

    def test_writes_made_offline(self) -> None:
        """A large outbox goes online, and another map takes what comes."""
        self.bounded(self.go_online)

    def test_a_rejoin(self) -> None:
        """Both sides hash all that they have, some in each turn, and find what differs."""
        self.bounded(self.come_back)
        self.bounded(self.come_back_changed)

    def test_a_clock_correction(self) -> None:
        """What a clock an hour ahead has stamped is stamped anew."""
        self.bounded(self.correct)

    def test_what_came_too_early(self) -> None:
        """Old entries that came during a sync are taken at its end."""
        self.bounded(self.take_old)

    def test_writes_of_one_that_may_only_read(self) -> None:
        """They are taken back: what they had replaced is here again."""
        self.bounded(self.take_back)

    def test_writes_of_a_long_absence(self) -> None:
        """They are set aside, and offered again."""
        self.bounded(self.offer)

    def test_writes_of_a_long_absence_that_nobody_knows_better(self) -> None:
        """They are set aside, and go on when the donor leaves."""
        self.bounded(self.restore)
