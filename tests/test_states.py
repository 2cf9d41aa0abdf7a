"""The table of a stream's states is total and consistent, and the ids never come twice."""

from __future__ import annotations

import re
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from distmap import frames
from distmap.errors import LocalProtocolError
from distmap.states import (
    CAN_RECEIVE,
    TRANSITIONS,
    Kind,
    Move,
    MuxStream,
    State,
    StreamIds,
    first_state,
)

CAN_SEND = {state for state in State if Move.SEND_DATA in TRANSITIONS[state]}

# A move seen from the other side.
SEEN_FROM_THE_OTHER_SIDE = {
    Move.SEND_DATA: Move.RECEIVE_DATA,
    Move.SEND_END: Move.RECEIVE_END,
    Move.SEND_ERROR: Move.RECEIVE_ERROR,
    Move.SEND_CLOSE: Move.RECEIVE_CLOSE,
}
SEEN_FROM_THE_OTHER_SIDE |= {there: here for here, there in SEEN_FROM_THE_OTHER_SIDE.items()}

MIRRORED = {
    State.OPEN: State.OPEN,
    State.SENDING: State.RECEIVING,
    State.RECEIVING: State.SENDING,
    State.CLOSED: State.CLOSED,
}


class TableTests(TestCase):
    def test_every_state_is_in_it(self) -> None:
        self.assertEqual(set(TRANSITIONS), set(State))

    def test_every_move_is_in_it(self) -> None:
        used = {move for moves in TRANSITIONS.values() for move in moves}
        self.assertEqual(used, set(Move))

    def test_nothing_leaves_closed(self) -> None:
        self.assertEqual(TRANSITIONS[State.CLOSED], {})

    def test_every_state_can_be_reached(self) -> None:
        first = {first_state(send, receive) for send in (True, False) for receive in (True, False)}
        reached = first | {after for moves in TRANSITIONS.values() for after in moves.values()}
        self.assertEqual(reached, set(State))

    def test_each_side_alone_can_close_every_open_stream(self) -> None:
        for state in set(State) - {State.CLOSED}:
            for move in (
                Move.SEND_CLOSE,
                Move.SEND_ERROR,
                Move.RECEIVE_CLOSE,
                Move.RECEIVE_ERROR,
            ):
                self.assertIs(TRANSITIONS[state][move], State.CLOSED, (state, move))

    def test_the_ends_of_all_that_send_close_every_stream(self) -> None:
        for state in set(State) - {State.CLOSED}:
            after = state
            for end in (Move.SEND_END, Move.RECEIVE_END):
                after = TRANSITIONS[after].get(end, after)
            self.assertIs(after, State.CLOSED, state)

    def test_data_changes_no_state(self) -> None:
        for state, moves in TRANSITIONS.items():
            for move in (Move.SEND_DATA, Move.RECEIVE_DATA):
                self.assertIs(moves.get(move, state), state)

    def test_who_may_send_may_end(self) -> None:
        for state, moves in TRANSITIONS.items():
            self.assertEqual(Move.SEND_DATA in moves, Move.SEND_END in moves, state)
            self.assertEqual(Move.RECEIVE_DATA in moves, Move.RECEIVE_END in moves, state)

    def test_an_end_takes_the_right_to_send_and_nothing_else(self) -> None:
        for state in CAN_SEND:
            after = TRANSITIONS[state][Move.SEND_END]
            self.assertNotIn(after, CAN_SEND)
            self.assertEqual(after in CAN_RECEIVE, state in CAN_RECEIVE)
        for state in CAN_RECEIVE:
            after = TRANSITIONS[state][Move.RECEIVE_END]
            self.assertNotIn(after, CAN_RECEIVE)
            self.assertEqual(after in CAN_SEND, state in CAN_SEND)

    def test_the_table_is_the_same_from_both_sides(self) -> None:
        for state, moves in TRANSITIONS.items():
            seen = {SEEN_FROM_THE_OTHER_SIDE[m]: MIRRORED[after] for m, after in moves.items()}
            self.assertEqual(TRANSITIONS[MIRRORED[state]], seen)

    def test_every_event_is_in_it_but_those_of_no_state(self) -> None:
        named = {move.value.removeprefix("receive ") for move in Move}
        named -= {move.value for move in Move if move.value.startswith("send")}
        self.assertEqual(named, frames.EVENTS - {frames.NEW, frames.PAUSE, frames.RESUME})


