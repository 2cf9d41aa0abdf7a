"""A Twisted service that shares a map; run it with twistd.

twistd -noy service.py

The environment variable RELAY names another relay than the one on this machine.
"""

import os

from twisted.application.service import Application, Service
from twisted.internet import reactor
from twisted.logger import Logger

from distmap import DistributedMap, connect


class Thermometer(Service):
    """Tells all peers the temperature, and logs what they tell."""

    log = Logger()
    connection = None

    def __init__(self, reactor, url):
        self.reactor = reactor
        self.url = url

    def startService(self):
        super().startService()
        self.connection = connect(self.reactor, self.url)
        self.readings = DistributedMap(self.connection, "/temperatures")
        self.readings.observe(self.changed)
        self.readings["kitchen"] = 21.5  # before ready, and offline: kept, and sent later

    def stopService(self):
        super().stopService()
        return self.connection.close()

    def changed(self, change):
        self.log.info("{key} is {value}", key=change.key, value=change.value)


application = Application("thermometer")
service = Thermometer(reactor, os.environ.get("RELAY", "ws://localhost:8080/"))
service.setServiceParent(application)
