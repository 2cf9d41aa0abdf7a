"""What hostile members say."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from msgspec.json import encode

KEYS = ("hot0", "hot1", "hot2", "w1", "w2", "other")

_PAYLOADS = (
    b"{}",
    b"{",
    b'{"event":"no-such-event"}',
    b'{"event":"set"}',
    b'{"event":"set","key":"","value":1,"stamp":[1,0,"x"]}',
    b'{"event":"set","key":"hot0","value":1e999,"stamp":[1,0,"x"]}',
    b'{"event":"set","key":"hot0","value":"\\ud800","stamp":[1,0,"x"]}',
    b'{"event":"set","key":"hot0","value":9007199254740993,"stamp":[1,0,"x"]}',
    b'{"event":"set","key":"hot0","value":1,"stamp":[-1,0,"x"]}',
    b'{"event":"set","key":"hot0","value":1,"stamp":[1,0,"x y"]}',
    b'{"event":"set","key":"hot0","value":1,"stamp":[1,0]}',
    b'{"event":"set","key":"hot0","stamp":[1,0,"x"]}',
    b'{"event":"delete","key":"hot0","value":1,"stamp":[9000000000000,0,"x"]}',
    b'{"event":"delete","key":7,"stamp":[1,0,"x"]}',
    b'{"event":"entries","entries":7}',
    b'{"event":"entries","entries":[1,null,"x",{},[]]}',
    b'{"event":"entries","entries":[{"event":"set","key":"hot1"}]}',
    b'{"event":"sync","id":"1"}',
    b'{"event":"digest","peer":"1","count":1,"sum":1}',
    b'{"event":"digest","peer":"2","count":0,"sum":0}',
    b'{"event":"digest","peer":"no-such-peer","count":0,"sum":0}',
    b'{"event":"digest","peer":7,"count":-1}',
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b"[]",
    b'["no-such-message"]',
    b'["sync","99999"]',
    b'["sync",null]',
    b'["time",1]',
    b'["ack",99]',
    b'["welcome",{}]',
    b'"text"',
    b"17",
)

_FRAMES = (
    b'["constructor","data",1]\n',
    b'["a","new",null]\n',
    b'["a","new",{"meta":"/x/channel","opts":{"readable":true,"writable":true}}]\n["a","error",null]\n',
    b'["a"]\n',
    b"\xff\xfe\n",
    b"[[[[\n",
    b'{"not":"a frame"}\n',
    b"\n\n\n",
    b'["half a frame","da',
    b'["x","no-such-event",1]\n',
)

_ANSWERS = (
    b'{"event":"hello","version":[2,0],"count":0,"sum":0}',
    b'{"event":"hello"}',
    b'{"event":"taken","id":99}',
    b'{"event":"sums","id":1,"sums":[]}',
    b'{"event":"entries","id":77,"entries":[]}',
    b'{"event":"done"}',
    b'{"event":"no-such-event"}',
    b"nonsense",
    b"[]",
)


def payload(random: Random) -> bytes:
    """Something for a channel."""
    return random.choice(_PAYLOADS)


def frame(random: Random) -> bytes:
    """Something for a connection; it may be its end."""
    return random.choice(_FRAMES)


def answer(random: Random) -> bytes:
    """Something for who asked for the state."""
    return random.choice(_ANSWERS)


def agree(random: Random, request: bytes) -> bytes:
    """What keeps a newcomer from getting anything, and it cannot notice."""
    if b'"hello"' not in request:
        return b'{"event":"done"}'
    floor_ms = random.choice((b"0", b"1", b"9007199254740991"))
    end = re.search(rb',"floor_ms":|,"known_ms":|,"gaps":|}', request)
    assert end is not None
    return request[: end.start()] + b',"floor_ms":' + floor_ms + b"}"


def meta(random: Random, uri: str) -> Any:
    """Something to open a stream with."""
    return random.choice(
        (
            "",
            7,
            None,
            {"route": 7},
            "/no/such/route",
            f"{uri}/proxy/server/1",
            f"{uri}/proxy/server/name",
            f"{uri}/proxy/client/1/x",
            f"{uri}/proxy/client/99/x",
            f"{uri}/proxy/server/1/client/x/x",
            {"route": f"{uri}/channel", "version": [99, 0]},
            {"route": f"{uri}/channel", "version": "?"},
        )
    )


def entry(random: Random, ms: int) -> bytes:
    """A write with a stamp of the forger's choice."""
    writer = random.choice(("hostile", "hostile2"))
    fields: dict[str, Any] = {"event": "set", "key": random.choice(KEYS), "value": "forged"}
    if random.random() < 0.3:
        fields = {"event": "delete", "key": fields["key"]}
    return encode({**fields, "stamp": [ms, random.choice((0, 0, 2**53 - 1)), writer]})
