"""Machines with the JavaScript client on them, which runs in a process of Node.js."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from distmap.attempts import Attempt
from distmap.errors import ConnectionProblem
from tests.simulation.copies import Copy
from tests.simulation.machines import Machine
from tests.simulation.node_copies import Disk, KeptCopy, NodeCopy
from tests.simulation.node_maps import NodeMap
from tests.simulation.node_process import Node
from tests.simulation.pipes import Net, Weather
from tests.simulation.plan import Plan
from tests.simulation.timeline import VirtualCall
from tests.simulation.wires import Wire
from tests.simulation.writes import Witness


class NodeConnection:
    """What the checker wants of a connection; see :class:`distmap.connection.Connection`."""

    def __init__(self, ask: Callable[..., None]) -> None:
        self.status = ""
        self.closed: Deferred[None] = Deferred()
        self._ask = ask

    def close(self) -> Deferred[None]:
        """See Connection."""
        self._ask("closeConnection")
        return self.closed


class NodeSocket(Attempt):
    """A socket of the JavaScript client: the machine's end of a wire.

    Its messages are the bytes of the stream as they come, as with the Python client: in any pieces.
    Only a character is never cut, since a socket of JavaScript has whole texts.
    """

    def __init__(self, number: int, ask: Callable[..., None]) -> None:
        self.wire: Wire | None = None
        self._number = number
        self._ask = ask
        self._decoder = getincrementaldecoder("utf-8")()
        self._dropped = False

    def attempt_opened(self, transport: object) -> None:
        self._ask("opened", self._number)

    def attempt_received(self, message: bytes) -> None:
        text = self._decoder.decode(message)
        if text:
            self._ask("received", self._number, text)

    def attempt_congested(self, congested: bool) -> None:
        """A page is not told of that."""

    def attempt_failed(self, problem: ConnectionProblem) -> None:
        if not self._dropped:
            self._ask("lost", self._number)

    def abandon(self) -> None:
        """The client drops it, and wants to hear nothing of it any more."""
        self._dropped = True
        assert self.wire is not None
        self.wire.abandon()


class NodeMachine(Machine):
    """A machine whose client is that of JavaScript.

    Args:
        node: where it runs.
        is_page: it has a page's WebSocket, which cannot be dropped, and hears a page's events.
        disk: what its maps are kept on; None if they are not.

    The others are those of Machine.
    """

    _log = Logger()

    def __init__(
        self,
        net: Net,
        witness: Witness,
        name: str,
        seed: str,
        skew: float,
        weather: Weather,
        retention_seconds: float,
        *,
        node: Node,
        is_page: bool,
        disk: Disk | None,
    ) -> None:
        self._disk = disk
        self._node = node
        self._is_page = is_page
        self._maps: list[NodeMap] = []
        self._timers: dict[int, VirtualCall] = {}
        self._sockets: dict[int, NodeSocket] = {}
        self._node_seed = crc32(seed.encode())
        self._started = False
        self._done: dict[str, Callable[..., None]] = {
            name.removeprefix("_done_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_done_")
        }
        super().__init__(net, witness, name, seed, skew, weather, retention_seconds)

    @property
    def is_kept(self) -> bool:
        """Whether its maps outlive its crash."""
        return self._disk is not None

    # -- the client -------------------------------------------------------------------------------

    def _new_connection(self) -> Any:
        if not self._started:
            self._started = True
            options = {
                "seed": self._node_seed,
                "retentionMs": self._retention_seconds * 1000,
                "isPage": self._is_page,
                "disk": self._disk.name if self._disk is not None else None,
            }
            self._ask("machine", options)
        self.connection: Any = NodeConnection(self._ask)
        self._ask("connect")
        return self.connection

    def _new_copy(self, uri: str) -> Copy:
        number = len(self._maps)

        def ask(command: str, *details: object) -> None:
            self._ask(command, number, *details)

        shared: Any = NodeMap(ask, self._do, self.connection, self._now_ms, self._broken)
        self._maps.append(shared)
        ask("open", uri)
        if self._disk is None:
            return NodeCopy(self._witness, self.name, shared, uri)
        return KeptCopy(self._witness, self.name, shared, uri, self._disk)

    def _now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)

    def _broken(self, reason: str) -> None:
        self._witness.broken(f"{self}: {reason}")

    # -- the machine ------------------------------------------------------------------------------

    def crash(self, *, silent: bool) -> None:
        super().crash(silent=silent)
        self._node.ask("crash", self.name, 0)

    def wake(self) -> None:
        super().wake()
        self._tell_page()

    def partition(self, cut_off: bool) -> None:
        super().partition(cut_off)
        if not cut_off:
            self._tell_page()

    def _tell_page(self) -> None:
        """A page hears that the network, or the machine, is there again; others do not."""
        if self._is_page and self.awake:
            self._ask("online")

    # -- what is asked, and what is done then ------------------------------------------------------

    def _ask(self, command: str, *details: object) -> None:
        for what, *more in self._node.ask(command, self.name, self._now_ms(), *details):
            self._do(what, *more)

    def _do(self, what: str, *details: Any) -> Any:
        done = self._done.get(what)
        if done is not None:
            return done(*details)
        number, *rest = details
        return self._maps[number].told(what, *rest)

    def _done_later(self, timer: int, seconds: float, whose: str) -> None:
        clock = self._kernel if whose == "store" else self.clock
        self._timers[timer] = clock.callLater(seconds, self._fire, timer)

    def _fire(self, timer: int) -> None:
        del self._timers[timer]
        self._ask("fire", timer)

    def _done_cancel(self, timer: int) -> None:
        self._timers.pop(timer).cancel()

    def _done_connect(self, number: int) -> None:
        self._sockets[number] = socket = NodeSocket(number, self._ask)
        self.wire = socket.wire = Wire(self._net, self.name, self._kernel, self.weather, socket)

    def _done_send(self, number: int, text: str) -> None:
        self._wire(number).send(text.encode())

    def _done_close(self, number: int, code: int, reason: str) -> None:
        self._wire(number).close(code, reason)

    def _done_abandon(self, number: int) -> None:
        self._sockets[number].abandon()

    def _wire(self, number: int) -> Wire:
        wire = self._sockets[number].wire
        assert wire is not None
        return wire

    def _done_connection(self, status: str) -> None:
        self.connection.status = status

    def _done_closed(self) -> None:
        self.connection.status = "closed"
        self.connection.closed.callback(None)

    def _done_warned(self, text: str) -> None:
        self._witness.trace(self.name, "warns:", text)

    def _done_logged(self, text: str) -> None:
        # As what the Python client logs: the runner looks at both.
        if "had diverged" in text:
            self._log.error("a map in JavaScript had diverged: {text}", text=text)
        else:
            self._log.error("in JavaScript: {text}", text=text)

    def _done_threw(self, text: str) -> None:
        self._broken(text)


def on_node(plan: Plan, name: str) -> bool:
    """Whether a machine has the JavaScript client: of the first two that are no twins one has."""
    here = plan.random("node").random() < 0.5
    if name == "m0" or (name == "m1" and plan.twins):
        return here
    if name in ("m1", "m2") and (name == "m1") != plan.twins:
        return not here
    return plan.random(f"node {name}").random() < 0.5


def new_node_machine(node: Node, plan: Plan, *about: Any) -> NodeMachine:
    """A machine of a kind that the plan decides; after a crash it finds what it had kept."""
    name = about[2].partition(".")[0]
    is_page = plan.random(f"page {name}").random() < 0.5
    disk = None
    if plan.random(f"disk {name}").random() < 0.5:
        disk = node.disks.setdefault(name, Disk(name))
    return NodeMachine(*about, node=node, is_page=is_page, disk=disk)
