"""python -m pytest test_board_with_pytest.py"""

import pytest
from status_board import StatusBoard

from distmap import DistributedMap
from distmap.testing import Network


@pytest.fixture
def network():
    network = Network()
    yield network
    network.close()


def test_everybody_hears_a_call_for_help(network):
    ann = StatusBoard(network.open("/board"), "ann")
    ben = StatusBoard(network.open("/board"), "ben")
    network.settle()  # both are ready now
    ann.say("help")
    network.settle()
    assert ben.alarms == ["ann"]
    assert ann.alarms == []  # "set" tells of others only


def test_what_is_said_offline_arrives_later(network):
    connection = network.connect()
    ann = StatusBoard(DistributedMap(connection, "/board"), "ann")
    ben = StatusBoard(network.open("/board"), "ben")
    network.settle()

    network.cut(connection)
    ann.say("at lunch")
    assert ann.everybody() == {"ann": "at lunch"}
    assert ben.everybody() == {}

    network.settle(30)  # seconds of the clock; the test does not wait for them
    assert ben.everybody() == {"ann": "at lunch"}


def test_the_board_outlives_the_relay(network):
    ann = StatusBoard(network.open("/board"), "ann")
    ben = StatusBoard(network.open("/board"), "ben")
    network.settle()
    ann.say("fine")
    network.settle()

    network.stop_relay()
    ben.say("bored")
    network.start_relay()
    network.settle(30)
    assert ann.everybody() == ben.everybody() == {"ann": "fine", "ben": "bored"}
