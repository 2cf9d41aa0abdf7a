"""distmap.authorizer: the interface, and the one that lets everybody in."""

from __future__ import annotations

from unittest import TestCase

from zope.interface.verify import verifyObject

from distmap.authorizer import IAuthorizer, OpenAuthorizer, Request
from distmap.passwords import PasswordAuthorizer
from distmap.relay_server import RelayOptions
from distmap.testing import Network
from distmap.tickets import Key, TicketAuthorizer


class Authorizers(TestCase):
    def test_all_provide_the_interface(self) -> None:
        from twisted.cred.checkers import FilePasswordDB

        for each in (
            OpenAuthorizer(),
            TicketAuthorizer(Key(b"x" * 32), None),
            PasswordAuthorizer(FilePasswordDB("no-such-file")),
        ):
            verifyObject(IAuthorizer, each)

    def test_open(self) -> None:
        network = Network(options=RelayOptions(authorizer=OpenAuthorizer()))
        one, two = network.open(), network.open(credentials="anything")
        one["apple"] = 1
        network.settle(20)
        self.assertEqual((dict(two), two.access), ({"apple": 1}, "write"))
        network.close()

    def test_credentials_are_in_no_log(self) -> None:
        self.assertNotIn("secret", repr(Request("/u", "secret", "127.0.0.1", None)))
