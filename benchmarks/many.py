"""Many at once: idle connections, idle maps, and a crowd that comes back."""

from __future__ import annotations

import signal
import sys
import time
from functools import partial

from benchmarks.fanout import SERVERS
from benchmarks.frame import Case, Metric, Plot, Row, Values
from benchmarks.processes import Process, free_port, relay
from benchmarks.sockets import allow_sockets
from benchmarks.systems import DISTMAP

BYTES = Metric("bytes", "bytes each on the server")
CPU = Metric("server_us", "server's CPU, µs each")
PEERS = 2000
QUICK_PEERS = 200
PROCESSES = 2
KEYS = 100
BACK_SECONDS = 150


def crowd(what: str, system: str, count: int) -> Values:
    """So many connections or maps, from one load client."""
    allow_sockets(count)
    port = free_port()
    server = SERVERS[system](port)
    arguments = [what, str(port), str(server.pid), str(count)]
    found: Values = Process(sys.executable, "-m", "benchmarks.crowd_load", *arguments).answer(100)
    return found


def connections(quick: bool) -> Row:
    """5,000 idle connections."""
    count = 1000 if quick else 5000
    cases = [
        Case(f"{count:,}", system, partial(crowd, "connections", system, count))
        for system in SERVERS
    ]
    metrics = [BYTES, Metric("per_second", "handshakes/s"), CPU]
    return Row("connections", "connections", metrics, cases)


def maps(quick: bool) -> Row:
    """Up to 5,000 maps, 1,000 on a connection: the relay takes 1,024 streams on one."""
    cases = [
        Case(f"{count:,}", DISTMAP.name, partial(crowd, "maps", DISTMAP.name, count), count)
        for count in ((500, 1000) if quick else (500, 1000, 2000, 5000))
    ]
    metrics = [BYTES, Metric("per_second", "opened/s"), CPU]
    plot = Plot("cost-maps", "Bytes each on the relay", "maps, 1,000 on a connection", BYTES)
    return Row("maps", "maps", metrics, cases, [], [plot])


def come_back(count: int) -> Values:
    """The relay of so many real peers is killed, and another one started in its place."""
    allow_sockets(count)
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    server = relay(port)
    peers = [Process(*DISTMAP.peer) for _ in range(PROCESSES)]
    peers[0].ask("open", url=url)
    peers[0].ask("fill", count=KEYS)
    for number, peer in enumerate(peers):
        peer.tell("open", url=url, replicas=count // PROCESSES - (number == 0))
    for peer in peers:
        peer.answer(BACK_SECONDS)
    for peer in peers:
        peer.ask("back")
    began = time.monotonic()
    server.signal(signal.SIGKILL)
    relay(port)
    listens = time.monotonic()
    ended = max(peer.answer(BACK_SECONDS)["ended"] for peer in peers)
    return {"seconds": ended - began, "down_seconds": listens - began}


def restart(quick: bool) -> Row:
    """2,000 peers of one map come back."""
    count = QUICK_PEERS if quick else PEERS
    metrics = [
        Metric("seconds", "s from the kill until the last is synced"),
        Metric("down_seconds", "of these nobody listened, s"),
    ]
    case = Case(f"{count:,}", DISTMAP.name, partial(come_back, count))
    return Row("restart", "peers", metrics, [case])
