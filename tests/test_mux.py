"""MuxDemux: two of them back to back against a model, hostile frames, limits and local misuse."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from distmap import frames
from distmap.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from distmap.frames import FrameDecoder, Limits, encode_json
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxEvent, MuxStream, State

BOTH_WAYS = '{"meta":"m","opts":{"writable":true,"readable":true}}'
HALF_OPEN = '{"opts":{"writable":true,"readable":true,"allowHalfOpen":true}}'
I_WRITE = '{"opts":{"writable":true,"readable":false}}'
I_READ = '{"opts":{"writable":false,"readable":true}}'

Seen = tuple[Kind, Any, Any]


def seen(events: list[MuxEvent]) -> list[Seen]:
    """The events with ids for streams and bytes for payloads."""
    return [
        (
            kind,
            None if stream is None else stream.id,
            bytes(detail) if kind is Kind.DATA else detail,
        )
        for kind, stream, detail in events
    ]


def sent(mux: MuxDemux) -> list[list[Any]]:
    """What a side has to send, as any reader of JSON takes it."""
    return [json.loads(line) for line in b"".join(mux.take()).splitlines()]


def frame(*elements: Any) -> bytes:
    return encode_json(elements) + b"\n"


class Side(MuxDemux):
    """A MuxDemux that is fed with text."""

    def hear(self, *lines: str | bytes) -> list[Seen]:
        data = b"".join(line.encode() if isinstance(line, str) else line for line in lines)
        return seen(self.receive(data))

    def hear_new(self, stream_id: str, payload: str = BOTH_WAYS) -> MuxStream:
        self.hear(f'["{stream_id}","new",{payload}]\n')
        return self.streams[stream_id]


class OpeningTests(TestCase):
    def test_the_options_are_told_from_the_receivers_side(self) -> None:
        for writable, readable, mine, theirs in (
            (True, True, State.OPEN, State.OPEN),
            (True, False, State.SENDING, State.RECEIVING),
            (False, True, State.RECEIVING, State.SENDING),
        ):
            for half_open in (False, True):
                here, there = Side(), Side()
                stream = here.open(
                    {"k": 1}, writable=writable, readable=readable, half_open=half_open
                )
                self.assertIs(stream.state, mine)
                out = b"".join(here.take())
                opts: dict[str, bool] = {"writable": readable, "readable": writable}
                if half_open:
                    opts["allowHalfOpen"] = True
                self.assertEqual(
                    json.loads(out), [stream.id, "new", {"meta": {"k": 1}, "opts": opts}]
                )
                self.assertEqual(there.hear(out), [(Kind.OPENED, stream.id, {"k": 1})])
                self.assertIs(there.streams[stream.id].state, theirs)
                self.assertEqual(there.streams[stream.id].half_open, half_open)
                self.assertEqual(there.streams[stream.id].meta, {"k": 1})
                self.assertEqual(there.take(), [])

    def test_options_that_npm_leaves_out_are_not_so(self) -> None:
        side = Side()
        self.assertIs(side.hear_new("w", '{"opts":{"writable":true}}').state, State.SENDING)
        self.assertIs(side.hear_new("r", '{"opts":{"readable":true}}').state, State.RECEIVING)
        self.assertIsNone(side.streams["w"].meta)

    def test_ids(self) -> None:
        side = Side(id_prefix="r")
        ids = [side.open(None).id, side.open(None, stream_id="/a").id]
        side.close(side.streams["/a"])
        ids.append(side.open(None, stream_id="/a").id)
        side.hear_new("theirs")
        ids.append(side.open(None, stream_id="theirs").id)
        self.assertEqual(ids[1], "/a")
        self.assertTrue(ids[0].startswith("r"))
        self.assertEqual(len({*ids, "theirs"}), 5)
        self.assertEqual([line[0] for line in sent(side) if line[1] == "new"], ids)

    def test_an_id_that_looks_made_is_not_used_twice(self) -> None:
        side = Side()
        made = side.open(None)
        side.close(made)
        self.assertNotEqual(side.open(None, stream_id=made.id).id, made.id)

    def test_a_wanted_id_that_the_other_side_would_not_take(self) -> None:
        here, there = Side(id_prefix="here"), Side()
        for stream_id in ("x" * 116, "x" * 117, "x" * 5000, "🍎" * 30, "x" * 116):
            stream = here.open(None, stream_id=stream_id)
            self.assertEqual(there.hear(*here.take())[-1], (Kind.OPENED, stream.id, None))
            here.close(stream)

    def test_nobody_could_send(self) -> None:
        with self.assertRaises(LocalProtocolError):
            Side().open(None, writable=False, readable=False)

    def test_not_while_closing_nor_after_the_connection(self) -> None:
        closing, gone = Side(), Side()
        closing.closing = True
        gone.disconnect()
        for side in (closing, gone):
            with self.assertRaises(LocalProtocolError):
                side.open(None)
            self.assertEqual((side.streams, side.take()), ({}, []))

    def test_in_answer_to_what_came_before_a_fault(self) -> None:
        failed = Side()
        failed.hear("junk\n")
        stream = failed.open(None)
        self.assertEqual(failed.disconnect(), [(Kind.CLOSED, stream, None)])
        self.assertEqual(failed.take(), [])

    def test_a_meta_that_json_does_not_have_leaves_nothing_behind(self) -> None:
        side = Side()
        for meta in (object(), "\ud800", {("a", "b"): 1}):
            with self.assertRaises((TypeError, ValueError)):
                side.open(meta, stream_id="a")
        with self.assertRaises(ValueError):
            side.open(None, stream_id="\ud800")
        self.assertEqual((side.streams, side.take()), ({}, []))
        self.assertEqual(side.open(None, stream_id="a").id, "a")


class LocalMisuseTests(TestCase):
    """The caller's mistakes raise at the call and send nothing."""

    def refused(self, side: Side, stream: MuxStream, *calls: str) -> None:
        state = stream.state
        side.take()
        for call in calls:
            with self.assertRaises(LocalProtocolError, msg=call):
                if call == "send":
                    side.send(stream, b"1")
                elif call == "end":
                    side.end(stream)
                else:
                    side.error(stream, "m", "c")
        self.assertIs(stream.state, state)
        self.assertEqual(side.take(), [])

    def test_a_stream_that_this_side_only_reads(self) -> None:
        side = Side()
        self.refused(side, side.open(None, writable=False), "send", "end")
        self.refused(side, side.hear_new("a", I_READ), "send", "end")

    def test_a_stream_that_this_side_has_ended(self) -> None:
        side = Side()
        stream = side.hear_new("a", HALF_OPEN)
        self.assertEqual(side.end(stream), [])
        self.refused(side, stream, "send", "end")

    def test_a_closed_stream(self) -> None:
        for how in ("end", "error", "close", "their end", "their error", "their close", "lost"):
            side = Side()
            stream = side.hear_new("a")
            if how == "end":
                side.end(stream)
            elif how == "error":
                side.error(stream, "m", "c")
            elif how == "close":
                side.close(stream)
            elif how == "lost":
                side.disconnect()
            else:
                side.hear(frame("a", how.split()[1], "payload"))
            self.assertIs(stream.state, State.CLOSED, how)
            self.refused(side, stream, "send", "end", "error")
            self.assertEqual(side.close(stream), [])
            side.pause(stream)
            side.resume(stream)
            self.assertEqual(side.take(), [])


