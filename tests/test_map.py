"""distmap.map: the public map, on the real client and relay in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from distmap import Change, DistributedMap, errors
from distmap.entries import encode_entry
from distmap.options import LARGEST_VALUE_BYTES
from distmap.testing import Network
from distmap.values import MAX_KEY_BYTES
from tests.support.memory import NetworkTestCase


class ReadingAndWriting(NetworkTestCase):
    def test_mutable_mapping(self) -> None:
        mine, theirs = self.open(2)
        mine["apple"] = 3
        mine.update(pear=[1, {"a": None}], plum="x")
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"apple": 3, "pear": [1, {"a": None}], "plum": "x"})
        self.assertEqual(theirs.pop("plum"), "x")
        self.assertEqual(theirs.setdefault("apple", 5), 3)
        self.assertEqual(theirs.get("none", 7), 7)
        self.assertTrue(theirs.has("apple"))
        self.assertFalse("plum" in theirs)
        self.network.settle()
        self.assertEqual(sorted(mine.keys()), ["apple", "pear"])
        self.assertEqual(next(iter(mine.items())), ("apple", 3))
        self.assertIn(3, mine.values())
        mine.clear()
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {})

    def test_missing_keys(self) -> None:
        (mine,) = self.open(1)
        with self.assertRaises(KeyError):
            mine["none"]
        with self.assertRaises(KeyError):
            del mine["none"]
        self.assertIs(self.successResultOf(mine.delete("none")), False)
        mine["a"] = 1
        deleted = mine.delete("a")
        self.network.settle()
        self.assertIs(self.successResultOf(deleted), True)
        with self.assertRaises(KeyError):
            del mine["a"]

    def test_bad_keys_and_values_fail_at_the_call(self) -> None:
        mine, theirs = self.open(2)
        for key, error in (("", ValueError), ("x" * 1025, ValueError), (3, TypeError)):
            with self.assertRaises(error):
                mine[key] = 1  # type: ignore[index]
            with self.assertRaises(error):
                mine.set(key, 1)  # type: ignore[arg-type]
        for value, kind in ((float("nan"), ValueError), ({1}, TypeError), (2**53, ValueError)):
            with self.assertRaises(kind):
                mine["a"] = value
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {})
        self.assertEqual(theirs.status, "ready")

    def test_each_reading_is_a_new_object(self) -> None:
        (mine,) = self.open(1)
        value = [1]
        mine["a"] = value
        value.append(2)
        mine["a"].append(3)
        self.assertEqual(mine["a"], [1])

    def test_stamps(self) -> None:
        mine, theirs = self.open(2)
        changes: list[Change] = []
        theirs.observe(changes.append)
        mine["apple"] = 3
        self.network.settle()
        stamp = theirs.stamp("apple")
        assert stamp is not None
        self.assertEqual((stamp.ms, stamp.writer), (changes[0].time_ms, changes[0].writer))
        self.assertEqual(mine.stamp("apple"), stamp)
        self.assertIsNone(mine.stamp("none"))
        self.network.settle(60)
        for each in (mine, theirs):
            self.assertApproximates(each.now_ms() - stamp.ms, 60_000, 1000)
        del mine["apple"]
        self.assertIsNone(mine.stamp("apple"))

    def test_digest(self) -> None:
        mine, theirs = self.open(2)
        self.assertEqual(mine.digest(), "0" * 13)
        mine["apple"] = 3
        one = mine.digest()
        self.assertRegex(one, "^[0-9a-f]{13}$")
        self.network.settle()
        self.assertEqual(theirs.digest(), one)
        del theirs["apple"]
        self.assertNotEqual(theirs.digest(), one)
        self.assertNotEqual(theirs.digest(), "0" * 13)

    def test_bytes_are_counted(self) -> None:
        """Also over reconnects; the codec's bytes, whatever the wire adds."""
        mine, theirs = self.open(2)
        connection = mine.connection
        received, sent = connection.bytes_received, connection.bytes_sent
        self.assertGreater(min(received, sent), 50)
        mine["é"] = "🍎" * 1000
        self.network.settle()
        self.assertTrue(4000 < connection.bytes_sent - sent < 4300)
        self.assertTrue(4000 < theirs.connection.bytes_received - received < 4600)
        self.network.cut(connection)
        self.network.settle(30)
        self.assertEqual(mine.status, "ready")
        self.assertGreater(connection.bytes_received, received + 50)

    def test_own_value_limit(self) -> None:
        small = DistributedMap(self.network.connect(), "/small", max_value_bytes=10)
        small["a"] = "x" * 8
        with self.assertRaises(errors.InvalidValue):
            small["a"] = "x" * 9

    def test_uri_rules(self) -> None:
        connection = self.network.connect()
        for uri in ("", "/" + "x" * 900):
            with self.assertRaises(ValueError):
                DistributedMap(connection, uri)

    def test_last_writer_wins(self) -> None:
        mine, theirs = self.open(2)
        mine["a"] = "first"
        self.network.clock.advance(0.01)
        theirs["a"] = "second"
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": "second"})

    def test_two_maps_of_one_uri_on_one_connection(self) -> None:
        connection = self.network.connect()
        one, two = (DistributedMap(connection, "/same") for _ in range(2))
        other = DistributedMap(connection, "/other")
        self.network.settle()
        one["a"] = 1
        self.network.settle()
        self.assertEqual(dict(two), {"a": 1})
        self.assertEqual(dict(other), {})
        self.assertEqual((one.peers, two.peers, other.peers), (1, 1, 0))


