"""Tests of an app over real sockets, with pytest-twisted.

Run with ``pytest check_over_sockets.py``, where pytest-twisted is installed.
"""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from distmap import DistributedMap, connect
from distmap.relay import RelayService


@pytest_twisted.async_yield_fixture
async def url():
    """A relay of this test's own, on a free port."""
    relay = RelayService(reactor, TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))
    relay.startService()
    yield f"ws://127.0.0.1:{relay.port.getHost().port}/"
    await relay.stopService()


@pytest_twisted.async_yield_fixture
async def connections(url):
    """Two connections to it."""
    both = connect(reactor, url), connect(reactor, url)
    yield both
    for connection in both:
        await connection.close()


@pytest_twisted.ensureDeferred
async def test_a_set_reaches_the_other(connections):
    mine, theirs = (DistributedMap(connection, "/fruits") for connection in connections)
    await mine.ready()
    await theirs.ready()
    seen = Deferred()
    theirs.on("set", lambda value, key, fruits: seen.callback((key, value)))
    await mine.set("apple", 3)
    assert await seen == ("apple", 3)
    assert dict(theirs) == {"apple": 3}


@pytest_twisted.inlineCallbacks
def test_a_newcomer_gets_everything(connections):
    mine = DistributedMap(connections[0], "/fruits")
    yield mine.set("apple", 3)
    late = yield DistributedMap(connections[1], "/fruits").ready()
    assert dict(late) == {"apple": 3}


@pytest.mark.parametrize("value", [None, True, 1.5, "text", [1, {"a": []}]])
@pytest_twisted.ensureDeferred
async def test_values(connections, value):
    mine = DistributedMap(connections[0], "/values")
    await mine.set("key", value)
    theirs = await DistributedMap(connections[1], "/values").ready()
    assert theirs["key"] == value
