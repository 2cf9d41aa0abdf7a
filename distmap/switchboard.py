"""Streams between two peers, joined by the relay: one listens under a name, another connects.

The routes are those of the original (stream-server): ``server/<name>`` listens,
``client/<name>/<client>`` connects, and ``server/<name>/client/<client>/<id>`` takes that client.
A channel member listens under its member id without a stream of its own. Both ends of a joined
pair first get the text :data:`OPEN`; from then on payloads, pauses, ends and errors of the one go
to the other as they come. Without I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from distmap.errors import StreamError
from distmap.frames import encode_json
from distmap.mux import MuxDemux
from distmap.states import TRANSITIONS, Move, MuxEvent, MuxStream, State

OPEN: Final = encode_json("[stream-server]:open")
MAX_WAITING: Final = 64
"""Clients that wait for one listener to take them."""
MAX_FAULT_CHARS: Final = 1000
"""Of an error's message that is passed on; its code gets less."""


class End:
    """One stream that is, or is to be, joined with another.

    Args:
        mux: the connection of the stream.
        stream: the stream.
        acted: is called when something was put into the mux, with the events that came of it.
        congested: the connection does not take what is sent to it.

    Attributes:
        reader: its peer may only read.
    """

    __slots__ = ("acted", "client", "congested", "listener", "mux", "other", "reader", "stream")

    def __init__(
        self,
        mux: MuxDemux,
        stream: MuxStream,
        acted: Callable[[list[MuxEvent]], None],
        congested: bool = False,
    ) -> None:
        self.mux = mux
        self.stream = stream
        self.acted = acted
        self.congested = congested
        self.reader = False
        self.other: End | None = None
        # While it waits: for whom, and under which name.
        self.listener: Listener | None = None
        self.client = ""

    @property
    def blocked(self) -> bool:
        """Whether the other end had better send nothing."""
        return self.congested or self.stream.send_paused

    def join(self, other: End) -> None:
        """Joins two ends."""
        self.other, other.other = other, self
        for end in (self, other):
            end.send(OPEN)
        for end in (self, other):
            if end.blocked:
                end.tell_blocked()

    def tell_blocked(self) -> None:
        """Asks the peer at the other end to stop sending, or to go on."""
        if self.other is not None:
            self.other.pause(self.blocked)

    def send(self, payload: bytes) -> None:
        """Sends a payload out of this end, if it can still send."""
        if Move.SEND_DATA in TRANSITIONS[self.stream.state]:
            self.mux.send(self.stream, payload)
            self.acted([])

    def pause(self, paused: bool) -> None:
        """Asks the peer at this end to stop sending, or to go on."""
        (self.mux.pause if paused else self.mux.resume)(self.stream)
        self.acted([])

    def end(self) -> None:
        """Ends the sending out of this end."""
        if Move.SEND_END in TRANSITIONS[self.stream.state]:
            self.acted(self.mux.end(self.stream))

    def fail(self, message: str, code: str) -> None:
        """Ends the stream with an error."""
        if self.stream.state is not State.CLOSED:
            fault = message[:MAX_FAULT_CHARS], code[: MAX_FAULT_CHARS // 10]
            self.acted(self.mux.error(self.stream, *fault))

    def close(self) -> None:
        """Closes the stream of this end."""
        self.acted(self.mux.close(self.stream))


Address: TypeAlias = tuple[str, str]
"""URI and name."""
Notify: TypeAlias = Callable[[str], None]


class Listener:
    """Somebody who takes clients under a name.

    Args:
        address: the URI and the name.
        mux: the connection it listens on: only that one may take the clients.
        notify: tells it the name of a client.
        notify_of_reader: tells it the name of one that may only read; None takes none of those.
    """

    __slots__ = ("address", "mux", "notify", "notify_of_reader", "waiting")

    def __init__(
        self,
        address: Address,
        mux: MuxDemux,
        notify: Notify,
        notify_of_reader: Notify | None = None,
    ) -> None:
        self.address = address
        self.mux = mux
        self.notify = notify
        self.notify_of_reader = notify_of_reader
        self.waiting: dict[str, End] = {}


class Switchboard:
    """All listeners of one relay, and the clients that wait for them."""

    def __init__(self) -> None:
        self._listeners: dict[Address, Listener] = {}

    def listen(
        self,
        uri: str,
        name: str,
        mux: MuxDemux,
        notify: Notify,
        notify_of_reader: Notify | None = None,
    ) -> Listener:
        """Begins to listen; see :class:`Listener`.

        Raises:
            StreamError: the name is taken.
        """
        address = (uri, name)
        if address in self._listeners:
            raise StreamError("somebody listens under this name already", "taken")
        listener = Listener(address, mux, notify, notify_of_reader)
        self._listeners[address] = listener
        return listener

    def unlisten(self, listener: Listener) -> None:
        """Stops to listen; the clients that wait get an error. A second call does nothing."""
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]
            waiting, listener.waiting = listener.waiting, {}
            error = _no_server()
            for end in waiting.values():
                end.fail(str(error), error.code)

    def connect(self, uri: str, name: str, client: str, end: End) -> None:
        """Announces a client to a listener.

        Raises:
            StreamError: nobody listens, the client's name is in use, or too many wait.
        """
        listener = self._listeners.get((uri, name))
        if listener is None:
            raise _no_server()
        notify = listener.notify_of_reader if end.reader else listener.notify
        if notify is None:
            raise _no_server()
        if client in listener.waiting:
            raise StreamError("a client of this name waits already", "taken")
        if len(listener.waiting) >= MAX_WAITING:
            raise StreamError("too many clients wait for this server", "busy")
        listener.waiting[client] = end
        end.listener, end.client = listener, client
        notify(client)

    def accept(self, uri: str, name: str, client: str, end: End) -> None:
        """Joins a waiting client with the stream that the listener opened for it.

        Raises:
            StreamError: there is no such client, or it is another peer that listens.
        """
        listener = self._listeners.get((uri, name))
        if listener is None or listener.mux is not end.mux or client not in listener.waiting:
            raise StreamError("cannot open client-server connection", "500")
        other = listener.waiting.pop(client)
        other.listener = None
        other.join(end)

    def gone(self, end: End) -> None:
        """An end was closed by its peer, or its connection is lost."""
        if end.listener is not None:
            end.listener.waiting.pop(end.client, None)
            end.listener = None
        other, end.other = end.other, None
        if other is not None:
            other.close()


def _no_server() -> StreamError:
    # A new one each time: one that is raised again and again keeps every traceback.
    return StreamError("server does not exist", "404")
