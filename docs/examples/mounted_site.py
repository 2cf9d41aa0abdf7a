"""A web site of one's own with a relay in it, at /relay.

twistd -noy mounted_site.py

The environment variable LISTEN names another endpoint than port 8000 on loopback.
"""

import os

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from distmap.relay import RelayOptions, RelayService

application = Application("site")

relay = RelayService(reactor, options=RelayOptions(log_streams=True))  # no endpoint of its own
relay.setServiceParent(application)

root = Resource()
root.putChild(b"", Data(b"<!doctype html><title>Mine</title><h1>My site</h1>", "text/html"))
root.putChild(b"relay", relay.resource)

listen = os.environ.get("LISTEN", "tcp:8000:interface=127.0.0.1")
site = StreamServerEndpointService(serverFromString(reactor, listen), Site(root))
site.setServiceParent(application)
