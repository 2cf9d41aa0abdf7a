"""One channel: who gets which bytes, and that those who get the same get the same object."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap.channel import SENDERS_TOGETHER, Channel, Member, Outgoing
from distmap.frames import MESSAGE_BYTES, data_prefix


def add(channel: Channel[str], name: str, stream_id: str = "s", plain: bool = False) -> Member[str]:
    """A member whose id and link are one name."""
    member = Member(name, channel, name, data_prefix(stream_id), plain)
    channel.add(member)
    return member


def payloads(outgoing: list[Outgoing[str]]) -> dict[str, list[Any]]:
    """What each link gets, in order: (stream id, payload)."""
    got: dict[str, list[Any]] = {}
    for text, links in outgoing:
        for line in text.splitlines(keepends=True):
            assert line.endswith(b"]\n")
            stream_id, event, payload = json.loads(line)
            assert event == "data"
            for link in links:
                got.setdefault(link, []).append((stream_id, payload))
    return got


class FlushTests(TestCase):
    def setUp(self) -> None:
        self.channel: Channel[str] = Channel("/u")

    def test_all_get_it_but_the_sender(self) -> None:
        members = [add(self.channel, name) for name in "abc"]
        self.channel.say(members[1], b'{"n":1}')
        self.assertEqual(
            self.channel.flush(), [(b'["s","data",{"n":1}]\n', ["a", "c"])], "one text for both"
        )
        self.assertEqual(self.channel.flush(), [])

    def test_a_thousand_recipients_share_one_text(self) -> None:
        for at in range(1000):
            add(self.channel, str(at))
        sender = self.channel.members["500"]
        for n in range(20):
            self.channel.say(sender, b'{"n":%d}' % n)
        ((text, links),) = self.channel.flush()
        self.assertEqual(text.count(b"\n"), 20)
        self.assertEqual(links, [str(at) for at in range(1000) if at != 500])

    def test_objects_pass_as_the_very_bytes(self) -> None:
        for name in "abc":
            add(self.channel, name)
        add(self.channel, "d", "other")
        text = b'["s","data",{"n":1}]\n["s","data",{"n": 2}]\n'
        self.channel.say_objects(self.channel.members["a"], text)
        (same, links), (other, (link,)) = self.channel.flush()
        self.assertIs(same, text, "a copy")
        self.assertEqual(links, ["b", "c"])
        self.assertEqual(link, "d")
        self.assertEqual(other, text.replace(b'"s"', b'"other"'))

    def test_objects_that_grow_are_cut(self) -> None:
        add(self.channel, "a")
        add(self.channel, "b", "\x01" * 128)
        count = MESSAGE_BYTES // 16
        self.channel.say_objects(self.channel.members["a"], b'["s","data",{}]\n' * count)
        texts = [text for text, _ in self.channel.flush()]
        self.assertGreater(sum(map(len, texts)), 10 * MESSAGE_BYTES)
        self.assertLess(max(map(len, texts)), MESSAGE_BYTES + 1024)
        line = data_prefix("\x01" * 128) + b"{}]\n"
        self.assertTrue(b"".join(texts) == line * count)

    def test_one_text_for_each_stream_id(self) -> None:
        for name, stream_id in zip("abcde", "11222", strict=True):
            add(self.channel, name, stream_id)
        self.channel.say(self.channel.members["a"], b"{}")
        self.assertEqual(
            self.channel.flush(),
            [(b'["1","data",{}]\n', ["b"]), (b'["2","data",{}]\n', ["c", "d", "e"])],
        )

    def test_several_senders_in_one_turn(self) -> None:
        members = {name: add(self.channel, name) for name in "abcd"}
        for sender, n in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
            self.channel.say(members[sender], b'{"n":%d}' % n)
        out = self.channel.flush()
        got = {link: [payload["n"] for _, payload in each] for link, each in payloads(out).items()}
        self.assertEqual(got, {"a": [2, 4], "b": [1, 3, 4], "c": [1, 2, 3], "d": [1, 2, 3, 4]})
        self.assertEqual(len(out), 4, "each gets one message")

    def test_the_sender_alone_gets_nothing(self) -> None:
        self.channel.say(add(self.channel, "a"), b"{}")
        self.assertEqual(self.channel.flush(), [])

    def test_a_sender_that_has_left_is_heard_nevertheless(self) -> None:
        members = [add(self.channel, name) for name in "ab"]
        self.channel.say(members[0], b"{}")
        self.channel.remove(members[0])
        self.assertEqual(self.channel.flush(), [(b'["s","data",{}]\n', ["b"])])

    def test_only_plain_members_get_what_is_no_object(self) -> None:
        forged = b'["welcome",{"peer":"1"}]'
        plain, other = (add(self.channel, name, plain=True) for name in "pq")
        peer = add(self.channel, "v")
        for payload in (forged, b"1", b'"s"', b"null", b'{"n":1}'):
            self.channel.say(plain, payload)
        self.assertEqual(
            payloads(self.channel.flush()),
            {
                "q": [
                    ("s", json.loads(forged)),
                    ("s", 1),
                    ("s", "s"),
                    ("s", None),
                    ("s", {"n": 1}),
                ],
                "v": [("s", {"n": 1})],
            },
        )
        self.channel.say(peer, b'{"n":2}')
        self.assertEqual(
            self.channel.flush(), [(b'["s","data",{"n":2}]\n', [plain.link, other.link])]
        )

    def test_messages_are_bounded(self) -> None:
        members = [add(self.channel, name) for name in "abc"]
        size = 60_000
        for at in range(30):
            payload = b'{"n":"%b"}' % (b"x" * size)
            self.channel.say(members[at % 2], payload)
        out = self.channel.flush()
        for text, _ in out:
            self.assertLess(len(text), MESSAGE_BYTES + size + 100)
        self.assertEqual(
            {link: len(each) for link, each in payloads(out).items()}, {"a": 15, "b": 15, "c": 30}
        )
        self.assertLess(len(out), 30, "gathered all the same")

    def test_many_senders_share_most_of_it(self) -> None:
        count = 20 * SENDERS_TOGETHER
        members = [add(self.channel, str(at)) for at in range(count)]
        for at, member in enumerate(members):
            self.channel.say(member, b'{"n":%d}' % at)
        out = self.channel.flush()
        self.assertLess(sum(len(text) for text, _ in out), 40 * SENDERS_TOGETHER * count)
        for link, got in payloads(out).items():
            self.assertEqual(
                [payload["n"] for _, payload in got], [at for at in range(count) if str(at) != link]
            )

    def test_a_message_of_the_relay_is_not_for_plain_members(self) -> None:
        for name, stream_id, plain in (("a", "1", False), ("b", "1", False), ("c", "1", True)):
            add(self.channel, name, stream_id, plain)
        add(self.channel, "d", "2")
        self.assertEqual(
            self.channel.tell_all(b"[7]"),
            [(b'["1","data",[7]]\n', ["a", "b"]), (b'["2","data",[7]]\n', ["d"])],
        )

    members = st.lists(st.tuples(st.sampled_from("xy"), st.booleans()), min_size=1, max_size=70)

    @settings(deadline=None, max_examples=150)
    @given(members, st.lists(st.tuples(st.integers(0, 69), st.booleans()), max_size=120))
    def test_everybody_gets_all_of_the_others_in_order(
        self, members: list[tuple[str, bool]], sent: list[tuple[int, bool]]
    ) -> None:
        channel: Channel[str] = Channel("/u")
        all_members = [
            add(channel, str(at), stream_id, plain) for at, (stream_id, plain) in enumerate(members)
        ]
        wanted: dict[str, list[Any]] = {}
        for n, (at, is_object) in enumerate(sent):
            sender = all_members[at % len(all_members)]
            is_object = is_object or not sender.plain
            payload: Any = {"n": n} if is_object else [n]
            if is_object and n % 2:
                text = b"%b%b]\n" % (sender.prefix, json.dumps(payload).encode())
                channel.say_objects(sender, text)
            else:
                channel.say(sender, json.dumps(payload).encode())
            for member, (stream_id, _) in zip(all_members, members, strict=True):
                if member is not sender and (is_object or member.plain):
                    wanted.setdefault(member.link, []).append((stream_id, payload))
        self.assertEqual(payloads(channel.flush()), wanted)


class MembershipTests(TestCase):
    def test_adding_and_removing(self) -> None:
        channel: Channel[str] = Channel("/u")
        members = [
            add(channel, name, stream_id) for name, stream_id in zip("abc", "112", strict=True)
        ]
        self.assertEqual(list(channel.members), ["a", "b", "c"])
        self.assertEqual(len(channel.groups), 2)
        for each in (channel.ready, channel.free, channel.waiting):
            each[members[0].id] = members[0]
        for member in members:
            channel.remove(member)
        self.assertEqual((channel.members, channel.groups), ({}, {}))
        self.assertFalse(channel.ready or channel.free or channel.waiting)
        self.assertEqual((channel.joined, channel.left), (["a", "b", "c"], ["a", "b", "c"]))
