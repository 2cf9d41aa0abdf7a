"""distmap.passwords: user names and passwords by Twisted Cred."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import TestCase

from distmap.access import NOTHING, READ, WRITE, Grant
from distmap.authorizer import Request
from distmap.errors import InvalidValue
from distmap.passwords import PasswordAuthorizer


class Passwords(TestCase):
    def setUp(self) -> None:
        self.checker: Any = InMemoryUsernamePasswordDatabaseDontUse()
        self.checker.addUser(b"anna", b"a:b c")
        self.checker.addUser("jürgen".encode(), "größe".encode())

    def grant(self, shown: str | None, **options: Any) -> Grant:
        authorizer = PasswordAuthorizer(self.checker, **options)
        answer = Deferred.fromCoroutine(authorizer.authorize(Request("/u", shown)))
        return self.successResultOf(answer)

    def test_login(self) -> None:
        self.assertEqual(self.grant("anna:a:b c"), Grant(WRITE))
        self.assertEqual(self.grant("jürgen:größe"), Grant(WRITE))
        for shown in (None, "", "anna", "anna:", "anna:x", ":a:b c", "nobody:a:b c", "ANNA:a:b c"):
            self.assertEqual(self.grant(shown), NOTHING, shown)

    def test_readers(self) -> None:
        self.assertEqual(self.grant("anna:a:b c", readers=["anna"]), Grant(READ))
        self.assertEqual(self.grant("jürgen:größe", readers=["anna"]), Grant(WRITE))

    def test_no_name_and_failures(self) -> None:
        self.checker.requestAvatarId = lambda credentials: ()
        self.assertEqual(self.grant("anna:x"), NOTHING)
        self.checker.requestAvatarId = lambda credentials: fail(RuntimeError("no database"))
        answer = PasswordAuthorizer(self.checker).authorize(Request("/u", "anna:x"))
        self.failureResultOf(Deferred.fromCoroutine(answer), RuntimeError)

    def test_a_checker_of_something_else(self) -> None:
        with self.assertRaises(InvalidValue):
            PasswordAuthorizer(AllowAnonymousAccess())
