"""A peer as a process of its own: takes commands as JSON lines on stdin, answers on stdout.

Run as ``python -m tests.support.peer_process URL URI``.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from twisted.internet import reactor, stdio
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.protocols.basic import LineOnlyReceiver

from distmap import DistributedMap, connect


class Commands(LineOnlyReceiver):
    """One command a line: a list of its name and arguments; one line answers it."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = 1 << 26

    def __init__(self, shared: DistributedMap) -> None:
        self.map = shared

    def connectionMade(self) -> None:
        self.map.ready().addCallback(lambda _: self.answer("ready", self.map.synced))

    def lineReceived(self, line: bytes) -> None:
        name, *args = msgspec.json.decode(line)
        getattr(self, f"do_{name}")(*args)

    def do_set(self, key: str, value: Any) -> None:
        """Answers once the relay has it."""
        self.map.set(key, value).addCallback(lambda _: self.answer("set", key))

    def do_write(self, prefix: str, count: int) -> None:
        """Writes `count` keys one after the other as the relay takes them; answers each."""

        def step(at: int) -> None:
            if at < count:
                key = f"{prefix}{at}"
                self.map.set(key, at).addCallback(lambda _: self.answer("taken", key))
                reactor.callLater(0.001, step, at + 1)
            else:
                self.answer("written", count)

        step(0)

    def do_delete(self, key: str) -> None:
        """Answers once the relay has it."""
        self.map.delete(key).addCallback(lambda known: self.answer("delete", key, known))

    def do_dump(self) -> None:
        """Answers with the whole map and its status."""
        self.answer("dump", dict(self.map), str(self.map.status), self.map.peers)

    def do_close(self) -> None:
        """Closes everything, and tells what is left on the reactor."""
        closed = self.map.close().addCallback(lambda _: connection.close())
        closed.addCallback(lambda _: self.answer("closed", len(reactor.getDelayedCalls())))
        closed.addCallback(lambda _: self.transport.loseConnection())

    def connectionLost(self, reason: Any = None) -> None:
        reactor.stop()

    def answer(self, *what: Any) -> None:
        self.sendLine(msgspec.json.encode(what))


if __name__ == "__main__":
    observer = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    connection = connect(reactor, sys.argv[1])
    stdio.StandardIO(Commands(DistributedMap(connection, sys.argv[2])))
    reactor.run()