class Readiness(NetworkTestCase):
    def test_alone_and_by_peer(self) -> None:
        first = self.network.open()
        self.assertEqual((first.synced, first.status), (None, "connecting"))
        waiting = first.ready()
        self.assertNoResult(waiting)
        self.network.settle()
        self.assertIs(self.successResultOf(waiting), first)
        self.assertEqual(first.synced, "alone")
        second = self.network.open()
        self.network.settle()
        self.assertIs(self.successResultOf(second.ready()), second)
        self.assertEqual(second.synced, "peer")
        self.assertEqual((first.peers, second.peers), (1, 1))

    def test_ready_handlers(self) -> None:
        seen: list[Any] = []
        first = self.network.open()
        first.on("ready", lambda shared: seen.append(("early", shared)))
        self.network.settle()
        first.on("ready", lambda shared: seen.append(("late", shared)))
        self.assertEqual(seen, [("early", first), ("late", first)])

    def test_writes_before_ready_are_merged(self) -> None:
        (first,) = self.open(1)
        first["theirs"] = 1
        self.network.settle()
        second = self.network.open("/fruits")
        second["mine"] = 2
        self.network.settle()
        self.assert_equal_maps([first, second], {"theirs": 1, "mine": 2})

    def test_no_events_before_ready(self) -> None:
        (first,) = self.open(1)
        first["a"] = 1
        second = self.network.open("/fruits")
        seen: list[Any] = []
        second.on("set", lambda *args: seen.append(args))
        second.observe(seen.append)
        self.network.settle()
        self.assertEqual(seen, [])
        self.assertEqual(dict(second), {"a": 1})


