"""The JavaScript client in a real browser: the scripts tests/js/browser_*.mjs, each beside a relay
and peers of Python.
"""

from __future__ import annotations

from typing import Any

from distmap import DistributedMap
from distmap.relay import RelayOptions
from tests.support.chromium import BrowserScript, BrowserTestCase
from tests.support.processes import fires, until

OTHER_SITE = "http://localhost:8000"


class InChromium(BrowserTestCase):
    async def until_ready(self, opened: DistributedMap) -> None:
        """Waits until a map has found the relay again."""
        await until(lambda: opened.status == "ready", what=lambda: opened.status)

    async def test_page(self) -> None:
        """The relay's page breaks no rule of its own, and what goes wrong in a page is seen."""
        fruits = self.open("/fruits")
        await fires(fruits.ready())
        fruits["apple"] = {"from": "Python"}
        script = BrowserScript(self, "browser_page.mjs", self.url)
        await script.hear("written")
        await until(lambda: "pear" in fruits)
        self.assertEqual(fruits["pear"], {"from": "Chromium"})
        script.answer()
        await script.finished()

    async def serve(self, script: BrowserScript, python: DistributedMap) -> None:
        """Does what a script asks, until it ends."""
        changes: dict[str, Any] = {}
        python.observe(lambda change: change.local or changes.update({change.key: change.value}))
        while (asked := await script.asked()) is not None:
            name, *args = asked
            if name == "stop relay":
                await self.service.stopService()
            elif name == "start relay":
                self.start_relay()
                await self.until_ready(python)
            elif name == "set":
                python[args[0]] = args[1]
            elif name == "leave and come back":
                await python.connection.close()
                python = self.open(python.uri)
                await fires(python.ready())
                script.answer([python.synced, len(python)])
                continue
            told = {"dump": python, "changes": changes}.get(name, {})
            script.answer(sorted(told.items(), key=lambda item: item[0]))
        await script.finished()
        self.assertEqual((python.refused, python.divergences), (0, 0))

    async def test_share(self) -> None:
        """Two tabs and a peer of Python."""
        shared = self.open("/shared")
        shared["apple"] = 3
        await fires(shared.ready())
        await self.serve(BrowserScript(self, "browser_share.mjs", self.url), shared)

    async def test_readme(self) -> None:
        """The page that README.md shows, on another host than the relay's."""
        await self.service.stopService()
        self.options = RelayOptions(origins=[OTHER_SITE])
        self.start_relay()
        fruits = self.open("/fruits")
        fruits["apple"] = 3
        await fires(fruits.ready())
        await self.serve(BrowserScript(self, "browser_readme.mjs", self.url, OTHER_SITE), fruits)

    async def test_persist(self) -> None:
        """A tab that keeps a copy is reloaded, crashes, and is one of two."""
        fruits = self.open("/fruits")
        fruits["apple"] = 3
        await fires(fruits.ready())
        await self.serve(BrowserScript(self, "browser_persist.mjs", self.url), fruits)
