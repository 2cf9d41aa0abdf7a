"""Raw WebSockets for load clients: little work, so that it is the server that is measured.

The same code loads all systems; only what is said on opening differs.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterable

from benchmarks.processes import Failed

MASK = b"\x5a\x17\xc3\x9e"
HANDSHAKE_SECONDS = 20.0
AT_ONCE = 64  # handshakes under way at a time


SPARE_FILES = 1000  # for all that is not one of the sockets that are counted


def allow_sockets(count: int) -> None:
    """Raises the limit of open files, also that of the processes to come, if it is too low.

    Raises:
        Failed: it may not be raised so far.
    """
    wanted = count + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY:
        hard = max(hard, wanted)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        raise Failed(f"skipped: not {wanted:,} open files allowed") from None


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A WebSocket frame of a client: masked."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    key = int.from_bytes((MASK * (length // 4 + 1))[:length], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")


def connect(port: int, count: int, first: bytes = b"", until: bytes = b"") -> list[socket.socket]:
    """Opens WebSockets, a few at a time.

    Args:
        port: the server's, on loopback.
        count: how many.
        first: is sent on each once it is open.
        until: what the server has said when a connection counts as open; empty for the answer to
            the handshake.

    Raises:
        OSError: the server refuses, or does not answer in time.
    """
    opened: list[socket.socket] = []
    while len(opened) < count:
        some = [_begin(port) for _ in range(min(AT_ONCE, count - len(opened)))]
        for each in some:
            rest = read_until(each, b"\r\n\r\n")
            if first:
                each.sendall(first)
            if until:
                read_until(each, until, rest)
        opened += some
    return opened


def _begin(port: int) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), HANDSHAKE_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    opened.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return opened


def read_until(opened: socket.socket, wanted: bytes, had: bytes = b"") -> bytes:
    """Reads until something has come; returns what came after it."""
    data = bytearray(had)
    while wanted not in data:
        more = opened.recv(1 << 16)
        if not more:
            raise ConnectionError("the server has closed a connection")
        data += more
    return bytes(data).partition(wanted)[2]


# -- distmap --------------------------------------------------------------------------------------


def join_frame(uri: str) -> bytes:
    """What makes a connection a member of a channel that counts as ready."""
    route = f"{uri}/channel"
    meta = {"route": route, "version": [1, 0]}
    opening = [route, "new", {"meta": meta, "opts": {"writable": True, "readable": True}}]
    ready = [route, "data", ["ready"]]
    return frame(b"%b\n%b\n" % (json.dumps(opening).encode(), json.dumps(ready).encode()))


WELCOME = b'"welcome"'


def distmap_message(uri: str, entries: Iterable[str]) -> bytes:
    """What a client of distmap sends for some writes that it made at once."""
    texts = list(entries)
    body = texts[0]
    if len(texts) > 1:
        body = f'{{"event":"entries","entries":[{",".join(texts)}]}}'
    return f'["{uri}/channel","data",{body}]\n'.encode()


def entry(key: str, counter: int, value: str) -> str:
    """A set on the wire. Keys and counters of one width make messages of one length."""
    stamp = f'[1700000000000,{1_000_000 + counter},"writer000001"]'
    return f'{{"event":"set","key":"{key}","value":"{value}","stamp":{stamp}}}'


class Counter:
    """Counts a marker in what comes on sockets, also where a read cuts it in two.

    Args:
        marker: stands once in each value that is delivered.
    """

    def __init__(self, marker: bytes) -> None:
        self.total = 0
        self._marker = marker
        self._keep = len(marker) - 1
        self._buffer = bytearray(1 << 20)
        self._room = memoryview(self._buffer)[self._keep :]

    def reader(self, opened: socket.socket) -> Callable[[], int]:
        """Returns what reads a socket once, and returns how many markers that brought.

        Raises:
            ConnectionError: the server has closed it.
        """
        tail, buffer, room, keep = bytes(self._keep), self._buffer, self._room, self._keep
        marker, receive, count = self._marker, opened.recv_into, self._buffer.count

        def read() -> int:
            nonlocal tail
            buffer[:keep] = tail
            size = receive(room)
            if not size:
                raise ConnectionError("the server has closed a connection")
            tail = bytes(buffer[size : size + keep])
            found = count(marker, 0, size + keep)
            self.total += found
            return found

        return read