class Events(NetworkTestCase):
    def test_set_and_delete_of_peers(self) -> None:
        mine, theirs = self.open(2)
        seen: list[Any] = []
        mine.on("set", lambda value, key, shared: seen.append(("set", value, key, shared)))
        mine.on("delete", lambda old, key, shared: seen.append(("delete", old, key, shared)))
        mine["own"] = 0
        theirs["a"] = [1]
        self.network.settle()
        del theirs["a"]
        self.network.settle()
        self.assertEqual(seen, [("set", [1], "a", mine), ("delete", [1], "a", mine)])

    def test_observe(self) -> None:
        mine, theirs = self.open(2)
        changes: list[Change] = []
        stop = mine.observe(changes.append)
        mine["a"] = 1
        self.network.clock.advance(1)
        theirs["a"] = 2
        self.network.settle()
        theirs.delete("a")
        self.network.settle()
        stop()
        theirs["a"] = 3
        self.network.settle()
        told = [(c.key, c.value, c.old_value, c.deleted, c.local) for c in changes]
        self.assertEqual(
            told,
            [("a", 1, None, False, True), ("a", 2, 1, False, False), ("a", None, 2, True, False)],
        )
        self.assertEqual(changes[1].writer, changes[2].writer)
        self.assertNotEqual(changes[0].writer, changes[1].writer)
        self.assertEqual(changes[1].time_ms, int(self.network.clock.seconds() * 1000))

    def test_a_handler_that_raises_stops_nothing(self) -> None:
        mine, theirs = self.open(2)
        seen: list[str] = []
        mine.on("set", lambda *_: 1 / 0)
        mine.on("set", lambda value, key, shared: seen.append(key))
        theirs["a"] = 1
        self.network.settle()
        self.assertEqual(seen, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_off(self) -> None:
        mine, theirs = self.open(2)
        seen: list[str] = []

        def handler(value: Any, key: str, shared: DistributedMap) -> None:
            seen.append(key)

        mine.on("set", handler)
        mine.off("set", handler)
        mine.off("set", handler)
        mine.on("set", handler)()
        theirs["a"] = 1
        self.network.settle()
        self.assertEqual(seen, [])
        with self.assertRaises(errors.InvalidValue):
            mine.on("sets", handler)

    def test_a_handler_may_close_the_map(self) -> None:
        mine, theirs = self.open(2)
        mine.on("set", lambda value, key, shared: shared.close())
        theirs.update({"a": 1, "b": 2})
        self.network.settle()
        self.assertEqual(mine.status, "closed")
        self.assertEqual(theirs.peers, 0)

    def test_a_handler_may_write(self) -> None:
        mine, theirs = self.open(2)

        def answer(value: Any, key: str, shared: DistributedMap) -> None:
            if key == "question":
                shared["answer"] = value + 1

        mine.on("set", answer)
        theirs["question"] = 1
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"question": 1, "answer": 2})

    def test_peers_and_status_events(self) -> None:
        mine = self.network.open()
        seen: list[Any] = []
        mine.on("status", lambda status: seen.append(str(status)))
        mine.on("peers", seen.append)
        self.network.settle()
        other = self.network.open()
        self.network.settle()
        other.close()
        self.network.settle()
        self.assertEqual(seen, ["syncing", "ready", 1, 0])


