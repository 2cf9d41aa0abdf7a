"""Targets: frames and streams, entries and values, WebSocket messages."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

import msgspec
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from distmap import values
from distmap.entries import decode_entries, decode_entry, encode_entry, entry_hash, wins
from distmap.errors import DistMapError, InvalidType, InvalidValue, RemoteProtocolError
from distmap.frames import FrameDecoder, Limits, encode_frame
from distmap.mux import MuxDemux
from distmap.states import Kind, MuxEvent
from distmap.websocket_options import WebSocketOptions
from tests.fuzz.cases import Broken, Case
from tests.test_texts import client, make, server
from tests.test_websocket import Handler, Transport

SMALL: Final = Limits(frame_bytes=400, streams=3, meta_bytes=60, id_bytes=16)


def why(error: DistMapError | None) -> Hashable:
    """What tells one error from another, without its details."""
    return None if error is None else (type(error).__name__, str(error)[:24])


class Mux:
    """Bytes that come on a connection. Steps are what comes together."""

    name = "mux"
    actors = 1
    twin = True
    executions = 1

    def seeds(self) -> Iterator[Case]:
        opts = b'"opts":{"writable":true,"readable":true'
        new = b'["a","new",{"meta":{"route":"/m/channel"},%b}}]\n' % opts
        half = b'["b","new",{"meta":"x",%b,"allowHalfOpen":true}}]\n' % opts
        reader = b'["c","new",{"opts":{"readable":true}}]\n'
        data = b'["a","data",{"event":"set"}]\n'
        yield ((0, new + data + data), (0, data), (0, b'["a","end"]\n["a","close"]\n'))
        yield (
            (0, new),
            (0, b'["a","pause"]\n["a","resume"]\n["a","error",{"message":"m","code":1}]\n'),
        )
        yield ((0, half), (0, b'["b","end"]\n'), (0, b'["b","data",1]\n["b","end"]\n'))
        yield (
            (0, reader + b'["c","end"]\n["c","data",[1]]\n'),
            (0, b'["c","close"]\n["c","data",2]\n'),
        )
        yield ((0, new[:20]), (0, new[20:] + b" \n\n\t\r\n" + data[:3]), (0, data[3:]))
        yield ((0, new + half + reader + b'["d","new",{"opts":{"writable":true}}]\n'),)
        yield ((0, b'["\xc3\xa9","new",{"meta":null,%b}}]\n' % opts),)

    def run(self, case: Case) -> Hashable:
        texts = [text for _, text in case]
        whole = b"".join(texts)
        outcome = self._play(texts)
        # However it is cut, the same comes of it.
        at = len(whole) // 2
        parts = [whole] if at % 2 else [whole[:at], whole[at : at + 1], whole[at + 1 :]]
        if outcome != self._play(parts):
            raise Broken("where it is cut makes a difference")
        return frozenset(each[:1] + each[2:] for each in outcome)

    def _play(self, texts: list[bytes]) -> list[tuple[Any, ...]]:
        mux = MuxDemux(SMALL)
        told: list[tuple[Any, ...]] = []
        failed = False
        opened: dict[str, bool] = {}
        for text in texts:
            events = mux.receive(text)
            if failed and events:
                raise Broken("something came after the end")
            for event in events:
                self._follow(event, opened)
                if event[0] is not Kind.REFUSED:  # which is for the counts; the peer is told too
                    told.append(_brief(event))
            failed = failed or any(kind is Kind.FAILED for kind, _, _ in events)
            if len(mux.streams) > SMALL.streams:
                raise Broken("more streams than the limit")
            if not failed and len(mux.decoder._partial) > SMALL.frame_bytes:
                raise Broken("more kept of a frame than the limit")
        if set(mux.streams) != set(opened):
            raise Broken("streams that were not told, or not closed")
        sent = b"".join(mux.take())
        frames, fault = FrameDecoder(Limits(frame_bytes=1 << 20)).feed(sent)
        if fault is not None or b"".join(encode_frame(*f[:2], bytes(f[2])) for f in frames) != sent:
            raise Broken("what was sent is malformed")
        mux.disconnect()
        if mux.streams or mux.has_output:
            raise Broken("something is left after the end")
        return [*told, *(("sent", name, event) for name, event, _ in frames)]

    def _follow(self, event: MuxEvent, opened: dict[str, bool]) -> None:
        kind, stream, _ = event
        if stream is None:
            return
        if kind is Kind.OPENED:
            if stream.id in opened:
                raise Broken("opened twice")
            opened[stream.id] = False
        elif stream.id not in opened:
            raise Broken(f"{kind} of a stream that is not open")
        elif kind is Kind.CLOSED:
            del opened[stream.id]
        elif kind is Kind.ENDED:
            opened[stream.id] = True
        elif kind is Kind.DATA and opened[stream.id]:
            raise Broken("data after the end")

    def verdict(self, case: Case) -> Any:
        try:
            for _, text in case:
                text.decode()
        except UnicodeDecodeError:
            return None  # no WebSocket hands that on
        told = self._play([text for _, text in case])
        return [each[:3] if each[0] != "error" else each for each in told]


def _brief(event: MuxEvent) -> tuple[Any, ...]:
    kind, stream, detail = event
    if stream is None:
        return (kind._value_, None, None if kind is Kind.FAILED else detail[1][:8])
    if kind is Kind.ERROR:
        return (kind._value_, stream.id, detail[1])
    return (kind._value_, stream.id, None)


class Entries:
    """Entries, and the values in them. Steps are entries, one after the other of one key."""

    name = "entries"
    actors = 1
    twin = True
    executions = 1
    MAX_BYTES: Final = 300

    def seeds(self) -> Iterator[Case]:
        stamp = b'"stamp":[1700000000000,0,"Zt8a0QbnVw2x"]'
        for value in (
            b"1",
            b'"text"',
            b'{"b":[1,2.5],"a":null}',
            b"[]",
            b"1e21",
            b'"\xc3\xa9\\u00e9"',
        ):
            yield ((0, b'{"event":"set","key":"k","value":%b,%b}' % (value, stamp)),)
        delete = b'{"event":"delete","key":"k",%b}' % stamp
        extras = b'{"event":"set","key":"k","value":1,%b,"expires":5,"a":{"z":1,"b":2}}' % stamp
        yield ((0, delete), (0, extras))
        yield ((0, b'{"stamp":[1e3,0,"w"],"key":"k","event":"delete","x":1}'), (0, extras))

    def run(self, case: Case) -> Hashable:
        return frozenset(self._check(text) for _, text in case)

    def _check(self, text: bytes) -> Hashable:
        together = list(decode_entries([text], self.MAX_BYTES))
        try:
            key, entry = decode_entry(text, self.MAX_BYTES)
        except RemoteProtocolError as error:
            if together != [None] and not _may_be_several(text):
                raise Broken("refused alone, and taken with others") from None
            return why(error)
        if together != [(key, entry)]:
            raise Broken("taken alone, and not with others")
        again = encode_entry(key, entry)
        if decode_entry(again, self.MAX_BYTES) != (key, entry):
            raise Broken("not what it was when it is read again")
        for part in (entry.value, entry.extras):
            if part is not None and values.canonical(part) != part:
                raise Broken("not canonical")
        values.check_key(key)
        if entry.extras is not None and len(entry.extras) > 4096:
            raise Broken("extras over their limit")
        if not (min(entry.stamp.when) >= 0 and max(entry.stamp.when) <= values.MAX_INTEGER):
            raise Broken("a stamp out of range")
        other = entry.replace(value=None if entry.value else b"1")
        if wins(key, entry, other) == wins(key, other, entry) or wins(key, entry, entry):
            raise Broken("both win, or none")
        return (entry.value is None, entry.extras is None)

    def verdict(self, case: Case) -> Any:
        return [self._verdict(text) for _, text in case]

    def _verdict(self, text: bytes) -> Any:
        try:
            key, entry = decode_entry(text, self.MAX_BYTES)
        except RemoteProtocolError:
            return None
        return [encode_entry(key, entry).decode(), entry_hash(key, entry)]


def _may_be_several(text: bytes) -> bool:
    # The texts that decode_entries() takes were parsed as JSON before.
    try:
        msgspec.json.decode(text)
    except values.NOT_JSON:
        return True
    return False


class Values:
    """Values alone. Steps are JSON texts."""

    name = "values"
    actors = 1
    twin = True
    executions = 1
    MAX_BYTES: Final = 300

    def seeds(self) -> Iterator[Case]:
        yield ((0, b'{"b":[1,2.5,-0,1e21],"a":null,"\xc3\xa9":"\\u00e9"}'),)
        yield (
            (0, b"[" * 32 + b"]" * 32),
            (0, b'"\\ud83d\\ude00"'),
            (0, b"1e-7"),
            (0, b"123456.789e3"),
        )

    def run(self, case: Case) -> Hashable:
        told: list[Hashable] = []
        for _, text in case:
            try:
                canonical = values.canonical(text, self.MAX_BYTES)
            except (InvalidValue, InvalidType) as error:
                told.append(why(error))
                continue
            if values.canonical(canonical, self.MAX_BYTES) != canonical:
                raise Broken("the canonical text of a canonical text is another")
            if values.encode(values.decode(canonical), self.MAX_BYTES) != canonical:
                raise Broken("the value of a canonical text has another")
            told.append(canonical[:1])
        return frozenset(told)

    def verdict(self, case: Case) -> Any:
        found: list[str | None] = []
        for _, text in case:
            try:
                found.append(values.canonical(text, self.MAX_BYTES).decode())
            except (InvalidValue, InvalidType):
                found.append(None)
        return found


class Sockets:
    """What comes to an open WebSocket, with the fast way for whole texts and without. Steps of 0
    are read together by the relay's end, those of 1 by the client's.
    """

    name = "texts"
    actors = 2
    twin = False
    executions = 1
    MAX_BYTES: Final = 200

    def __init__(self) -> None:
        self._clock = Clock()
        options = WebSocketOptions(message_bytes=self.MAX_BYTES)
        self._open = []
        for make_socket in (server, client):
            socket = make_socket(self._clock, Handler(), options)
            for name in ("autoPingPendingCall", "autoPingTimeoutCall"):
                setattr(socket, name, None)
            self._open.append((type(socket), dict(vars(socket))))

    def seeds(self) -> Iterator[Case]:
        for who, key in ((0, b"abcd"), (1, b"")):
            text, snow = make(b'["a","data",1]\n', key), make("\N{SNOWMAN}".encode(), key)
            ping, close = make(b"p", key, 0x89), make(b"\x03\xe8", key, 0x88)
            parts = make(b"\xe2", key, 0x01), make(b"\x98\x83", key, 0x80)
            yield ((who, text + snow + text), (who, ping + text))
            yield ((who, parts[0] + ping), (who, parts[1] + text), (who, close))
            yield ((who, text + make(b"\xff", key) + text),)
            yield ((who, make(b"x" * 126, key) + make(b"y" * 201, key)),)
            yield ((who, make(b"b", key, 0x82)), (who, text[:3]), (who, text[3:]))
            yield ((who, make(b"r", key, 0xC1)), (who, make(b"", key, 0x83)))

    def run(self, case: Case) -> Hashable:
        told: list[Hashable] = []
        for who in (0, 1):
            chunks = [text for each, text in case if each == who]
            if chunks:
                ours = self._play(who, chunks, fast=True)
                if ours != self._play(who, chunks, fast=False):
                    raise Broken("another outcome than without the fast way")
                told.append((who, *ours[1:3], len(ours)))
        return tuple(told)

    def verdict(self, case: Case) -> Any:
        return None

    def _play(self, who: int, chunks: list[bytes], *, fast: bool) -> list[Any]:
        kind, state = self._open[who]
        socket: Any = object.__new__(kind)
        vars(socket).update(state)
        socket.is_closed, socket.utf8validator = Deferred(), Utf8Validator()
        handler, transport = Handler(), Transport()
        socket.handler, socket.transport = handler, transport
        if not fast:
            socket._cut_texts = lambda data, most: (b"", 0)
        for chunk in chunks:
            socket.dataReceived(chunk)
        sent = transport.value()
        socket.connectionLost(Failure(ConnectionDone()))
        if self._clock.calls:
            for call in list(self._clock.calls):
                call.cancel()
        told: list[Any] = [sent, sent[:1], transport.disconnecting]
        for each in handler.told:
            if isinstance(each, bytes) and isinstance(told[-1], bytes) and len(told) > 3:
                told[-1] += each
            else:
                told.append(each if isinstance(each, bytes) else repr(each))
        return told
