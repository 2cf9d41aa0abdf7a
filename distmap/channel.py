"""One channel of a relay: its members, and what has gathered for them. Without I/O.

Members whose stream has the same id share one piece of bytes, however many they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeAlias, TypeVar

from distmap.frames import gather

LinkT = TypeVar("LinkT", bound=Hashable)

Outgoing: TypeAlias = tuple[bytes, list[LinkT]]
"""Frames, and the links they go to."""


class Member(Generic[LinkT]):
    """One stream that is open on a channel.

    Attributes:
        id: names it within its relay.
        link: the connection it came over; the hub only hands it back.
        prefix: what stands before the payload in a data frame of its stream.
        plain: opened by the original's clients, or by a user's own program, with a bare route:
            gets and gives any payload, and no messages of the relay.
        ready: it has the state, and can serve others.
    """

    __slots__ = (
        "channel",
        "donor",
        "failed",
        "id",
        "link",
        "plain",
        "prefix",
        "ready",
        "received",
        "serving",
    )

    def __init__(
        self, member_id: str, channel: Channel[LinkT], link: LinkT, prefix: bytes, plain: bool
    ) -> None:
        self.id = member_id
        self.channel = channel
        self.link = link
        self.prefix = prefix
        self.plain = plain
        self.ready = False
        self.donor: Member[LinkT] | None = None
        self.failed: set[Member[LinkT]] = set()
        self.serving = 0
        self.received = 0


class Channel(Generic[LinkT]):
    """The members of one URI."""

    __slots__ = ("groups", "joined", "left", "members", "name", "pending", "ready", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, Member[LinkT]] = {}
        self.groups: dict[tuple[bytes, bool], dict[Member[LinkT], LinkT]] = {}
        self.ready: dict[Member[LinkT], None] = {}
        self.waiting: deque[Member[LinkT]] = deque()
        self.pending: list[tuple[Member[LinkT], bytes]] = []
        self.joined: list[str] = []
        self.left: list[str] = []

    def add(self, member: Member[LinkT]) -> None:
        """Takes a member in."""
        self.members[member.id] = member
        self.groups.setdefault((member.prefix, member.plain), {})[member] = member.link
        self.joined.append(member.id)

    def remove(self, member: Member[LinkT]) -> None:
        """Takes a member out."""
        del self.members[member.id]
        group = self.groups[(member.prefix, member.plain)]
        del group[member]
        if not group:
            del self.groups[(member.prefix, member.plain)]
        self.ready.pop(member, None)
        if member in self.waiting:
            self.waiting.remove(member)
        self.left.append(member.id)

    def flush(self) -> list[Outgoing[LinkT]]:
        """Hands out the members' payloads; each goes to all members but its sender."""
        pending, self.pending = self.pending, []
        senders = {sender for sender, _ in pending}
        out: list[Outgoing[LinkT]] = []
        for (prefix, plain), group in self.groups.items():
            everything = [
                (sender, b"%b%b]\n" % (prefix, payload))
                for sender, payload in pending
                if plain or payload[:1] == b"{"
            ]
            links = [link for member, link in group.items() if member not in senders]
            if links:
                out += ((text, links) for text in gather([frame for _, frame in everything]))
            for member in senders & group.keys():
                others = [frame for sender, frame in everything if sender is not member]
                out += ((text, [member.link]) for text in gather(others))
        return out

    def tell_all(self, payload: bytes) -> list[Outgoing[LinkT]]:
        """Hands out a message of the relay to all members but plain ones."""
        return [
            (b"%b%b]\n" % (prefix, payload), list(group.values()))
            for (prefix, plain), group in self.groups.items()
            if not plain
        ]
