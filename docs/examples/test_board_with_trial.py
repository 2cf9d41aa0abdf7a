"""python -m twisted.trial test_board_with_trial"""

from status_board import StatusBoard
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase, TestCase

from distmap import DistributedMap, connect
from distmap.relay import RelayService
from distmap.testing import Network


class BoardInMemory(SynchronousTestCase):
    """No sockets and no waiting."""

    def setUp(self):
        self.network = Network()
        self.addCleanup(self.network.close)

    def test_say_fires_when_the_relay_has_it(self):
        ann = StatusBoard(self.network.open("/board"), "ann")
        said = ann.say("fine")
        self.assertNoResult(said)
        self.network.settle()
        self.assertIsNone(self.successResultOf(said))

    def test_nothing_is_left_behind(self):
        StatusBoard(self.network.open("/board"), "ann").say("fine")
        self.network.settle()
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])


class BoardOverSockets(TestCase):
    """The same with a real relay, on a port that the system picks."""

    def setUp(self):
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.relay = RelayService(reactor, endpoint)
        self.relay.startService()
        self.addCleanup(self.relay.stopService)

    def open_map(self):
        connection = connect(reactor, f"ws://127.0.0.1:{self.relay.port.getHost().port}/")
        self.addCleanup(connection.close)
        return DistributedMap(connection, "/board")

    async def test_two_people(self):
        ann = StatusBoard(self.open_map(), "ann")
        await ann.say("fine")
        ben = StatusBoard(self.open_map(), "ben")
        await ben.shared.ready()
        self.assertEqual(ben.everybody(), {"ann": "fine"})
