"""Many browser tabs, as cheap as can be: ``python -m benchmarks.soak_tabs PORT RATE SEED``.

Raw WebSockets at a relay: most join a map, write a little and go; some do so badly. Commands come
as lines of JSON, as those of :class:`benchmarks.processes.Process`.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from benchmarks.soak_census import HANDSHAKE, Census, RawClient
from benchmarks.sockets import WELCOME, entry, frame, join_frame

reactor: Any = _reactor

MAPS: Final = 10
"""That many tabs share."""
FULL_MAPS: Final = 3
"""Those of the real clients, where a tab that only says it has the state may turn up."""
MOST: Final = 1500
"""Tabs at a time; if the relay is too slow for the rate, it does not get more."""
TURN_SECONDS: Final = 0.05
JOIN_SECONDS: Final = 30
GOODBYE_SECONDS: Final = 5
"""For the relay's answer to a close frame."""
FLOOD_SECONDS: Final = 0.25
FLOOD_BYTES: Final = 64_000
SLOW_BYTES: Final = 4096
"""The receive buffer of a slow reader."""
CLOSE: Final = 8

# Of each: how many of a thousand tabs, and how long it stays, in seconds.
KINDS: Final[dict[str, tuple[int, float, float]]] = {
    "comes and goes": (700, 0.5, 3),
    "has a map of its own": (100, 0.5, 3),
    "joins three times": (80, 1, 4),
    "goes without a word": (60, 0.2, 3),
    "says nothing": (20, 1, 5),
    "a donor that does not answer": (4, 0.2, 2),
    "does not read": (4, 25, 40),
    "no HTTP": (8, 1, 2),
    "half a handshake": (8, 1, 3),
    "half a frame": (8, 0.5, 2),
    "a frame of the wrong kind": (8, 1, 2),
}
WELL_MEANT: Final = {"comes and goes", "has a map of its own", "joins three times"}


def url_of(number: int) -> str:
    """One of the maps that many tabs share."""
    return f"/tabs-{number}"


def full_url_of(number: int) -> str:
    """One of the maps of the real clients."""
    return f"/full-{number}"


FLOOD: Final = "/flood"


class Tab(RawClient):
    """One connection, from its beginning to its end.

    Args:
        crowd: whose it is.
        kind: of :data:`KINDS`.
    """

    def __init__(self, crowd: Crowd, kind: str) -> None:
        super().__init__()
        self._crowd = crowd
        self._kind = kind
        self._uri = crowd.uri_of(kind)
        self._joins_left = 3 if kind == "joins three times" else 1
        self._timer: Any = None
        _, shortest, longest = KINDS[kind]
        self._seconds = crowd.random.uniform(shortest, longest)

    def connectionMade(self) -> None:
        if self._kind == "does not read":
            buffer = socket.SO_RCVBUF
            self.transport.getHandle().setsockopt(socket.SOL_SOCKET, buffer, SLOW_BYTES)
        # One that means well stays until it has joined, however long that takes on a busy machine.
        patience = JOIN_SECONDS if self._kind in WELL_MEANT else self._seconds
        self._timer = reactor.callLater(patience, self._leave)
        if self._kind == "no HTTP":
            self.transport.write(bytes(range(128, 256)) * 8)
            return
        self.transport.write(HANDSHAKE[:60] if self._kind == "half a handshake" else HANDSHAKE)

    def dataReceived(self, data: bytes) -> None:
        if self._joins_left > 0:  # later, what others write is of no interest
            super().dataReceived(data)

    def received(self) -> None:
        if WELCOME in self.data:
            self.data = b""
            self._joined()

    def opened(self) -> None:
        if self._kind == "says nothing":
            return
        if self._kind == "half a frame":
            self.transport.write(join_frame(self._uri)[:40])
            return
        self.transport.write(join_frame(self._uri))

    def _joined(self) -> None:
        crowd = self._crowd
        crowd.counts["joins"] += 1
        self._joins_left -= 1
        if self._timer.active():
            self._timer.reset(JOIN_SECONDS if self._joins_left else self._seconds)
        route = f"{self._uri}/channel"
        if self._joins_left:
            self.transport.write(frame(f'["{route}","close"]\n'.encode()))
            reactor.callLater(self._seconds / 4, self._join_again)
            return
        if self._kind == "does not read":
            self.transport.pauseProducing()
        elif self._kind == "a frame of the wrong kind":
            self.transport.write(frame(b"\0\1\2", opcode=2))
        elif self._kind != "a donor that does not answer":
            text = entry(f"key-{crowd.random.randrange(50)}", crowd.counts["joins"], "x" * 60)
            self.transport.write(frame(f'["{route}","data",{text}]\n'.encode()))

    def _join_again(self) -> None:
        if self.transport is not None and self._timer.active():
            self.transport.write(join_frame(self._uri))

    def _leave(self) -> None:
        if self.is_open and self._kind in ("comes and goes", "joins three times", "says nothing"):
            self.transport.write(frame(b"\x03\xe8", opcode=CLOSE))
            self._timer = reactor.callLater(GOODBYE_SECONDS, self._unanswered)
        else:
            self.transport.abortConnection()

    def _unanswered(self) -> None:
        self._crowd.counts["goodbyes without an answer"] += 1
        self.transport.abortConnection()

    def leave_now(self) -> None:
        """The soak is over."""
        if self._timer is not None and self._timer.active():
            self._timer.reset(0)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._joins_left and self._kind in WELL_MEANT and not self._crowd.over:
            self._crowd.counts["tabs that could not join"] += 1
        self.transport = None
        self._crowd.gone(self)


