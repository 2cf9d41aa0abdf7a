"""One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
other peers. Without I/O: what is to be done goes out through a :class:`~distmap.port.Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from distmap.absence import Absence
from distmap.entries import Entry, decode_plain, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, Waiting, encode_messages
from distmap.port import Port
from distmap.sync import Newcomer, merge_all
from distmap.timekeeping import Timekeeper
from distmap.values import NOT_JSON

BY_PEER: Final = "peer"
ALONE: Final = "alone"

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
        self.time = Timekeeper(replica, self.outbox, port, now_ms)
        self._port = port
        self._open = self._online = False
        self._absence: Absence | None = None
        self._was_in_touch = False
        self._doubtful: dict[str, Entry] = {}  # what came too early to tell whether it was deleted
        replica.in_touch = False

    # -- the channel's stream ---------------------------------------------------------------------

    def opened(self) -> None:
        """The stream was opened; nothing is sent before the relay's welcome."""
        self._open = True
        if not self._was_in_touch:
            self.replica.known_ms = 0
        self.time.opened()

    def lost(self) -> None:
        """The stream, or the connection, is gone."""
        self.replica.lose_touch()
        self._open = self._online = False
        self._doubtful.clear()
        self.time.lost()
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
                    taken = self.outbox.acknowledge(number)
                    self.replica.arrived(key for key, _ in taken)
                    self._port.taken(taken)
                    self.send_writes()
                    self.time.acknowledged(time_ms)
                case ["donor", str(donor)]:
                    self._port.begin_sync(donor)
                case ["alone"]:
                    self._become_ready(ALONE)
                case ["client", str(client)]:
                    self._port.serve(client)
                case ["time", int(sent_ms) | float(sent_ms), int(time_ms) | float(time_ms)]:
                    self.time.answered(sent_ms, time_ms)
                    self.send_writes()  # what has a better stamp now
                    self.release()
                # Anything else is of a newer relay.
        except NOT_JSON as error:
            raise RemoteProtocolError(f"the relay sent a malformed message: {error}") from None

    def _welcome(self, welcome: _Welcome) -> None:
        if welcome.version[0] != VERSION[0]:
            raise RemoteProtocolError(f"the relay speaks version {welcome.version[0]}")
        self.id = welcome.peer
        self.time.welcomed(welcome.time_ms)
        self.release()
        if not self._open:
            return  # a handler of what was released has left the map
        self._online = self.time.online = True
        if not self._has_to_ask():
            self.outbox.go_online()
            self.send_writes()
        self._set_peers(welcome.members - 1)

    def _has_to_ask(self) -> bool:
        """Whether tombstones may be forgotten that this replica has not seen, or that are later
        than its writes: they then wait until it knows what became of their keys.
        """
        if self._absence is not None or (self._was_in_touch and self.replica.was_away_long):
            return True
        oldest_ms = self.replica.clock.earliest_ms() - self.replica.retention_ms
        return self.outbox.is_older(oldest_ms)

    def _receive_entries(self, text: bytes) -> None:
        replica = self.replica
        held = len(replica.held)
        plain = decode_plain(text, replica.max_value_bytes)
        if plain is None:
            self._receive_others(text)
        elif (update := replica.merge(*plain, doubtful=self._aside)) is not None:
            self._port.updated([update])
        if len(replica.held) > held:
            self.time.ask()  # before it is believed that the others are ahead, and not this behind

    def _receive_others(self, text: bytes) -> None:
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
        self.updated(merge_all(self.replica, texts, doubtful=self._aside))

    @property
    def _aside(self) -> dict[str, Entry] | None:
        return None if self.replica.in_touch else self._doubtful

    def updated(self, updates: list[Update]) -> None:
        """Others' entries took their place."""
        if updates:
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
        self.replica.joined()
        self._port.send(_encode(["ready"]))
        self._become_ready(BY_PEER)

    def begin(self) -> Newcomer:
        """A conversation with a donor."""
        return Newcomer(self.replica, self._met)

    def _met(self, floor_ms: int, outdated: bool) -> None:
        """A donor told its floor: what may undo deletes that it has forgotten is set aside."""
        if self.replica.in_touch:
            return  # a repair
        self._set_aside(self.outbox.take(None if outdated and self._was_in_touch else floor_ms))

    def _set_aside(self, writes: list[Waiting]) -> None:
        if writes:
            if self._absence is None:
                self._absence = Absence(self.replica)
            self.updated(self._absence.set_aside(writes))

    def _become_ready(self, how: str) -> None:
        self.replica.get_in_touch()
        self._was_in_touch = True
        updates = self._merge_doubtful()
        if not self.outbox.is_online:
            self._set_aside(self.outbox.take_buried(self.replica.entries))
            self.outbox.go_online()
        self.updated(updates)
        if self._open:  # no handler has left the map meanwhile
            self._end_absence(how)
        if self._open:
            self.send_writes()
            self._port.became_ready(how)

    def _merge_doubtful(self) -> list[Update]:
        """The donor may have learned of it after it had told of what is near it."""
        items, self._doubtful = self._doubtful.items(), {}
        return [new for item in items if (new := self.replica.merge(*item)) is not None]

    def _end_absence(self, how: str) -> None:
        absence, self._absence = self._absence, None
        if absence is None:
            return
        if how == ALONE:
            updates = absence.restore(self.outbox)
            self._port.restamped([each for each in updates if each.old is not None])
            self.updated(updates)
            return
        end = absence.end(self.outbox)
        self._port.restamped(end.offered)
        self.updated(end.offered)
        self._port.taken(end.taken)
        self._port.superseded(end.superseded)

    def look_up(self) -> None:
        """Now and then, while ready: asks for the time, and forgets gaps."""
        self.time.ask()
        self.replica.expire_gaps()

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
        self.tell_all([encode_entry(update.key, update.entry) for update in updates])

    def tell_all(self, texts: list[bytes]) -> None:
        """Passes entries on to the others, whoever wrote them."""
        for message in encode_messages(texts):
            if self._online:
                self.outbox.count_other()
                self._port.send(message)

    # -- time -------------------------------------------------------------------------------------

    def release(self) -> None:
        """Takes the entries from the future whose time has come."""
        self.updated(self.replica.release())
        if self._online and self.replica.held.take_fetch(self.replica.clock.latest_ms()):
            self._port.send(_encode(["sync", None]))