class WritesAndAcknowledgements(NetworkTestCase):
    def test_fires_once_the_relay_has_it(self) -> None:
        network = Network(delay_seconds=0.1)
        self.addCleanup(network.close)
        mine = network.open()
        network.settle(2)
        taken = mine.set("a", 1)
        network.settle(0.15)
        self.assertNoResult(taken)
        network.settle(0.1)
        self.assertIsNone(self.successResultOf(taken))

    def test_offline_writes_fire_after_the_reconnect(self) -> None:
        mine, theirs = self.open(2)
        self.network.stop_relay()
        first, second, deleted = mine.set("a", 1), mine.set("a", 2), mine.set("b", 1)
        gone = mine.delete("b")
        self.network.settle(3)
        for each in (first, second, deleted, gone):
            self.assertNoResult(each)
        self.network.start_relay()
        self.network.settle(12)
        for each in (first, second, deleted):
            self.assertIsNone(self.successResultOf(each))
        self.assertIs(self.successResultOf(gone), True)
        self.assert_equal_maps([mine, theirs], {"a": 2})

    def test_close_fails_what_is_pending(self) -> None:
        mine, _ = self.open(2)
        self.network.stop_relay()
        pending, ready = mine.set("a", 1), self.network.open().ready()
        self.successResultOf(mine.close())
        self.failureResultOf(pending, errors.MapClosed)
        self.assertNoResult(ready)
        self.network.close()
        self.failureResultOf(ready, errors.MapClosed)

    def test_a_closed_map(self) -> None:
        (mine,) = self.open(1)
        mine["a"] = 1
        self.network.settle()
        self.successResultOf(mine.close())
        self.successResultOf(mine.close())
        self.assertEqual((mine.status, mine.peers, mine["a"]), ("closed", 0, 1))
        writes: list[Any] = [
            lambda: mine.set("a", 2),
            lambda: mine.delete("a"),
            lambda: mine.pop("a"),
        ]
        for write in writes:
            with self.assertRaises(errors.MapClosed):
                write()

    def test_close_right_after_set_hands_it_over(self) -> None:
        """What was written in the same turn still leaves; only its acknowledgement is missed."""
        mine, theirs = self.open(2)
        mine["a"] = 1
        mine.close()
        self.network.settle()
        self.assertEqual(dict(theirs), {"a": 1})

    def test_awaited_in_both_kinds_of_coroutine(self) -> None:
        (mine,) = self.open(1)

        async def modern() -> Any:
            await mine.set("a", 1)
            return await mine.delete("a")

        @inlineCallbacks
        def classic() -> Any:
            yield mine.set("b", 1)
            return (yield mine.ready())

        results = [Deferred.fromCoroutine(modern()), classic()]
        for _ in range(3):
            self.network.settle()
        self.assertIs(self.successResultOf(results[0]), True)
        self.assertIs(self.successResultOf(results[1]), mine)

    def test_cancelled_deferreds_do_no_harm(self) -> None:
        (mine,) = self.open(1)
        taken = mine.set("a", 1)
        taken.cancel()
        self.failureResultOf(taken)
        self.network.settle()
        self.assertEqual(mine["a"], 1)


class Reconnecting(NetworkTestCase):
    def test_both_sides_changes_are_merged(self) -> None:
        mine, theirs, third = self.open(3)
        mine.update(a=1, b=1, c=1)
        self.network.settle()
        self.network.stop_relay()
        self.assertEqual(mine.status, "offline")
        self.assertIn("closed", mine.status.reason)
        mine["a"] = 2
        del mine["b"]
        theirs["d"] = 4
        del theirs["c"]
        self.network.settle(20)
        self.network.start_relay()
        self.network.settle(12)
        self.assert_equal_maps([mine, theirs, third], {"a": 2, "d": 4})
        self.assertEqual({each.peers for each in (mine, theirs, third)}, {2})

    def test_deleted_keys_stay_deleted(self) -> None:
        mine, theirs = self.open(2)
        mine["a"] = 1
        self.network.settle()
        self.network.cut(theirs.connection)
        del mine["a"]
        self.network.settle(2)
        self.assert_equal_maps([mine, theirs], {})

    def test_events_of_what_changed_meanwhile(self) -> None:
        mine, theirs = self.open(2)
        seen: list[Any] = []
        theirs.on("set", lambda value, key, shared: seen.append((key, value)))
        self.network.cut(theirs.connection)
        mine["a"] = 1
        self.network.settle(2)
        self.assertEqual(seen, [("a", 1)])


class Clocks(NetworkTestCase):
    def test_a_write_of_the_far_future_waits_for_its_time(self) -> None:
        mine, theirs = self.open(2)
        ahead_ms = int(self.network.clock.seconds() * 1000) + 3_600_000
        liar = self.network.connect().create_stream({"route": "/fruits/channel", "version": [1, 0]})
        liar.write({"event": "set", "key": "a", "value": "later", "stamp": [ahead_ms, 0, "w"]})
        self.network.settle()
        mine["a"] = "now"
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": "now"})
        self.network.clock.advance(3_600)
        self.network.settle()
        self.assert_equal_maps([mine, theirs], {"a": "later"})


