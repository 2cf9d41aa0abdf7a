"""Planted bugs: each a small fault in the core that the simulator has to find.

Each builds what to put in the place of what, as :func:`tests.simulation.plan.replaced` takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from distmap.channel import Channel, Member
from distmap.clock import HybridClock, Stamp
from distmap.entries import Entry
from distmap.frames import FrameDecoder
from distmap.lww import Replica
from distmap.map import DistributedMap
from distmap.outbox import Outbox
from distmap.relay_connection import RelayConnection
from distmap.seat import Seat
from distmap.sync import Newcomer
from distmap.sync_donor import Donor
from distmap.syncing import Syncing
from tests.simulation.plan import replaced

Replacements = dict[str, Any]
BUGS: Final[dict[str, Callable[[], Replacements]]] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plants a bug for a while."""
    with replaced(BUGS[name]()):
        yield


def bug(build: Callable[[], Replacements]) -> Callable[[], Replacements]:
    """Registers a bug; its docstring says what is wrong, its name is that of the function."""
    BUGS[build.__name__.replace("_", " ")] = build
    return build


def _nothing(*args: Any) -> None:
    """Does nothing."""


# -- which write wins ------------------------------------------------------------------------------


def _wins(wins: Callable[[Entry, Entry], bool]) -> Replacements:
    def replacement(key: str, new: Entry, old: Entry | None) -> bool:
        return old is None or wins(new, old)

    return {"lww.wins": replacement}


@bug
def no_tie_break() -> Replacements:
    """Of two writes with one stamp, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp > old.stamp)


@bug
def writers_not_compared() -> Replacements:
    """Of two writes of one time by two writers, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp[:2] > old.stamp[:2])


@bug
def counters_not_compared() -> Replacements:
    """Of two writes within a millisecond, each replica keeps the first."""
    return _wins(lambda new, old: new.stamp.ms > old.stamp.ms)


@bug
def last_message_wins() -> Replacements:
    """Stamps are not compared at all."""
    return _wins(lambda new, old: new != old)


@bug
def counter_not_increased() -> Replacements:
    """Two writes within a millisecond have one stamp."""
    tick = HybridClock.tick

    def replacement(self: HybridClock, after: Stamp | None = None) -> Stamp:
        stamp = tick(self, after)
        self._counter = 0
        return stamp._replace(counter=0)

    return {"clock.HybridClock.tick": replacement}


@bug
def clock_does_not_observe() -> Replacements:
    """What is written after reading may be earlier than what was read."""
    return {"clock.HybridClock.observe": _nothing}


@bug
def wrong_stamps_kept() -> Replacements:
    """When a clock that was ahead is corrected, its writes keep their stamps."""

    def replacement(self: HybridClock, offset_ms: float) -> bool:
        self.offset_ms = offset_ms
        return False

    return {"clock.HybridClock.correct": replacement}


@bug
def deletes_forgotten() -> Replacements:
    """A delete leaves nothing behind."""
    place = Replica._place

    def replacement(self: Replica, key: str, entry: Entry, old: Entry | None) -> Any:
        update = place(self, key, entry, old)
        if entry.value is None and old is not None:
            del self.entries[key]
        return update

    return {"lww.Replica._place": replacement}


@bug
def hash_not_renewed() -> Replacements:
    """The tree of sums does not hear of overwritten entries."""
    place = Replica._place

    def replacement(self: Replica, key: str, entry: Entry, old: Entry | None) -> Any:
        update = place(self, key, entry, old)
        if old is not None:
            self._stale.discard(key)
        return update

    return {"lww.Replica._place": replacement}


# -- the outbox ------------------------------------------------------------------------------------


@bug
def outbox_cleared_at_disconnect() -> Replacements:
    """What was not acknowledged is forgotten when the connection is lost."""
    go_offline = Outbox.go_offline

    def replacement(self: Outbox) -> None:
        go_offline(self)
        self._waiting.clear()

    return {"outbox.Outbox.go_offline": replacement}


@bug
def outbox_cleared_early() -> Replacements:
    """A write is taken for acknowledged when it is sent."""
    next_message = Outbox.next_message

    def replacement(self: Outbox) -> bytes | None:
        message = next_message(self)
        if message is not None:
            for key, _ in self._sent[-1].entries:
                self._waiting.pop(key, None)
        return message

    return {"outbox.Outbox.next_message": replacement}


