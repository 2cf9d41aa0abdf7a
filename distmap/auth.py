"""What ``--auth`` means: tickets, a plugin, or a checker of Twisted Cred."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from twisted.cred.strcred import InvalidAuthType, makeChecker
from twisted.plugin import getPlugins

from distmap.authorizer import IAuthorizer, IAuthorizerMaker
from distmap.errors import InvalidValue
from distmap.passwords import PasswordAuthorizer

TICKETS: Final = "tickets"
_AUDIENCE: Final = ":audience="


def make_authorizer(text: str, reactor: Any, readers: Collection[str] = ()) -> Any:
    """Makes an authorizer.

    Args:
        text: ``tickets:KEYFILE`` or ``tickets:KEYFILE:audience=NAME``; the name of a plugin, with
            an argument after a colon if it takes one; or what Cred's strcred takes, such as
            ``file:PATH``.
        reactor: tells the time.
        readers: names of users who may only read; for the checkers of Cred.

    Raises:
        ValueError: it is none of these, or its argument is wrong.
        OSError: a file cannot be read.
        ImportError: a package is missing.
    """
    name, _, argument = text.partition(":")
    if name == TICKETS:
        _no_readers(readers)
        from distmap.tickets import Key, TicketAuthorizer

        path, _, audience = argument.partition(_AUDIENCE)
        return TicketAuthorizer(Key.from_file(path), reactor, audience or None)
    for maker in getPlugins(IAuthorizerMaker):
        if maker.name == name:
            _no_readers(readers)
            authorizer = maker.make(argument)
            if not IAuthorizer.providedBy(authorizer):
                raise InvalidValue(f"the plugin {name} made {authorizer!r}, which is no authorizer")
            return authorizer
    try:
        checker = makeChecker(text)
    except InvalidAuthType:
        raise InvalidValue(f"{name!r} is neither tickets, nor a plugin, nor of Cred") from None
    return PasswordAuthorizer(checker, readers)


def _no_readers(readers: Collection[str]) -> None:
    if readers:
        raise InvalidValue("--reader is for the user names of Cred")