class Bounds(NetworkTestCase):
    def test_the_largest_value_reaches_the_others(self) -> None:
        connections = [self.network.connect() for _ in range(2)]
        mine, theirs = (
            DistributedMap(each, "/large", max_value_bytes=LARGEST_VALUE_BYTES)
            for each in connections
        )
        self.network.settle()
        key, value = "k" * MAX_KEY_BYTES, "x" * (LARGEST_VALUE_BYTES - 2)
        mine[key] = value
        self.network.settle()
        self.assertEqual((theirs[key], mine.status), (value, "ready"))
        late = DistributedMap(self.network.connect(), "/large", max_value_bytes=LARGEST_VALUE_BYTES)
        self.network.settle()
        self.assertEqual(dict(late), {key: value})

    def test_no_higher_bound(self) -> None:
        connection = self.network.connect()
        for bound in (0, LARGEST_VALUE_BYTES + 1):
            with self.assertRaises(errors.InvalidValue):
                DistributedMap(connection, "/large", max_value_bytes=bound)


class Retention(NetworkTestCase):
    """Deletes are forgotten in time, and nothing else is."""

    SECONDS = 60.0

    def setUp(self) -> None:
        super().setUp()
        self.network = Network(retention_seconds=self.SECONDS)

    def test_churn_of_the_same_keys(self) -> None:
        maps = self.open(3)
        for at in range(1200):
            key = f"k{at % 20}"
            if key in maps[at % 3]:
                del maps[at % 3][key]
            else:
                maps[at % 3][key] = at
            self.network.settle(0.25)
            for each in maps:
                self.assertLessEqual(len(each._replica.entries), 20)
                self.assertLessEqual(len(each._replica._tombstones._oldest), 1040)
        self.network.settle(2 * self.SECONDS)
        live = dict(maps[0])
        self.assert_equal_maps(maps, live)
        self.assertEqual([len(each._replica.entries) for each in maps], [len(live)] * 3)
        self.assertEqual([each.refused for each in maps], [0] * 3)
        self.assertEqual([each.divergences for each in maps], [0] * 3)

    def test_a_newcomer_takes_what_is_older_than_the_floor(self) -> None:
        (mine,) = self.open(1)
        mine["old"] = 1
        mine["gone"] = 1
        self.network.settle(1)
        del mine["gone"]
        self.network.settle(3 * self.SECONDS)
        self.assertGreater(mine._replica.floor_ms, mine._replica.entries["old"].stamp.ms)
        late = self.network.open("/fruits")
        self.network.settle(1)
        self.assert_equal_maps([mine, late], {"old": 1})
        self.assertEqual(late._replica.floor_ms, mine._replica.floor_ms)

    def test_an_old_holder_returns_to_a_fresh_peer(self) -> None:
        """Who starts alone has forgotten nothing, so it takes all that others bring."""
        (holder,) = self.open(1)
        holder.update({f"k{at}": at for at in range(50)})
        self.network.settle(1)
        holder["gone"] = 1
        del holder["gone"]
        self.network.settle(3 * self.SECONDS)
        self.assertGreater(holder._replica.floor_ms, 0)
        self.network.stop_relay()
        self.network.start_relay()
        fresh = self.network.open("/fruits")
        self.network.settle(0)
        self.assertEqual(fresh.synced, "alone")
        fresh["own"] = 1
        self.network.settle(20)
        self.assertEqual(holder.status, "ready")
        self.assert_equal_maps([holder, fresh], {**{f"k{at}": at for at in range(50)}, "own": 1})
        self.assertEqual((holder.refused, fresh.refused), (0, 0))

    def test_an_old_entry_of_nobody_knows_where_is_refused(self) -> None:
        one, two = self.open(2)
        one["gone"] = 1
        self.network.settle(1)
        stale = one._replica.entries["gone"]
        del one["gone"]
        self.network.settle(3 * self.SECONDS)
        for each in (one, two):
            each._seat.peer.receive(encode_entry("gone", stale))
        self.network.settle(30)
        self.assert_equal_maps([one, two], {})
        self.assertEqual((one.refused, two.refused), (1, 1))