@bug
def outbox_not_sent_again() -> Replacements:
    """After a reconnect only new writes are sent."""
    go_online = Outbox.go_online

    def replacement(self: Outbox) -> None:
        go_online(self)
        self._queue.clear()

    return {"outbox.Outbox.go_online": replacement}


@bug
def window_never_opens() -> Replacements:
    """What is acknowledged still counts as under way."""
    acknowledge = Outbox.acknowledge

    def replacement(self: Outbox, number: int) -> Any:
        before = self._sent_bytes
        taken = acknowledge(self, number)
        self._sent_bytes = before
        return taken

    return {"outbox.Outbox.acknowledge": replacement}


@bug
def other_messages_not_counted() -> Replacements:
    """What is broadcast for a newcomer is acknowledged as if it were a write."""
    return {"outbox.Outbox.count_other": _nothing}


@bug
def one_deferred_a_time() -> Replacements:
    """Of several writes of a key only the first Deferred fires."""
    taken = DistributedMap.taken

    def replacement(self: DistributedMap, writes: list[tuple[str, Stamp]]) -> None:
        taken(self, list({key: (key, stamp) for key, stamp in reversed(writes)}.values()))

    return {"map.DistributedMap.taken": replacement}


# -- syncs -----------------------------------------------------------------------------------------


@bug
def one_digit_not_compared() -> Replacements:
    """A sixteenth of all keys is taken for equal."""
    judge = Newcomer._judge

    def replacement(self: Newcomer, prefix: str, *args: Any) -> None:
        if prefix != "7":
            judge(self, prefix, *args)

    return {"sync.Newcomer._judge": replacement}


@bug
def nothing_handed_over() -> Replacements:
    """The newcomer keeps to itself what the donor lacks."""
    return {"sync.Newcomer._next_request": _without_pushes(Newcomer._next_request)}


