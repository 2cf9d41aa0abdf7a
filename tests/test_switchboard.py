"""Listeners, clients that wait for them, and pairs of joined streams."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from distmap.errors import StreamError
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxEvent, MuxStream, State
from distmap.switchboard import MAX_FAULT_CHARS, MAX_WAITING, OPEN, End, Listener, Switchboard

OPENED = json.loads(OPEN)


class Connection:
    """A relay's side of one connection, and the peer's side of it."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.mux = MuxDemux()
        self.peer = MuxDemux(id_prefix="p")
        self.ends: dict[MuxStream, End] = {}
        self.closed: list[str] = []
        self._switchboard = switchboard

    def end(self, congested: bool = False, **options: Any) -> End:
        """A stream that the peer opened, as an end."""
        self.peer.open("m", **options)
        ((kind, stream, _),) = self.mux.receive(b"".join(self.peer.take()))
        assert kind is Kind.OPENED and stream is not None
        end = self.ends[stream] = End(self.mux, stream, self.acted, congested)
        return end

    def acted(self, events: list[MuxEvent]) -> None:
        """Does what the router does."""
        for kind, stream, _ in events:
            assert kind is Kind.CLOSED and stream is not None
            self.closed.append(stream.id)
            self._switchboard.gone(self.ends.pop(stream))

    def sent(self) -> list[list[Any]]:
        """What the peer gets: event and payload."""
        return [json.loads(line)[1:] for line in b"".join(self.mux.take()).splitlines()]


class SwitchboardTestCase(TestCase):
    def setUp(self) -> None:
        self.switchboard = Switchboard()
        self.server, self.client = self.connection(), self.connection()
        self.told: list[str] = []

    def connection(self) -> Connection:
        return Connection(self.switchboard)

    def listen(self, name: str = "s") -> Listener:
        return self.switchboard.listen("/u", name, self.server.mux, self.told.append)

    def connect(self, client: str = "c", **options: Any) -> End:
        end = self.client.end(**options)
        self.switchboard.connect("/u", "s", client, end)
        return end

    def accept(self, client: str = "c", **options: Any) -> End:
        end = self.server.end(**options)
        self.switchboard.accept("/u", "s", client, end)
        return end

    def refused(self, code: str, call: Any, *args: Any) -> None:
        with self.assertRaises(StreamError) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code)


class ListeningTests(SwitchboardTestCase):
    def test_a_name_is_taken_once(self) -> None:
        listener = self.listen()
        self.refused("taken", self.listen)
        self.listen("another")
        self.switchboard.listen("/other", "s", self.client.mux, self.told.append)
        self.switchboard.unlisten(listener)
        self.listen()

    def test_who_does_not_listen_any_more_takes_no_name_away(self) -> None:
        before = self.listen()
        self.switchboard.unlisten(before)
        self.listen()
        self.switchboard.unlisten(before)
        self.connect()
        self.assertEqual(self.told, ["c"])

    def test_clients_are_announced(self) -> None:
        self.listen()
        self.connect("c")
        self.connect("d")
        self.assertEqual(self.told, ["c", "d"])
        self.assertEqual(self.client.sent(), [])

    def test_nobody_listens(self) -> None:
        self.refused("404", self.connect)
        self.listen("another")
        self.refused("404", self.connect)
        self.switchboard.unlisten(self.listen())
        self.refused("404", self.connect)

    def test_two_clients_of_one_name(self) -> None:
        self.listen()
        self.connect()
        self.refused("taken", self.connect)
        self.accept()
        self.connect()
        self.assertEqual(self.told, ["c", "c"])

    def test_one_that_was_taken_takes_its_name_from_nobody(self) -> None:
        listener = self.listen()
        first = self.connect()
        self.accept()
        second = self.connect()
        first.close()
        self.assertEqual(listener.waiting, {"c": second})

    def test_too_many_wait(self) -> None:
        self.listen()
        for at in range(MAX_WAITING):
            self.connect(f"c{at}")
        self.refused("busy", self.connect)
        self.accept("c0")
        self.connect()
        self.assertEqual(len(self.told), MAX_WAITING + 1)

    def test_the_clients_that_wait_are_told_when_the_listener_goes(self) -> None:
        listener = self.listen()
        ends = [self.connect(f"c{at}") for at in range(3)]
        joined = self.accept("c1")
        self.client.sent()
        self.switchboard.unlisten(listener)
        error = ["error", {"message": "server does not exist", "code": "404"}]
        self.assertEqual(self.client.sent(), [error, ["close"], error, ["close"]])
        self.assertEqual(self.client.closed, [ends[0].stream.id, ends[2].stream.id])
        self.assertIs(joined.other, ends[1], "a joined pair stays")
        self.assertEqual(listener.waiting, {})

    def test_a_client_goes_before_it_is_taken(self) -> None:
        listener = self.listen()
        end = self.connect()
        self.switchboard.gone(end)
        self.assertEqual((listener.waiting, end.listener), ({}, None))
        self.refused("500", self.accept)

    def test_raising_the_same_error_again_keeps_nothing(self) -> None:
        errors = []
        for _ in range(3):
            try:
                self.connect()
            except StreamError as error:
                errors.append(error)
        self.assertEqual(len({id(error) for error in errors}), 3)


