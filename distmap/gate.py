"""What one connection of a relay has shown, asked for and been granted. Without I/O."""

from __future__ import annotations

from typing import Any, Final

from distmap.access import NONE, Grant
from distmap.routes import Route
from distmap.states import Kind, MuxStream

MAX_GRANTS: Final = 2048
"""That are remembered for each connection."""
REFUSED_MS: Final = 10_000
"""How long a refusal is remembered."""
RENEW_MS: Final = 30_000
"""How long before it expires a grant is asked for anew, or at half of its time if that is later."""
LEAST_RENEW_MS: Final = 1000
"""One that expires sooner is not."""


class Held:
    """A stream that waits, and what came on it."""

    __slots__ = ("events", "route", "size")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.events: list[tuple[Kind, Any]] = []
        self.size = 0


class Gate:
    """What one connection has shown, asked for and been granted.

    Attributes:
        credentials: what it has shown last; None if nothing.
        stream: that they came on.
        waits: the stream is open, and nothing has come on it.
        renewing: it was asked to show anew.
        unjudged: how often it has shown something and not been told what became of it.
        granted: whether it was ever let in anywhere.
        refused: whether it was ever kept out.
        streams: those that were let in, with their URIs.
        held: those that wait for an answer.
        asked: the URIs of the questions under way.
        to_ask: those that wait to be asked about.
        asking: they are gone through just now.
    """

    __slots__ = (
        "asked",
        "asking",
        "credentials",
        "granted",
        "grants",
        "held",
        "refused",
        "renewing",
        "stream",
        "streams",
        "to_ask",
        "unjudged",
        "waits",
    )

    def __init__(self) -> None:
        self.credentials: str | None = None
        self.stream: MuxStream | None = None
        self.waits = self.renewing = self.asking = False
        self.granted = self.refused = False
        self.unjudged = 0
        # By URI, each with when it is to be asked for anew.
        self.grants: dict[str, tuple[Grant, float | None]] = {}
        self.streams: dict[MuxStream, str] = {}
        self.held: dict[MuxStream, Held] = {}
        self.asked: set[str] = set()
        self.to_ask: dict[str, None] = {}

    @property
    def held_bytes(self) -> int:
        """What has come on streams that wait."""
        return sum(held.size for held in self.held.values())

    def grant_of(self, uri: str, now_ms: float) -> Grant | None:
        """What was granted for a URI, if it still holds."""
        found = self.grants.get(uri)
        return found[0] if found is not None and _holds(found[0], now_ms) else None

    def put(self, uri: str, grant: Grant, now_ms: float) -> tuple[Grant | None, Grant]:
        """Remembers an answer.

        Returns:
            What was granted before, and what is from now on.
        """
        renew_ms: float | None = None
        if grant.access == NONE or not _holds(grant, now_ms):
            grant = Grant(NONE, now_ms + REFUSED_MS)
        elif grant.until_ms is not None:
            left_ms = grant.until_ms - now_ms
            if left_ms > LEAST_RENEW_MS:
                renew_ms = grant.until_ms - min(RENEW_MS, left_ms / 2)
        old = self.grants.pop(uri, (None, None))[0]
        self.grants[uri] = (grant, renew_ms)
        if len(self.grants) > MAX_GRANTS:
            used = {*self.streams.values(), uri}
            oldest = next((each for each in self.grants if each not in used), None)
            if oldest is not None:
                del self.grants[oldest]
        return old, grant

    def show(self, credentials: str) -> None:
        """It has shown other credentials: what they give is to be asked about."""
        self.credentials = credentials
        self.waits = self.renewing = False
        self.unjudged += 1
        # What was granted for others holds where it is in use, until that is answered anew.
        used = set(self.streams.values())
        for uri, (grant, _) in list(self.grants.items()):
            if grant.access == NONE or uri not in used:
                del self.grants[uri]
        # An answer to what was shown before counts no more.
        self.to_ask = dict.fromkeys([*self.asked, *self.streams.values(), *self.to_ask])
        self.asked.clear()

    def streams_of(self, uri: str) -> list[MuxStream]:
        """The streams that were let in to a URI."""
        return [stream for stream, its in self.streams.items() if its == uri]

    def next_ms(self) -> float | None:
        """When :meth:`due` has something; None if never, as things are."""
        return min(
            (
                min(grant.until_ms, grant.until_ms if renew_ms is None else renew_ms)
                for grant, renew_ms in self.grants.values()
                if grant.until_ms is not None and grant.access != NONE
            ),
            default=None,
        )

    def due(self, now_ms: float) -> tuple[list[str], list[str]]:
        """Forgets what has expired.

        Returns:
            The URIs of that; and those in use that are to be asked about anew, each told once.
        """
        expired, ending = [], []
        used = set(self.streams.values())
        for uri, (grant, renew_ms) in list(self.grants.items()):
            if not _holds(grant, now_ms):
                del self.grants[uri]
                expired.append(uri)
            elif renew_ms is not None and renew_ms <= now_ms:
                self.grants[uri] = (grant, None)
                if uri in used:
                    ending.append(uri)
        return expired, ending


def _holds(grant: Grant, now_ms: float) -> bool:
    return grant.until_ms is None or grant.until_ms > now_ms