class EndingTests(TestCase):
    """What is sent and told when a stream ends, by whichever side."""

    closed = [(Kind.CLOSED, "a", None)]

    def test_this_side_ends(self) -> None:
        side = Side()
        stream = side.hear_new("a")
        self.assertEqual(seen(side.end(stream)), self.closed)
        self.assertEqual(sent(side), [["a", "end"], ["a", "close"]])

    def test_the_other_side_ends(self) -> None:
        side = Side()
        side.hear_new("a")
        self.assertEqual(side.hear(frame("a", "end")), [(Kind.ENDED, "a", None), *self.closed])
        self.assertEqual(sent(side), [["a", "end"], ["a", "close"]])
        self.assertEqual(side.streams, {})

    def test_half_open_this_side_first(self) -> None:
        side = Side()
        stream = side.hear_new("a", HALF_OPEN)
        self.assertEqual(side.end(stream), [])
        self.assertEqual(sent(side), [["a", "end"]])
        self.assertEqual(side.hear(frame("a", "data", 1)), [(Kind.DATA, "a", b"1")])
        self.assertEqual(side.hear(frame("a", "end")), [(Kind.ENDED, "a", None), *self.closed])
        self.assertEqual(sent(side), [["a", "close"]])

    def test_half_open_the_other_side_first(self) -> None:
        side = Side()
        stream = side.hear_new("a", HALF_OPEN)
        self.assertEqual(side.hear(frame("a", "end")), [(Kind.ENDED, "a", None)])
        self.assertEqual(sent(side), [])
        side.send(stream, b"1")
        self.assertEqual(seen(side.end(stream)), self.closed)
        self.assertEqual(sent(side), [["a", "data", 1], ["a", "end"], ["a", "close"]])

    def test_one_way(self) -> None:
        side = Side()
        self.assertEqual(seen(side.end(side.hear_new("a", I_WRITE))), self.closed)
        self.assertEqual(sent(side), [["a", "end"], ["a", "close"]])
        side.hear_new("a", I_READ)
        self.assertEqual(side.hear(frame("a", "end")), [(Kind.ENDED, "a", None), *self.closed])
        self.assertEqual(sent(side), [["a", "close"]])

    def test_the_reader_of_a_one_way_stream_lets_go(self) -> None:
        side = Side()
        stream = side.hear_new("a", I_WRITE)
        self.assertEqual(side.hear(frame("a", "end")), self.closed)
        self.assertEqual(sent(side), [["a", "close"]])
        self.assertIs(stream.state, State.CLOSED)

    def test_errors(self) -> None:
        side = Side()
        stream = side.hear_new("a")
        self.assertEqual(seen(side.error(stream, "no such route", "unknown-route")), self.closed)
        self.assertEqual(
            sent(side),
            [["a", "error", {"message": "no such route", "code": "unknown-route"}], ["a", "close"]],
        )
        for payload, detail in (
            ('"lost"', ("lost", "error")),
            ('{"message":"lost"}', ("lost", "error")),
            ('{"message":"lost","code":"gone"}', ("lost", "gone")),
            ("{}", ("", "error")),
        ):
            side.hear_new("a")
            self.assertEqual(
                side.hear(f'["a","error",{payload}]\n'), [(Kind.ERROR, "a", detail), *self.closed]
            )
            self.assertEqual(sent(side), [["a", "close"]])

    def test_close(self) -> None:
        side = Side()
        stream = side.hear_new("a")
        self.assertEqual(seen(side.close(stream)), self.closed)
        self.assertEqual(side.close(stream), [])
        self.assertEqual(sent(side), [["a", "close"]])
        side.hear_new("a")
        self.assertEqual(side.hear(frame("a", "close")), self.closed)
        self.assertEqual(side.hear(frame("a", "close")), [])

    def test_both_sides_close_at_one_time(self) -> None:
        here, there = Side(), Side()
        mine = here.open(None)
        there.hear(*here.take())
        here.close(mine)
        there.close(there.streams[mine.id])
        self.assertEqual(here.hear(*there.take()), [])
        self.assertEqual(there.hear(*here.take()), [])
        self.assertEqual((here.take(), there.take()), ([], []))

    def test_pause_and_resume_are_told_once(self) -> None:
        side = Side()
        stream = side.hear_new("a")
        self.assertEqual(side.hear(frame("a", "resume")), [])
        self.assertEqual(
            side.hear(frame("a", "pause"), frame("a", "pause")), [(Kind.PAUSED, "a", None)]
        )
        self.assertTrue(stream.send_paused)
        self.assertEqual(
            side.hear(frame("a", "resume"), frame("a", "resume")), [(Kind.RESUMED, "a", None)]
        )
        self.assertFalse(stream.send_paused)
        side.pause(stream)
        side.resume(stream)
        self.assertEqual(sent(side), [["a", "pause"], ["a", "resume"]])

    def test_the_connection_is_gone(self) -> None:
        side = Side()
        streams = [side.hear_new("a"), side.open(None), side.hear_new("b", I_READ)]
        side.send(streams[0], b"1")
        self.assertTrue(side.has_output)
        self.assertEqual(
            seen(side.disconnect()), [(Kind.CLOSED, stream.id, None) for stream in streams]
        )
        self.assertEqual({stream.state for stream in streams}, {State.CLOSED})
        self.assertFalse(side.has_output)
        self.assertEqual((side.disconnect(), side.take(), side.streams), ([], [], {}))
        self.assertEqual(side.hear(f'["c","new",{BOTH_WAYS}]\n'), [])


