"""distmap.page: the files as they are served, and the live page in a real browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from distmap.page import TYPES, policy
from distmap.relay import RelayOptions, RelayService
from tests.support.chromium import BrowserTestCase
from tests.support.peers import ROOT
from tests.support.processes import Process, until
from tests.support.sockets import start_relay
from tests.test_site import SiteTestCase

reactor: Any = _reactor
WEB = ROOT / "distmap" / "web"
SINKS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|DOMParser|document\.write|eval\(|new Function"
    r"|srcdoc|setHTML)"
)
IMAGE = "<img src=x onerror='globalThis.harmed = true'>"


def directives(header: str) -> dict[str, str]:
    """What a Content-Security-Policy says."""
    return dict((part + " ").split(" ", 1) for part in header.split("; "))


class Files(SiteTestCase):
    def setUp(self) -> None:
        _, self.port = start_relay(self)

    async def test_each_file_is_served(self) -> None:
        for folder in ("page", "examples", "js"):
            for path in (WEB / folder).iterdir():
                answer = await self.fetch(self.port, f"/{folder}/{path.name}")
                self.assertEqual((answer.code, answer.body), (200, path.read_bytes()), path)
                self.assertEqual(answer.headers["content-type"], TYPES[path.suffix].decode())
                self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
                # Pages of others may use the client, and only that.
                shared = "access-control-allow-origin" in answer.headers
                self.assertEqual(shared, folder == "js", path)

    async def test_nothing_else_is(self) -> None:
        for path in (
            *("/page", "/page/", "/examples/", "/page/none.js", "/examples/none.html"),
            *("/page/../index.html", "/page/%2e%2e/index.html", "/examples/%2e%2e%2findex.html"),
            *("/distmap.d.ts", "/package.json", "/page.py", "/web/index.html"),
        ):
            self.assertEqual((await self.fetch(self.port, path)).code, 404, path)

    async def test_kept_by_browsers_while_it_is_the_same(self) -> None:
        for path in ("/", "/page/page.css", "/examples/form.html", "/distmap.js"):
            answer = await self.fetch(self.port, path)
            self.assertEqual(answer.headers["cache-control"], "no-cache")
            tag = answer.headers["etag"]
            again = await self.fetch(self.port, path, more=f"If-None-Match: {tag}\r\n")
            self.assertEqual((again.code, again.body), (304, b""), path)
            other = await self.fetch(self.port, path, more='If-None-Match: "other"\r\n')
            self.assertEqual((other.code, other.body), (200, answer.body))
            head = await self.fetch(self.port, path, "HEAD")
            self.assertEqual((head.code, head.body, head.headers["etag"]), (200, b"", tag))

    async def test_policy(self) -> None:
        answer = await self.fetch(self.port, "/")
        told = directives(answer.headers["content-security-policy"])
        self.assertEqual(told["default-src"].strip(), "'none'")
        self.assertEqual(told["script-src"].strip(), "'self'")
        self.assertEqual(told["style-src"].strip(), "'self'")
        self.assertEqual(told["connect-src"].strip(), "'self' ws://localhost wss://localhost")
        for name in ("base-uri", "form-action", "frame-ancestors", "trusted-types"):
            self.assertEqual(told[name].strip(), "'none'")
        self.assertNotIn("unsafe", answer.headers["content-security-policy"])
        self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
        script = await self.fetch(self.port, "/page/app.js")
        self.assertIn("default-src 'none'", script.headers["content-security-policy"])

    async def test_examples_allow_what_stands_in_them(self) -> None:
        for path in (WEB / "examples").glob("*.html"):
            answer = await self.fetch(self.port, f"/examples/{path.name}")
            told = directives(answer.headers["content-security-policy"])
            for tag in ("script", "style"):
                (inline,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", path.read_text("utf-8"), re.S)
                digest = b64encode(sha256(inline.encode()).digest()).decode()
                self.assertEqual(told[f"{tag}-src"].strip(), f"'self' 'sha256-{digest}'")
            self.assertNotIn("unsafe", answer.headers["content-security-policy"])

    def test_host_that_no_policy_can_hold(self) -> None:
        """It is what the request says: nothing of it can become a directive of its own."""
        hosts: list[bytes] = [b"relay.example", b"relay.example:8080", b"10.0.0.1:1"]
        for host in hosts:
            self.assertIn(b"connect-src 'self' ws://%s wss://%s;" % (host, host), policy(host, b""))
        for other in (None, b"", b"a; script-src *", b"a b", b"*", b"[::1]:80", b"a:b", b"x'"):
            self.assertIn(b"; connect-src 'self'; ", policy(other, b""))

    async def test_slash_at_the_end(self) -> None:
        """The page's own links are relative, so that it may be anywhere in a site."""
        service = RelayService(reactor)
        root = Resource()
        root.putChild(b"ma:ps", service.resource)
        listening = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        port = listening.getHost().port
        for path, place in (("/ma:ps", "./ma:ps/"), ("/ma%3Aps?a=b", "./ma%3Aps/?a=b")):
            answer = await self.fetch(port, path)
            self.assertEqual((answer.code, answer.headers["location"]), (302, place))
        answer = await self.fetch(port, "/ma:ps/")
        self.assertEqual(answer.code, 200)
        for link in re.findall(rb'(?:href|src)="([^"#]+)"', answer.body):
            path = f"/ma:ps/{link.decode()}"
            self.assertEqual((await self.fetch(port, path)).code, 200, path)


