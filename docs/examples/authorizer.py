"""A relay whose own class says who may come in.

twistd -noy authorizer.py

The environment variable LISTEN names another endpoint than port 8000 on loopback.
"""

import os

from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from zope.interface import implementer

from distmap.access import Grant
from distmap.authorizer import IAuthorizer, Request
from distmap.relay import RelayOptions, RelayService


@implementer(IAuthorizer)
class News:
    """Everybody reads the news; who knows the word may write them for five minutes."""

    needs_credentials = False

    def authorize(self, request: Request) -> Grant:
        if not request.uri.startswith("/news/"):
            return Grant("none")
        if request.credentials == "open sesame":
            return Grant("write", (reactor.seconds() + 300) * 1000)
        return Grant("read")


endpoint = serverFromString(reactor, os.environ.get("LISTEN", "tcp:8000:interface=127.0.0.1"))
application = Application("news")
RelayService(reactor, endpoint, RelayOptions(authorizer=News())).setServiceParent(application)
