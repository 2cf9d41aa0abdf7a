"""A map's seat on a connection: opens its channel on each session, holds the syncs, keeps time."""

from __future__ import annotations

import sys
from typing import Protocol

from msgspec import Raw
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from distmap.clock import Stamp
from distmap.connection import Connection
from distmap.entries import Entry
from distmap.errors import AccessRefused, ConnectionProblem, RemoteError, StreamError
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.peer import Peer
from distmap.session import Session
from distmap.states import MuxStream, State
from distmap.syncs import Syncs
from distmap.tries import Reopenings
from distmap.watching import Watching


class Listener(Protocol):
    """What a map wants to hear of its seat."""

    def updated(self, updates: list[Update]) -> None:
        """Other peers' entries took their place."""

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        """The relay has taken these own writes."""

    def restamped(self, updates: list[Update]) -> None:
        """Own writes have new stamps."""

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        """Own writes of long ago were not offered again."""

    def refused_writes(self, error: AccessRefused, keys: list[str], updates: list[Update]) -> None:
        """Own writes of these keys were taken back: the map may only be read."""

    def became_ready(self, how: str) -> None:
        """The map has the network's state."""

    def peers_changed(self, peers: int) -> None:
        """The number of other peers has changed."""

    def status_changed(self, status: str, problem: ConnectionProblem | RemoteError | None) -> None:
        """There is a connection, or there is none."""

    def left(self) -> None:
        """The seat is given up, by the map or because the connection is closed."""


