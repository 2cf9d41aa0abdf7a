"""Real Python clients that come, write and go: ``python -m benchmarks.soak_peers PORT SEED``.

Commands come as lines of JSON. The same in JavaScript is js/soak.mjs.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner
from zope.interface import provider

from benchmarks.soak_tabs import FULL_MAPS, Commands, full_url_of
from distmap import DistributedMap, connect

reactor: Any = _reactor

PEERS: Final = 4
"""Of each map; the first one stays."""
KEYS: Final = 200
WRITE_SECONDS: Final = 0.1
CHANGE_SECONDS: Final = 1.0
"""How often one goes and another comes."""


class Peers:
    """All clients of this process.

    Args:
        url: of the relay.
        random: who writes what, and who goes.
    """

    def __init__(self, url: str, random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._url = url
        self._random = random
        self._maps = [[self._open(at) for _ in range(PEERS)] for at in range(FULL_MAPS)]
        self._calls = [LoopingCall(self._write), LoopingCall(self._change)]
        self._calls[0].start(WRITE_SECONDS, now=False)
        self._calls[1].start(CHANGE_SECONDS, now=False)

    def _open(self, number: int) -> DistributedMap:
        shared = DistributedMap(connect(reactor, self._url), full_url_of(number))
        shared.ready().addCallbacks(lambda _: self._count("joins"), lambda _: None)
        return shared

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def _write(self) -> None:
        shared = self._random.choice(self._random.choice(self._maps))
        key = f"key-{self._random.randrange(KEYS)}"
        written: Deferred[Any]
        if self._random.random() < 0.1 and key in shared:
            written = shared.delete(key)
        else:
            written = shared.set(key, "x" * self._random.randrange(100))
        written.addCallbacks(lambda _: self._count("writes"), lambda _: None)

    def _change(self) -> None:
        number = self._random.randrange(FULL_MAPS)
        at = self._random.randrange(1, PEERS)
        self._maps[number][at].connection.close()
        self._maps[number][at] = self._open(number)

    # -- commands ---------------------------------------------------------------------------------

    def do_count(self) -> dict[str, Any]:
        """How it goes."""
        return dict(self.counts)

    def do_quiet(self) -> dict[str, Any]:
        """Nobody writes, comes or goes any more."""
        for call in self._calls:
            if call.running:
                call.stop()
        return {}

    def do_contents(self) -> list[list[Any]]:
        """What each client has, by map; null if it is not ready."""
        return [
            [dict(each) if each.status == "ready" else None for each in maps] for maps in self._maps
        ]

    def do_end(self) -> dict[str, Any]:
        """All go."""
        for maps in self._maps:
            for each in maps:
                each.connection.close()
        return {}


def main(port: str, seed: str) -> None:
    peers: Peers | None = None

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error and peers is not None:
            peers.counts["errors"] += 1

    globalLogBeginner.beginLoggingTo([observe], discardBuffer=True, redirectStandardIO=False)
    peers = Peers(f"ws://127.0.0.1:{port}/", Random(seed))
    StandardIO(Commands(peers))
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
