"""Who decides what a peer may do: the interface, and one that lets everybody do everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from zope.interface import Attribute, Interface, implementer

from distmap.access import EVERYTHING, Grant

# zope.interface describes methods without self.
# ruff: noqa: N805


@dataclass(frozen=True, slots=True)
class Request:
    """What an authorizer is asked about.

    Attributes:
        uri: of the map.
        credentials: what the peer has shown; None if nothing.
        address: the IP address of the peer, as the relay believes it (see `trusted_proxies`); empty
            on a UNIX socket.
        origin: of the page that connects, as its browser tells it; None if it is no browser.
    """

    uri: str
    credentials: str | None = field(default=None, repr=False)  # never in a log
    address: str = ""
    origin: str | None = None


class IAuthorizer(Interface):
    """Decides who may do what."""

    needs_credentials: bool = Attribute(
        "Whether nobody may do anything without credentials: then a connection that is let in"
        " nowhere within RelayOptions.authorizer_seconds is closed."
    )

    def authorize(request: Request) -> Any:
        """What a peer may do with a map; asked once for each connection and URI, and again when it
        expires or the peer shows other credentials.

        Args:
            request: see :class:`Request`.

        Returns:
            A :class:`Grant` or a string, ``none``, ``read`` or ``write``; or a Deferred or a
            coroutine of one. What raises, fails or does not answer in time is logged, and refused.
        """


class IAuthorizerMaker(Interface):
    """Makes an authorizer for ``--auth NAME`` or ``--auth NAME:ARGUMENT``, as a plugin of
    ``twisted.plugins``.
    """

    name: str = Attribute("What it is called on the command line.")

    def make(argument: str) -> Any:
        """An :class:`IAuthorizer`.

        Raises:
            ValueError: that is no argument of it; the text goes to the user.
        """


@implementer(IAuthorizer)
class OpenAuthorizer:
    """Lets everybody do everything, as a relay without an authorizer does."""

    needs_credentials = False

    def authorize(self, request: Request) -> Grant:
        """Everything."""
        return EVERYTHING