class Crowd:
    """All tabs.

    Args:
        port: the relay's, on loopback.
        rate: how many come in a second.
        random: which and for how long.

    Attributes:
        over: no more tabs come.
    """

    def __init__(self, port: int, rate: float, random: Random) -> None:
        self.random = random
        self.counts: Counter[str] = Counter()
        self.over = False
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._rate = rate
        self._tabs: set[Tab] = set()
        self._connecting = 0
        self._began = reactor.seconds()
        self._began_count = 0
        self._calls = [LoopingCall(self._more), LoopingCall(self._flood)]
        self._flooder: Tab | None = None
        shared = [url_of(at) for at in range(MAPS)] + [full_url_of(at) for at in range(FULL_MAPS)]
        self.census = Census([*shared, FLOOD])
        connectProtocol(self._endpoint, self.census)
        self._calls[0].start(TURN_SECONDS)
        self._calls[1].start(FLOOD_SECONDS)

    def uri_of(self, kind: str) -> str:
        """Which map a tab joins."""
        if kind == "has a map of its own":
            return f"/own-{self.random.getrandbits(64):x}"
        if kind == "does not read":
            return FLOOD
        if kind == "a donor that does not answer":
            return full_url_of(self.random.randrange(FULL_MAPS))
        return url_of(self.random.randrange(MAPS))

    def _more(self) -> None:
        wanted = int((reactor.seconds() - self._began) * self._rate)
        while self._began_count < wanted:
            self._began_count += 1
            if len(self._tabs) + self._connecting >= MOST:
                self.counts["tabs too many"] += 1
                continue
            (kind,) = self.random.choices(list(KINDS), [each[0] for each in KINDS.values()])
            self.counts[kind] += 1
            self._connecting += 1
            tab = Tab(self, kind)
            connectProtocol(self._endpoint, tab).addCallbacks(
                lambda _, tab=tab: self._connected(tab), self._failed
            )

    def _connected(self, tab: Tab) -> None:
        self._connecting -= 1
        if tab.transport is not None:
            self._tabs.add(tab)
        if self.over:
            tab.leave_now()

    def _failed(self, failure: Failure) -> None:
        self._connecting -= 1
        self.counts["connections refused"] += 1

    def gone(self, tab: Tab) -> None:
        """Its connection is closed."""
        self._tabs.discard(tab)

    def _flood(self) -> None:
        # What the slow ones do not read.
        if self.census.is_there:
            text = entry("flood", self.counts["floods"], "x" * FLOOD_BYTES)
            self.counts["floods"] += 1
            line = f'["{FLOOD}/channel","data",{text}]\n'
            self.census.send(line.encode())

    # -- commands ---------------------------------------------------------------------------------

    def do_count(self) -> dict[str, Any]:
        """How it goes."""
        return {
            "tabs": len(self._tabs) + self._connecting,
            "members": sum(self.census.members.values()),
            "census lost": int(self.census.lost),
            **self.counts,
        }

    def do_stop(self) -> dict[str, Any]:
        """No more tabs come, and those that are there go."""
        self.over = True
        for call in self._calls:
            if call.running:
                call.stop()
        for tab in list(self._tabs):
            tab.leave_now()
        return {}

    def do_end(self) -> dict[str, Any]:
        """The census goes too."""
        self.census.leave()
        return {}


class Commands(LineReceiver):
    """Carries out the lines of stdin.

    Args:
        target: has the commands as do_ methods, which return at once.
    """

    delimiter = b"\n"

    def __init__(self, target: Any) -> None:
        self._target = target

    def lineReceived(self, line: bytes) -> None:
        message = json.loads(line)
        command: Callable[..., Any] = getattr(self._target, "do_" + message.pop("do"))
        answer = command(**message)
        self.sendLine(json.dumps(answer).encode())  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if reactor.running:
            reactor.stop()


def main(port: str, rate: str, seed: str) -> None:
    StandardIO(Commands(Crowd(int(port), float(rate), Random(seed))))
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
