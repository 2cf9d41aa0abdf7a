"""Targets: the two sides of a sync, each with another side that may say anything."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

from distmap.errors import RemoteError
from distmap.gossip import Gossip
from distmap.sync import WINDOW, Donor, Newcomer
from tests.fuzz.cases import Broken, Case, is_odd
from tests.fuzz.replicas import Frozen, check_replica, make_replica
from tests.fuzz.wire import why

MOST_OUT: Final = 400_000
"""Bytes that a side may say for one message, with so few entries."""


def talk() -> tuple[list[bytes], list[bytes]]:
    """What a newcomer and a donor say to each other if nobody interferes."""
    newcomer = Newcomer(make_replica("new", range(6, 60), deleted=9))
    donor = Donor(make_replica("old", range(12)))
    asked: list[bytes] = []
    answered: list[bytes] = []
    out = newcomer.start()
    while out:
        asked += out
        answers = [answer for text in out for answer in donor.receive(text)[0]]
        answered += answers
        out = [text for answer in answers for text in newcomer.receive(answer)[0]]
    return asked, answered


def brief(message: bytes) -> list[Any]:
    """A message without the order of what is in it, which is nobody's business."""
    return [message[:24].decode(errors="replace"), len(message), sum(message)]


class HostileNewcomer:
    """What a newcomer may say to a donor. Steps are its messages."""

    name = "donor"
    actors = 1
    twin = True
    executions = 1

    def __init__(self) -> None:
        self._small = Frozen(make_replica("old", range(12), deleted=2))

    def seeds(self) -> Iterator[Case]:
        asked, _ = talk()
        yield tuple((0, text) for text in asked)
        yield tuple((0, text) for text in Newcomer(make_replica("a", range(0))).start())
        hello = asked[0]
        entry = b'{"event":"set","key":"k3","value":"new","stamp":[1700000000001,0,"x"]}'
        ahead = b'{"event":"set","key":"k3","value":"new","stamp":[1800000000001,0,"x"]}'
        yield (
            (0, hello),
            (0, b'{"event":"push","id":1,"entries":[%b,%b]}' % (entry, ahead)),
            (0, b'{"event":"done","held":[%b]}' % ahead),
        )
        yield (
            (0, b'{"event":"hello","version":[1,0],"count":1,"sum":5,"floor_ms":9,"known_ms":3}'),
            (0, b'{"event":"ask-sums","id":1,"prefixes":["","0","f"]}'),
            (0, b'{"event":"ask-entries","id":2,"prefixes":["0","1f"],"start":"1","hashes":[1]}'),
        )

    def run(self, case: Case) -> Hashable:
        return frozenset(self._play(case)[0])

    def _play(self, case: Case) -> tuple[list[Hashable], list[Any], Any]:
        replica = self._small.thaw()
        donor = Donor(replica)
        told: list[Hashable] = []
        said: list[Any] = []
        for _, text in case:
            try:
                messages, updates = donor.receive(text)
            except RemoteError as error:
                told.append(why(error))
                said.append(None)
                break
            if sum(map(len, messages)) > MOST_OUT + 20 * len(text):
                raise Broken("a message is answered with far too much")
            told.append((*(each[:16] for each in messages), len(updates), len(donor.news)))
            said.append([brief(each) for each in messages])
        check_replica(replica, self._small.entries)
        return told, said, replica

    def verdict(self, case: Case) -> Any:
        if any(is_odd(text) for _, text in case):
            return None
        _, said, replica = self._play(case)
        return [said, list(replica.digest()), replica.refused, len(replica.held)]


class HostileDonor:
    """What a donor may say to a newcomer. Steps are its messages; those of 1 and 2 go to newcomers
    of their own: one that is empty, and one that has all and is in touch.
    """

    name = "newcomer"
    actors = 3
    twin = True
    executions = 1

    def __init__(self) -> None:
        self._kinds = [
            Frozen(make_replica("new", range(6, 60), deleted=9)),
            Frozen(make_replica("new", range(0))),
            Frozen(make_replica("new", range(12), deleted=2)),
        ]
        self._donor = make_replica("old", range(12)).digest()

    def seeds(self) -> Iterator[Case]:
        _, answered = talk()
        for who in range(3):
            yield tuple((who, text) for text in answered)
        hello = b'{"event":"hello","version":[1,0],"count":%d,"sum":5,"floor_ms":%d,"known_ms":%s}'
        set_ = b'{"event":"set","key":"%b","value":1,"stamp":[%d,0,"x"]}'
        entries = b'{"event":"entries","id":%d,"entries":[%b],"next":%b,"missing":[]}'
        now = 1_700_000_000_000
        for who in range(3):
            yield (
                (who, hello % (5, 0, b"null")),
                (who, entries % (1, set_ % (b"k1", now), b'"8"')),
                (who, entries % (2, set_ % (b"k2", 2 * now), b"null")),
                (who, b'{"event":"done","held":[%b]}' % (set_ % (b"k3", 2 * now))),
            )
            yield (
                (who, hello % (0, now, b"7")),
                (who, b'{"event":"taken","id":1,"buried":[%b]}' % (set_ % (b"k4", 5))),
                (who, b'{"event":"done"}'),
            )
            sums = b",".join(b"%d,%d" % (n % 3, n) for n in range(16))
            yield (
                (who, hello % (90, 0, b"null")),
                (who, b'{"event":"sums","id":1,"sums":[[%b]]}' % sums),
            )

    def run(self, case: Case) -> Hashable:
        told: list[Hashable] = []
        for who in range(3):
            texts = [text for each, text in case if each == who]
            if texts:
                told.append((who, frozenset(self._play(who, texts)[0])))
        return tuple(told)

    def _play(self, who: int, texts: list[bytes]) -> tuple[list[Hashable], list[Any], Any]:
        frozen = self._kinds[who]
        replica = frozen.thaw()
        newcomer = Newcomer(replica)
        said: list[Any] = [[brief(each) for each in newcomer.start()]]
        told: list[Hashable] = []
        asked = 0
        for text in texts:
            try:
                messages, updates = newcomer.receive(text)
            except RemoteError as error:
                told.append(why(error))
                said.append(None)
                break
            asked += len(messages)
            if len(messages) > WINDOW + 1 or sum(map(len, messages)) > MOST_OUT + 20 * len(text):
                raise Broken("a message is answered with far too much")
            told.append((*(each[:16] for each in messages), len(updates) > 0))
            said.append([brief(each) for each in messages])
            if newcomer.done:
                told.append("done")
                break
        check_replica(replica, frozen.entries)
        self._check_gossip(replica)
        return told, said, replica

    def _check_gossip(self, replica: Any) -> None:
        """If it does not have what the honest have, the next digest tells."""
        own = replica.digest()
        gossip = Gossip(lambda: 0.5)
        heard = gossip.hear("1", self._donor, own, 0.0)
        if (heard is None) != (own == self._donor):
            raise Broken("a difference that the gossip does not see")

    def verdict(self, case: Case) -> Any:
        if any(is_odd(text) for _, text in case):
            return None
        found: list[Any] = []
        for who in range(3):
            texts = [text for each, text in case if each == who]
            _, said, replica = self._play(who, texts)
            found.append([said, list(replica.digest()), replica.refused, len(replica.held)])
        return found
