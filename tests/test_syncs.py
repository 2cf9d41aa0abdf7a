"""distmap.syncs: one sync at a time, as many newcomers as can be served, and repairs."""

from __future__ import annotations

from typing import Any

from distmap import syncs
from distmap.clock import Stamp
from distmap.entries import Entry
from distmap.relay_server import RelayServer
from distmap.syncing import Refusing, Serving, Syncing
from tests.support.memory import NetworkTestCase


class SyncsTest(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.begun = self.refused = 0
        init, refuse = Syncing.__init__, Refusing.__init__

        def began(syncing: Syncing, *args: Any) -> None:
            self.begun += 1
            init(syncing, *args)

        def refusing(refusal: Refusing, *args: Any) -> None:
            self.refused += 1
            refuse(refusal, *args)

        self.patch(Syncing, "__init__", began)
        self.patch(Refusing, "__init__", refusing)

    @property
    def relay(self) -> RelayServer:
        assert self.network.relay is not None
        return self.network.relay

    def streams(self) -> int:
        return sum(len(each.link.mux.streams) for each in self.relay.connections if each.link)

    def test_a_busy_donor_refuses_and_another_serves(self) -> None:
        one, _ = self.open(2)
        one["a"] = 1
        self.network.settle()
        self.patch(syncs, "MAX_SERVING", 0)
        first: list[Any] = []
        serve = syncs.Syncs.serve

        def full(mine: syncs.Syncs, session: Any, client: str, **how: Any) -> None:
            first.append(mine)
            with_room = mine is not first[0]
            self.patch(syncs, "MAX_SERVING", 16 if with_room else 0)
            serve(mine, session, client, **how)

        self.patch(syncs.Syncs, "serve", full)
        late = self.network.open("/fruits")
        self.network.settle(1)
        self.assertEqual((late.status, late.synced), ("ready", "peer"))
        self.assertEqual((self.refused, len(first), dict(late)), (1, 2, {"a": 1}))
        self.network.settle(11)
        self.assertEqual(self.streams(), 3, "the refused stream is gone")

    def test_all_donors_busy(self) -> None:
        (mine,) = self.open(1)
        mine["a"] = 1
        self.patch(syncs, "MAX_SERVING", 0)
        late = self.network.open("/fruits")
        self.network.settle(1)
        self.assertEqual((late.status, late.synced, self.refused), ("ready", "alone", 1))
        self.patch(syncs, "MAX_SERVING", 16)
        # It believed to be alone, and the digests tell it that it is not.
        self.network.settle(30)
        self.assert_equal_maps([mine, late], {"a": 1})

    def test_leaving_while_it_refuses(self) -> None:
        (mine,) = self.open(1)
        self.patch(syncs, "MAX_SERVING", 0)
        self.patch(Refusing, "_step", lambda refusal: refusal._inbox.clear())
        self.network.open("/fruits")
        self.network.settle()
        self.assertEqual(self.refused, 1)
        mine.close()
        self.network.settle()

    def test_it_refuses_so_many_at_a_time(self) -> None:
        (mine,) = self.open(1)
        seat, session = mine._seat, mine.connection.session
        assert session is not None
        for number in range(syncs.MAX_SERVING + 10 * syncs.MAX_REFUSING):
            seat.serve(f"x.{number}")
        self.assertEqual(len(seat._syncs.serving), syncs.MAX_SERVING)
        self.assertEqual((len(seat._syncs.refusing), self.refused), (64, 64))
        self.network.settle(11)
        self.assertEqual((seat._syncs.serving, seat._syncs.refusing), (set(), set()))
        self.assertEqual((self.streams(), mine.status), (1, "ready"))

    def test_one_sync_at_a_time(self) -> None:
        one, two, three = self.open(3)
        one.update({f"k{at}": at for at in range(3000)})
        self.network.settle(1)
        late = self.network.open("/fruits")
        self.network.settle()
        self.begun = 0
        seat = late._seat
        session = seat._session
        assert session is not None
        for donor in (one, two, three, one):
            seat._syncs.begin(session, donor._seat.peer.id)
        self.assertEqual(self.begun, 4)
        for donor in (two, three):
            seat._syncs.begin(session, donor._seat.peer.id, repair=True)
        self.assertEqual(self.begun, 4, "a repair waits for what is under way")
        self.network.settle(12)
        self.assertEqual(late.status, "ready")
        self.assertEqual(sum(len(each._seat._syncs.serving) for each in (one, two, three)), 0)
        self.assertEqual(self.streams(), 4)

    def test_a_repair_that_finds_nothing_is_not_counted(self) -> None:
        one, two = self.open(2)
        one["a"] = 1
        self.network.settle()
        two._seat._repair(one._seat.peer.id)
        self.network.settle(1)
        self.assertEqual((one.divergences, two.divergences), (0, 0))
        self.assertEqual(two.status, "ready")

    def test_a_repair_brings_both_sides_and_the_others_up_to_date(self) -> None:
        maps = self.open(3)
        one, two, three = maps
        one["a"] = 1
        self.network.settle()
        now_ms = one._replica.clock.now_ms()
        for at, each in enumerate((one, two)):
            each._replica.merge(f"only{at}", Entry(Stamp(now_ms - 9000, at, "x"), b"%d" % at))
        told: list[Any] = []
        three.on("set", lambda value, key, shared: told.append((key, value)))
        two._seat._repair(one._seat.peer.id)
        self.network.settle(1)
        self.assert_equal_maps(maps, {"a": 1, "only0": 0, "only1": 1})
        self.assertEqual(sorted(told), [("only0", 0), ("only1", 1)])
        self.assertEqual([each.divergences for each in maps], [0, 1, 0])
        self.assertEqual([each.status for each in maps], ["ready"] * 3)

    def test_a_repair_whose_donor_leaves(self) -> None:
        one, two = self.open(2)
        self.patch(Serving, "_step", lambda serving: serving._inbox.clear())
        two._seat._repair(one._seat.peer.id)
        self.network.settle(1)
        one.close()
        self.network.settle(12)
        self.assertEqual((two.status, two.divergences), ("ready", 0))
        self.assertIsNone(two._seat._syncs._syncing)

    def test_a_repair_with_who_is_gone(self) -> None:
        (mine,) = self.open(1)
        mine._seat._repair("99999")
        self.network.settle(12)
        self.assertEqual((mine.status, mine.divergences), ("ready", 0))
        self.assertIsNone(mine._seat._syncs._syncing)

    def test_no_peer_serves_more_than_its_share(self) -> None:
        maps = self.open(4)
        maps[0].update({f"k{at}": at for at in range(200)})
        self.network.settle(1)
        most: dict[int, int] = {}
        served: dict[int, int] = {}
        serve = syncs.Syncs.serve

        def counting(mine: syncs.Syncs, session: Any, client: str, **how: Any) -> None:
            serve(mine, session, client, **how)
            served[id(mine)] = served.get(id(mine), 0) + 1
            most[id(mine)] = max(most.get(id(mine), 0), len(mine.serving))

        self.patch(syncs.Syncs, "serve", counting)
        crowd = [self.network.open("/fruits") for _ in range(100)]
        self.network.settle(2)
        for each in crowd:
            self.assertEqual((each.synced, len(each)), ("peer", 200))
        self.assertLessEqual(max(most.values()), 4)
        self.assertEqual(sum(served.values()), 100)
        self.assertLess(max(served.values()), 30)
