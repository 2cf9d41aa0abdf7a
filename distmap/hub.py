"""The channels of a relay: who is a member, who gets what, who serves whom. Without I/O.

Payloads pass as bytes. A member's own payloads are JSON objects and go to all other members; the
relay's messages to a member, and a member's to the relay, are JSON arrays that begin with their
name, so that no member can forge one to another. :meth:`Hub.flush` hands out what has gathered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic

import msgspec

from distmap.access import READ
from distmap.channel import Channel, LinkT, Member, Outgoing
from distmap.donors import Donors
from distmap.errors import RemoteProtocolError
from distmap.values import NOT_JSON

VERSION: Final = (1, 0)
"""Of the channel protocol: major and minor."""
PROMPT_MEMBERS: Final = 64
"""Joins and leaves are told at once in channels up to this size, and gathered in larger ones."""
MAX_NAMES: Final = 1000
"""Joins, and leaves, that one message tells."""

_encode = msgspec.json.Encoder().encode
_decode_control = msgspec.json.Decoder(list[Any]).decode


class Hub(Generic[LinkT]):
    """All channels of one relay.

    Args:
        now_ms: tells the relay's time, in milliseconds since 1970.
        wrote: is called once for each member that may only read and sends something to the others.
    """

    def __init__(
        self,
        now_ms: Callable[[], float],
        wrote: Callable[[Member[LinkT]], None] = lambda member: None,
    ) -> None:
        self.channels: dict[str, Channel[LinkT]] = {}
        self._now_ms = now_ms
        self.donors: Donors[LinkT] = Donors(now_ms, self._tell)
        self._last_id = 0
        self._dirty: dict[Channel[LinkT], None] = {}
        self._changed: dict[Channel[LinkT], None] = {}
        self._controls: list[tuple[Member[LinkT], bytes]] = []
        self._wrote = wrote
        # Readers that have written since the last flush.
        self._refused: dict[Member[LinkT], None] = {}

    @property
    def members(self) -> int:
        """How many members all channels have together."""
        return sum(len(channel.members) for channel in self.channels.values())

    # -- membership -------------------------------------------------------------------------------

    def join(
        self, name: str, link: LinkT, prefix: bytes, *, plain: bool, reader: bool = False
    ) -> Member[LinkT]:
        """Opens a channel for a stream; a member that is not plain gets its welcome and a donor.

        Args:
            name: the URI.
            link: the connection of the stream.
            prefix: of the data frames of the stream.
            plain: see :class:`Member`.
            reader: likewise.
        """
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name)
        self._last_id += 1
        member = Member(str(self._last_id), channel, link, prefix, plain, reader)
        channel.add(member)
        self._changed[channel] = None
        if not plain:
            welcome = {
                "version": VERSION,
                "peer": member.id,
                "time_ms": self._now_ms(),
                "members": len(channel.members),
            }
            if reader:
                welcome["access"] = READ
            self._tell(member, "welcome", welcome)
            self.donors.find(member)
        return member

    def leave(self, member: Member[LinkT]) -> None:
        """Takes a member out of its channel; a second call does nothing."""
        channel = member.channel
        if member.id not in channel.members:
            return
        channel.remove(member)
        self.donors.leave(member)
        if not channel.members:
            del self.channels[channel.name]
            self._dirty.pop(channel, None)
            self._changed.pop(channel, None)
            return
        self._changed[channel] = None

    # -- what members send ------------------------------------------------------------------------

    def receive(self, member: Member[LinkT], payload: bytes) -> None:
        """Takes a payload of a member.

        Raises:
            RemoteProtocolError: it is neither an object nor a message that the relay knows.
        """
        first = payload[:1]
        if member.plain or first == b"{":
            if member.reader:
                self._refuse(member, 1)
                return
            member.received += 1
            member.channel.say(member, payload)
            self._dirty[member.channel] = None
        elif first == b"[":
            self._receive_control(member, payload)
        else:
            raise RemoteProtocolError("a payload on a channel is an object, or for the relay")

    def receive_objects(self, member: Member[LinkT], text: bytes, count: int) -> None:
        """Takes so many objects of a member, as whole data frames, each begun by its prefix."""
        if member.reader:
            self._refuse(member, count)
            return
        member.received += count
        member.channel.say_objects(member, text)
        self._dirty[member.channel] = None

    def _refuse(self, member: Member[LinkT], count: int) -> None:
        if not member.received:
            self._wrote(member)
        member.received += count
        if not member.plain:
            self._refused[member] = None

    def _receive_control(self, member: Member[LinkT], payload: bytes) -> None:
        try:
            message = _decode_control(payload)
        except NOT_JSON as error:
            raise RemoteProtocolError(f"malformed message for the relay: {error}") from None
        match message:
            case ["ready"]:
                self.donors.ready(member)
            case ["sync", None | str()]:
                self.donors.find_another(member, message[1])
            case ["time", int() | float() as sent_ms] if not isinstance(sent_ms, bool):
                self._tell(member, "time", message[1], self._now_ms())
            case _:
                raise RemoteProtocolError("a message that the relay does not know")

    # -- what goes out ----------------------------------------------------------------------------

    def tell_client(self, member: Member[LinkT], client: str, reader: bool = False) -> None:
        """Tells a member that another peer wants a stream to it; of a reader it takes nothing."""
        self._tell(member, "reader" if reader else "client", client)

    def _tell(self, member: Member[LinkT], name: str, *details: object) -> None:
        self._controls.append((member, _encode([name, *details])))

    def flush(self) -> list[Outgoing[LinkT]]:
        """Hands out all that has gathered since the last call, in the order it is to be sent."""
        out = self._flush_controls()  # first: a newcomer hears nobody before its welcome
        for channel in self._dirty:
            senders = dict.fromkeys(sender for sender, _, _ in channel.pending)
            out += channel.flush()
            for sender in senders:
                if not sender.plain:
                    self._tell(sender, "ack", sender.received, self._now_ms())
        self._dirty.clear()
        for member in self._refused:
            self._tell(member, "refused", member.received)
        self._refused.clear()
        return out + self.flush_membership(PROMPT_MEMBERS)

    def _flush_controls(self) -> list[Outgoing[LinkT]]:
        controls, self._controls = self._controls, []
        return [
            (b"%b%b]\n" % (member.prefix, payload), [member.link])
            for member, payload in controls
            if member.id in member.channel.members
        ]

    def flush_membership(self, most: int | None = None) -> list[Outgoing[LinkT]]:
        """Hands out the joins and leaves.

        Args:
            most: leave out channels of more members; None for all channels.
        """
        out = self._flush_controls()  # a welcome may wait for the end of this turn
        for channel in list(self._changed):
            if most is None or len(channel.members) <= most:
                del self._changed[channel]
                joined, left = channel.joined, channel.left
                channel.joined, channel.left = [], []
                for at in range(0, max(len(joined), len(left)), MAX_NAMES):
                    names = [each[at : at + MAX_NAMES] for each in (joined, left)]
                    news = ["members", len(channel.members), *names]
                    out += channel.tell_all(_encode(news))
        return out

    @property
    def membership_waits(self) -> bool:
        """Whether joins or leaves of a large channel wait for :meth:`flush_membership`."""
        return bool(self._changed)
