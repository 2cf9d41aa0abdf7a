"""A site with a relay below /maps/, that gives tickets to its own users.

twistd -noy tickets_site.py

The environment variable LISTEN names another endpoint than port 8000 on loopback.
"""

import os

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Site

from distmap.relay import RelayOptions, RelayService
from distmap.tickets import Key, TicketAuthorizer, mint

KEY = Key(b"read this from a file: distmap ticket --new-key makes one")


class Ticket(Resource):
    """POST /ticket: what the user may do for the next ten minutes."""

    isLeaf = True

    def render_POST(self, request):
        user = request.getUser().decode()  # your login goes here
        if not user:
            request.setResponseCode(401)
            return b""
        request.setHeader(b"cache-control", b"no-store")
        maps = {"/fruits/": "read", f"/users/{user}": "write"}
        return mint(KEY, maps, reactor.seconds(), 600, None).encode()


relay = RelayService(reactor, options=RelayOptions(authorizer=TicketAuthorizer(KEY, reactor)))
root = Resource()
root.putChild(b"maps", relay.resource)
root.putChild(b"ticket", Ticket())

application = Application("site")
relay.setServiceParent(application)
endpoint = serverFromString(reactor, os.environ.get("LISTEN", "tcp:8000:interface=127.0.0.1"))
StreamServerEndpointService(endpoint, Site(root)).setServiceParent(application)
