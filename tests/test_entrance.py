"""distmap.entrance: who comes in, seen from both sides of a relay's core."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from distmap.access import NONE, READ, WRITE, Grant
from distmap.entrance import MAX_CREDENTIALS_BYTES, MAX_HELD_BYTES, MAX_QUESTIONS
from distmap.gate import REFUSED_MS, RENEW_MS
from distmap.router import Link
from distmap.states import MuxStream
from tests.support.links import Client, World

CREDENTIALS = {"route": "credentials", "version": [1, 0]}
REFUSED = ("error", ("you may not do this", "refused"))


class EntranceTestCase(TestCase):
    def setUp(self) -> None:
        self.world = World()
        self.asked: list[tuple[str, str | None, str]] = []
        self.entrance = self.world.relay.entrance
        self.entrance.ask = self.ask
        # By credentials and URI; what is not here is not answered at once.
        self.answers: dict[tuple[str | None, str], Grant | str] = {}
        self.addCleanup(self.everybody_goes)

    def ask(self, link: Link, uri: str) -> None:
        assert link.gate is not None
        shown = link.gate.credentials
        self.asked.append((link.name, shown, uri))
        answer = self.answers.get((shown, uri))
        if answer is not None:
            self.answer(link, uri, answer)

    def answer(self, link: Link, uri: str, answer: Grant | str) -> None:
        self.entrance.answer(link, uri, Grant(answer) if isinstance(answer, str) else answer)

    def everybody_goes(self) -> None:
        for client in list(self.world.clients):
            client.disconnect()
            self.assertEqual((client.link.gate.streams, client.link.gate.held), ({}, {}))  # type: ignore[union-attr]
        self.world.assert_empty(self)

    def come(self, shown: str | None = None) -> tuple[Client, MuxStream | None]:
        client = self.world.client()
        if shown is None:
            return client, None
        stream = client.open(CREDENTIALS)
        client.send(stream, shown)
        return client, stream

    def names(self, client: Client, stream: MuxStream) -> list[Any]:
        return [each[0] for each in client.data(stream)]


class Coming(EntranceTestCase):
    def test_what_is_opened_right_behind_waits_for_the_answer(self) -> None:
        client, _ = self.come("me")
        channel = client.join()
        self.world.settle()
        self.assertEqual(client.heard(channel), [])
        self.assertEqual(self.asked, [("c0", "me", "/u")])
        self.assertEqual(self.world.relay.hub.members, 0)
        self.answer(client.link, "/u", WRITE)
        self.world.settle()
        self.assertEqual(self.names(client, channel), ["welcome", "alone", "members"])

    def test_all_streams_of_a_map_wait_for_one_answer(self) -> None:
        client, _ = self.come("me")
        channel, listener = client.join(), client.open("/u/proxy/server/s")
        other = client.join("/other")
        self.world.settle()
        self.assertEqual([uri for _, _, uri in self.asked], ["/u", "/other"])
        self.answer(client.link, "/u", WRITE)
        self.world.settle()
        self.assertEqual(self.names(client, channel)[0], "welcome")
        self.assertEqual(client.heard(listener), [])
        self.assertEqual(client.heard(other), [])
        again = client.join()
        self.world.settle()
        self.assertEqual(len(self.asked), 2)
        self.assertEqual(self.names(client, again)[0], "welcome")

    def test_without_credentials_it_is_asked_all_the_same(self) -> None:
        self.answers[(None, "/u")] = READ
        client, _ = self.come()
        channel = client.join()
        self.world.settle()
        welcome = client.data(channel)[0]
        self.assertEqual((welcome[0], welcome[1]["access"]), ("welcome", "read"))
        self.assertEqual(self.asked, [("c0", None, "/u")])

    def test_what_comes_before_the_answer_is_not_lost(self) -> None:
        """A plain member sends without waiting for anything."""
        self.answers[("other", "/u")] = WRITE
        other, _ = self.come("other")
        listening = other.open("/u/channel")
        client, _ = self.come("me")
        channel = client.open("/u/channel", half_open=True)
        client.send(channel, {"n": 1})
        client.send(channel, {"n": 2})
        self.world.settle()
        self.assertEqual(other.data(listening), [])
        self.answer(client.link, "/u", WRITE)
        self.world.settle()
        self.assertEqual(other.data(listening), [{"n": 1}, {"n": 2}])

    def test_what_waits_is_bounded(self) -> None:
        client, _ = self.come("me")
        one, two = client.open("/u/channel"), client.open("/v/channel")
        client.send(one, "x" * (MAX_HELD_BYTES - 2))
        self.world.settle()
        self.assertEqual(client.heard(one), [])
        client.send(two, 1)
        self.world.settle()
        self.assertEqual(client.heard(two)[0][1][1], "limit")
        self.answer(client.link, "/u", NONE)
        self.answer(client.link, "/v", WRITE)
        self.world.settle()
        self.assertEqual(client.heard(one)[0], REFUSED)
        self.assertEqual(client.heard(two), [])

    def test_gone_before_the_answer(self) -> None:
        client, _ = self.come("me")
        channel = client.join()
        self.world.settle()
        client.mux.close(channel)
        self.world.settle()
        self.answer(client.link, "/u", WRITE)
        self.world.settle()
        self.assertEqual(self.world.relay.hub.members, 0)
        other, _ = self.come("me")
        other.join("/v")
        self.world.settle()
        other.disconnect()
        self.answer(other.link, "/v", WRITE)
        self.assertEqual(self.world.relay.hub.members, 0)

    def test_few_questions_at_a_time(self) -> None:
        client, _ = self.come("me")
        for number in range(MAX_QUESTIONS + 5):
            client.join(f"/{number}")
        self.world.settle()
        self.assertEqual(len(self.asked), MAX_QUESTIONS)
        self.answer(client.link, "/3", NONE)
        self.assertEqual(self.asked[-1], ("c0", "me", f"/{MAX_QUESTIONS}"))

    def test_a_thousand_answers_at_once(self) -> None:
        self.answers = {("me", f"/{number}"): WRITE for number in range(1000)}
        client, stream = self.come("me")
        assert stream is not None
        for number in range(1000):
            client.join(f"/{number}")
        self.world.settle()
        self.assertEqual(self.world.relay.hub.members, 1000)
        client.send(stream, "me")
        self.world.settle()
        self.assertEqual(len(self.asked), 2000)
        self.assertEqual(self.world.relay.hub.members, 1000)


class KeptOut(EntranceTestCase):
    def test_it_learns_nothing(self) -> None:
        """The same words, in the same turn, whether there is such a map or not."""
        self.answers = {("member", "/there"): WRITE, ("x", "/there"): NONE, ("x", "/not"): NONE}
        member, _ = self.come("member")
        channel = member.join("/there")
        listener = member.open("/there/proxy/server/s")
        self.world.settle()
        peer = member.data(channel)[0][1]["peer"]
        told = []
        for uri in ("/there", "/not"):
            client, _ = self.come("x")
            streams = [
                client.join(uri),
                client.open(f"{uri}/channel"),
                client.open(f"{uri}/proxy/server/s"),
                client.open(f"{uri}/proxy/client/s/c"),
                client.open(f"{uri}/proxy/client/{peer}/c"),
                client.open(f"{uri}/proxy/server/{peer}/client/c/1"),
            ]
            self.world.up()
            self.world.down()
            told.append([client.heard(stream) for stream in streams])
        self.assertEqual(told[0], told[1])
        for heard in told[0]:
            self.assertEqual(heard[0], REFUSED)
        self.world.settle()
        self.assertEqual(member.heard(listener), [])
        self.assertEqual(member.data(channel), [])
        refusals = [each for each in self.world.observed if each[0] == "refused"]
        self.assertEqual({each[2]["code"] for each in refusals}, {"refused"})
        self.assertEqual(len(refusals), 12)

    def test_a_refusal_is_remembered_for_a_while(self) -> None:
        self.answers[("x", "/u")] = NONE
        client, _ = self.come("x")
        for _ in range(3):
            client.join()
            self.world.settle()
        self.assertEqual(len(self.asked), 1)
        self.world.now_ms += REFUSED_MS
        client.join()
        self.world.settle()
        self.assertEqual(len(self.asked), 2)

    def test_other_credentials_have_another_chance(self) -> None:
        self.answers = {("x", "/u"): NONE, ("y", "/u"): WRITE}
        client, stream = self.come("x")
        assert stream is not None
        client.join()
        self.world.settle()
        client.send(stream, "y")
        channel = client.join()
        self.world.settle()
        self.assertEqual(self.names(client, channel)[0], "welcome")


class TheStream(EntranceTestCase):
    def refusal(self, meta: Any, *payloads: Any) -> str:
        client = self.world.client()
        stream = client.open(meta)
        for payload in payloads:
            client.send(stream, payload)
        self.world.settle()
        (what, (_, code)), closed = client.heard(stream)
        self.assertEqual((what, closed[0]), ("error", "closed"))
        return str(code)

    def test_wrong(self) -> None:
        self.assertEqual(self.refusal("credentials"), "version")
        self.assertEqual(self.refusal({"route": "credentials", "version": [2, 0]}), "version")
        self.assertEqual(self.refusal(CREDENTIALS, {"token": "x"}), "protocol")
        self.assertEqual(self.refusal(CREDENTIALS, "x" * MAX_CREDENTIALS_BYTES), "limit")
        self.assertEqual(self.asked, [])

    def test_the_longest(self) -> None:
        longest = "x" * (MAX_CREDENTIALS_BYTES - 2)
        self.answers[(longest, "/u")] = WRITE
        client, _ = self.come(longest)
        channel = client.join()
        self.world.settle()
        self.assertEqual(self.names(client, channel)[0], "welcome")

    def test_a_second_one(self) -> None:
        client, _ = self.come("x")
        second = client.open(CREDENTIALS)
        self.world.settle()
        self.assertEqual(client.heard(second)[0][1][1], "taken")

    def test_given_up_without_a_word(self) -> None:
        client = self.world.client()
        stream, channel = client.open(CREDENTIALS), client.join()
        self.world.settle()
        self.assertEqual(self.asked, [])
        client.mux.close(stream)
        self.world.settle()
        self.assertEqual(self.asked, [("c0", None, "/u")])
        self.answer(client.link, "/u", NONE)
        self.world.settle()
        self.assertEqual(client.heard(channel)[0], REFUSED)

    def test_a_relay_that_asks_nobody_has_judged_at_once(self) -> None:
        self.entrance.ask = None
        client = self.world.client()
        stream = client.open(CREDENTIALS)
        client.send(stream, "x")
        channel = client.join()
        self.world.settle()
        self.assertEqual(client.data(stream), [["judged"]])
        self.assertNotIn("access", client.data(channel)[0][1])
        self.assertIsNone(client.link.gate)
        client.disconnect()

    def test_it_outlives_a_cut(self) -> None:
        """One that was too slow loses its maps, and not what it has shown."""
        self.answers[("me", "/u")] = WRITE
        client, stream = self.come("me")
        assert stream is not None
        channel = client.join()
        self.world.settle()
        client.data(channel)
        self.world.relay.cut(client.link)
        self.world.settle()
        self.assertEqual(client.data(stream), [["judged"]])
        self.assertEqual(client.heard(channel)[0][1][1], "slow")


class Expiry(EntranceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.until_ms = self.world.now_ms + 100_000

    def later(self, client: Client, ms: float) -> None:
        self.world.now_ms += ms
        self.entrance.tick(client.link)
        self.world.settle()

    def test_asked_anew_in_band(self) -> None:
        self.answers = {
            ("old", "/u"): Grant(WRITE, self.until_ms),
            ("new", "/u"): Grant(WRITE, self.until_ms + 100_000),
        }
        client, stream = self.come("old")
        assert stream is not None
        channel = client.join()
        self.world.settle()
        client.data(channel)
        assert client.link.gate is not None
        self.assertEqual(client.link.gate.next_ms(), self.until_ms - RENEW_MS)
        self.assertEqual(client.data(stream), [["judged"]])
        self.later(client, 100_000 - RENEW_MS)
        self.assertEqual(client.data(stream), [["renew"]])
        self.later(client, 1)
        self.assertEqual(client.data(stream), [])
        client.send(stream, "new")
        self.world.settle()
        self.assertEqual(client.link.gate.next_ms(), self.until_ms + 100_000 - RENEW_MS)
        self.later(client, RENEW_MS)
        self.assertEqual(client.data(channel), [])

    def test_no_answer(self) -> None:
        self.answers[("old", "/u")] = Grant(WRITE, self.until_ms)
        self.answers[("old", "/v")] = WRITE
        client, stream = self.come("old")
        assert stream is not None
        channel, other = client.join(), client.join("/v")
        self.world.settle()
        client.data(channel), client.data(other)
        self.later(client, 100_000)
        self.assertEqual(
            client.heard(channel)[0], ("error", ("your credentials have expired", "expired"))
        )
        self.assertEqual(client.data(stream), [["judged"], ["renew"]])
        self.assertEqual(client.data(other), [])
        again = client.join()
        self.world.settle()
        self.assertEqual(client.heard(again)[0], REFUSED)  # that answer is of the past

    def test_judged_once_all_that_is_open_has_its_answer(self) -> None:
        self.answers = {("old", "/u"): WRITE, ("old", "/v"): WRITE}
        client, stream = self.come("old")
        assert stream is not None
        client.join(), client.join("/v")
        self.world.settle()
        self.assertEqual(client.data(stream), [["judged"]])
        client.send(stream, "late")
        client.send(stream, "late too")
        held = client.join("/w")
        self.world.settle()
        for uri, answer in (("/u", WRITE), ("/v", NONE), ("/w", NONE)):
            self.assertEqual(client.data(stream), [])
            self.answer(client.link, uri, answer)
            self.world.settle()
        self.assertEqual(client.heard(held)[0], REFUSED)
        self.assertEqual(client.data(stream), [["judged"]] * 2)  # one for each

    def test_what_others_gave_is_forgotten_where_it_is_not_in_use(self) -> None:
        self.answers = {("old", "/u"): WRITE, ("old", "/v"): WRITE, ("less", "/u"): READ}
        self.answers["less", "/v"] = READ
        client, stream = self.come("old")
        assert stream is not None
        used, left = client.join(), client.join("/v")
        self.world.settle()
        client.mux.close(left)
        client.send(stream, "less")
        self.world.settle()
        self.assertEqual(client.heard(used)[-2][1][1], "changed")
        for uri in ("/u", "/v"):
            again = client.join(uri)
            self.world.settle()
            self.assertEqual(client.data(again)[0][1]["access"], "read")

    def test_a_stream_on_which_the_relay_may_not_speak(self) -> None:
        client = self.world.client()
        stream = client.open(CREDENTIALS, readable=False)
        client.send(stream, "me")
        self.answers[("me", "/u")] = Grant(WRITE, self.until_ms)
        channel = client.join()
        self.world.settle()
        self.assertEqual(self.names(client, channel)[0], "welcome")
        self.later(client, 100_000)
        self.assertEqual(client.heard(stream), [])

    def test_new_ones_give_less(self) -> None:
        self.answers = {("old", "/u"): WRITE, ("less", "/u"): READ, ("none", "/u"): NONE}
        client, stream = self.come("old")
        assert stream is not None
        for shown, code in (("less", "changed"), ("none", "refused")):
            channel = client.join()
            self.world.settle()
            client.data(channel)
            client.send(stream, shown)
            self.world.settle()
            self.assertEqual(client.heard(channel)[0][1][1], code)

    def test_without_a_stream_the_authorizer_is_asked_again(self) -> None:
        self.answers[(None, "/u")] = Grant(WRITE, self.until_ms)
        client, _ = self.come()
        channel = client.join()
        self.world.settle()
        client.data(channel)
        self.answers[(None, "/u")] = Grant(WRITE, self.until_ms + 50_000)
        self.later(client, 100_000 - RENEW_MS)
        self.later(client, RENEW_MS)
        self.assertEqual(len(self.asked), 2)
        self.assertEqual(client.data(channel), [])

    def test_no_end_of_questions(self) -> None:
        """An answer that never holds for longer is not asked for in ever shorter steps."""
        self.answers[(None, "/u")] = Grant(WRITE, self.until_ms)
        client, _ = self.come()
        client.join()
        self.world.settle()
        assert client.link.gate is not None
        steps = 0
        while (next_ms := client.link.gate.next_ms()) is not None:
            self.later(client, next_ms - self.world.now_ms)
            steps += 1
            self.assertLess(steps, 20)
        self.assertLess(len(self.asked), 10)