class HostileTests(TestCase):
    """A fault ends the stream or the connection that it came on, and nothing else."""

    def side(self) -> Side:
        side = Side()
        for stream_id in ("before", "a", "after"):
            side.hear_new(stream_id)
        return side

    def stream_fault(self, side: Side, *lines: str | bytes) -> str:
        """These lines end stream a with a protocol error; returns its message."""
        events = side.hear(*lines)
        self.assertEqual([event[:2] for event in events], [(Kind.ERROR, "a"), (Kind.CLOSED, "a")])
        message, code = events[0][2]
        self.assertEqual(code, "protocol")
        self.assertEqual(
            sent(side), [["a", "error", {"message": message, "code": code}], ["a", "close"]]
        )
        self.others_go_on(side)
        return str(message)

    def others_go_on(self, side: Side) -> None:
        for stream_id in ("before", "after"):
            self.assertEqual(side.hear(frame(stream_id, "data", 1)), [(Kind.DATA, stream_id, b"1")])
            side.send(side.streams[stream_id], b"2")
        self.assertEqual(sent(side), [["before", "data", 2], ["after", "data", 2]])
        self.assertNotIn("a", side.streams)
        # The id is free again.
        self.assertEqual(side.hear(f'["a","new",{BOTH_WAYS}]\n'), [(Kind.OPENED, "a", "m")])

    def test_data_without_a_payload(self) -> None:
        self.assertIn("payload", self.stream_fault(self.side(), '["a","data"]\n'))

    def test_unknown_events(self) -> None:
        for event in ("nope", "", "constructor", "__proto__", "NEW", "Data", "drain", "x" * 5000):
            with self.subTest(event[:20]):
                message = self.stream_fault(self.side(), frame("a", event, 1))
                self.assertIn(repr(event[:32]), message)
                self.assertLess(len(message), 100)

    def test_malformed_errors(self) -> None:
        for payload in (",null", ",1", ",[]", ',{"message":1}', ',{"code":[]}', ""):
            with self.subTest(payload):
                self.stream_fault(self.side(), f'["a","error"{payload}]\n')

    def test_data_after_the_end(self) -> None:
        side = self.side()
        side.close(side.streams["a"])
        side.take()
        side.hear_new("a", HALF_OPEN)
        side.hear(frame("a", "end"))
        self.assertIn("end", self.stream_fault(side, frame("a", "data", 1)))

    def test_data_from_one_who_only_reads(self) -> None:
        side = Side()
        for stream_id, opts in (("before", BOTH_WAYS), ("a", I_WRITE), ("after", BOTH_WAYS)):
            side.hear_new(stream_id, opts)
        self.stream_fault(side, frame("a", "data", 1))

    def test_end_twice(self) -> None:
        side = Side()
        for stream_id in ("before", "a", "after"):
            side.hear_new(stream_id, HALF_OPEN)
        side.hear(frame("a", "end"))
        self.assertIn("twice", self.stream_fault(side, frame("a", "end")))

    def test_frames_for_no_stream(self) -> None:
        side = self.side()
        side.close(side.streams["a"])
        side.take()
        for stream_id in ("a", "never", "", "constructor", "__proto__", "x" * 5000):
            for event in ("data", "end", "error", "pause", "resume", "nope"):
                self.assertEqual(
                    side.hear(frame(stream_id, event, 1)),
                    [(Kind.UNKNOWN, None, (stream_id, event))],
                )
            self.assertEqual(side.hear(frame(stream_id, "close")), [])
        self.assertEqual(side.take(), [])
        self.others_go_on(side)

    def test_payloads_that_nobody_wants_are_ignored(self) -> None:
        side = self.side()
        self.assertEqual(
            side.hear('["a","pause",{"x":[1]}]\n["a","close",null]\n'),
            [(Kind.PAUSED, "a", None), (Kind.CLOSED, "a", None)],
        )

    def test_names_that_an_object_inherits_are_ids_like_others(self) -> None:
        side = self.side()
        for stream_id in ("constructor", "__proto__", "toString"):
            meta = {"__proto__": {"constructor": 1}}
            opts = {"writable": True, "readable": True}
            self.assertEqual(
                side.hear(frame(stream_id, "new", {"meta": meta, "opts": opts})),
                [(Kind.OPENED, stream_id, meta)],
            )
            self.assertEqual(
                side.hear(frame(stream_id, "data", meta)),
                [(Kind.DATA, stream_id, encode_json(meta))],
            )
            self.assertEqual(side.hear(frame(stream_id, "close")), [(Kind.CLOSED, stream_id, None)])
        side.close(side.streams["a"])
        side.take()
        self.others_go_on(side)

    def test_malformed_openings_are_refused_and_harm_no_other(self) -> None:
        for payload in (
            "",
            ",null",
            ",1",
            ",[]",
            ",{}",
            ',{"meta":1}',
            ',{"opts":null}',
            ',{"opts":{"writable":1,"readable":1}}',
            ',{"opts":{}}',
            ',{"opts":{"writable":false,"readable":false}}',
            ',{"meta":1e999,"opts":{"writable":true,"readable":true}}',
        ):
            with self.subTest(payload):
                side = self.side()
                side.close(side.streams["a"])
                side.take()
                told = side.hear(f'["a","new"{payload}]\n')
                (_, event, fault), closed = sent(side)
                self.assertEqual(told, [(Kind.REFUSED, None, ("a", *fault.values()))])
                self.assertEqual((event, fault["code"]), ("error", "protocol"))
                self.assertEqual(closed, ["a", "close"])
                self.assertEqual(
                    side.hear(frame("a", "data", 1)), [(Kind.UNKNOWN, None, ("a", "data"))]
                )
                self.others_go_on(side)

    def test_openings_while_closing_are_refused(self) -> None:
        side = self.side()
        side.closing = True
        told = side.hear(f'["b","new",{BOTH_WAYS}]\n')
        (_, event, fault), closed = sent(side)
        self.assertEqual(told, [(Kind.REFUSED, None, ("b", *fault.values()))])
        self.assertEqual((event, fault["code"]), ("error", "closing"))
        self.assertEqual(closed, ["b", "close"])
        self.assertEqual(side.hear(frame("a", "data", 1)), [(Kind.DATA, "a", b"1")])

    def test_what_ends_the_connection(self) -> None:
        for line in (
            b"junk\n",
            b"[1]\n",
            b'[1,"data",1]\n',
            b'["a",1,1]\n',
            b'["a","data",1,1]\n',
            b'["a","data",01]\n',
            b'["a","data","\xff"]\n',
            b'["a","data","\\ud800"]\n',
            b'["a","data",{\n}]\n',
            b'["a","data",1]["a","data",{\n}]\n',
            b'["a","data",' + b"[" * 100_000 + b"]" * 100_000 + b"]\n",
            f'["a","new",{BOTH_WAYS}]\n'.encode(),
        ):
            with self.subTest(line[:40]):
                side = self.side()
                events = side.hear(frame("before", "data", 1) + line + frame("after", "data", 2))
                self.assertEqual(events[0], (Kind.DATA, "before", b"1"))
                self.assertEqual([event[:2] for event in events[1:]], [(Kind.FAILED, None)])
                self.assertIs(type(events[1][2]), RemoteProtocolError)
                # Nothing more is taken, and the streams close when the connection does.
                self.assertEqual(side.hear(frame("after", "data", 3)), [])
                self.assertEqual(
                    seen(side.disconnect()),
                    [(Kind.CLOSED, stream_id, None) for stream_id in ("before", "a", "after")],
                )

    def test_the_stream_that_ends_in_a_chunk_is_unknown_in_the_rest_of_it(self) -> None:
        side = self.side()
        self.assertEqual(
            side.hear(
                frame("a", "close") + frame("a", "data", 1),
                f'["a","new",{I_READ}]\n',
                frame("a", "data", 2),
            ),
            [
                (Kind.CLOSED, "a", None),
                (Kind.UNKNOWN, None, ("a", "data")),
                (Kind.OPENED, "a", None),
                (Kind.DATA, "a", b"2"),
            ],
        )