class Seat:
    """The seat of one map.

    Args:
        connection: rides on it.
        uri: of the map.
        replica: the map's entries.
        listener: the map.
    """

    _log = Logger()

    def __init__(
        self, connection: Connection, uri: str, replica: Replica, listener: Listener
    ) -> None:
        self.uri = uri
        self.replica = replica
        self._connection = connection
        self._reactor = connection.reactor
        self._listener = listener
        self.peer = Peer(replica, self, self._now_ms)
        self._session: Session | None = None
        self._stream: MuxStream | None = None
        random = connection.random
        self._syncs = Syncs(self.peer, uri, connection.reactor, random)
        self._watching = Watching(self.peer, connection.reactor, random, self._repair)
        self._release_call: IDelayedCall | None = None
        self._reopen_call: IDelayedCall | None = None
        self._send_call: IDelayedCall | None = None
        self._work_call: IDelayedCall | None = None
        self._reopenings = Reopenings(random)
        self.let_in: bool | None = None
        self._takes_back = False
        self._closed = False

    def _now_ms(self) -> float:
        return self._reactor.seconds() * 1000

    # -- the map's side ---------------------------------------------------------------------------

    def wrote(self, update: Update) -> None:
        """The map wrote: it leaves at the end of the turn, with all else written in it."""
        self.peer.wrote(update)
        if self._stream is not None and self._send_call is None:
            self._send_call = self._reactor.callLater(0, self._send_writes)

    def _send_writes(self) -> None:
        self._send_call = None
        self.peer.send_writes()
        if self._session is not None:
            self._session.flush()

    def check_writable(self) -> None:
        """Raises AccessRefused if this peer is known to be one that may only read."""
        if self.peer.reading.only:
            raise self._refusal()

    def _refusal(self) -> AccessRefused:
        return AccessRefused(f"you may read {self.uri}, and not write to it")

    def close(self) -> None:
        """Leaves the channel, and tells the map; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.peer.send_writes(sys.maxsize)
        calls = (self._release_call, self._reopen_call, self._send_call, self._work_call)
        for call in calls:
            if call is not None and call.active():
                call.cancel()
        self._release_call = self._reopen_call = self._send_call = self._work_call = None
        self._connection.detach(self)
        self._end_talk()
        stream, session = self._stream, self._session
        self._stream = None
        if session is not None and stream is not None:
            session.close_stream(stream)
            session.flush()
        self._listener.left()

    # -- the connection's side --------------------------------------------------------------------

    def session_opened(self, session: Session) -> None:
        self._session = session
        self._open()

    def session_lost(self, problem: ConnectionProblem) -> None:
        self._session = self.let_in = None
        self._stop_reopening()
        self._listener.status_changed("offline", problem)

    def reopen(self) -> None:
        if self._reopen_call is not None:
            self._stop_reopening()
            self._open()

    def _open(self) -> None:
        self._reopen_call = self.let_in = None
        self._takes_back = False
        if self._session is None or not self._session.alive:
            return
        route = f"{self.uri}/channel"
        self._stream = self._session.open(
            {"route": route, "version": VERSION}, self, together=True, stream_id=route
        )
        self.peer.opened()
        self._listener.status_changed("syncing", None)

    # -- the channel's stream ---------------------------------------------------------------------

    def stream_data(self, *payloads: Raw) -> None:
        if self._stream is None:
            return
        try:
            self.peer.receive(*payloads)
            if self.let_in is None:
                self.let_in = True
                self._reopenings.let_in()
                self._connection.judged()
        except RemoteError as error:
            self._log.error("the channel of {uri} failed: {error}", uri=self.uri, error=error)
            if self._session is not None and self._stream is not None:
                self._session.error(self._stream, str(error), error.code)
        self._schedule_release()

    def stream_ended(self) -> None:
        """The close follows."""

    def stream_paused(self, paused: bool) -> None:
        """A channel is not paused: a slow reader is cut off and syncs again."""

    def stream_closed(self, error: StreamError | None) -> None:
        self._stream = None
        self.peer.lost()
        self._end_talk()
        if self._closed or self._session is None or not self._session.alive:
            return
        problem: RemoteError = error or StreamError("the relay closed the channel", "closed")
        self.let_in = None
        if problem.code == AccessRefused.code:
            problem, self.let_in = AccessRefused(str(problem)), False
        delay, known = self._reopenings.ended(problem)
        self._log.emit(
            LogLevel.debug if known else LogLevel.warn,
            "the relay ended the channel of {uri} ({code}): {problem}; "
            "opened again in {delay:.1f} s",
            uri=self.uri,
            code=problem.code,
            problem=problem,
            delay=delay,
        )
        self._reopen_call = self._reactor.callLater(delay, self._open)
        self._listener.status_changed("offline", problem)
        self._connection.judged()

    def _stop_reopening(self) -> None:
        self._reopenings.reset()
        if self._reopen_call is not None:
            self._reopen_call.cancel()
            self._reopen_call = None

    # -- what the peer asks for: see distmap.peer.Port --------------------------------------------

    def send(self, payload: bytes) -> None:
        # The relay may have closed it in the message that is handled just now.
        gone = self._stream is None or self._stream.state is State.CLOSED
        if self._session is not None and self._stream is not None and not gone:
            self._session.send(self._stream, payload)

    def updated(self, updates: list[Update]) -> None:
        self._listener.updated(updates)

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        self._listener.taken(writes)

    def refused(self, writes: list[tuple[str, Entry]], updates: list[Update]) -> None:
        if not self._takes_back:
            self._takes_back = True
            self._log.warn("writes to {uri} are taken back: it may only be read", uri=self.uri)
        self._listener.refused_writes(self._refusal(), [key for key, _ in writes], updates)

    def restamped(self, updates: list[Update]) -> None:
        self._listener.restamped(updates)

    def became_ready(self, how: str) -> None:
        self._reopenings.reset()
        self._watching.start()
        self._listener.became_ready(how)

    def peers_changed(self, peers: int) -> None:
        self._listener.peers_changed(peers)

    def begin_sync(self, donor: str) -> None:
        if self._session is not None:
            self._syncs.begin(self._session, donor)

    def serve(self, client: str, *, reader: bool = False) -> None:
        if self._session is not None:
            self._syncs.serve(self._session, client, reader=reader)

    def work_soon(self) -> None:
        if self._work_call is None and not self._closed:
            self._work_call = self._reactor.callLater(0, self._work)

    def _work(self) -> None:
        self._work_call = None
        self.peer.work()

    def heard_digest(self, peer: str, digest: tuple[int, int]) -> None:
        self._watching.heard(peer, digest)

    def superseded(self, writes: list[tuple[str, Entry]]) -> None:
        self._listener.superseded(writes)

    def _repair(self, peer: str) -> None:
        if self._session is not None and self._stream is not None:
            self._syncs.begin(self._session, peer, repair=True)

    @property
    def divergences(self) -> int:
        """How often this replica was found to differ from another, and was repaired."""
        return self._syncs.repairs

    def _end_talk(self) -> None:
        self._watching.stop()
        self._syncs.stop()

    # -- entries from the future ------------------------------------------------------------------

    def _schedule_release(self) -> None:
        wait_ms = self.replica.release_in_ms()
        if wait_ms is None or self._closed:
            return
        # A wrong clock could ask for years; look again once an hour at most.
        seconds = min(wait_ms / 1000 + 0.001, 3600.0)
        if self._release_call is None:
            self._release_call = self._reactor.callLater(seconds, self._release)
        else:
            self._release_call.reset(seconds)

    def _release(self) -> None:
        self._release_call = None
        self.peer.release()
        self._schedule_release()
