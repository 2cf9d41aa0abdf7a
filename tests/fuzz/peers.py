"""Targets: one peer of a map with a hostile relay and hostile members, without and with all that is
around it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable, Iterator
from random import Random
from typing import Any, Final

import msgspec
from twisted.internet.task import Clock
from zope.interface import implementer

from distmap.attempts import Attempt, IConnector
from distmap.clock import Stamp
from distmap.connection import Connection
from distmap.entries import Entry
from distmap.errors import ConnectionLost, RemoteError
from distmap.gossip import Gossip
from distmap.lww import Update
from distmap.map import DistributedMap
from distmap.peer import Peer
from distmap.values import NOT_JSON
from tests.fuzz.cases import Broken, Case, is_odd
from tests.fuzz.replicas import KEYS, NOW_MS, check_replica, make_replica
from tests.fuzz.wire import why

WELCOME: Final = b'["welcome",{"version":[1,0],"peer":"7","time_ms":%d,"members":3}]'
SET: Final = b'{"event":"set","key":"%b","value":%b,"stamp":[%d,%d,"other"]}'
MOST_CALLS: Final = 400
MOST_SYNCS: Final = 70


class Port:
    """Notes how often it is asked, and what it is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.calls: set[str] = set()
        self.served = 0
        self.has_work = False

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    def begin_sync(self, donor: str) -> None:
        self.calls.add("begin")

    def serve(self, client: str, *, reader: bool = False) -> None:
        self.calls.add("serve a reader" if reader else "serve")

    def refused(self, writes: list[tuple[str, Entry]], updates: list[Update]) -> None:
        self.calls.add("refused")

    def updated(self, updates: list[Update]) -> None:
        self.calls.add("updated")

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        self.calls.add(f"taken {len(writes) > 0}")

    def restamped(self, updates: list[Update]) -> None:
        self.calls.add("restamped")

    def became_ready(self, how: str) -> None:
        self.calls.add(how)

    def peers_changed(self, peers: int) -> None:
        if not 0 <= peers < 2**53:
            raise Broken(f"{peers} peers")

    def heard_digest(self, peer: str, digest: tuple[int, int]) -> None:
        Gossip(lambda: 0.5).hear(peer, digest, (0, 0), 0.0)
        self.calls.add("digest")

    def work_soon(self) -> None:
        self.has_work = True

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        self.calls.add("superseded")


def channel_seeds() -> Iterator[list[bytes]]:
    """What a relay and other members say on a channel."""
    welcome = WELCOME % NOW_MS
    yield [welcome, b'["alone"]', b'["ack",1,1700000000000]', b'["members",2,["8"],[]]']
    yield [welcome, b'["donor","3"]', SET % (b"k1", b"2", NOW_MS, 0), b'["client","8.ab"]']
    yield [welcome, b'["alone"]', b'["time",1700000000000.5,1700000099000]', b'["alone"]']
    one, two = SET % (b"k2", b'"x"', NOW_MS, 0), SET % (b"own0", b"[]", 2 * NOW_MS, 0)
    yield [welcome, b'{"event":"entries","entries":[%b,%b]}' % (one, two), two, b'["alone"]']
    yield [
        welcome,
        b'["alone"]',
        b'{"event":"digest","peer":"3","count":14,"sum":5}',
        b'{"event":"delete","key":"k5","stamp":[1700000000001,0,"w"],"x":1}',
    ]
    yield [welcome, b'["members",false]', welcome, b'["time",1e309,0]', b'["alone"]']
    yield [WELCOME % (2 * NOW_MS), b'["alone"]', b'["time",0,0]', WELCOME % NOW_MS, b'["ack",9,0]']


