"""Target: the relay core, with some connections that say anything and some that are honest."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

import msgspec

from distmap.channel import Member
from distmap.frames import FrameDecoder, Limits
from distmap.router import Link, Relay
from distmap.states import State
from tests.fuzz.cases import Broken, Case
from tests.fuzz.replicas import NOW_MS
from tests.fuzz.wire import why

HOSTILE: Final = 3
HONEST: Final = 2
LIMITS: Final = Limits(frame_bytes=2000, streams=8, meta_bytes=300, id_bytes=40)
OPTS: Final = b'"opts":{"writable":true,"readable":true}'
NEW: Final = b'["%b","new",{"meta":%b,%b}]\n'
CHANNEL: Final = NEW % (b"/m/channel", b'{"route":"/m/channel","version":[1,0]}', OPTS)
FROM_RELAY: Final = ("welcome", "members", "ack", "donor", "alone", "client", "time")


class HostilePeers:
    """Steps of 0 to 2 are bytes of hostile connections, those of 3 a connection that goes, and
    those of 4 what an honest one does: the first byte tells which, and what. The honest ones stay
    from case to case, and so does the relay.
    """

    name = "relay"
    actors = HOSTILE + 2
    twin = False
    executions = 1

    def __init__(self) -> None:
        self._now_ms = float(NOW_MS)
        self._relay = Relay(lambda: self._now_ms, lambda *_: None, LIMITS)
        self._honest = [self._relay.connect(f"honest{n}") for n in range(HONEST)]
        first, second = self._honest
        for link in self._honest:
            self._relay.receive(link, CHANNEL)
            self._relay.receive(link, b'["/m/channel","data",["ready"]]\n')
        # A stream between the two, and a listener.
        self._relay.receive(first, NEW % (b"l", b'"/m/proxy/server/name"', OPTS))
        self._relay.receive(second, NEW % (b"c", b'"/m/proxy/client/name/x"', OPTS))
        self._relay.receive(first, NEW % (b"s", b'"/m/proxy/server/name/client/x/1"', OPTS))
        self._relay.flush()
        self._streams = [dict(link.mux.streams) for link in self._honest]
        self._baseline = self._tables()

    def seeds(self) -> Iterator[Case]:
        say = b'["/m/channel","data",%b]\n'
        object_ = say % b'{"event":"set","key":"k"}'
        yield ((0, CHANNEL), (1, CHANNEL + object_), (0, object_ + object_), (4, b"0o"), (3, b"0"))
        yield (
            (0, CHANNEL + say % b'["ready"]'),
            (1, CHANNEL + say % b'["sync",null]'),
            (1, object_),
        )
        yield ((0, CHANNEL + say % b'["time",1]' + say % b'["sync","1"]'), (4, b"1t"), (0, object_))
        plain = NEW % (b"p", b'"/m/channel"', OPTS)
        yield ((0, plain), (0, b'["p","data",["welcome",{}]]\n["p","data",1]\n'), (4, b"1o"))
        listen = NEW % (b"s", b'"/m/proxy/server/mine"', OPTS)
        ask = NEW % (b"c", b'"/m/proxy/client/mine/me"', OPTS)
        take = NEW % (b"t", b'"/m/proxy/server/mine/client/me/1"', OPTS)
        yield (
            (0, listen),
            (1, ask),
            (0, take),
            (1, b'["c","data",1]\n["c","pause"]\n["c","end"]\n'),
        )
        for name in (b"name", b"1", b"2"):
            yield (
                (0, NEW % (b"c", b'"/m/proxy/client/%b/me"' % name, OPTS)),
                (3, b"0"),
                (4, b"0c"),
            )
        theirs = NEW % (b"t", b'"/m/proxy/server/name/client/me/1"', OPTS)
        yield ((0, theirs), (1, NEW % (b"s", b'"/m/proxy/server/name"', OPTS)), (2, CHANNEL))
        yield ((0, CHANNEL + b'["/m/channel","error",{"message":"m","code":"c"}]\n'), (0, b'["x",'))
        long_id = NEW % (b"\xc3\xa9", b'{"route":"/m/channel","version":[1,9]}', OPTS)
        yield ((0, long_id), (0, b'["\xc3\xa9","data",{"a":"%b"}]\n' % (b"x" * 900)), (1, CHANNEL))

    def run(self, case: Case) -> Hashable:
        relay = self._relay
        hostile = [relay.connect(f"hostile{n}") for n in range(HOSTILE)]
        told: set[Hashable] = set()
        for who, text in case:
            if who < HOSTILE:
                failure = relay.receive(hostile[who], text)
                if failure is not None:
                    told.add(why(failure))
                    self._gone(hostile, who)
            elif who == HOSTILE:
                self._gone(hostile, (text[0] if text else 0) % HOSTILE)
            else:
                self._act(text)
            self._look(told)
        self._now_ms += 1000.0
        relay.hub.donors.expire()
        for link in hostile:
            relay.disconnect(link)
        self._look(told)
        self._check()
        return frozenset(told)

    def verdict(self, case: Case) -> Any:
        return None

    def _gone(self, hostile: list[Link], at: int) -> None:
        self._relay.disconnect(hostile[at])
        hostile[at] = self._relay.connect("hostile")

    def _act(self, text: bytes) -> None:
        link = self._honest[text[0] % HONEST if text else 0]
        kind = text[1:2]
        if kind == b"t":
            said = b'["/m/channel","data",["time",5]]\n'
        elif kind == b"c":
            said = b'["s","data",1]\n' if link is self._honest[0] else b'["c","data",2]\n'
        else:
            said = b'["/m/channel","data",{"event":"o"}]\n'
        if self._relay.receive(link, said) is not None:
            raise Broken("an honest connection is to be closed")

    def _look(self, told: set[Hashable]) -> None:
        """What goes out to the honest is as it must be."""
        relay = self._relay
        for data, links in relay.flush():
            for at, honest in enumerate(self._honest):
                if honest in links:
                    frames, fault = FrameDecoder().feed(data)
                    if fault is not None or not data.endswith(b"\n"):
                        raise Broken("what goes to an honest connection is malformed")
                    for stream_id, event, payload in frames:
                        self._check_frame(at, stream_id, event, bytes(payload), told)
                    break
            else:
                told.add(data[data.find(b'"', 2) :][:16])
        for link in relay.links:
            if len(link.mux.streams) > LIMITS.streams:
                raise Broken("more streams than the limit")

    def _check_frame(
        self, at: int, stream_id: str, event: str, payload: bytes, told: set[Hashable]
    ) -> None:
        if stream_id not in self._streams[at] or event != "data":
            raise Broken(f"an honest connection got {event} of {stream_id}")
        told.add((at, stream_id, payload[:6]))
        if stream_id != "/m/channel":
            return
        value: Any = msgspec.json.decode(payload) if len(payload) < 800 else {}
        if isinstance(value, list) and value[0] not in FROM_RELAY:
            raise Broken("a message of the relay is forged")
        if not isinstance(value, list | dict):
            raise Broken("neither an object nor of the relay")

    def _check(self) -> None:
        for link, streams in zip(self._honest, self._streams, strict=True):
            if link.mux.streams != streams or link.failure is not None or link.congested:
                raise Broken("an honest connection is not as it was")
            if any(each.state is not State.OPEN or each.send_paused for each in streams.values()):
                raise Broken("a stream of an honest connection is not as it was")
        if self._tables() != self._baseline:
            raise Broken(f"something is left: {self._tables()}")

    def _tables(self) -> list[Any]:
        """How long all tables are, and who is in them."""
        hub, switchboard = self._relay.hub, self._relay.switchboard
        channels = list(hub.channels.values())
        members: list[Member[Link]] = [
            member for channel in channels for member in channel.members.values()
        ]
        return [
            len(self._relay.links),
            sorted(hub.channels),
            [len(c.waiting) + len(c.pending) + len(c.joined) + len(c.left) for c in channels],
            [(sorted(c.ready), sorted(c.free)) for c in channels],
            [len(group) for c in channels for group in c.groups.values()],
            [(m.id, m.ready, m.donor, len(m.serving)) for m in members],
            len(hub._controls) + len(hub._dirty) + len(hub._changed),
            len(hub.donors._since) + len(hub.donors._served),
            sorted(switchboard._listeners),
            [len(each.waiting) for each in switchboard._listeners.values()],
            len(self._relay._touched),
            [(len(link.members), len(link.ends)) for link in self._honest],
        ]  # fmt: skip
