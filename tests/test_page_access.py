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
        return mint(self.key, maps, reactor.seconds(), seconds, None)

    async def after(self, causes: dict[str, int], cause: str) -> None:
        """Waits until the relay has done something once more."""
        before = causes[cause]
        await until(lambda: causes[cause] > before)

    async def test_access(self) -> None:
        connection = connect(reactor, self.url, credentials=self.ticket({"*": "write"}, 600))
        self.addCleanup(connection.close)
        fruits = DistributedMap(connection, "/fruits")
        await fires(fruits.ready())
        fruits["apple"] = 3
        self.shown.clear()
        counts = self.service.server.counts
        await self.run_script(
            "browser_access.mjs",
            **self.deeds(fruits),
            ticket=self.ticket,
            shown=lambda: self.shown,
            turned_away=lambda: self.after(counts.evictions, "credentials"),
            tried_again=lambda: self.after(counts.refusals, "refused"),
        )
        self.assertNotIn("x" * 20_000, self.shown)
