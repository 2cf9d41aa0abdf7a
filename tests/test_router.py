"""The relay's core: routes, joined pairs, slow readers, hostile peers, and what stays of them."""

from __future__ import annotations

import itertools
import json
from typing import Any
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap.errors import LimitExceeded, RemoteProtocolError
from distmap.frames import MESSAGE_BYTES, FrameDecoder, Limits, encode_json
from distmap.router import PREFIX_BYTES, Link, Relay
from distmap.states import MuxStream, State
from distmap.switchboard import MAX_WAITING, OPEN
from tests.support.links import VERSIONED, Client, World, remains

OPENED = ("data", json.loads(OPEN))


class RouterTestCase(TestCase):
    def setUp(self) -> None:
        self.world = World()
        self.addCleanup(self.everybody_goes)

    def everybody_goes(self) -> None:
        for client in list(self.world.clients):
            client.disconnect()
        self.world.assert_empty(self)

    def clients(self, count: int) -> list[Client]:
        return [self.world.client() for _ in range(count)]

    def settle(self) -> None:
        self.world.settle()

    def refusal(self, meta: Any) -> tuple[str, str]:
        """Opens a stream that the relay refuses; returns the message and the code."""
        client = self.world.client()
        stream = client.open(meta)
        self.settle()
        (what, detail), closed = client.heard(stream)
        self.assertEqual((what, closed[0]), ("error", "closed"))
        self.assertEqual(self.world.observed[-2][0], "refused")
        self.assertEqual(client.link.mux.streams, {})
        client.disconnect()
        message, code = detail
        return message, code

    def pair(self, **options: Any) -> tuple[Client, MuxStream, Client, MuxStream]:
        """A server and a client, joined."""
        server, client = self.clients(2)
        listener = server.open("/u/proxy/server/s")
        self.settle()
        theirs = client.open("/u/proxy/client/s/c", **options)
        self.settle()
        self.assertEqual(server.data(listener), ["c"])
        mine = server.open("/u/proxy/server/s/client/c/1", **options)
        self.settle()
        self.assertEqual(server.heard(mine), [OPENED])
        self.assertEqual(client.heard(theirs), [OPENED])
        return server, mine, client, theirs