class AcceptingTests(SwitchboardTestCase):
    def test_both_ends_are_told(self) -> None:
        self.listen()
        client, server = self.connect(), self.accept()
        self.assertEqual((client.other, server.other), (server, client))
        self.assertEqual(self.client.sent(), [["data", OPENED]])
        self.assertEqual(self.server.sent(), [["data", OPENED]])

    def test_only_the_listeners_connection_may_accept(self) -> None:
        self.listen()
        self.connect()
        thief = self.connection()
        self.refused("500", self.switchboard.accept, "/u", "s", "c", thief.end())
        self.refused("500", self.switchboard.accept, "/u", "s", "c", self.client.end())
        self.accept()

    def test_a_client_is_taken_once(self) -> None:
        self.listen()
        self.connect()
        self.accept()
        self.refused("500", self.accept)
        self.refused("500", self.accept, "nobody")

    def test_nobody_listens(self) -> None:
        self.refused("500", self.accept)

    def test_a_pause_from_before_the_join_is_passed_on(self) -> None:
        for how in ("paused", "congested"):
            for late in (False, True):
                with self.subTest(how, late=late):
                    self.setUp()
                    listener = self.listen()
                    client = self.connect(congested=how == "congested" and not late)
                    server = self.server.end(congested=how == "congested" and late)
                    if how == "paused":
                        (server if late else client).stream.send_paused = True
                    self.switchboard.accept("/u", "s", "c", server)
                    sides = [self.server.sent(), self.client.sent()]
                    self.assertIn(["pause"], sides[late])
                    self.assertNotIn(["pause"], sides[not late])
                    self.switchboard.unlisten(listener)


class EndTests(SwitchboardTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.listen()
        self.here, self.there = self.connect(), self.accept()
        self.client.sent()
        self.server.sent()

    def test_closing_one_closes_the_other_and_leaves_nothing(self) -> None:
        self.here.close()
        self.assertEqual(self.server.sent(), [["close"]])
        self.assertEqual((self.client.ends, self.server.ends), ({}, {}))
        self.assertEqual((self.here.other, self.there.other), (None, None))
        self.there.close()
        self.assertEqual((len(self.client.closed), len(self.server.closed)), (1, 1))

    def test_ending(self) -> None:
        self.there.end()
        self.assertEqual(self.server.sent(), [["end"], ["close"]])
        self.assertEqual(self.client.sent(), [["close"]])
        self.assertEqual((self.client.ends, self.server.ends), ({}, {}))

    def test_failing(self) -> None:
        self.here.fail("m" * 5000, "c" * 5000)
        error = {"message": "m" * MAX_FAULT_CHARS, "code": "c" * 100}
        self.assertEqual(self.client.sent(), [["error", error], ["close"]])
        self.assertEqual(self.server.sent(), [["close"]])
        self.assertEqual((self.client.ends, self.server.ends), ({}, {}))

    def test_a_closed_end_takes_anything(self) -> None:
        self.here.close()
        self.client.sent()
        self.here.send(b"1")
        self.here.pause(True)
        self.here.end()
        self.here.fail("m", "c")
        self.here.tell_blocked()
        self.here.close()
        self.switchboard.gone(self.here)
        self.assertEqual(self.client.sent(), [])
        self.assertIs(self.here.stream.state, State.CLOSED)

    def test_an_end_that_can_only_be_read(self) -> None:
        self.connect("d", readable=False)
        self.accept("d")
        self.assertEqual(self.client.sent(), [], "there is no way to tell it")
        self.assertEqual(self.server.sent(), [["data", OPENED]])

    def test_blocked(self) -> None:
        self.assertFalse(self.here.blocked)
        self.here.congested = True
        self.here.tell_blocked()
        self.here.congested, self.here.stream.send_paused = False, True
        self.here.tell_blocked()
        self.here.stream.send_paused = False
        self.here.tell_blocked()
        self.assertEqual(self.server.sent(), [["pause"], ["pause"], ["resume"]])
        self.assertEqual(self.client.sent(), [])