class FirstStateTests(TestCase):
    def test_it_allows_what_was_asked_for(self) -> None:
        for can_send in (True, False):
            for can_receive in (True, False):
                state = first_state(can_send, can_receive)
                self.assertEqual(state in CAN_SEND, can_send)
                self.assertEqual(state in CAN_RECEIVE, can_receive)
                self.assertIs(first_state(can_receive, can_send), MIRRORED[state])


class MuxStreamTests(TestCase):
    def test_after_follows_the_table(self) -> None:
        for state, moves in TRANSITIONS.items():
            stream = MuxStream("a", None, state, False)
            for move in Move:
                if move in moves:
                    self.assertIs(stream.after(move), moves[move])
                else:
                    with self.assertRaises(LocalProtocolError) as caught:
                        stream.after(move)
                    self.assertIn(move.value, str(caught.exception))
                    self.assertIn(state.value, str(caught.exception))
            self.assertIs(stream.state, state, "asking must not move it")

    def test_a_new_stream(self) -> None:
        stream = MuxStream("a\n", {"k": 1}, State.SENDING, True)
        self.assertEqual((stream.id, stream.meta, stream.half_open), ("a\n", {"k": 1}, True))
        self.assertFalse(stream.send_paused)
        self.assertIsNone(stream.owner)
        self.assertEqual(repr(stream), r"<MuxStream 'a\n' sending>")


class StreamIdTests(TestCase):
    wishes = st.none() | st.sampled_from(["a", "a.1", "a.2", ".1", "p.1", "p.2", "b", "", "a.1.3"])

    @settings(deadline=None, max_examples=200)
    @given(st.lists(wishes, max_size=30), st.sets(st.sampled_from(["a", "p.1", "p.3", ".2"])))
    def test_none_comes_twice_and_none_that_is_taken(
        self, wishes: list[str | None], taken: set[str]
    ) -> None:
        ids = StreamIds("p", 128)
        made = [ids.make(wanted, taken) for wanted in wishes]
        self.assertEqual(len(set(made)), len(made))
        self.assertFalse(taken & set(made))
        for stream_id, wanted in zip(made, wishes, strict=True):
            if stream_id != wanted:
                self.assertRegex(stream_id, rf"\A{re.escape(wanted or 'p')}\.[0-9]+\Z")

    def test_a_wanted_id_is_had_as_it_is(self) -> None:
        for wanted in ("a", "/fruits/channel", "constructor", "a.b", "7", ""):
            self.assertEqual(StreamIds("p", 128).make(wanted, ()), wanted)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.text("aé", min_size=10, max_size=30), max_size=4), st.integers(20, 60))
    def test_none_is_longer_than_the_other_side_takes(self, wishes: list[str], limit: int) -> None:
        ids = StreamIds("p", limit)
        for wanted in wishes * 2:
            made = ids.make(wanted, ())
            self.assertLessEqual(len(made.encode()), limit)
            if len(wanted.encode()) + 12 <= limit:
                self.assertTrue(made.startswith(wanted))
            else:
                self.assertRegex(made, r"\Ap\.[0-9]+\Z")

    def test_two_prefixes_never_meet(self) -> None:
        left, right = StreamIds("l", 128), StreamIds("r", 128)
        self.assertFalse(
            {left.make(None, ()) for _ in range(20)} & {right.make(None, ()) for _ in range(20)}
        )


class EnumTests(TestCase):
    def test_no_member_is_the_alias_of_another(self) -> None:
        for members in (Kind, State, Move):
            self.assertEqual(list(members.__members__), [member.name for member in members])
