"""Planted bugs: the relay, and what it sends."""

from __future__ import annotations

from typing import Any

from distmap.channel import Channel, Member
from distmap.frames import FrameDecoder
from distmap.relay_connection import RelayConnection
from tests.simulation.planting import Replacements, bug, nothing


@bug()
def acknowledged_before_broadcast() -> Replacements:
    """The relay acknowledges in one turn, and passes on in the next."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        late, _late[id(self)] = _late.get(id(self), []), self.pending
        self.pending = late
        return flush(self) if late else []

    _late: dict[int, Any] = {}
    return {"channel.Channel.flush": replacement}


@bug()
def one_acknowledged_too_many() -> Replacements:
    """The relay counts one message more than it got."""
    init = Member.__init__

    def replacement(self: Any, *args: Any) -> None:
        init(self, *args)
        self.received = 1

    return {"channel.Member.__init__": replacement}


@bug()
def a_turn_shared_is_a_payload_lost() -> Replacements:
    """When two senders share a turn, the last payload is lost."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        if len({sender.id for sender, *_ in self.pending}) > 1:
            self.pending.pop()
        return flush(self)

    return {"channel.Channel.flush": replacement}


@bug()
def sender_left_out_of_the_turn() -> Replacements:
    """Who sent in a turn hears nothing of the others that did."""
    flush = Channel.flush

    def replacement(self: Any) -> Any:
        senders = {sender.link for sender, *_ in self.pending}
        out = [
            (text, [link for link in links if link not in senders]) for text, links in flush(self)
        ]
        return [(text, links) for text, links in out if links]

    return {"channel.Channel.flush": replacement}


@bug()
def waiting_newcomers_forgotten() -> Replacements:
    """Who waits for a donor is not told when one is free."""
    return {"donors.Donors._serve_waiting": nothing}


@bug()
def donor_never_free_again() -> Replacements:
    """A donor that served as many as it may is never chosen again."""

    def replacement(self: Any, member: Any) -> None:
        donor, member.donor = member.donor, None
        if donor is not None:
            donor.serving -= {member}
            self._since.pop(member, None)
            self._served.discard((member.channel.name, member.link))

    return {"donors.Donors._release": replacement}


@bug()
def members_never_leave() -> Replacements:
    """Who has gone stays a member."""
    return {"hub.Hub.leave": nothing}


@bug()
def partial_frame_lost() -> Replacements:
    """A frame that comes in two pieces loses the first."""

    def replacement(self: FrameDecoder, line: bytes) -> bytes:
        self._partial.clear()
        return line

    return {"frames.FrameDecoder._complete": replacement}


@bug()
def slow_reader_not_told() -> Replacements:
    """The queue of a slow reader is thrown away, and it does not learn of that."""

    def replacement(self: RelayConnection, cause: str) -> None:
        self._stop_stall()
        self._clear_queue()

    return {"relay_connection.RelayConnection._cut": replacement}


@bug()
def messages_out_of_order() -> Replacements:
    """What queued for a slow reader is sent from the end."""
    resume = RelayConnection.resumeProducing

    def replacement(self: RelayConnection) -> None:
        if self._queue:
            self._queue.frames.reverse()
        resume(self)

    return {"relay_connection.RelayConnection.resumeProducing": replacement}