class LimitTests(TestCase):
    def test_frames(self) -> None:
        for length, failed in ((100 - 15, False), (100 - 14, True)):
            side = Side(Limits(frame_bytes=100))
            side.hear_new("a")
            kinds = [event[0] for event in side.hear(frame("a", "data", "x" * length))]
            self.assertEqual(kinds, [Kind.FAILED if failed else Kind.DATA])

    def test_ids(self) -> None:
        for stream_id in ("x" * 8, "é" * 4):
            side = Side(Limits(id_bytes=8))
            self.assertEqual(side.hear_new(stream_id).id, stream_id)
            ((kind, _, fault),) = side.hear(f'["{stream_id}é","new",{BOTH_WAYS}]\n')
            self.assertIs(kind, Kind.FAILED)
            self.assertIsInstance(fault, LimitExceeded)
            self.assertIn("8", str(fault))

    def test_meta(self) -> None:
        side = Side(Limits(meta_bytes=8))
        opts = {"writable": True, "readable": True}
        self.assertEqual(
            side.hear(frame("a", "new", {"meta": "x" * 6, "opts": opts})),
            [(Kind.OPENED, "a", "x" * 6)],
        )
        told = side.hear(frame("b", "new", {"meta": "x" * 7, "opts": opts}))
        (_, event, fault), _ = sent(side)[-2:]
        self.assertEqual((event, fault["code"]), ("error", "limit"))
        self.assertIn("meta of a stream is over 8 bytes", fault["message"])
        self.assertEqual(told, [(Kind.REFUSED, None, ("b", *fault.values()))])
        self.assertEqual(side.hear(frame("a", "data", 1)), [(Kind.DATA, "a", b"1")])

    def test_streams(self) -> None:
        side = Side(Limits(streams=3))
        side.open(None)
        side.hear_new("a")
        side.hear_new("b")
        side.take()
        told = side.hear(f'["c","new",{BOTH_WAYS}]\n')
        refusal, closed = sent(side)
        self.assertEqual(told, [(Kind.REFUSED, None, ("c", *refusal[2].values()))])
        self.assertEqual((refusal[:2], refusal[2]["code"]), (["c", "error"], "limit"))
        self.assertIn("3", refusal[2]["message"])
        self.assertEqual(closed, ["c", "close"])
        # The others go on, and a place that gets free is free.
        self.assertEqual(side.hear(frame("a", "data", 1)), [(Kind.DATA, "a", b"1")])
        side.hear(frame("b", "close"))
        self.assertEqual(side.hear(f'["c","new",{I_READ}]\n'), [(Kind.OPENED, "c", None)])


