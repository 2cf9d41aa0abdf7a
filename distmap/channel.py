"""One channel of a relay: its members, and what has gathered for them. Without I/O.

Members whose stream has the same id share one piece of bytes, however many they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

from distmap.frames import MESSAGE_BYTES, change_prefix, gather

LinkT = TypeVar("LinkT", bound=Hashable)

Outgoing: TypeAlias = tuple[bytes, list[LinkT]]
"""Frames, and the links they go to."""

SENDERS_TOGETHER: Final = 32
"""Each sender in a message gets one of its own, without its own payloads: so those of more senders
are cut into several messages, most of which are then the same for everybody."""


NOBODY: Final[frozenset[Any]] = frozenset()


class Member(Generic[LinkT]):
    """One stream that is open on a channel.

    Attributes:
        id: names it within its relay.
        link: the connection it came over; the hub only hands it back.
        prefix: what stands before the payload in a data frame of its stream.
        plain: opened by the original's clients, or by a user's own program, with a bare route:
            gets and gives any payload, and no messages of the relay.
        reader: it gets everything and gives nothing: what it sends to the others is refused, and it
            serves nobody.
        ready: it has the state, and can serve others unless it is a reader.
        donor: the member that it is told to sync with, while that counts.
        asked: the id of the last such member.
        failed: the ids of donors that it could not sync with.
        serving: the members whose donor it is.
        received: how many of its payloads were taken.
    """

    __slots__ = (
        "asked",
        "channel",
        "donor",
        "failed",
        "id",
        "link",
        "plain",
        "prefix",
        "reader",
        "ready",
        "received",
        "serving",
    )

    def __init__(
        self,
        member_id: str,
        channel: Channel[LinkT],
        link: LinkT,
        prefix: bytes,
        plain: bool,
        reader: bool = False,
    ) -> None:
        self.id = member_id
        self.channel = channel
        self.link = link
        self.prefix = prefix
        self.plain = plain
        self.reader = reader
        self.ready = False
        self.donor: Member[LinkT] | None = None
        self.asked = ""
        self.failed: frozenset[str] = NOBODY  # an empty set of its own would be a fifth of it
        self.serving: frozenset[Member[LinkT]] = NOBODY
        self.received = 0


_Pending: TypeAlias = tuple[Member[LinkT], bytes, bool]


class Channel(Generic[LinkT]):
    """The members of one URI.

    Attributes:
        members: all, by id.
        groups: those that get the same bytes.
        ready: those that can serve others, by id.
        free: those of them that can serve one more, the one chosen or freed longest ago first.
        waiting: those that wait for a donor to be free, the one that waits longest first.
        lonely: the readers that were told that there is nobody to ask, by id.
        pending: what is to be handed out: who sent it, data frames as of its stream, and whether
            all payloads in them are objects.
        joined: the ids of members that the others have not been told of.
        left: likewise.
    """

    __slots__ = (
        "free",
        "groups",
        "joined",
        "left",
        "lonely",
        "members",
        "name",
        "pending",
        "ready",
        "waiting",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, Member[LinkT]] = {}
        self.groups: dict[tuple[bytes, bool], dict[Member[LinkT], LinkT]] = {}
        self.ready: dict[str, Member[LinkT]] = {}
        self.free: dict[str, Member[LinkT]] = {}
        self.waiting: dict[str, Member[LinkT]] = {}
        self.lonely: dict[str, Member[LinkT]] = {}
        self.pending: list[_Pending[LinkT]] = []
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
        for each in (self.ready, self.free, self.waiting, self.lonely):
            each.pop(member.id, None)
        self.left.append(member.id)

    def say(self, sender: Member[LinkT], payload: bytes) -> None:
        """A member told something to the others."""
        frame = b"%b%b]\n" % (sender.prefix, payload)
        self.pending.append((sender, frame, payload[:1] == b"{"))

    def say_objects(self, sender: Member[LinkT], text: bytes) -> None:
        """A member told objects: whole data frames, each begun by its prefix."""
        self.pending.append((sender, text, True))

    def flush(self) -> list[Outgoing[LinkT]]:
        """Hands out the members' payloads; each goes to all members but its sender."""
        pending, self.pending = self.pending, []
        out: list[Outgoing[LinkT]] = []
        for part in _cut(pending):
            senders = {sender for sender, _, _ in part}
            for (prefix, plain), group in self.groups.items():
                everything = [
                    (sender, text)
                    for sender, said, objects in part
                    if plain or objects
                    for text in _with_prefix(said, sender.prefix, prefix)
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


def _with_prefix(text: bytes, old: bytes, new: bytes) -> list[bytes]:
    """Data frames for the streams of a group; one by one if they have grown too large together."""
    changed = change_prefix(text, old, new)
    if changed is text or len(changed) <= MESSAGE_BYTES:
        return [changed]
    return [b"%b\n" % line for line in changed.split(b"\n")[:-1]]


def _cut(pending: list[_Pending[LinkT]]) -> Iterator[list[_Pending[LinkT]]]:
    """Cuts what is pending into parts of at most :data:`SENDERS_TOGETHER` senders."""
    part: list[_Pending[LinkT]] = []
    senders: set[Member[LinkT]] = set()
    for each in pending:
        sender = each[0]
        if sender not in senders and len(senders) == SENDERS_TOGETHER:
            yield part
            part, senders = [], set()
        senders.add(sender)
        part.append(each)
    yield part
