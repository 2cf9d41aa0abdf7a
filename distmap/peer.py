"""One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
other peers. Without I/O: what is to be done goes out through a :class:`~distmap.port.Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from distmap.absence import Absence
from distmap.entries import Entry, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.offset import OffsetEstimator
from distmap.outbox import Outbox, encode_messages
from distmap.port import Port
from distmap.sync import Newcomer, merge_all
from distmap.values import NOT_JSON

BY_PEER: Final = "peer"
ALONE: Final = "alone"

SUSPICIOUS_MS: Final = 10_000
"""If an acknowledgement names a time so far from the estimated one, the relay is asked."""

_encode = msgspec.json.Encoder().encode


class _Welcome(msgspec.Struct):
    version: tuple[int, int]
    peer: str
    time_ms: float
    members: int


class _Message(msgspec.Struct):
    event: str
    entries: list[Raw] = []
    peer: str = ""
    count: int = 0
    sum: int = 0


_control = msgspec.json.Decoder(list[Any])
_message = msgspec.json.Decoder(_Message)


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
        self._open = self._online = False
        self._offset = OffsetEstimator()
        self._asked_time = False
        self._absence: Absence | None = None
        # When this replica was last in touch with the network, by the relay's time.
        self._synced_ms: int | None = None
        self.in_touch = False

    # -- the channel's stream ---------------------------------------------------------------------

    def opened(self) -> None:
        """The stream was opened; nothing is sent before the relay's welcome."""
        self._open = True
        self._opened_ms = self._now_ms()
        self._offset.forget()

    def lost(self) -> None:
        """The stream, or the connection, is gone."""
        if self.in_touch:
            self._synced_ms = self.replica.clock.now_ms()
        self._open = self._online = self.in_touch = self._asked_time = False
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
                case ["ack", int(number), int(time_ms) | float(time_ms)]:
                    self._port.taken(self.outbox.acknowledge(number))
                    self.send_writes()
                    if abs(self.replica.clock.now_ms() - time_ms) > SUSPICIOUS_MS:
                        self.ask_time()
                case ["donor", str(donor)]:
                    self._port.begin_sync(donor)
                case ["alone"]:
                    self._become_ready(ALONE)
                case ["client", str(client)]:
                    self._port.serve(client)
                case ["time", int(sent_ms) | float(sent_ms), int(time_ms) | float(time_ms)]:
                    self._asked_time = False
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
        if not self._open:
            return  # a handler of what was released has left the map
        self._online = True
        if not self._was_away_long():
            self.outbox.go_online()
            self.send_writes()
        self._set_peers(welcome.members - 1)

    def _was_away_long(self) -> bool:
        """Whether tombstones may be forgotten that this replica has not seen: its writes then wait
        until it knows what became of their keys.
        """
        if self._synced_ms is None:
            return self._absence is not None
        return self.replica.clock.now_ms() - self._synced_ms > self.replica.retention_ms

    def _set_offset(self, sent_ms: float, time_ms: float) -> None:
        """Learns the relay's time; what a wrong clock has done here is put right."""
        self.replica.clock.heard_ms = time_ms
        offset_ms = self._offset.add(sent_ms, self._now_ms(), time_ms)
        if offset_ms is None:
            return
        if self.replica.clock.correct(offset_ms):
            # It was far ahead. What nobody has seen is stamped anew; what was sent, others hold
            # back until its time: so does this peer, and writes it once more with a good stamp.
            own = [key for key in self.outbox.unsent if self._is_own(key)]
            updates = self.replica.restamp(own)
            self.outbox.replace([(key, entry) for key, entry, _ in updates])
            self._port.restamped(updates)
            ahead = self.replica.hold_again()
            mine = [item for item in ahead if item[1].stamp.writer == self.replica.clock.writer]
            for key, entry in mine:
                self._rewrite(key, entry)
            if ahead and self._online:
                self._port.send(_encode(["sync", None]))
        self.release()

    def _rewrite(self, key: str, entry: Entry) -> None:
        update = self.replica.rewrite(key, entry.value)
        self.wrote(update)
        self._port.restamped([update])

    def ask_time(self) -> None:
        """Asks the relay for its time, unless the question is on its way."""
        if self._online and not self._asked_time:
            self._asked_time = True
            self._port.send(_encode(["time", self._now_ms()]))

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
        elif message.event == "digest":
            self._port.heard_digest(message.peer, (message.count, message.sum))
        # Anything else is of a newer peer.

    def _take(self, texts: list[Raw]) -> None:
        held = len(self.replica.held)
        self.updated(merge_all(self.replica, texts))
        if len(self.replica.held) > held:
            self.ask_time()  # before it is believed that the others are ahead, and not this behind

    def updated(self, updates: list[Update]) -> None:
        """Others' entries took their place; while the state is fetched afresh, nobody is told."""
        if updates and self._absence is None:
            self._port.updated(updates)

    def _set_peers(self, peers: int) -> None:
        if peers != self.peers:
            self.peers = peers
            self._port.peers_changed(peers)

    # -- own writes -------------------------------------------------------------------------------

    def wrote(self, update: Update) -> None:
        """This peer wrote; :meth:`send_writes` sends it."""
        old = update.old.stamp if update.old is not None else None
        self.outbox.add(update.key, update.entry, old)

    def send_writes(self) -> None:
        """Sends what waits in the outbox, as far as the window allows."""
        while self._online and (message := self.outbox.next_message()) is not None:
            self._port.send(message)

    # -- syncs ------------------------------------------------------------------------------------

    def synced(self) -> None:
        """The conversation with the donor is at its end."""
        self._port.send(_encode(["ready"]))
        self._become_ready(BY_PEER)
        self._broadcast([encode_entry(key, entry) for key, entry in self.replica.held])

    def begin(self) -> Newcomer:
        """A conversation with a donor."""
        return Newcomer(self.replica, None if self.in_touch else self._synced_ms)

    def discard(self) -> Newcomer:
        """The donor has forgotten what this replica has not seen: begins again with nothing."""
        if self._absence is None:
            self._absence = Absence(self.replica, self.outbox)
        else:
            self._absence.discard_again(self.outbox)
        self._synced_ms = None
        return Newcomer(self.replica)

    def _become_ready(self, how: str) -> None:
        self.in_touch = True
        if not self.outbox.is_online:
            self.outbox.go_online()
        absence, self._absence = self._absence, None
        if absence is not None and how == ALONE and not self.peers:
            absence.restore(self.outbox)
        elif absence is not None:
            end = absence.end(self.outbox)
            self._port.restamped(end.offered)
            self._port.taken(end.taken)
            self._port.superseded(end.superseded)
            self._port.updated(end.updates)
        if self._open:  # no handler has left the map meanwhile
            self.send_writes()
            self._port.became_ready(how)

    def sync_failed(self, donor: str) -> None:
        """The donor died, stalled or broke the protocol: asks the relay for another."""
        if self._online:
            self._port.send(_encode(["sync", donor]))

    def tell_digest(self) -> None:
        """Tells the others the digest of this replica."""
        if self._online:
            count, total = self.replica.digest()
            message = {"event": "digest", "peer": self.id, "count": count, "sum": total}
            self.outbox.count_other()
            self._port.send(_encode(message))

    def learned(self, updates: list[Update]) -> None:
        """A newcomer brought entries: they are news to the others too."""
        self.updated(updates)
        self._broadcast([encode_entry(update.key, update.entry) for update in updates])

    def _broadcast(self, texts: list[bytes]) -> None:
        for message in encode_messages(texts):
            if self._online:
                self.outbox.count_other()
                self._port.send(message)

    # -- time -------------------------------------------------------------------------------------

    def release(self) -> None:
        """Takes the entries from the future whose time has come."""
        self.updated(self.replica.release())
        if self._online and self.replica.held.take_fetch(self.replica.clock.now_ms()):
            self._port.send(_encode(["sync", None]))