# Frames that are nearly right, over few ids, so that they meet streams in every state.
ids = st.sampled_from(["a", "b", "constructor"])
openings = st.sampled_from([BOTH_WAYS, HALF_OPEN, I_WRITE, I_READ])
near_events = [*["data", "pause", "resume"] * 3, "end", "close", "error", "nope"]
near_payloads = [",null", ",1", ',"x"', ',{"message":"m","code":"c"}', ',{"opts":{}}', ""]
near_frames = st.builds(
    lambda stream_id, event, payload: f'["{stream_id}","{event}"{payload}]\n'.encode(),
    *(ids, st.sampled_from(near_events), st.sampled_from(near_payloads)),
)
new_frames = st.builds(
    lambda stream_id, payload: f'["{stream_id}","new",{payload}]\n'.encode(),
    *(ids | st.just("long" * 4), openings),
)
rare = st.sampled_from([b"\n", b'["a","data",{\n}]\n', b'["b","data"', b'["a","data","\xff"]\n'])
own_calls = st.tuples(st.sampled_from(["open", "send", "end", "error", "close", "pause"]), ids)
chunks = st.lists(near_frames, min_size=1, max_size=6).map(b"".join)
# Most of what comes is near; what ends the whole connection is seldom.
steps = st.lists(
    st.integers(0, 19).flatmap(lambda n: {0: new_frames, 1: rare, 2: own_calls}.get(n, chunks)),
    min_size=3,
    max_size=20,
)


class AnyInputTests(TestCase):
    @settings(deadline=None, max_examples=300)
    @given(st.lists(openings, min_size=2, max_size=3), steps)
    def test_frames_in_any_order(
        self, opened: list[str], steps: list[bytes | tuple[str, str]]
    ) -> None:
        side = Side(Limits(streams=4, id_bytes=15))
        witness = Witness(self, side)
        for stream_id, payload in zip(("a", "b", "constructor"), opened, strict=False):
            witness.check(side.receive(f'["{stream_id}","new",{payload}]\n'.encode()))
        for step in steps:
            if isinstance(step, bytes):
                witness.check(side.receive(step))
            else:
                witness.check(witness.call(*step))
        witness.check(side.disconnect())
        self.assertEqual(witness.open, set())

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary(max_size=30), max_size=6))
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        side = Side()
        witness = Witness(self, side)
        for chunk in chunks:
            witness.check(side.receive(chunk))


