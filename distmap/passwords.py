"""User names and passwords, checked by what Twisted Cred has."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed
from twisted.internet.defer import maybeDeferred
from zope.interface import implementer

from distmap.access import NOTHING, READ, WRITE, Grant
from distmap.authorizer import IAuthorizer, Request
from distmap.errors import InvalidValue


@implementer(IAuthorizer)
class PasswordAuthorizer:
    """Lets in who shows ``name:password``, to all maps.

    Args:
        checker: provides Cred's ICredentialsChecker, for IUsernamePassword.
        readers: the names of those who may only read.

    Raises:
        InvalidValue: the checker takes no passwords.
    """

    needs_credentials = True

    def __init__(self, checker: Any, readers: Collection[str] = ()) -> None:
        if not any(each.extends(IUsernamePassword, False) for each in checker.credentialInterfaces):
            raise InvalidValue("this checker takes no user names and passwords")
        self._checker = checker
        self._readers = frozenset(readers)

    async def authorize(self, request: Request) -> Grant:
        """Asks the checker; its errors but for a failed login are those of the authorizer."""
        name, colon, password = (request.credentials or "").partition(":")
        if not colon:
            return NOTHING
        credentials = UsernamePassword(name.encode(), password.encode())
        try:
            avatar = await maybeDeferred(self._checker.requestAvatarId, credentials)
        except LoginFailed:
            return NOTHING
        if not avatar:
            return NOTHING  # Cred's word for somebody without a name
        return Grant(READ if name in self._readers else WRITE)