class HostileRelay:
    """What comes on a map's channel. Steps of 0 are payloads; of 1 what the peer does: the first
    byte tells what.
    """

    name = "peer"
    actors = 2
    twin = True
    executions = 1
    OWN: Final = 3

    def __init__(self) -> None:
        self._jumped = False
        replica = make_replica("me", range(KEYS), deleted=2)
        peer = Peer(replica, Port(), replica.clock._wall_ms)
        for number in range(self.OWN):
            peer.wrote(replica.set(f"own{number}", number))
        self._entries = dict(replica.entries)
        self._pickled = pickle.dumps(peer, pickle.HIGHEST_PROTOCOL)

    def seeds(self) -> Iterator[Case]:
        for payloads in channel_seeds():
            case = ((1, b"o"), *((0, payload) for payload in payloads))
            yield case
            yield (*case, (1, b"w"), (1, b"l"), (1, b"t"), *case, (1, b"d"), (1, b"c"))

    def run(self, case: Case) -> Hashable:
        told, peer = self._play(case)
        port: Any = peer._port
        check_replica(peer.replica, self._entries, jumped=self._jumped)
        if len(port.sent) > MOST_CALLS:
            raise Broken("far too much is sent")
        return frozenset((*told, *port.calls))

    def _play(self, case: Case) -> tuple[list[Hashable], Peer]:
        peer: Peer = pickle.loads(self._pickled)
        told: list[Hashable] = []
        is_open = self._jumped = False
        clock = peer.replica.clock
        port: Any = peer._port
        for who, text in case:
            if who == 0:
                if not is_open:
                    continue  # its seat hands on nothing
                try:
                    peer.receive(text)
                except RemoteError as error:
                    told.append(why(error))
                    is_open = False
                    peer.lost()
            elif text[:1] == b"o" and not is_open:
                is_open = True
                peer.opened()
            elif text[:1] == b"l" and is_open:
                is_open = False
                peer.lost()
            elif text[:1] == b"w":
                peer.wrote(peer.replica.set("own0", len(told)))
                peer.send_writes()
            elif text[:1] == b"t":
                peer.replica.clock._wall_ms.ms += 10_000.0 * len(text)  # type: ignore[attr-defined]
                peer.release()
                peer.look_up()
            elif text[:1] == b"d":
                peer.tell_digest()
            elif text[:1] == b"c" and is_open:
                peer.synced()
            while port.has_work:
                port.has_work = False
                peer.work()
            self._jumped = self._jumped or abs(clock.earliest_ms() - clock.latest_ms()) > 1000
            self._jumped = self._jumped or abs(clock.offset_ms) > 1000
        return told, peer

    def verdict(self, case: Case) -> Any:
        try:
            for who, text in case:
                msgspec.json.decode(text if who == 0 else b"0", type=msgspec.Raw)
        except NOT_JSON:
            return None  # no frame holds that
        if any(is_odd(text) for _, text in case):
            return None
        told, peer = self._play(case)
        replica = peer.replica
        errors = len(told)
        return [errors, list(replica.digest()), replica.refused, len(replica.held), peer.peers]


@implementer(IConnector)
class Connector:
    """Its other side says what the case says."""

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        self.sent: set[bytes] = set()

    def connect(self, attempt: Attempt) -> Callable[[], None]:
        self.attempt = attempt
        return self.drop

    def send(self, message: bytes) -> None:
        for line in message.split(b"\n"):
            at = line.find(b'","')
            self.sent.add(line[at + 3 : at + 24])

    def close(self, code: int, reason: str) -> None:
        self.drop()

    def drop(self) -> None:
        """The connection is gone."""
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.attempt_failed(ConnectionLost("gone"))


class Client:
    """A whole client, but for the socket. Steps of 0 are messages of the relay; of 1 what the
    program does: the first byte tells what.
    """

    name = "client"
    actors = 2
    twin = False
    executions = 1

    def seeds(self) -> Iterator[Case]:
        opened = b'["/m/channel","data",%b]\n'
        for payloads in channel_seeds():
            frames = [opened % payload for payload in payloads]
            yield tuple((0, frame) for frame in frames)
            yield ((0, b"".join(frames)), (1, b"t"), (1, b"w"), (0, frames[-1]), (1, b"s"))
        sync = (
            b'["%b","data","[stream-server]:open"]\n["%b","data",{"event":"hello","version":[1,0]'
        )
        sync += b',"count":0,"sum":0}]\n'
        for start, ids in ((b'["donor","3"]', b".1"), (b'["client","3.f"]', b".1")):
            yield (
                (0, opened % (WELCOME % NOW_MS) + opened % start),
                (0, sync % (ids, ids)),
                (1, b"t"),
                (0, b'[".1","data",{"event":"done"}]\n[".1","end"]\n'),
                (1, b"tttttttttttttt"),
            )
        yield (
            (
                0,
                opened % (WELCOME % NOW_MS)
                + b'["/m/channel","error",{"message":"x","code":"slow"}]\n',
            ),
            (1, b"ttttttttttt"),
            (0, b'["/m/channel.2","data",["alone"]]\n["x","new",{"opts":{"writable":true}}]\n'),
        )

    def run(self, case: Case) -> Hashable:
        clock, connector = Clock(), Connector()
        clock.rightNow = NOW_MS / 1000
        connection = Connection(clock, connector, Random(7).random)
        fruits = DistributedMap(connection, "/m")
        fruits["own"] = 1
        told: set[Hashable] = set()
        self._open(connector, clock)
        for who, text in case:
            if who == 0 and connector.attempt is not None:
                connector.attempt.attempt_received(text)
                clock.advance(0)
            elif text[:1] == b"t":
                for _ in text[:20]:
                    clock.advance(2.0)
            elif text[:1] == b"w":
                fruits["own"] = len(text)
            elif text[:1] == b"s":
                connector.drop()
                clock.advance(60.0)
            if connector.attempt is not None and connection.session is None:
                self._open(connector, clock)
            told.add(fruits.status)
            if len(clock.getDelayedCalls()) > MOST_SYNCS:
                raise Broken(f"{len(clock.getDelayedCalls())} timers")
        if "own" not in fruits and not fruits._seat.peer.absence.is_open:
            told.add("lost")
        fruits._replica.digest()
        connection.close()
        clock.advance(5.0)
        if clock.getDelayedCalls():
            raise Broken("a call is left after the end")
        return frozenset(told | connector.sent)

    def _open(self, connector: Connector, clock: Clock) -> None:
        assert connector.attempt is not None
        connector.attempt.attempt_opened(connector)
        clock.advance(0)

    def verdict(self, case: Case) -> Any:
        return None
