"""distmap.ticket_command: tickets end to end, with a real relay."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.support.processes import distmap, folder, relay


class TicketCommand(TestCase):
    timeout = 120

    async def run_command(self, *args: str) -> Any:
        return await distmap(self, *args).finished()

    async def test_end_to_end(self) -> None:
        place = folder(self)
        key, ticket = str(place / "key"), place / "ticket"
        done = await self.run_command("ticket", "--new-key", key)
        self.assertEqual((done.code, done.out, done.err), (0, "", ""))
        process = await relay(self, "--auth", f"tickets:{key}:audience=shop")
        url = f"ws://127.0.0.1:{process.port}/"

        async def mint(*args: str) -> None:
            made = await self.run_command(
                "ticket", "--key", key, "--map", "/fruits/", "--audience", "shop", *args
            )
            self.assertEqual((made.code, made.err), (0, ""), made)
            ticket.write_text(made.out)

        await mint("--write", "--expires", "15m")
        shown = ("--credentials", str(ticket))
        done = await self.run_command("set", url, "/fruits/red", "apple", "1", *shown)
        self.assertEqual(done.code, 0, done)
        for args, hint in (
            (("set", url, "/other", "apple", "1", *shown), ""),
            (("dump", url, "/fruits/red"), "; see --credentials"),
        ):
            done = await self.run_command(*args)
            self.assertEqual(done.code, 1, done)
            self.assertEqual(done.err, f"distmap: {args[2]}: you may not do this{hint}\n")
        await mint()
        done = await self.run_command("set", url, "/fruits/red", "apple", "1", *shown)
        self.assertEqual((done.code, done.out), (1, ""), done)
        self.assertIn("you may read /fruits/red, and not write to it", done.err)
        done = await self.run_command("dump", url, "/fruits/red", *shown)
        self.assertEqual((done.code, done.out), (0, "{}\n"), done)
        self.assertNotIn(ticket.read_text().strip(), "\n".join(process.lines))

    async def test_wrong(self) -> None:
        place = folder(self)
        short = place / "short"
        short.write_text("short")
        for code, word, args in (
            (2, "required", ("ticket",)),
            (2, "not allowed", ("ticket", "--key", "a", "--new-key", "b")),
            (2, "no time", ("ticket", "--key", "a", "--map", "/u", "--expires", "soon")),
            (1, "--map", ("ticket", "--key", str(short))),
            (1, "a secret is 32 bytes", ("ticket", "--key", str(short), "--map", "/u")),
            (1, "No such file", ("ticket", "--key", str(place / "none"), "--map", "/u")),
            (1, "No such file", ("get", "ws://127.0.0.1:1/", "/u", "k", "--credentials", "none")),
        ):
            done = await self.run_command(*args)
            self.assertEqual(done.code, code, done)
            self.assertIn(word, done.err)
            self.assertNotIn("Traceback", done.err)
