"""The whole relay without I/O: bytes of any number of connections in, bytes for them out.

Each stream's route says what it is: a member of a channel (:mod:`distmap.hub`), or one end of a
peer-to-peer stream (:mod:`distmap.switchboard`). Anything else gets an error with a code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from distmap.access import READ
from distmap.channel import Member, Outgoing
from distmap.entrance import Entrance
from distmap.errors import RemoteProtocolError, StreamError
from distmap.frames import DEFAULT_LIMITS, MESSAGE_BYTES, Limits, encode_json, gather
from distmap.gate import Gate
from distmap.hub import VERSION, Hub
from distmap.mux import MuxDemux
from distmap.routes import ACCEPT, CHANNEL, CONNECT, Route, parse_route, route_of
from distmap.states import Kind, MuxEvent, MuxStream, State
from distmap.switchboard import End, Listener, Switchboard

PREFIX_BYTES: Final = 1024
"""More than stands around a payload in any frame. A payload gets other prefixes on its way out, and
no frame may be too long for those that it goes to.
"""
SLOW: Final = ("too slow: the relay's queue for this connection was full", "slow")
READ_ONLY: Final = "read-only"

Observer: TypeAlias = Callable[[str, "Link", dict[str, Any]], None]
"""Is told what happens, for the log and the counts: a name (``opened``, ``closed``, ``refused``,
``faulted``, ``unknown``, ``failed``, ``slow``), the link, and details."""


class Link:
    """One connection to the relay.

    Args:
        name: who it is, for the log.
        limits: what is taken from it.
        gate: what it may do; None for everything.

    Attributes:
        name: who it is, for the log.
        failure: set when the other side broke the protocol: the connection must be closed.
        congested: what is sent is not taken; set with :meth:`Relay.congest`.
        owner: for the adapter that holds the socket.
    """

    __slots__ = ("congested", "ends", "failure", "gate", "members", "mux", "name", "owner")

    def __init__(self, name: str, limits: Limits, gate: Gate | None = None) -> None:
        self.name = name
        self.gate = gate
        self.mux = MuxDemux(limits)
        self.failure: RemoteProtocolError | None = None
        self.congested = False
        self.owner: Any = None
        self.members: dict[MuxStream, Member[Link]] = {}
        self.ends: dict[MuxStream, End] = {}

    def __repr__(self) -> str:
        return f"<Link {self.name}>"


class Relay:
    """All connections of one relay.

    Args:
        now_ms: tells the time, in milliseconds since 1970.
        observer: is told what happens.
        limits: what is taken from each connection.

    Attributes:
        entrance: lets streams in; all of them, unless there is somebody whom it asks.
    """

    def __init__(
        self, now_ms: Callable[[], float], observer: Observer, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.links: set[Link] = set()
        self.hub: Hub[Link] = Hub(now_ms, self._wrote)
        self.switchboard = Switchboard()
        self.entrance: Entrance[Link] = Entrance(self, now_ms)
        self._observe = observer
        self._limits = limits
        self._payload_bytes = limits.frame_bytes - PREFIX_BYTES
        self._together_bytes = min(self._payload_bytes, MESSAGE_BYTES)
        self._touched: dict[Link, None] = {}

    # -- connections ------------------------------------------------------------------------------

    def connect(self, name: str) -> Link:
        """Takes a new connection."""
        link = Link(name, self._limits, self.entrance.new_gate())
        self.links.add(link)
        return link

    def receive(self, link: Link, data: bytes) -> RemoteProtocolError | None:
        """Takes bytes of a connection; returns why it must be closed, if it must."""
        together = link.members if len(data) <= self._together_bytes else ()
        self._handle(link, link.mux.receive(data, together))
        self._touched[link] = None
        return link.failure

    def disconnect(self, link: Link) -> None:
        """A connection is gone."""
        self.links.discard(link)
        self._handle(link, link.mux.disconnect())
        self._touched.pop(link, None)

    def flush(self) -> list[Outgoing[Link]]:
        """Hands out all that has gathered for all connections, in the order it is to be sent."""
        out = self.hub.flush()
        while self._touched:
            link, _ = self._touched.popitem()
            out += ((text, [link]) for text in gather(link.mux.take()))
        return out

    # -- slow readers -----------------------------------------------------------------------------

    def congest(self, link: Link, congested: bool) -> None:
        """A connection does not take what is sent to it, or takes it again: who sends to it over
        a joined stream is asked to wait.
        """
        link.congested = congested
        for end in link.ends.values():
            end.congested = congested
            end.tell_blocked()

    def cut(self, link: Link) -> None:
        """Ends all streams of a connection that was too slow, but for that of its credentials;
        what was queued may be dropped.
        """
        self._observe("slow", link, {"streams": len(link.mux.streams)})
        for stream in list(link.mux.streams.values()):
            if link.gate is None or stream is not link.gate.stream:
                self._fail(link, stream, *SLOW)

    # -- events of the mux ------------------------------------------------------------------------

    def _handle(self, link: Link, events: list[MuxEvent]) -> None:
        for kind, stream, detail in events:
            if stream is None:
                if kind is Kind.FAILED:
                    link.failure = detail
                    self._observe("failed", link, {"error": detail})
                elif kind is Kind.REFUSED:
                    self._observe("refused", link, {"id": detail[0], "code": detail[2]})
                else:
                    self._observe("unknown", link, {"id": detail[0], "event": detail[1]})
                continue
            if link.gate is None or not self.entrance.takes(link, kind, stream, detail):
                self.happened(link, kind, stream, detail)

    def happened(self, link: Link, kind: Kind, stream: MuxStream, detail: Any) -> None:
        """Something came on a stream that nobody holds back."""
        member = link.members.get(stream)
        if kind is Kind.DATA and len(detail) > self._payload_bytes:
            text = f"a payload is {self._payload_bytes} bytes at most"
            self._fault(link, stream, text, "limit")
        elif kind is Kind.OBJECTS:
            self.hub.receive_objects(link.members[stream], *detail)
        elif kind is Kind.DATA and member is not None:
            self._member_data(member, stream, bytes(detail))
        elif kind is Kind.OPENED:
            self._open(link, stream)
        elif kind is Kind.CLOSED:
            self._closed(link, stream)
        elif stream in link.ends:
            _forward(link.ends[stream], kind, detail)
        elif kind is Kind.DATA:
            self.entrance.judge_none(link, stream)

    def _member_data(self, member: Member[Link], stream: MuxStream, payload: bytes) -> None:
        try:
            self.hub.receive(member, payload)
        except RemoteProtocolError as error:
            self._fault(member.link, stream, str(error), error.code)

    def _wrote(self, member: Member[Link]) -> None:
        """A member that may only read has written; is told once for each."""
        route = f"{member.channel.name}/channel"
        self._observe("refused", member.link, {"route": route, "code": READ_ONLY})

    # -- streams that are opened ------------------------------------------------------------------

    def _open(self, link: Link, stream: MuxStream) -> None:
        try:
            self.entrance.opened(link, stream, parse_route(stream.meta, self._limits.route_bytes))
        except StreamError as error:
            self.keep_out(link, stream, str(error), error.code)

    def enter(self, link: Link, stream: MuxStream, route: Route, access: str) -> None:
        """Lets a stream in: see :class:`distmap.entrance.House`."""
        try:
            self._enter(link, stream, route, reader=access == READ)
        except StreamError as error:
            self.keep_out(link, stream, str(error), error.code)
        else:
            stream.meta = stream.id if route.text == stream.id else route.text  # the rest is read
            self._observe("opened", link, {"route": route.text})

    def _enter(self, link: Link, stream: MuxStream, route: Route, *, reader: bool) -> None:
        _, kind, uri, name, client = route
        end = End(link.mux, stream, partial(self._acted, link), link.congested)
        if kind == CHANNEL:
            self._join(link, stream, uri, reader)
        elif kind == ACCEPT:
            link.ends[stream] = end
            self.switchboard.accept(uri, name, client, end)
        elif kind == CONNECT:
            end.reader = reader
            link.ends[stream] = end
            self.switchboard.connect(uri, name, client, end)
        else:
            if name.isdecimal():
                raise StreamError("only a member has a name of digits", "taken")
            stream.owner = self.switchboard.listen(
                uri, name, link.mux, lambda client: end.send(encode_json(client))
            )

    def _join(self, link: Link, stream: MuxStream, uri: str, reader: bool) -> None:
        if len(link.members) >= self._limits.maps:
            raise StreamError(f"more than {self._limits.maps} maps on one connection", "limit")
        plain = isinstance(stream.meta, str)
        if not plain:
            _check_version(stream.meta.get("version"))
        member = self.hub.join(uri, link, stream.data_prefix, plain=plain, reader=reader)
        link.members[stream] = member
        if not (plain or reader):
            tell = self.hub.tell_client
            notify, of_reader = partial(tell, member), partial(tell, member, reader=True)
            stream.owner = self.switchboard.listen(uri, member.id, link.mux, notify, of_reader)

    def _closed(self, link: Link, stream: MuxStream) -> None:
        member = link.members.pop(stream, None)
        if member is not None:
            self.hub.leave(member)
        if isinstance(stream.owner, Listener):
            self.switchboard.unlisten(stream.owner)
        end = link.ends.pop(stream, None)
        if end is not None:
            self.switchboard.gone(end)
        route = route_of(stream.meta)
        if stream.fault is not None:
            self._observe("faulted", link, {"route": route, "code": "protocol"})
        self._observe("closed", link, {"route": route})

    # -- streams that are ended here --------------------------------------------------------------

    def keep_out(self, link: Link, stream: MuxStream, message: str, code: str) -> None:
        """Ends a stream that may not be here: see :class:`distmap.entrance.House`."""
        self._observe("refused", link, {"route": route_of(stream.meta), "code": code})
        self._fail(link, stream, message, code)

    def _fault(self, link: Link, stream: MuxStream, message: str, code: str) -> None:
        self._observe("faulted", link, {"route": route_of(stream.meta), "code": code})
        self._fail(link, stream, message, code)

    def _fail(self, link: Link, stream: MuxStream, message: str, code: str) -> None:
        if stream.state is not State.CLOSED:
            self._acted(link, link.mux.error(stream, message, code))

    def say(self, link: Link, stream: MuxStream, payload: bytes) -> None:
        """Sends on a stream."""
        link.mux.send(stream, payload)
        self._acted(link, [])

    def _acted(self, link: Link, events: list[MuxEvent]) -> None:
        """Something was put into the mux of a link, and these events came of it."""
        self._touched[link] = None
        self._handle(link, events)


def _check_version(version: object) -> None:
    match version:
        case [int() as major, int() as minor] if major == VERSION[0]:
            if not (isinstance(major, bool) or isinstance(minor, bool)):
                return
    raise StreamError(
        f"this relay speaks version {VERSION[0]}.{VERSION[1]} of the channel protocol", "version"
    )


def _forward(end: End, kind: Kind, detail: Any) -> None:
    """Passes on what came in at one end of a pair; before it is joined there is nobody to tell."""
    other = end.other
    if other is None:
        return
    if kind is Kind.DATA:
        other.send(bytes(detail))
    elif kind is Kind.ENDED:
        other.end()
    elif kind is Kind.ERROR:
        other.fail(*detail)
    elif kind is Kind.PAUSED or kind is Kind.RESUMED:
        end.tell_blocked()