class TogetherTests(TestCase):
    """Objects of one stream, told by one event."""

    def hear(self, *chunks: bytes) -> tuple[list[Seen], list[Seen], list[bytes]]:
        """What sides with and without it tell, the former also in full; both send the same."""
        sides = Side(), Side()
        for side in sides:
            side.hear_new("a")
            side.hear_new("b")
            side.hear_new("r", I_READ)
            side.hear_new("h", HALF_OPEN)
        together = [sides[0].streams[stream_id] for stream_id in "arh"]
        raw: list[MuxEvent] = []
        plain: list[Seen] = []
        for chunk in chunks:
            raw += sides[0].receive(chunk, together)
            plain += seen(sides[1].receive(chunk))
        full: list[MuxEvent] = []
        texts = []
        for kind, stream, detail in raw:
            if kind is Kind.OBJECTS:
                text, count = detail
                texts.append(text)
                found, fault = FrameDecoder().feed(text)
                assert fault is None and len(found) == count
                full += [(Kind.DATA, stream, payload) for _, _, payload in found]
            else:
                full.append((kind, stream, detail))
        self.assertEqual(sides[0].take(), sides[1].take())
        return seen(full), plain, texts

    def told(self, *chunks: bytes) -> list[bytes]:
        full, plain, texts = self.hear(*chunks)
        self.assertEqual(repr(full), repr(plain))
        return texts

    def test_many_are_one_event_with_the_very_bytes(self) -> None:
        text = b'["a","data",{"n":1}]\n["a","data",{ }]\n'
        (told,) = self.told(text)
        self.assertIs(told, text)

    def test_others_are_told_one_by_one(self) -> None:
        one = b'["a","data",{}]\n'
        for other in (
            *(b'["b","data",{}]\n', b'["a","data",[]]\n', b'["a","data"]\n', b'["a","close"]\n'),
            *(b'["x","data",{}]\n', b'["a","data",{},{}]\n', b"junk\n", b'["a","da'),
        ):
            for chunk in (other + one, one + other, one + other + one):
                with self.subTest(chunk):
                    self.assertEqual(self.told(chunk), [])

    def test_after_the_end(self) -> None:
        end, text = b'["a","end"]\n', b'["a","data",{}]\n'
        self.assertEqual(self.told(end, text), [])
        self.assertEqual(self.told(end.replace(b"a", b"h"), text.replace(b'"a"', b'"h"')), [])
        self.assertEqual(self.told(b'["r","data",{}]\n'), [b'["r","data",{}]\n'])

    def test_a_chunk_that_only_looks_whole(self) -> None:
        # What came before makes another frame of it.
        self.assertEqual(self.told(b'["a","data",', b'["a","data",{}]]\n'), [])
        self.assertEqual(self.told(b'["a","data",["x",\n', b'["a","data",{}]\n'), [])

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.sampled_from(
                [
                    *[b'["a","data",{}]\n', b'["a","data",{"n":[1]}]\n'] * 4,
                    *[b'["b","data",{}]\n', b'["r","data",{}]\n', b'["a","data",', b"]\n", b"\n"],
                    *[b'["a","data",1]\n', b'["a","end"]\n', b'["a","close"]\n', b"{}]"],
                ]
            ),
            max_size=8,
        ).map(b"".join),
        st.lists(st.integers(0, 150), max_size=3),
    )
    def test_any_chunks(self, data: bytes, places: list[int]) -> None:
        ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
        self.told(*(data[start:end] for start, end in pairwise(ends)))


class Witness:
    """Checks what holds whatever comes in: of the events of one side, and of what it sends."""

    def __init__(self, case: TestCase, side: Side) -> None:
        self.case = case
        self.side = side
        self.open: set[MuxStream] = set()
        self.failed = False
        self.decoder = FrameDecoder()

    def call(self, name: str, stream_id: str) -> list[MuxEvent]:
        """Calls a method, where that is no misuse."""
        try:
            if name == "open":
                self.open.add(self.side.open(None))
            elif stream_id in self.side.streams:
                stream = self.side.streams[stream_id]
                if name == "send":
                    self.side.send(stream, b"1")
                elif name == "pause":
                    self.side.pause(stream)
                elif name == "error":
                    return self.side.error(stream, "m", "c")
                else:
                    return self.side.end(stream) if name == "end" else self.side.close(stream)
        except LocalProtocolError:
            pass
        return []

    def check(self, events: list[MuxEvent]) -> None:
        case = self.case
        for kind, stream, detail in events:
            if stream is None:
                case.assertIn(kind, (Kind.UNKNOWN, Kind.FAILED))
                case.assertFalse(self.failed)
                self.failed = kind is Kind.FAILED
                case.assertEqual(isinstance(detail, RemoteProtocolError), self.failed)
                continue
            case.assertEqual(stream in self.open, kind is not Kind.OPENED)
            if kind is Kind.OPENED:
                self.open.add(stream)
            elif kind is Kind.CLOSED:
                case.assertIs(stream.state, State.CLOSED)
                self.open.remove(stream)
            elif kind is Kind.DATA:
                payload = bytes(detail)
                case.assertNotIn(b"\n", payload)
                json.loads(payload)
        case.assertEqual(set(self.side.streams.values()), self.open)
        case.assertNotIn(State.CLOSED, {stream.state for stream in self.open})
        # What it sends is valid, and about streams by name.
        out, fault = self.decoder.feed(b"".join(self.side.take()))
        case.assertIsNone(fault)
        case.assertLessEqual({event for _, event, _ in out}, frames.EVENTS)