class WithoutPage(SiteTestCase):
    """As `--no-page` has it."""

    async def test_relay_alone(self) -> None:
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        service: Any = RelayService(reactor, endpoint, RelayOptions(page=False))
        service.startService()
        self.addCleanup(service.stopService)
        port = service.port.getHost().port
        answer = await self.fetch(port, "/")
        self.assertEqual(answer.code, 404)
        self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
        self.assertIn(b"serves no page", answer.body)
        self.assertEqual((await self.fetch(port, "/", "HEAD")).code, 404)
        for path in ("/page/app.js", "/page/page.css", "/examples/form.html"):
            self.assertEqual((await self.fetch(port, path)).code, 404, path)
        for path in ("/distmap.js", "/js/map.js", "/healthz"):
            self.assertEqual((await self.fetch(port, path)).code, 200, path)
        await self.assert_works(f"ws://127.0.0.1:{port}/")


class Sources(TestCase):
    """What holds for the sources of the page."""

    def test_text_only(self) -> None:
        """Nothing that makes HTML, or code, out of text."""
        pages = [*WEB.rglob("*.html"), *(WEB / "page").glob("*.js")]
        self.assertGreater(len(pages), 15)
        found = [path.name for path in pages if SINKS.search(path.read_text("utf-8"))]
        self.assertEqual(found, [])

    def test_nothing_inline_in_the_page(self) -> None:
        text = (WEB / "index.html").read_text("utf-8")
        self.assertEqual(re.findall(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", text), [])

    def test_files_stay_short(self) -> None:
        for path in [*(WEB / "page").glob("*.js"), *(WEB / "examples").iterdir()]:
            most = 300 if path.suffix == ".js" else 90
            self.assertLessEqual(len(path.read_text("utf-8").splitlines()), most, path.name)

    def test_nothing_from_elsewhere(self) -> None:
        for path in [*WEB.rglob("*.html"), *(WEB / "page").iterdir()]:
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            self.assertEqual(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", text), [], path.name)


class Live(BrowserTestCase):
    """The page in Chromium, and a peer that does what a script asks."""

    def stop_relay(self) -> None:
        self.service.stopService()

    async def test_controls(self) -> None:
        fruits = await self.open_ready("/fruits")
        fruits["apple"] = {"n": 3}

        def writer(key: str) -> str:
            stamp = fruits.stamp(key)
            assert stamp is not None
            return stamp.writer

        await self.run_script(
            "browser_controls.mjs",
            **self.deeds(fruits),
            writer=writer,
            digest=fruits.digest,
            stop=self.stop_relay,
            start=self.start_relay,
        )
        self.assertEqual(fruits["text"], "it is red")

    async def test_hostile(self) -> None:
        hostile = await self.open_ready("/hostile")
        keys = [
            *("__proto__", "constructor", "toString", IMAGE, "\u202egnp.evil", "\x00\x1f", " "),
            *("x" * 1024, "</textarea></script><script>harmed = 1</script>", "javascript:alert(1)"),
            *(
                '"onmouseover="harmed=1',
                "{{7*7}}${7*7}",
                "\u2028\u2029",
                "👩\u200d🚀",
                "%00",
                "-rf",
            ),
        ]
        values: list[Any] = [
            *(IMAGE, {"__proto__": {"harmed": True}}, [[[None]]], "\u202e\x00", {IMAGE: IMAGE}),
            *("y" * 200_000, -1.5e300, {"constructor": {"prototype": {"harmed": 1}}}),
        ]
        for at, key in enumerate(sorted(keys, key=lambda key: key.encode("utf-16-be"))):
            hostile[key] = values[at % len(values)]

        def text(key: str) -> str | None:
            value = hostile.get(key)
            return None if value is None else json.dumps(value, separators=(",", ":"))

        await self.run_script("browser_hostile.mjs", hostile=lambda: [keys, values], text=text)

    async def test_many(self) -> None:
        many = await self.open_ready("/many")

        def fill(count: int) -> None:
            for n in range(count):
                many[f"key {n:05}"] = n

        await self.run_script(
            "browser_many.mjs",
            fill=fill,
            insert=lambda count: many.update({f"above {n:05}": n for n in range(count)}),
            burst=lambda count: many.update({f"key {5000 + n:05}": "burst" for n in range(count)}),
        )
        self.assertEqual(len(many), 10_100)

    async def test_phone(self) -> None:
        fruits = await self.open_ready("/fruits")
        fruits["apple"] = 3
        # And the relay is a part of somebody's site.
        root = Resource()
        root.putChild(b"maps", self.service.resource)
        listening = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.url = f"ws://127.0.0.1:{listening.getHost().port}/maps/"
        await self.run_script("browser_phone.mjs", **self.deeds(fruits))

    async def test_examples(self) -> None:
        fruits = await self.open_ready("/fruits")
        fruits["apple"] = {"n": 3}
        readings = await self.open_ready("/readings")

        def feed() -> None:
            Process(self, str(Path(ROOT, "docs/examples/readings.py")), self.url)

        await self.run_script(
            "browser_examples.mjs",
            **self.deeds(fruits),
            readings=feed,
            readings_count=lambda: len(readings),
        )
        await until(lambda: len(readings) >= 2)