class RouteTests(RouterTestCase):
    def test_a_bare_route_is_a_plain_member(self) -> None:
        one, two, three = self.clients(3)
        streams = [each.open("/u/channel") for each in (one, two)]
        peer = three.join()
        self.settle()
        three.heard(peer)
        for payload in ({"event": "sync", "id": "x"}, ["ready"], 5, "text", None):
            one.send(streams[0], payload)
        self.settle()
        self.assertEqual(one.data(streams[0]), [])
        self.assertEqual(
            two.data(streams[1]), [{"event": "sync", "id": "x"}, ["ready"], 5, "text", None]
        )
        self.assertEqual(three.data(peer), [{"event": "sync", "id": "x"}])
        three.send(peer, {"n": 1})
        self.settle()
        self.assertEqual(one.data(streams[0]), [{"n": 1}])

    def test_a_route_with_a_version_is_a_peer(self) -> None:
        one, two = self.clients(2)
        first, second = one.join(), two.join()
        self.settle()
        self.assertEqual([each[0] for each in one.data(first)], ["welcome", "alone", "members"])
        self.assertEqual([each[0] for each in two.data(second)], ["welcome", "donor", "members"])
        one.send(first, {"n": 1})
        self.settle()
        ((name, number, time_ms),) = one.data(first)
        self.assertEqual((name, number), ("ack", 1))
        self.assertIsInstance(time_ms, float)
        self.assertEqual(two.data(second), [{"n": 1}])

    def test_versions(self) -> None:
        client = self.world.client()
        for version in ([1, 0], [1, 7]):
            stream = client.open({"route": "/u/channel", "version": version, "more": 1})
            self.settle()
            self.assertEqual(client.data(stream)[0][0], "welcome")
        others: list[Any] = [
            [2, 0],
            [0, 9],
            [1],
            [1, 0, 0],
            ["1", "0"],
            [1.0, 0],
            [True, 0],
            [1, False],
            1,
            "1.0",
            None,
            {},
        ]
        for other in others:
            with self.subTest(other):
                message, code = self.refusal({"route": "/u/channel", "version": other})
                self.assertEqual(code, "version")
                self.assertIn("version 1.0", message)
        self.assertEqual(self.refusal({"route": "/u/channel"})[1], "version")

    def test_metas_that_are_no_route(self) -> None:
        for meta in (7, None, True, 1.5, [], ["/u/channel"], {}, {"route": 7}, {"route": None}):
            with self.subTest(meta):
                self.assertEqual(self.refusal(meta)[1], "protocol")

    def test_unknown_routes(self) -> None:
        for route in (
            *("", "/", "/u", "/channel", "channel", "/u/channel/", "/u/Channel", "/u/channel\n"),
            *("/u/proxy", "/u/proxy/server", "/u/proxy/server/", "/u/proxy/server//client/c/1"),
            *("/u/proxy/client/s", "/u/proxy/client/s/", "/u/proxy/client//c", "/proxy/server/s"),
            *("/u/proxy/server/s/client/c", "/u/proxy/server/s/client/c/", "/u/proxy/nope/s"),
            *("/u/proxy/client/s/c/d", "constructor", "__proto__", "/u/proxy/server/s/t"),
        ):
            with self.subTest(route):
                self.assertEqual(self.refusal(route)[1], "unknown-route")
                self.assertEqual(self.refusal({"route": route, **VERSIONED})[1], "unknown-route")

    def test_routes_may_be_so_long(self) -> None:
        longest = "ü" * ((Limits().route_bytes - len("/channel")) // 2) + "/channel"
        client = self.world.client()
        stream = client.open(longest)
        self.settle()
        self.assertEqual(client.heard(stream), [])
        for meta in ("x" + longest, {"route": "x" + longest, **VERSIONED}):
            self.assertEqual(self.refusal(meta)[1], "limit")

    def test_a_uri_may_hold_anything(self) -> None:
        one, two = self.clients(2)
        for uri in ("u", "/", "//", "a b", "/ü", "/u\n", "\0", "/u/channel", "/u/proxy/server/s"):
            with self.subTest(uri):
                streams = [each.open(f"{uri}/channel") for each in (one, two)]
                self.settle()
                one.send(streams[0], uri)
                self.settle()
                self.assertEqual(two.data(streams[1]), [uri])

    def test_who_listens_is_told_of_clients(self) -> None:
        server, client = self.clients(2)
        listener = server.open({"route": "/u/proxy/server/s"})
        self.settle()
        stream = client.open({"route": "/u/proxy/client/s/c"})
        self.settle()
        self.assertEqual(server.data(listener), ["c"])
        self.assertEqual(client.heard(stream), [], "it waits")

    def test_a_member_listens_under_its_name(self) -> None:
        one, two = self.clients(2)
        first = one.join()
        self.settle()
        peer = one.data(first)[0][1]["peer"]
        stream = two.open(f"/u/proxy/client/{peer}/c")
        self.settle()
        self.assertEqual(one.data(first), [["client", "c"]])
        mine = one.open(f"/u/proxy/server/{peer}/client/c/c")
        self.settle()
        self.assertEqual((one.heard(mine), two.heard(stream)), ([OPENED], [OPENED]))
        one.mux.close(first)
        self.settle()
        self.assertEqual(two.heard(stream), [], "a joined pair stays")
        self.assertEqual(self.refusal(f"/u/proxy/client/{peer}/c")[1], "404")

    def test_the_name_of_a_member_cannot_be_taken(self) -> None:
        for name in ("1", "2", "007", "٣"):
            self.assertEqual(self.refusal(f"/u/proxy/server/{name}")[1], "taken")
        client = self.world.client()
        stream = client.join()
        client.open("/u/proxy/server/x1")
        self.settle()
        self.assertEqual(client.data(stream)[0][0], "welcome")

    def test_two_listen_under_one_name(self) -> None:
        server = self.world.client()
        listener = server.open("/u/proxy/server/s")
        self.settle()
        self.assertEqual(self.refusal("/u/proxy/server/s")[1], "taken")
        server.mux.close(listener)
        again = server.open("/u/proxy/server/s")
        self.settle()
        self.assertEqual(server.heard(again), [])

    def test_nobody_listens(self) -> None:
        self.assertEqual(self.refusal("/u/proxy/client/s/c"), ("server does not exist", "404"))
        self.assertEqual(
            self.refusal("/u/proxy/server/s/client/c/1"),
            ("cannot open client-server connection", "500"),
        )

    def test_too_many_clients_wait(self) -> None:
        server, client = self.clients(2)
        server.open("/u/proxy/server/s")
        self.settle()
        for at in range(MAX_WAITING):
            client.open(f"/u/proxy/client/s/{at}")
        self.settle()
        self.assertEqual(self.refusal("/u/proxy/client/s/c")[1], "busy")
        self.assertEqual(self.refusal("/u/proxy/client/s/0")[1], "taken")

    def test_what_is_observed(self) -> None:
        client = self.world.client()
        stream = client.open("/u/channel")
        self.settle()
        client.mux.close(stream)
        client.open(7)
        self.settle()
        opened, closed, refused = self.world.observed[:3]
        self.assertEqual(opened, ("opened", "c0", {"route": "/u/channel"}))
        self.assertEqual(closed, ("closed", "c0", {"route": "/u/channel"}))
        self.assertEqual(refused, ("refused", "c0", {"route": 7, "code": "protocol"}))
        self.world.relay.receive(client.link, b'["gone","data",1]\n')
        self.assertEqual(
            self.world.observed[-1], ("unknown", "c0", {"id": "gone", "event": "data"})
        )
        self.assertEqual(repr(client.link), "<Link c0>")

    def test_opened_and_closed_in_one_message(self) -> None:
        client = self.world.client()
        for meta in ("/u/channel", "/u/proxy/server/s", "/u/proxy/client/s/c", "/nope", 7):
            client.mux.close(client.open(meta))
        join = client.join()
        client.send(join, {"n": 1})
        client.mux.close(join)
        self.settle()
        self.assertEqual(client.link.mux.streams, {})
        self.assertEqual((client.link.members, client.link.ends), ({}, {}))


POISON = (
    b'{"event":"set","event":7,"n":1e999,"m":123456789012345678901234567890,'
    b'"\\u0000":"\\u0041",  "deep":' + b"[" * 60 + b"]" * 60 + b" }"
)
"""An object that no two readers agree on, and with spaces that a writer would leave out."""


class PassingTests(RouterTestCase):
    """What a member says goes on as it came."""

    def test_payloads_pass_untouched(self) -> None:
        for before, after in ((b"", b""), (b'["s","pause"]\n', b""), (b"", b'["s","resume"]\n')):
            one, two = self.clients(2)
            for client in (one, two):
                client.join(stream_id="s")
            self.settle()
            line = b'["s","data",' + POISON + b"]\n"
            one.mux.take()
            self.relay_takes(one, before + line + line + after)
            texts = [text for text, links in self.world.relay.flush() if two.link in links]
            self.assertEqual(texts, [line + line])
            one.disconnect()
            two.disconnect()

    def relay_takes(self, client: Client, data: bytes) -> None:
        self.assertIsNone(self.world.relay.receive(client.link, data))

    def test_many_pass_as_the_very_bytes(self) -> None:
        clients = self.clients(20)
        streams = [client.join(stream_id="s") for client in clients]
        self.settle()
        text = b'["s","data",{"n":1}]\n' * 500
        self.relay_takes(clients[0], text)
        (passed, links), (ack, (link,)) = self.world.relay.flush()
        self.assertIs(passed, text, "a copy")
        self.assertEqual({each.name for each in links}, {each.name for each in clients[1:]})
        self.assertEqual(len(links), 19)
        self.assertIs(link, clients[0].link)
        self.assertEqual(json.loads(ack)[2][:2], ["ack", 500])
        self.assertEqual(len(streams), 20)

    def test_a_turn_is_cut_into_messages_of_a_bounded_size(self) -> None:
        one, two = self.clients(2)
        for client in (one, two):
            client.join(stream_id="s")
        self.settle()
        text = b'["s","data",{"n":1}]\n' * (MESSAGE_BYTES // 2 // 21)
        for _ in range(9):
            self.relay_takes(one, text)
        sizes = [len(text) for text, links in self.world.relay.flush() if two.link in links]
        self.assertEqual(sum(sizes), 9 * len(text))
        self.assertLessEqual(max(sizes), MESSAGE_BYTES + len(text))

    def test_more_than_a_message_at_once(self) -> None:
        one, two = self.clients(2)
        for client in (one, two):
            client.join(stream_id="s")
        self.settle()
        text = b'["s","data",{"n":1}]\n' * (3 * MESSAGE_BYTES // 21)
        self.relay_takes(one, text)
        parts = [text for text, links in self.world.relay.flush() if two.link in links]
        self.assertEqual(b"".join(parts), text)
        self.assertLessEqual(max(map(len, parts)), MESSAGE_BYTES + 21)


class PairTests(RouterTestCase):
    def test_payloads_pass_raw_and_in_order_both_ways(self) -> None:
        server, mine, client, theirs = self.pair()
        payloads = [b'{"a" : 1.0, "b":[1e2]}', b'"\\u00fc\xc3\xbc"', b"[]", b'["alone"]', b"null"]
        for side, stream, other in ((server, mine, theirs), (client, theirs, mine)):
            for payload in payloads:
                side.mux.send(stream, payload)
            self.world.up()
            ((text, _),) = self.world.relay.flush()
            self.assertEqual(
                text, b"".join(b"%b%b]\n" % (other.data_prefix, each) for each in payloads)
            )

    def test_pauses_pass(self) -> None:
        server, mine, client, theirs = self.pair()
        for side, stream, other in ((server, mine, theirs), (client, theirs, mine)):
            side.mux.pause(stream)
            self.settle()
            self.assertTrue(other.send_paused)
            side.mux.resume(stream)
            self.settle()
            self.assertFalse(other.send_paused)

    def test_a_pause_from_before_the_join_passes(self) -> None:
        server, client = self.clients(2)
        server.open("/u/proxy/server/s")
        self.settle()
        theirs = client.open("/u/proxy/client/s/c")
        client.mux.pause(theirs)
        self.settle()
        mine = server.open("/u/proxy/server/s/client/c/1")
        self.settle()
        self.assertTrue(mine.send_paused)
        self.assertFalse(theirs.send_paused)

    def test_the_end_of_one_ends_the_other(self) -> None:
        for at in (0, 1):
            with self.subTest(at):
                server, mine, client, theirs = self.pair()
                sides = [(server, mine), (client, theirs)]
                (side, stream), (other, heard) = sides[at], sides[1 - at]
                side.send(stream, 1)
                side.mux.end(stream)
                self.settle()
                self.assertEqual(
                    other.heard(heard), [("data", 1), ("ended", None), ("closed", None)]
                )
                self.nothing_left(server, client)
                server.disconnect()

    def nothing_left(self, *clients: Client) -> None:
        for client in clients:
            self.assertEqual((client.link.ends, client.link.members), ({}, {}))

    def test_half_open_pairs_end_one_side_after_the_other(self) -> None:
        server, mine, client, theirs = self.pair(half_open=True)
        client.mux.end(theirs)
        self.settle()
        self.assertEqual(server.heard(mine), [("ended", None)])
        server.send(mine, 1)
        self.settle()
        self.assertEqual(client.data(theirs), [1])
        server.mux.end(mine)
        self.settle()
        self.assertEqual([what for what, _ in client.heard(theirs)], ["ended", "closed"])
        self.assertEqual(server.heard(mine), [])
        self.nothing_left(server, client)

    def test_errors_pass(self) -> None:
        server, mine, client, theirs = self.pair()
        server.mux.error(mine, "no space", "full")
        self.settle()
        self.assertEqual(client.heard(theirs), [("error", ("no space", "full")), ("closed", None)])
        self.nothing_left(server, client)

    def test_the_error_that_passes_is_cut(self) -> None:
        server, mine, client, theirs = self.pair()
        server.mux.error(mine, "m" * 1_000_000, "c")
        self.settle()
        (_, (message, code)), _ = client.heard(theirs)
        self.assertEqual((set(message), code), ({"m"}, "c"))
        self.assertLess(len(message), 2000)

    def test_a_fault_on_one_stream_is_an_error_for_the_other(self) -> None:
        server, mine, client, theirs = self.pair()
        self.world.relay.receive(server.link, encode_json([mine.id, "nope"]) + b"\n")
        self.settle()
        self.assertEqual(client.heard(theirs)[0][1][1], "protocol")
        self.assertEqual(server.heard(mine)[0][1][1], "protocol")

    def test_one_connection_may_be_both_ends(self) -> None:
        client = self.world.client()
        listener = client.open("/u/proxy/server/s")
        theirs = client.open("/u/proxy/client/s/c")
        mine = client.open("/u/proxy/server/s/client/c/1")
        self.settle()
        client.send(theirs, 1)
        self.settle()
        self.assertEqual(client.heard(mine), [OPENED, ("data", 1)])
        client.mux.error(mine, "m", "c")
        self.settle()
        self.assertEqual(client.heard(theirs), [OPENED, ("error", ("m", "c")), ("closed", None)])
        self.assertEqual(client.data(listener), ["c"])
        self.nothing_left(client)

    def test_a_client_that_nobody_takes(self) -> None:
        for how in ("close", "end", "error", "disconnect"):
            with self.subTest(how):
                server, client = self.clients(2)
                listener = server.open("/u/proxy/server/s")
                self.settle()
                stream = client.open("/u/proxy/client/s/c")
                self.settle()
                self.leave(server, listener, how)
                self.settle()
                self.assertEqual(
                    client.heard(stream),
                    [("error", ("server does not exist", "404")), ("closed", None)],
                )
                self.nothing_left(client)

    def leave(self, client: Client, stream: MuxStream, how: str) -> None:
        if how == "disconnect":
            client.disconnect()
        elif how == "error":
            client.mux.error(stream, "m", "c")
        else:
            getattr(client.mux, how)(stream)

    def test_only_the_listeners_connection_may_accept(self) -> None:
        server, client, thief = self.clients(3)
        server.open("/u/proxy/server/s")
        self.settle()
        stream = client.open("/u/proxy/client/s/c")
        self.settle()
        stolen = thief.open("/u/proxy/server/s/client/c/1")
        self.settle()
        self.assertEqual(thief.heard(stolen)[0][1][1], "500")
        self.assertEqual(client.heard(stream), [])

    def test_closing_in_every_order_leaves_nothing(self) -> None:
        before = len(remains())
        hows = ("close", "end", "error", "disconnect")
        for joined, half_open in itertools.product((False, True), (False, True)):
            count = 3 if joined else 2
            for order in itertools.permutations(range(count)):
                for how in itertools.product(hows, repeat=count):
                    self.close_all(joined, half_open, order, how)
        self.assertEqual(len(remains()) - before, 0)

    def close_all(
        self, joined: bool, half_open: bool, order: tuple[int, ...], how: tuple[str, ...]
    ) -> None:
        world = World()
        server, client = world.client(), world.client()
        streams = [
            (server, server.open("/u/proxy/server/s", half_open=half_open)),
            (client, client.open("/u/proxy/client/s/c", half_open=half_open)),
        ]
        world.settle()
        if joined:
            accept = server.open("/u/proxy/server/s/client/c/1", half_open=half_open)
            streams.append((server, accept))
            world.settle()
        for at in order:
            side, stream = streams[at]
            if stream.state is not State.CLOSED:
                self.leave(side, stream, how[at])
            world.settle()
        for side, stream in streams:
            side.mux.close(stream)
        world.settle()
        for side in (server, client):
            if side in world.clients:
                self.assertEqual((side.link.ends, side.link.mux.streams), ({}, {}), how)
        self.assertEqual(world.relay.switchboard._listeners, {})
        for side in list(world.clients):
            side.disconnect()
        world.assert_empty(self)


class CongestionTests(RouterTestCase):
    def congest(self, client: Client, congested: bool) -> None:
        self.world.relay.congest(client.link, congested)
        self.settle()

    def test_the_other_end_waits_meanwhile(self) -> None:
        server, mine, client, theirs = self.pair()
        self.congest(client, True)
        self.assertEqual((mine.send_paused, theirs.send_paused), (True, False))
        self.congest(client, False)
        self.assertEqual((mine.send_paused, theirs.send_paused), (False, False))
        self.congest(server, True)
        self.assertEqual((mine.send_paused, theirs.send_paused), (False, True))

    def test_a_peer_that_asked_for_it_waits_on(self) -> None:
        _, mine, client, theirs = self.pair()
        client.mux.pause(theirs)
        self.settle()
        self.congest(client, True)
        self.congest(client, False)
        self.assertTrue(mine.send_paused)
        self.congest(client, True)
        client.mux.resume(theirs)
        self.settle()
        self.assertTrue(mine.send_paused, "the connection is full all the same")
        self.congest(client, False)
        self.assertFalse(mine.send_paused)

    def test_streams_that_open_meanwhile(self) -> None:
        server, client = self.clients(2)
        server.open("/u/proxy/server/s")
        self.congest(client, True)
        client.open("/u/proxy/client/s/c")
        self.settle()
        mine = server.open("/u/proxy/server/s/client/c/1")
        self.settle()
        self.assertTrue(mine.send_paused)
        self.congest(client, False)
        self.assertFalse(mine.send_paused)

    def test_all_streams_of_a_slow_reader_are_cut(self) -> None:
        server, mine, slow, theirs = self.pair()
        member, witness = slow.join(), server.join()
        waiting = slow.open("/u/proxy/client/s/waits")
        listener = slow.open("/u/proxy/server/mine")
        self.settle()
        for client, stream in ((slow, member), (server, witness)):
            client.heard(stream)
        self.world.relay.cut(slow.link)
        self.assertEqual(self.world.observed.count(("slow", slow.name, {"streams": 4})), 1)
        self.settle()
        for stream in (theirs, member, waiting, listener):
            (_, (message, code)), (closed, _) = slow.heard(stream)
            self.assertEqual((code, closed), ("slow", "closed"))
            self.assertIn("slow", message)
        self.assertEqual(server.heard(mine), [("closed", None)])
        self.assertEqual([each[:2] for each in server.data(witness)[-1:]], [["members", 1]])
        self.assertEqual(slow.link.mux.streams, {})
        again = slow.join()
        self.settle()
        self.assertEqual(slow.data(again)[0][0], "welcome")

    def test_a_slow_reader_that_is_joined_with_itself(self) -> None:
        slow = self.world.client()
        slow.open("/u/proxy/server/s")
        slow.open("/u/proxy/client/s/c")
        slow.open("/u/proxy/server/s/client/c/1")
        self.settle()
        self.world.relay.cut(slow.link)
        self.world.relay.cut(slow.link)
        self.settle()
        self.assertEqual((slow.link.ends, slow.link.mux.streams), ({}, {}))


class HarmTests(RouterTestCase):
    """What one link does costs that link, and no other."""

    def test_a_protocol_failure(self) -> None:
        server, mine, client, theirs = self.pair()
        bad, good = self.clients(2)
        streams = [each.join() for each in (bad, good)]
        self.settle()
        good.heard(streams[1])
        bad.send(streams[0], {"n": 1})
        sent = b"".join(bad.mux.take())
        failure = self.world.relay.receive(bad.link, sent + b'junk\n["x","new",{}]\n')
        self.assertIsInstance(failure, RemoteProtocolError)
        self.assertIs(bad.link.failure, failure)
        self.assertIn(("failed", bad.name, {"error": failure}), self.world.observed)
        self.assertIs(self.world.relay.receive(bad.link, sent), failure, "it is heard no more")
        self.settle()
        self.assertEqual(good.data(streams[1]), [{"n": 1}], "what came before was valid")
        bad.disconnect()
        server.send(mine, 1)
        self.settle()
        self.assertEqual(client.data(theirs), [1])
        self.assertEqual(good.data(streams[1]), [["members", 1, [], ["1"]]])

    def test_a_member_that_breaks_the_rules_loses_its_stream(self) -> None:
        bad, good = self.clients(2)
        streams = [each.join() for each in (bad, good)]
        plain = bad.open("/u/channel")
        self.settle()
        bad.heard(streams[0])
        for payload in (["nope"], {"n": 1}):
            bad.send(streams[0], payload)
        bad.send(plain, {"n": 2})
        self.settle()
        (what, (_, code)), closed = bad.heard(streams[0])
        self.assertEqual((what, code, closed), ("error", "protocol", ("closed", None)))
        payloads = [each for each in good.data(streams[1]) if isinstance(each, dict)]
        self.assertEqual(payloads, [{"n": 2}], "nothing more of the stream that was ended")

    def test_no_frame_is_too_long_for_those_it_goes_to(self) -> None:
        limits = Limits()
        longest_id = "\x01" * limits.id_bytes
        one, two = self.clients(2)
        mine, theirs = one.open("/u/channel"), two.open("/u/channel", stream_id=longest_id)
        self.settle()
        room = limits.frame_bytes - PREFIX_BYTES
        longest = b'"%b"' % (b"x" * (room - 2))
        one.mux.send(mine, longest)
        self.settle()
        self.assertEqual(len(two.data(theirs)[0]), room - 2)
        one.mux.send(mine, longest[:-1] + b'x"')
        self.settle()
        self.assertEqual(one.heard(mine)[0][1][1], "limit")
        self.assertEqual(two.data(theirs), [])

    def test_so_on_a_joined_pair(self) -> None:
        server, mine, client, theirs = self.pair()
        server.mux.send(mine, b'"%b"' % (b"x" * (Limits().frame_bytes - PREFIX_BYTES)))
        self.settle()
        self.assertEqual(server.heard(mine)[0][1][1], "limit")
        self.assertEqual(client.heard(theirs), [("closed", None)])

    def test_a_frame_over_the_limit_ends_the_connection(self) -> None:
        client = self.world.client()
        failure = self.world.relay.receive(client.link, b"x" * (Limits().frame_bytes + 1))
        self.assertIsInstance(failure, LimitExceeded)

    def test_messages_for_one_connection_are_bounded(self) -> None:
        server, mine, client, theirs = self.pair()
        size = 100_000
        for _ in range(20):
            server.mux.send(mine, b'"%b"' % (b"x" * size))
        self.world.up()
        out = self.world.relay.flush()
        self.assertGreater(len(out), 5)
        for text, links in out:
            self.assertEqual(links, [client.link])
            self.assertLess(len(text), MESSAGE_BYTES + size + 1000)
            client.hear(text)
        self.assertEqual(len(client.data(theirs)), 20)

    def test_so_many_streams(self) -> None:
        self.world = World(Limits(streams=3))
        client = self.world.client()
        streams = [client.open("/u/channel") for _ in range(4)]
        self.settle()
        self.assertEqual(client.heard(streams[3])[0][1][1], "limit")
        self.assertEqual([client.heard(each) for each in streams[:3]], [[], [], []])

    def test_errors_keep_nothing(self) -> None:
        client = self.world.client()
        before = len(remains())
        for _ in range(3):
            client.open("/u/proxy/client/s/c")
            client.open("/u/proxy/server/s/client/c/1")
            client.open(7)
            self.settle()
        self.world.observed.clear()
        self.assertEqual(len(remains()) - before, 0)

    def test_pairs_that_come_and_go_keep_nothing(self) -> None:
        server, _, client, _ = self.pair()
        before = len(remains())
        for at in range(20):
            theirs = client.open(f"/u/proxy/client/s/{at}")
            self.settle()
            mine = server.open(f"/u/proxy/server/s/client/{at}/1")
            self.settle()
            (client.mux.close(theirs) if at % 2 else server.mux.close(mine))
            self.settle()
        self.assertEqual(len(remains()) - before, 0)


class DisconnectTests(RouterTestCase):
    def test_in_every_state(self) -> None:
        server, mine, client, _ = self.pair()
        member = server.join()
        client.join()
        client.open("/u/proxy/client/s/waits")
        self.settle()
        client.disconnect()
        self.settle()
        self.assertEqual(server.heard(mine), [("closed", None)])
        self.assertEqual(server.data(member)[-1][1], 1)
        self.assertEqual((client.link.ends, client.link.members), ({}, {}))
        self.assertEqual(self.world.relay.receive(client.link, b'["a","data",1]\n'), None)
        self.world.relay.disconnect(client.link)

    def test_with_things_to_send_and_half_a_frame(self) -> None:
        one, two = self.clients(2)
        streams = [each.join() for each in (one, two)]
        self.settle()
        one.send(streams[0], {"n": 1})
        self.world.up()
        self.world.relay.receive(one.link, b'["half')
        one.disconnect()
        two.heard(streams[1])
        self.settle()
        self.assertEqual(two.data(streams[1])[0], {"n": 1})

    def test_a_listener_with_clients_that_wait_on_the_same_connection(self) -> None:
        client = self.world.client()
        client.open("/u/proxy/server/s")
        client.open("/u/proxy/client/s/c")
        self.settle()
        client.disconnect()


ROUTES = [
    *("/u/channel", "/w/channel", "/u/proxy/server/s", "/u/proxy/server/t", "/u/proxy/server/1"),
    *("/u/proxy/client/s/c", "/u/proxy/client/s/d", "/u/proxy/client/1/c", "/u/proxy/client/2/c"),
    *("/u/proxy/server/s/client/c/1", "/u/proxy/server/s/client/d/1"),
    *("/u/proxy/server/1/client/c/1", "/u/proxy/server/2/client/c/1", "/nope", ""),
]
metas = st.sampled_from(ROUTES).flatmap(
    lambda route: st.sampled_from(
        [route, {"route": route, **VERSIONED}, {"route": route, **VERSIONED}, {"route": route}]
    )
)
metas |= st.sampled_from([None, 7, [], {}, {"route": 1}, "x" * 2000])
options = st.fixed_dictionaries(
    {},
    optional={
        "writable": st.booleans(),
        "readable": st.booleans(),
        "allowHalfOpen": st.booleans(),
    },
)
both_ways = st.just({"writable": True, "readable": True})
payloads = st.sampled_from(
    [
        *({"event": "set"}, {"n": 1}, ["ready"], ["sync", None], ["sync", "1"], ["sync", "2"]),
        *(["time", 1], ["time", True], ["welcome", {}], ["nope"], [], 1, None, "text"),
    ]
)
ids = st.sampled_from(["a", "b", "c", "d", "e", "\x01", "constructor"])
frame_events = st.sampled_from(
    ["data", "data", "data", "end", "close", "error", "pause", "resume", "nope"]
)
frames = (
    st.tuples(ids, st.just("new"), st.fixed_dictionaries({"meta": metas, "opts": both_ways}))
    | st.tuples(ids, st.just("new"), st.fixed_dictionaries({"meta": metas, "opts": options}))
    | st.tuples(ids, st.sampled_from(["new", "error"]), st.none() | st.just("text"))
    | st.tuples(ids, frame_events, payloads)
    | st.tuples(ids, frame_events)
)
messages = st.lists(frames, min_size=1, max_size=8)
JUNK = [b"\n", b"junk\n", b"[]\n", b'["a"', b"\xff\n", b'["a","data",1]', b"[" * 5000 + b"\n"]
steps = st.one_of(
    messages,
    messages,
    messages,
    st.sampled_from(["flush", "congest", "relieve", "cut", "disconnect"]),
    st.sampled_from(JUNK),
)


class HostileTests(TestCase):
    """Whatever comes, the relay neither raises nor keeps anything, and what it sends is valid."""

    LINKS = 3

    @settings(deadline=None, max_examples=400)
    @given(st.lists(st.tuples(st.integers(0, LINKS - 1), steps), max_size=40))
    def test_any_input(self, script: list[tuple[int, Any]]) -> None:
        self.relay = Relay(lambda: 0.0, lambda *_: None)
        self.decoders: dict[Link, FrameDecoder] = {}
        links = [self.connect() for _ in range(self.LINKS)]
        for at, step in script:
            link = links[at]
            if step == "flush":
                self.flush()
            elif step in ("congest", "relieve"):
                self.relay.congest(link, step == "congest")
            elif step == "cut":
                self.relay.cut(link)
            elif isinstance(step, bytes):
                self.relay.receive(link, step)
            elif step != "disconnect":
                data = b"".join(encode_json(frame) + b"\n" for frame in step)
                self.relay.receive(link, data)
            if step == "disconnect" or link.failure is not None:
                self.relay.disconnect(link)
                links[at] = self.connect()
            self.check(links)
        self.flush()
        for link in links:
            self.relay.disconnect(link)
        world = World()
        world.relay = self.relay
        world.assert_empty(self)

    def connect(self) -> Link:
        link = self.relay.connect("x")
        self.decoders[link] = FrameDecoder()
        return link

    def flush(self) -> None:
        for text, links in self.relay.flush():
            self.assertEqual(len(set(links)), len(links) if b'"data"' in text else 1)
            for link in links:
                decoded, fault = self.decoders[link].feed(text)
                self.assertIsNone(fault)
                self.assertTrue(decoded)
                for _, event, payload in decoded:
                    self.assertNotEqual(event, "new")
                    json.loads(bytes(payload) or b"null")
        self.assertEqual(self.relay.flush(), [])

    def check(self, links: list[Link]) -> None:
        for link in links:
            alive = set(link.mux.streams.values())
            self.assertLessEqual(link.members.keys() | link.ends.keys(), alive)
            for end in link.ends.values():
                self.assertTrue(end.other is None or end.other.other is end)
                self.assertFalse(end.other and end.listener)
        self.assertEqual(self.relay.hub.members, sum(len(link.members) for link in links))
        owners = {id(link.mux) for link in links}
        for listener in self.relay.switchboard._listeners.values():
            self.assertIn(id(listener.mux), owners)
            for end in listener.waiting.values():
                self.assertIs(end.listener, listener)