def _without_pushes(next_request: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def replacement(self: Any) -> Any:
        self._to_push.clear()
        self._to_give.clear()
        return next_request(self)

    return replacement


@bug
def donor_tells_nobody() -> Replacements:
    """What a newcomer brought stays with its donor."""
    return {"peer.Peer.learned": lambda self, updates: self.updated(updates)}


@bug
def tombstones_not_synced() -> Replacements:
    """A donor hands out values only."""
    entries = Donor._entries

    def replacement(self: Donor, request: Any) -> Any:
        answer = entries(self, request)
        answer.entries = [raw for raw in answer.entries if b'"event":"delete"' not in bytes(raw)]
        return answer

    return {"sync_donor.Donor._entries": replacement}


@bug
def last_of_a_chunk_lost() -> Replacements:
    """A chunk that is not the last ends one entry too early."""
    entries = Donor._entries

    def replacement(self: Donor, request: Any) -> Any:
        answer = entries(self, request)
        if answer.next is not None:
            del answer.entries[-1:]
        return answer

    return {"sync_donor.Donor._entries": replacement}


@bug
def dead_donor_not_replaced() -> Replacements:
    """A newcomer waits on when its donor goes away."""

    def replacement(self: Any, error: object) -> None:
        self._stream = None
        if isinstance(self, Syncing) and not self._stopped:
            self._stall.reset(1e6)
        elif not self._stopped:
            self._fail("closed")

    return {"syncing._Conversation.stream_closed": replacement}


@bug
def silent_donor_not_replaced() -> Replacements:
    """A newcomer waits for ever for a donor that says nothing."""

    def replacement(self: Any) -> None:
        self._stall = self._party.call_later(1e6, _nothing)

    return {"syncing._Conversation._stalled": replacement}


@bug
def ready_too_early() -> Replacements:
    """A newcomer offers to serve others before it has anything."""
    step = Syncing._step

    def replacement(self: Any) -> None:
        if not self._started:
            self._party.peer._port.send(b'["ready"]')
        step(self)

    return {"syncing.Syncing._step": replacement}


@bug
def ready_is_a_lie() -> Replacements:
    """A newcomer is ready when its donor is found."""
    begin_sync = Seat.begin_sync

    def replacement(self: Seat, donor: str) -> None:
        begin_sync(self, donor)
        self.became_ready("peer")

    return {"seat.Seat.begin_sync": replacement}


# -- the relay -------------------------------------------------------------------------------------


@bug
def acknowledged_before_broadcast() -> Replacements:
    """The relay acknowledges in one turn, and passes on in the next."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        late, _late[id(self)] = _late.get(id(self), []), self.pending
        self.pending = late
        return flush(self) if late else []

    _late: dict[int, Any] = {}
    return {"channel.Channel.flush": replacement}


@bug
def one_acknowledged_too_many() -> Replacements:
    """The relay counts one message more than it got."""
    init = Member.__init__

    def replacement(self: Any, *args: Any) -> None:
        init(self, *args)
        self.received = 1

    return {"channel.Member.__init__": replacement}


@bug
def a_turn_shared_is_a_payload_lost() -> Replacements:
    """When two senders share a turn, the last payload is lost."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        if len({sender.id for sender, _ in self.pending}) > 1:
            self.pending.pop()
        return flush(self)

    return {"channel.Channel.flush": replacement}


@bug
def sender_left_out_of_the_turn() -> Replacements:
    """Who sent in a turn hears nothing of the others that did."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        senders = {sender.link for sender, _ in self.pending}
        out = [
            (text, [link for link in links if link not in senders]) for text, links in flush(self)
        ]
        return [(text, links) for text, links in out if links]

    return {"channel.Channel.flush": replacement}


@bug
def waiting_newcomers_forgotten() -> Replacements:
    """Who waits for a donor is not told when one is free."""
    return {"hub.Hub._serve_waiting": _nothing}


@bug
def donor_never_free_again() -> Replacements:
    """A donor that served as many as it may is never chosen again."""

    def replacement(self: Any, member: Any) -> None:
        donor, member.donor = member.donor, None
        if donor is not None:
            donor.serving.discard(member)

    return {"hub.Hub._release_donor": replacement}


@bug
def members_never_leave() -> Replacements:
    """Who has gone stays a member."""
    return {"hub.Hub.leave": _nothing}


@bug
def partial_frame_lost() -> Replacements:
    """A frame that comes in two pieces loses the first."""

    def replacement(self: FrameDecoder, line: bytes) -> bytes:
        self._partial.clear()
        return line

    return {"frames.FrameDecoder._complete": replacement}


@bug
def slow_reader_not_told() -> Replacements:
    """The queue of a slow reader is thrown away, and it does not learn of that."""

    def replacement(self: RelayConnection) -> None:
        self._stop_stall()
        self._queue.clear()
        self._queued_bytes = 0

    return {"relay_connection.RelayConnection._cut": replacement}


@bug
def messages_out_of_order() -> Replacements:
    """What queued for a slow reader is sent from the end."""
    resume = RelayConnection.resumeProducing

    def replacement(self: RelayConnection) -> None:
        self._queue.reverse()
        resume(self)

    return {"relay_connection.RelayConnection.resumeProducing": replacement}


# -- clocks and gossip -----------------------------------------------------------------------------


@bug
def future_never_comes() -> Replacements:
    """Entries from the future are never taken."""
    return {"lww.Replica.release": lambda self: []}


@bug
def future_taken_at_once() -> Replacements:
    """A wrong clock wins for ever."""
    return {"clock.HybridClock.is_ahead": lambda self, stamp: False}


@bug
def future_without_bound() -> Replacements:
    """One writer fills the memory with entries from the future."""
    return {"holding.Holding._let_go": _nothing}


@bug
def let_in_and_kept() -> Replacements:
    """What a wrong clock had let in from the future stays."""
    return {"lww.Replica.hold_again": lambda self: []}


@bug
def not_written_once_more() -> Replacements:
    """What was written by a wrong clock is lost until its time."""
    return {"peer.Peer._rewrite": _nothing}


@bug
def time_asked_once() -> Replacements:
    """A clock that jumps while it is connected stays wrong."""
    return {"peer.Peer.ask_time": _nothing}


@bug
def time_not_listened_to() -> Replacements:
    """The relay's time is ignored."""
    return {"peer.Peer._set_offset": _nothing}


@bug
def no_gossip() -> Replacements:
    """Nobody tells a digest."""
    return {"peer.Peer.tell_digest": _nothing}


@bug
def no_repair() -> Replacements:
    """Nobody minds another digest."""
    return {"seat.Seat._repair": _nothing}
