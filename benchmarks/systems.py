"""The systems that are compared with real clients: how their servers and peers are started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.processes import JS, VENV, Process, free_port, node_server, python_server, relay


class System(NamedTuple):
    """One system.

    Attributes:
        name: in the tables.
        server: starts its server on a port.
        peer: the command of its peer.
    """

    name: str
    server: Callable[[int], Process]
    peer: tuple[str, ...]


def _node(name: str, system: str, server: Callable[[int], Process] | None = None) -> System:
    peer = ("node", str(JS / "driver.mjs"), system)
    return System(name, server or partial(node_server, system), peer)


DISTMAP = System("distmap", relay, (sys.executable, "-m", "benchmarks.peer"))
DISTMAP_JS = _node("distmap (JavaScript)", "distmap", relay)
WS = _node("ws", "ws")
YJS = _node("Yjs", "yjs")
HOCUSPOCUS = _node("Hocuspocus", "hocuspocus")
TINYBASE = _node("TinyBase", "tinybase")
PYCRDT = System(
    "pycrdt",
    python_server,
    (str(VENV / "bin" / "python"), "-m", "benchmarks.rivals.pycrdt_peer"),
)

MAPS = [DISTMAP, DISTMAP_JS, YJS, HOCUSPOCUS, TINYBASE, PYCRDT]
"""Those that are a map, and merge."""


def start_peer(system: System) -> Process:
    """Starts a peer that has no replica yet."""
    return Process(*system.peer)


class Stage:
    """A server of a system, and peers as they are wanted; all are killed by the frame's cleanup."""

    def __init__(self, system: System) -> None:
        self._system = system
        port = free_port()
        self.server = system.server(port)
        self.url = f"ws://127.0.0.1:{port}"

    def peer(self) -> Process:
        """Starts a peer that has no replica yet."""
        return start_peer(self._system)

    def replicas(self, count: int = 1) -> Process:
        """Starts a peer with so many replicas, each on a connection of its own."""
        peer = self.peer()
        peer.ask("open", url=self.url, replicas=count)
        return peer
