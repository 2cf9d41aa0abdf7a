"""The live page beside a relay that asks who may come in."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor

from distmap import DistributedMap, connect
from distmap.authorizer import Request
from distmap.relay import RelayOptions
from distmap.tickets import Key, TicketAuthorizer, mint
from tests.support.authorizers import Scripted
from tests.support.chromium import BrowserTestCase
from tests.support.processes import fires, until

reactor: Any = _reactor


class Asked(BrowserTestCase):
    """The page beside a relay that lets in who has a ticket."""

    key = Key(b"a secret that is long enough, of a test alone")

    def setUp(self) -> None:
        tickets = TicketAuthorizer(self.key, reactor)
        self.shown: list[str | None] = []

        def authorize(request: Request) -> Any:
            if request.credentials not in self.shown:
                self.shown.append(request.credentials)
            return tickets.authorize(request)

        authorizer = Scripted()
        authorizer.authorize = authorize  # type: ignore[method-assign]
        self.options = RelayOptions(authorizer=authorizer, authorizer_seconds=1)
        super().setUp()

    def ticket(self, maps: dict[str, str], seconds: float) -> str:
        """A new one; what is refused is counted from here."""
        self.refused_before = self.service.server.counts.refusals["refused"]
        return mint(self.key, maps, reactor.seconds(), seconds, None)

    async def turned_away(self) -> None:
        """Waits until the relay has closed the connection; what is refused is counted from here."""
        counts = self.service.server.counts
        before = counts.evictions["credentials"]
        await until(lambda: counts.evictions["credentials"] > before)
        self.refused_before = counts.refusals["refused"]

    async def tried_again(self) -> None:
        """Waits until the relay has refused something."""
        refusals = self.service.server.counts.refusals
        await until(lambda: refusals["refused"] > self.refused_before)

    async def test_access(self) -> None:
        connection = connect(reactor, self.url, credentials=self.ticket({"*": "write"}, 600))
        self.addCleanup(connection.close)
        fruits = DistributedMap(connection, "/fruits")
        await fires(fruits.ready())
        fruits["apple"] = 3
        self.shown.clear()
        await self.run_script(
            "browser_access.mjs",
            **self.deeds(fruits),
            ticket=self.ticket,
            shown=lambda: self.shown,
            turned_away=self.turned_away,
            tried_again=self.tried_again,
        )
        self.assertNotIn("x" * 20_000, self.shown)
