"""Who may come in: what each connection of a relay asks for, and is granted.

An authorizer is asked once for each connection and URI, and its answer holds until it expires.
Streams wait here meanwhile, with what comes on them. All routes of a URI wait for the same answer,
before anything is looked up: who is not allowed cannot tell a map that exists from one that does
not. Without I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from distmap.access import NONE, WRITE, Grant, permits
from distmap.errors import StreamError
from distmap.gate import Gate, Held
from distmap.routes import CREDENTIALS, Route
from distmap.states import Kind, MuxStream, State
from distmap.values import NOT_JSON

VERSION: Final = (1, 0)
"""Of the conversation on the stream of the credentials."""
MAX_CREDENTIALS_BYTES: Final = 16 * 1024
MAX_HELD_BYTES: Final = 64 * 1024
"""What may come on streams that wait, for each connection."""
EVENT_BYTES: Final = 64
"""What is counted of it for anything that is no data."""
MAX_QUESTIONS: Final = 16
"""Under way at the authorizer at a time, for each connection."""

REFUSED: Final = ("you may not do this", "refused")
EXPIRED: Final = ("your credentials have expired", "expired")
CHANGED: Final = ("what you may do has changed: open it again", "changed")
RENEW: Final = b'["renew"]'
JUDGED: Final = b'["judged"]'

_decode = msgspec.json.Decoder(str).decode


class Gated(Protocol):
    """A connection."""

    gate: Gate | None
    """None: it may do everything."""


LinkT = TypeVar("LinkT", bound=Gated)
LinkT_contra = TypeVar("LinkT_contra", bound=Gated, contravariant=True)


class House(Protocol[LinkT_contra]):
    """What an entrance needs of the relay."""

    def enter(self, link: LinkT_contra, stream: MuxStream, route: Route, access: str) -> None:
        """Let a stream in."""

    def happened(self, link: LinkT_contra, kind: Kind, stream: MuxStream, detail: Any) -> None:
        """Something came on a stream while it waited."""

    def keep_out(self, link: LinkT_contra, stream: MuxStream, message: str, code: str) -> None:
        """End a stream with an error."""

    def say(self, link: LinkT_contra, stream: MuxStream, payload: bytes) -> None:
        """Send on a stream."""


class Entrance(Generic[LinkT]):
    """The gates of all connections of one relay.

    Args:
        house: the relay.
        now_ms: tells the time, in milliseconds since 1970.

    Attributes:
        ask: is called to ask the authorizer about a connection and a URI, instead of an earlier
            question about them; :meth:`answer` answers. None: everybody may do everything.
    """

    def __init__(self, house: House[LinkT], now_ms: Callable[[], float]) -> None:
        self.ask: Callable[[LinkT, str], None] | None = None
        self._house = house
        self._now_ms = now_ms

    def new_gate(self) -> Gate | None:
        """For a new connection."""
        return None if self.ask is None else Gate()

    # -- streams ----------------------------------------------------------------------------------

    def opened(self, link: LinkT, stream: MuxStream, route: Route) -> None:
        """A peer opened a stream.

        Raises:
            StreamError: it is a second one for credentials, or of another version.
        """
        gate = link.gate
        if route.kind == CREDENTIALS:
            _check_version(stream.meta)
            if gate is None:
                stream.owner = self  # nobody asks for them: see judge_none()
                return
            if gate.stream is not None:
                raise StreamError("there is one stream for credentials already", "taken")
            gate.stream, gate.waits = stream, True
        elif gate is None:
            self._house.enter(link, stream, route, WRITE)
        elif (grant := gate.grant_of(route.uri, self._now_ms())) is not None:
            self._settle(link, gate, stream, route, grant)
        else:
            gate.held[stream] = Held(route)
            self._question(link, gate, route.uri)

    def takes(self, link: LinkT, kind: Kind, stream: MuxStream, detail: Any) -> bool:
        """Whether what happened on a stream is of concern here, and nowhere else."""
        gate = link.gate
        if gate is None:
            return False
        if kind is Kind.CLOSED:
            self._closed(link, gate, stream)
            return False
        if stream is gate.stream:
            if kind is Kind.DATA:
                self._shown(link, gate, bytes(detail))
            return True
        held = gate.held.get(stream)
        if held is None:
            return False
        size = len(detail) if kind is Kind.DATA else EVENT_BYTES
        if gate.held_bytes + size > MAX_HELD_BYTES:
            text = f"{MAX_HELD_BYTES} bytes at most before streams are let in"
            self._house.keep_out(link, stream, text, "limit")
        else:
            held.size += size
            held.events.append((kind, bytes(detail) if kind is Kind.DATA else detail))
        return True

    def _closed(self, link: LinkT, gate: Gate, stream: MuxStream) -> None:
        gate.held.pop(stream, None)
        gate.streams.pop(stream, None)
        if stream is gate.stream:
            gate.stream, gate.waits, gate.unjudged = None, False, 0
            self._next(link, gate)

    def _shown(self, link: LinkT, gate: Gate, payload: bytes) -> None:
        assert gate.stream is not None
        if len(payload) > MAX_CREDENTIALS_BYTES:
            text = f"credentials are {MAX_CREDENTIALS_BYTES} bytes at most"
            self._house.keep_out(link, gate.stream, text, "limit")
            return
        try:
            credentials = _decode(payload)
        except NOT_JSON:
            self._house.keep_out(link, gate.stream, "credentials are a string", "protocol")
            return
        gate.show(credentials)
        self._next(link, gate)

    # -- questions --------------------------------------------------------------------------------

    def _question(self, link: LinkT, gate: Gate, uri: str) -> None:
        if uri not in gate.asked:
            gate.to_ask[uri] = None
        self._next(link, gate)

    def _next(self, link: LinkT, gate: Gate) -> None:
        if gate.asking or self.ask is None:
            return  # what is answered at once must not nest
        gate.asking = True
        try:
            while gate.to_ask and not gate.waits and len(gate.asked) < MAX_QUESTIONS:
                uri = next(iter(gate.to_ask))
                del gate.to_ask[uri]
                gate.asked.add(uri)
                self.ask(link, uri)
        finally:
            gate.asking = False
        if gate.stream is not None and not (gate.to_ask or gate.asked):
            while gate.unjudged:
                gate.unjudged -= 1
                self._say(link, gate.stream, JUDGED)

    def judge_none(self, link: LinkT, stream: MuxStream) -> None:
        """Something came on a stream to a relay without an authorizer."""
        if stream.owner is self:
            self._say(link, stream, JUDGED)

    def answer(self, link: LinkT, uri: str, answered: Grant) -> None:
        """The authorizer has answered."""
        gate = link.gate
        if gate is None or uri not in gate.asked:
            return
        gate.asked.discard(uri)
        old, grant = gate.put(uri, answered, self._now_ms())
        if old is not None and old.access != grant.access:
            self._end(link, gate, uri, REFUSED if grant.access == NONE else CHANGED)
        for stream, held in list(gate.held.items()):
            if held.route.uri == uri and gate.held.pop(stream, None) is not None:
                self._settle(link, gate, stream, held.route, grant)
                for kind, detail in held.events:
                    self._house.happened(link, kind, stream, detail)
        self._next(link, gate)

    def _settle(
        self, link: LinkT, gate: Gate, stream: MuxStream, route: Route, grant: Grant
    ) -> None:
        if permits(grant.access, route):
            gate.granted = True
            gate.streams[stream] = route.uri
            self._house.enter(link, stream, route, grant.access)
        else:
            gate.refused = True
            self._house.keep_out(link, stream, *REFUSED)

    def _say(self, link: LinkT, stream: MuxStream, payload: bytes) -> None:
        if stream.state in (State.OPEN, State.SENDING):  # or the peer has kept it to itself
            self._house.say(link, stream, payload)

    # -- the end of grants ------------------------------------------------------------------------

    def tick(self, link: LinkT) -> None:
        """Ends what has expired, and asks anew for what soon will: see :meth:`Gate.next_ms`."""
        gate = link.gate
        if gate is None:
            return
        expired, ending = gate.due(self._now_ms())
        ended = sum(self._end(link, gate, uri, EXPIRED) for uri in expired)
        if gate.stream is None:
            for uri in ending:
                self._question(link, gate, uri)
        elif ended or (ending and not gate.renewing):
            gate.renewing = True
            self._say(link, gate.stream, RENEW)

    def _end(self, link: LinkT, gate: Gate, uri: str, why: tuple[str, str]) -> int:
        streams = gate.streams_of(uri)
        for stream in streams:
            self._house.keep_out(link, stream, *why)
        return len(streams)


def _check_version(meta: Any) -> None:
    version = meta.get("version") if isinstance(meta, dict) else None
    match version:
        case [int(major), int()] if major == VERSION[0]:
            return
    text = f"this relay takes credentials by version {VERSION[0]}.{VERSION[1]}"
    raise StreamError(text, "version")
