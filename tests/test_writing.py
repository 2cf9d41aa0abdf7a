"""distmap.writing: what leaves at once, and what waits for the reactor."""

from __future__ import annotations

import socket
from typing import Any
from unittest import skipUnless

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distmap.writing import UNSENT_BYTES, bound_unsent, write_now
from tests.support.sockets import unsent_bytes


class WriteNow(SynchronousTestCase):
    """With a TCP connection of Twisted's, on one end of a pair of sockets."""

    def setUp(self) -> None:
        mine, self.other = socket.socketpair()
        mine.setblocking(False)
        self.other.setblocking(False)
        self.addCleanup(mine.close)
        self.addCleanup(self.other.close)
        self.reactor = MemoryReactorClock()
        self.transport: Any = Connection(mine, Protocol(), self.reactor)
        self.transport.connected = True

    def taken(self) -> bytes:
        """What the other end gets, if nobody waits for the reactor."""
        got = b""
        while True:
            try:
                got += self.other.recv(1 << 20)
            except BlockingIOError:
                return got

    def test_an_idle_socket_takes_it_at_once(self) -> None:
        write_now(self.transport, b"one")
        write_now(self.transport, b"two")
        self.assertEqual(self.taken(), b"onetwo")
        self.assertEqual(self.reactor.getWriters(), [])

    def test_behind_what_waits(self) -> None:
        self.transport.write(b"one")
        write_now(self.transport, b"two")
        self.assertEqual(self.taken(), b"")
        self.transport.doWrite()
        self.assertEqual(self.taken(), b"onetwo")
        write_now(self.transport, b"three")
        self.assertEqual(self.taken(), b"three")

    def test_what_the_socket_does_not_take_waits(self) -> None:
        sent = got = b""
        for at in range(200):
            sent += b"%3d" % at * 20_000
            write_now(self.transport, b"%3d" % at * 20_000)
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        while self.reactor.getWriters():
            got += self.taken()
            self.transport.doWrite()
        self.assertEqual(got + self.taken(), sent)

    def test_one_that_is_lost(self) -> None:
        self.other.close()
        write_now(self.transport, b"one")
        self.assertEqual(self.reactor.getWriters(), [self.transport], "who is to find out")

    def test_one_that_is_gone_or_going(self) -> None:
        self.transport.loseConnection()
        write_now(self.transport, b"one")
        self.assertEqual(self.taken(), b"")
        self.transport.connectionLost(Failure(ConnectionDone()))
        write_now(self.transport, b"two")

    def test_other_transports(self) -> None:
        written: list[bytes] = []
        other: Any = StringTransport()
        other.write = written.append
        write_now(other, b"one")
        self.transport.TLS = True
        self.transport.write = written.append
        write_now(self.transport, b"two")
        self.assertEqual(written, [b"one", b"two"])


class BoundUnsent(SynchronousTestCase):
    """On a TCP socket, below TLS, and where it cannot be."""

    def connection(self, family: int) -> Any:
        handle = socket.socket(family)
        self.addCleanup(handle.close)
        return Connection(handle, Protocol(), MemoryReactorClock())

    @skipUnless(hasattr(socket, "TCP_NOTSENT_LOWAT"), "this system has no such bound")
    def test_tcp(self) -> None:
        for tls in (False, True):
            with self.subTest(tls=tls):
                transport = self.connection(socket.AF_INET)
                above: Any = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
                above.transport = transport
                bound_unsent(above if tls else transport)
                self.assertEqual(unsent_bytes(transport), UNSENT_BYTES)

    def test_elsewhere(self) -> None:
        bound_unsent(self.connection(socket.AF_UNIX))
        bound_unsent(StringTransport())
