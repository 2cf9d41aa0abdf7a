"""distmap.auth: what --auth means."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.cred.checkers import FilePasswordDB
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from distmap import auth
from distmap.auth import make_authorizer
from distmap.authorizer import IAuthorizerMaker
from distmap.passwords import PasswordAuthorizer
from distmap.tickets import TicketAuthorizer, write_new_key
from tests.support.authorizers import Scripted
from tests.support.processes import folder


@implementer(IAuthorizerMaker)
class Maker:
    name = "scripted"

    def make(self, argument: str) -> Any:
        if argument == "wrong":
            raise ValueError("no such thing")
        return Scripted(told=argument) if argument != "none" else object()


class Auth(TestCase):
    def make(self, text: str, **options: Any) -> Any:
        with mock.patch.object(auth, "getPlugins", lambda interface: [Maker()]):
            return make_authorizer(text, Clock(), **options)

    def test_tickets(self) -> None:
        key = folder(self) / "key"
        write_new_key(str(key))
        for text, audience in ((f"tickets:{key}", None), (f"tickets:{key}:audience=a:b", "a:b")):
            made = self.make(text)
            self.assertIsInstance(made, TicketAuthorizer)
            self.assertEqual(made._audience, audience)

    def test_cred(self) -> None:
        users = folder(self) / "users"
        users.write_text("anna:secret\n")
        made = self.make(f"file:{users}", readers=["anna"])
        self.assertIsInstance(made, PasswordAuthorizer)
        self.assertIsInstance(made._checker, FilePasswordDB)
        self.assertEqual(made._readers, {"anna"})

    def test_plugin(self) -> None:
        self.assertEqual(self.make("scripted:x:y").answers["told"], "x:y")
        self.assertEqual(self.make("scripted").answers["told"], "")

    def test_wrong(self) -> None:
        key = folder(self) / "key"
        write_new_key(str(key))
        for text, options in (
            *(("", {}), ("nonsense", {}), ("nonsense:x", {}), ("anonymous", {})),
            *(("scripted:wrong", {}), ("scripted:none", {}), ("scripted", {"readers": ["x"]})),
            (f"tickets:{key}", {"readers": ["x"]}),
        ):
            with self.subTest(text), self.assertRaises(ValueError):
                self.make(text, **options)
        with self.assertRaises(OSError):
            self.make("tickets:/no/such/file")
