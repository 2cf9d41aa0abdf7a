"""One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
other peers. Without I/O: what is to be done goes out through a :class:`Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from distmap.clock import Stamp
from distmap.entries import encode_entry
from distmap.errors import RemoteProtocolError
from distmap.frames import MESSAGE_BYTES
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, encode_entries
from distmap.sync import merge_all
from distmap.values import NOT_JSON

BY_PEER: Final = "peer"
ALONE: Final = "alone"

_encode = msgspec.json.Encoder().encode


class _Welcome(msgspec.Struct):
    version: tuple[int, int]
    peer: str
    time_ms: float
    members: int


class _Entries(msgspec.Struct):
    event: str
    entries: list[Raw] = []


_control = msgspec.json.Decoder(list[Any])
_message = msgspec.json.Decoder(_Entries)


class Port(Protocol):
    """What a :class:`Peer` asks of its surroundings."""

    def send(self, payload: bytes) -> None:
        """Send a payload on the channel's stream."""

    def begin_sync(self, donor: str) -> None:
        """Open a stream to a donor and hold a conversation as the newcomer."""

    def serve(self, client: str) -> None:
        """Take the stream of a newcomer and hold a conversation as its donor."""

    def updated(self, updates: list[Update]) -> None:
        """Other peers' entries took their place in the replica."""

    def taken(self, writes: list[tuple[str, Stamp]]) -> None:
        """The relay has taken these own writes."""

    def restamped(self, updates: list[Update]) -> None:
        """Own writes that nobody had seen have new stamps."""

    def became_ready(self, how: str) -> None:
        """The replica has the network's state: by a peer, or alone."""

    def peers_changed(self, peers: int) -> None:
        """The number of other peers has changed."""


class Peer:
    """The state of one map, and its side of the channel.

    Args:
        replica: the entries.
        port: where to act.
        now_ms: the local clock, to estimate the offset to the relay's.
    """

    def __init__(self, replica: Replica, port: Port, now_ms: Callable[[], float]) -> None:
        self.replica = replica
        self.outbox = Outbox()
        self.id = ""
        self.peers = 0
        self._port = port
        self._now_ms = now_ms
        self._opened_ms = 0.0
        self._online = False

    # -- the channel's stream ---------------------------------------------------------------------

    def opened(self) -> None:
        """The stream was opened; nothing is sent before the relay's welcome."""
        self._opened_ms = self._now_ms()

    def lost(self) -> None:
        """The stream, or the connection, is gone."""
        self._online = False
        self.outbox.go_offline()
        self._set_peers(0)

    def receive(self, payload: bytes | Raw) -> None:
        """Takes a payload of the channel: of the relay, or of another peer.

        Raises:
            RemoteProtocolError: the relay sent something that it never would. What another peer
                sent is never an error here: what cannot be taken is counted in `replica.refused`.
        """
        text = bytes(payload)
        if text[:1] == b"[":
            self._receive_control(text)
        else:
            self._receive_entries(text)

    def _receive_control(self, text: bytes) -> None:
        try:
            match _control.decode(text):
                case ["welcome", dict(details)]:
                    self._welcome(msgspec.convert(details, _Welcome))
                case ["members", int(members), *_]:
                    self._set_peers(members - 1)
                case ["ack", int(number)]:
                    self._port.taken(self.outbox.acknowledge(number))
                    self.send_writes()
                case ["donor", str(donor)]:
                    self._port.begin_sync(donor)
                case ["alone"]:
                    self._port.became_ready(ALONE)
                case ["client", str(client)]:
                    self._port.serve(client)
                case ["time", int(sent_ms) | float(sent_ms), int(time_ms) | float(time_ms)]:
                    self._set_offset(sent_ms, time_ms)
                case _:
                    pass  # of a newer relay
        except NOT_JSON as error:
            raise RemoteProtocolError(f"the relay sent a malformed message: {error}") from None

    def _welcome(self, welcome: _Welcome) -> None:
        if welcome.version[0] != VERSION[0]:
            raise RemoteProtocolError(f"the relay speaks version {welcome.version[0]}")
        self.id = welcome.peer
        self._set_offset(self._opened_ms, welcome.time_ms)
        self._online = True
        self.outbox.go_online()
        self.send_writes()
        self._set_peers(welcome.members - 1)

    def _set_offset(self, sent_ms: float, time_ms: float) -> None:
        """The relay's time was taken halfway between the question and the answer."""
        clock = self.replica.clock
        if not clock.correct(time_ms - (sent_ms + self._now_ms()) / 2):
            return
        # This peer's clock was far ahead: what it wrote would be held back by all others.
        own = [key for key in self.outbox.unsent if self._is_own(key)]
        updates = self.replica.restamp(own)
        self.outbox.replace([(key, entry) for key, entry, _ in updates])
        self._port.restamped(updates)

    def _is_own(self, key: str) -> bool:
        # Another peer, whose clock is as wrong, may have overwritten it.
        return self.replica.entries[key].stamp.writer == self.replica.clock.writer

    def _receive_entries(self, text: bytes) -> None:
        try:
            message = _message.decode(text)
        except NOT_JSON:
            self.replica.refused += 1
            return
        if message.event in ("set", "delete"):
            self._take([Raw(text)])
        elif message.event == "entries":
            self._take(message.entries)
        # Anything else is of a newer peer.

    def _take(self, texts: list[Raw]) -> None:
        updates = merge_all(self.replica, texts)
        if updates:
            self._port.updated(updates)

    def _set_peers(self, peers: int) -> None:
        if peers != self.peers:
            self.peers = peers
            self._port.peers_changed(peers)

    # -- own writes -------------------------------------------------------------------------------

    def wrote(self, update: Update) -> None:
        """This peer wrote; :meth:`send_writes` sends it."""
        self.outbox.add(update.key, update.entry)

    def send_writes(self) -> None:
        """Sends what waits in the outbox, as far as the window allows."""
        while self._online and (message := self.outbox.next_message()) is not None:
            self._port.send(message)

    # -- syncs ------------------------------------------------------------------------------------

    def synced(self) -> None:
        """The conversation with the donor is at its end."""
        self._port.send(_encode(["ready"]))
        held = [encode_entry(key, entry) for key, entry in self.replica.held.items()]
        self._broadcast(held)
        self._port.became_ready(BY_PEER)

    def sync_failed(self, donor: str) -> None:
        """The donor died, stalled or broke the protocol: asks the relay for another."""
        if self._online:
            self._port.send(_encode(["sync", donor]))

    def learned(self, updates: list[Update]) -> None:
        """A newcomer brought entries: they are news to the others too."""
        self._broadcast([encode_entry(update.key, update.entry) for update in updates])

    def _broadcast(self, texts: list[bytes]) -> None:
        part: list[bytes] = []
        size = 0
        for text in texts:
            part.append(text)
            size += len(text)
            if size >= MESSAGE_BYTES:
                self._send_others(part)
                part, size = [], 0
        if part:
            self._send_others(part)

    def _send_others(self, texts: list[bytes]) -> None:
        if self._online:
            self.outbox.count_other()
            self._port.send(encode_entries(texts))

    # -- time -------------------------------------------------------------------------------------

    def release(self) -> None:
        """Takes the entries from the future whose time has come."""
        updates = self.replica.release()
        if updates:
            self._port.updated(updates)