# -- two of them back to back ----------------------------------------------------------------------


@dataclass
class End:
    """The model of one end of a stream: what was sent from it, and what came to it."""

    stream: MuxStream
    writable: bool
    readable: bool
    half_open: bool
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    asks_for_pause: bool = False
    ended: bool = False  # this end said so
    error: tuple[str, str] | None = None  # this end said so
    left: bool = False  # this end closed it, by whatever call
    told_ended: bool = False
    told_error: bool = False
    told_paused: bool = False
    closed: int = 0

    @property
    def can_send(self) -> bool:
        return self.writable and not self.ended and not self.closed

    @property
    def can_receive(self) -> bool:
        return self.readable and not self.told_ended and not self.closed

    def check(self) -> None:
        """What holds between any two steps."""
        assert self.stream.state is STATES[self.can_send, self.can_receive]
        assert self.closed == (self.stream.state is State.CLOSED)
        assert self.stream.send_paused == self.told_paused
        if self.left or self.told_error or ((self.ended or self.told_ended) and not self.half_open):
            assert self.closed


STATES = {
    (True, True): State.OPEN,
    (True, False): State.SENDING,
    (False, True): State.RECEIVING,
    (False, False): State.CLOSED,
}


class Peer:
    """One of the two, with the wire to it: what was sent and has not yet arrived."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mux = MuxDemux(id_prefix=name)
        self.wire = bytearray()
        self.ends: dict[str, End] = {}
        self.other: Peer = self

    def do(self, events: list[MuxEvent] | None = None) -> None:
        """Puts on the wire what a call made, and checks the events that it returned."""
        for event in events or []:
            self.note(*event)
        self.other.wire += b"".join(self.mux.take())

    def deliver(self, count: int) -> None:
        data = bytes(self.wire[:count])
        del self.wire[:count]
        self.do(self.mux.receive(data))

    def note(self, kind: Kind, stream: MuxStream | None, detail: Any) -> None:
        """Writes an event into the model, and checks it against what the other side did."""
        assert kind is not Kind.FAILED, detail
        if stream is None:
            # It was under way when this side closed the stream, or refused it.
            stream_id = detail[0]
            assert self.ends[stream_id].closed if stream_id in self.ends else self.mux.closing
            return
        far = self.other.ends.get(stream.id)
        if kind is Kind.OPENED:
            assert far is not None
            assert stream.id not in self.ends
            assert not self.mux.closing
            assert detail == stream.meta == far.stream.meta
            self.ends[stream.id] = End(stream, far.readable, far.writable, far.half_open)
            return
        near = self.ends[stream.id]
        assert near.stream is stream
        assert not near.closed, f"{kind} after the close"
        if kind is Kind.CLOSED:
            near.closed += 1
            told = near.told_ended or near.told_error
            assert near.left or near.ended or told or (far is not None and far.closed)
        elif kind is Kind.ERROR:
            near.told_error = True
            if far is None:
                assert self.other.mux.closing
                assert detail[1] == "closing"
            else:
                assert detail == far.error
                assert near.received == far.sent
        else:
            assert far is not None
            if kind is Kind.DATA:
                assert near.can_receive
                near.received.append(bytes(detail))
                assert near.received == far.sent[: len(near.received)]
            elif kind is Kind.ENDED:
                assert near.can_receive
                assert far.ended
                assert near.received == far.sent
                near.told_ended = True
            else:
                assert near.told_paused == (kind is Kind.RESUMED)
                near.told_paused = kind is Kind.PAUSED


class BackToBack(RuleBasedStateMachine):
    """Two sides and two wires that deliver when, and in what pieces, Hypothesis likes."""

    stream_ids = Bundle("stream_ids")
    names = st.sampled_from(["left", "right"])

    def __init__(self) -> None:
        super().__init__()
        left, right = Peer("left"), Peer("right")
        left.other, right.other = right, left
        self.peers = {"left": left, "right": right}
        self.lost = False

    @initialize(target=stream_ids)
    def begin_with_some_streams(self) -> Any:
        opened = []
        for name, half_open in (("left", False), ("right", False), ("left", True)):
            opened.append(self.open(name, (True, True), half_open, "m", None))
            self.peers[name].other.deliver(10_000)
        return multiple(*opened)

    @rule(
        target=stream_ids,
        name=names,
        ways=st.sampled_from([(True, True), (True, True), (True, False), (False, True)]),
        half_open=st.booleans(),
        meta=st.sampled_from([None, 0, "m", {"k": ["\u2028"]}]),
        wanted=st.none() | st.sampled_from(["", ".1", "/channel"]),
    )
    def open(
        self, name: str, ways: tuple[bool, bool], half_open: bool, meta: Any, wanted: str | None
    ) -> Any:
        peer = self.peers[name]
        writable, readable = ways
        wanted = None if wanted is None else name + wanted
        try:
            stream = peer.mux.open(
                meta, writable=writable, readable=readable, half_open=half_open, stream_id=wanted
            )
        except LocalProtocolError:
            assert self.lost or peer.mux.closing
            return multiple()
        assert not (self.lost or peer.mux.closing)
        assert stream.id not in peer.ends
        peer.ends[stream.id] = End(stream, writable, readable, half_open)
        peer.do()
        return stream.id

    @rule(name=names, stream_id=stream_ids, values=st.lists(st.integers(0, 99), min_size=1))
    def send(self, name: str, stream_id: str, values: list[int]) -> None:
        peer = self.peers[name]
        if (end := peer.ends.get(stream_id)) is None:
            return
        for payload in map(encode_json, values):
            try:
                peer.mux.send(end.stream, payload)
            except LocalProtocolError:
                assert not end.can_send
            else:
                assert end.can_send
                end.sent.append(payload)
        peer.do()

    # One rule for the three, so that streams do not die all too young.
    @rule(
        name=names,
        stream_id=stream_ids,
        how=st.sampled_from(["end", "end", "error", "close"]),
        message=st.text(max_size=3),
    )
    def finish(self, name: str, stream_id: str, how: str, message: str) -> None:
        peer = self.peers[name]
        if (end := peer.ends.get(stream_id)) is None:
            return
        allowed = {"end": end.can_send, "error": not end.closed, "close": True}[how]
        try:
            if how == "end":
                events = peer.mux.end(end.stream)
            elif how == "error":
                events = peer.mux.error(end.stream, message, "code")
            else:
                events = peer.mux.close(end.stream)
        except LocalProtocolError:
            assert not allowed
            return
        assert allowed
        if how == "end":
            end.ended = True
        else:
            end.left = True
        if how == "error":
            end.error = (message, "code")
        peer.do(events)

    @rule(name=names, stream_id=stream_ids, pause=st.booleans())
    def pause_or_resume(self, name: str, stream_id: str, pause: bool) -> None:
        peer = self.peers[name]
        if (end := peer.ends.get(stream_id)) is not None:
            end.asks_for_pause = pause
            (peer.mux.pause if pause else peer.mux.resume)(end.stream)
            peer.do()

    @rule(name=names, count=st.sampled_from([1, 3, 20, 100, 10_000]))
    def deliver(self, name: str, count: int) -> None:
        self.peers[name].deliver(count)

    # These two end what a run can show, so they wait until it has shown something.
    def has_come_far(self) -> bool:
        ends = [end for peer in self.peers.values() for end in peer.ends.values()]
        return not self.lost and len(ends) > 3 and sum(len(end.received) for end in ends) > 3

    @precondition(has_come_far)
    @rule(name=names)
    def take_no_more_streams(self, name: str) -> None:
        self.peers[name].mux.closing = True

    @precondition(has_come_far)
    @rule(name=names, arrives=st.integers(0, 200))
    def lose_the_connection(self, name: str, arrives: int) -> None:
        self.lost = True
        first = self.peers[name]
        first.other.deliver(arrives)
        for peer in (first, first.other):
            for end in peer.ends.values():
                end.left = True
            peer.do(peer.mux.disconnect())
            assert peer.mux.streams == {}
        first.wire.clear()
        first.other.wire.clear()

    @invariant()
    def every_end_is_as_the_model_says(self) -> None:
        for peer in self.peers.values():
            for end in peer.ends.values():
                end.check()
            assert peer.mux.streams == {
                stream_id: end.stream for stream_id, end in peer.ends.items() if not end.closed
            }

    def teardown(self) -> None:
        self.deliver_all()
        for peer in self.peers.values():
            for stream_id, near in peer.ends.items():
                far = peer.other.ends.get(stream_id)
                if far is None:  # refused, or lost on the way
                    assert near.closed
                    continue
                assert near.closed == far.closed
                if not near.closed:
                    assert near.received == far.sent
                    assert near.told_paused == far.asks_for_pause
        # Whatever is open ends when everyone ends what they may still send on.
        for peer in self.peers.values():
            for end in peer.ends.values():
                if end.can_send:
                    end.ended = True
                    peer.do(peer.mux.end(end.stream))
        self.deliver_all()
        for peer in self.peers.values():
            assert peer.mux.streams == {}
            assert all(end.closed == 1 for end in peer.ends.values())

    def deliver_all(self) -> None:
        while any(peer.wire for peer in self.peers.values()):
            for peer in self.peers.values():
                peer.deliver(len(peer.wire))
            self.every_end_is_as_the_model_says()


BackToBackTests = BackToBack.TestCase
BackToBackTests.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
