"""Makes ``twistd distmap`` known to Twisted."""

from twisted.application.service import ServiceMaker

distmap = ServiceMaker("distmap", "distmap.tap", "The relay of a distributed map", "distmap")
