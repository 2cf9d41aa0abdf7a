"""One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
other peers. Without I/O: what is to be done goes out through a :class:`~distmap.port.Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from distmap.absence import Absence
from distmap.access import READ
from distmap.channel_wire import Welcome, decode_control, decode_message
from distmap.entries import decode_plain, encode_entry
from distmap.errors import RemoteProtocolError
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.outbox import Outbox, encode_messages
from distmap.port import Port
from distmap.reading import Reader, Reading
from distmap.sync import Newcomer, merge_all
from distmap.timekeeping import Timekeeper
from distmap.values import NOT_JSON

BY_PEER: Final = "peer"
ALONE: Final = "alone"

_encode = msgspec.json.Encoder().encode


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
        self.reading = Reading(replica, self.outbox)
        self.id = ""
        self.peers = 0
        self.time = Timekeeper(replica, self.outbox, port, now_ms)
        self._port = port
        self._open = self._online = False
        self._absence: Absence | None = None
        self._was_in_touch = False
        # Since when this replica is ready with what it had before a long absence.
        self._returned_ms: int | None = None
        replica.in_touch = False

    # -- the channel's stream ---------------------------------------------------------------------

    def opened(self) -> None:
        """The stream was opened; nothing is sent before the relay's welcome."""
        self._open = True
        self.time.opened()

    def lost(self) -> None:
        """The stream, or the connection, is gone."""
        if self.replica.known_ms is None and self.id:
            self.replica.known_ms = self.replica.clock.earliest_ms() if self.replica.in_touch else 0
        self._open = self._online = self.replica.in_touch = False
        self.time.lost()
        self.reading.lost()
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
            match decode_control(text):
                case ["welcome", dict(details)]:
                    self._welcome(msgspec.convert(details, Welcome))
                case ["members", int(members), *_]:
                    self._set_peers(members - 1)
                case ["ack", int(number), int(time_ms) | float(time_ms)]:
                    taken = self.outbox.acknowledge(number)
                    self.replica.arrived(key for key, _ in taken)
                    self._port.taken(taken)
                    self.send_writes()
                    self.time.acknowledged(time_ms)
                case ["donor", str(donor)]:
                    if not self._was_in_touch:
                        self.replica.known_ms = 0
                    self._port.begin_sync(donor)
                case ["alone"]:
                    self._become_ready(ALONE)
                case ["client", str(client)]:
                    self._port.serve(client)
                case ["reader", str(client)]:
                    self._port.serve(client, reader=True)
                case ["refused", int()]:
                    self._told_access(READ)
                case ["time", int(sent_ms) | float(sent_ms), int(time_ms) | float(time_ms)]:
                    self.time.answered(sent_ms, time_ms)
                    self.send_writes()  # what has a better stamp now
                    self.release()
                # Anything else is of a newer relay.
        except NOT_JSON as error:
            raise RemoteProtocolError(f"the relay sent a malformed message: {error}") from None

    def _welcome(self, welcome: Welcome) -> None:
        if welcome.version[0] != VERSION[0]:
            raise RemoteProtocolError(f"the relay speaks version {welcome.version[0]}")
        self.id = welcome.peer
        self.time.welcomed(welcome.time_ms)
        self._told_access(welcome.access)
        self.release()
        if not self._open:
            return  # a handler of what was released has left the map
        self._online = self.time.online = True
        if not self._has_to_ask():
            self.outbox.go_online()
            self.send_writes()
        self._set_peers(welcome.members - 1)

    def _told_access(self, access: str) -> None:
        updates, writes = self.reading.told(access)
        if self.reading.only and self._absence is not None:
            writes += self._absence.give_up()
            self._absence = None
        if writes:
            self._port.refused(writes, updates)

    def _has_to_ask(self) -> bool:
        """Whether tombstones may be forgotten that this replica has not seen, or that are later
        than its writes: they then wait until it knows what became of their keys.
        """
        if self._absence is not None or (self._was_in_touch and self._was_away_long()):
            return True
        oldest_ms = self.replica.clock.earliest_ms() - self.replica.retention_ms
        return self.outbox.is_older(oldest_ms)

    def _was_away_long(self) -> bool:
        known_ms, retention_ms = self.replica.known_ms, self.replica.retention_ms
        return known_ms is not None and self.replica.clock.latest_ms() - known_ms > retention_ms

    def _receive_entries(self, text: bytes) -> None:
        replica = self.replica
        held = len(replica.held)
        plain = decode_plain(text, replica.max_value_bytes)
        if plain is None:
            self._receive_others(text)
        elif (update := replica.merge(*plain, cautious=not replica.in_touch)) is not None:
            self._port.updated([update])
        if len(replica.held) > held:
            self.time.ask()  # before it is believed that the others are ahead, and not this behind

    def _receive_others(self, text: bytes) -> None:
        try:
            message = decode_message(text)
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
        self.updated(merge_all(self.replica, texts, cautious=not self.replica.in_touch))

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
        self.reading.wrote(update)
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
        return Reader(self.replica) if self.reading.only else Newcomer(self.replica, self._met)

    def _met(self, floor_ms: int, outdated: bool) -> None:
        """A donor told its floor: what may undo deletes that it has forgotten is set aside."""
        if self.replica.in_touch:
            return  # a repair
        writes = self.outbox.take(None if outdated and self._was_in_touch else floor_ms)
        if writes:
            if self._absence is None:
                self._absence = Absence(self.replica)
            self.updated(self._absence.set_aside(writes))

    def _become_ready(self, how: str) -> None:
        self.replica.in_touch = self._was_in_touch = True
        if not self.outbox.is_online:
            self.outbox.go_online()
        self._returned_ms = None
        if how == BY_PEER or not self.peers:
            self._returned_ms = self.replica.clock.latest_ms()
        self._settle()
        self._end_absence(how)
        if self._open:  # no handler has left the map meanwhile
            self.send_writes()
            self._port.became_ready(how)

    def _end_absence(self, how: str) -> None:
        absence, self._absence = self._absence, None
        if absence is None:
            return
        if how == ALONE:
            self.updated(absence.restore(self.outbox))
            return
        end = absence.end(self.outbox)
        self._port.restamped(end.offered)
        self.updated(end.offered)
        self._port.taken(end.taken)
        self._port.superseded(end.superseded)

    def look_up(self) -> None:
        """Now and then, while ready: asks for the time, and settles what an absence left."""
        self.time.ask()
        self._settle()

    def _settle(self) -> None:
        """Decides whether this replica knows of all deletes: it was not away for long, or whoever
        knew better would by now have been away for as long.
        """
        replica, returned_ms = self.replica, self._returned_ms
        since_ms = None if returned_ms is None else replica.clock.earliest_ms() - returned_ms
        if not self._was_away_long() or (since_ms or 0) > replica.retention_ms:
            replica.known_ms = self._returned_ms = None

    def sync_failed(self, donor: str) -> None:
        """The donor died, stalled or broke the protocol: asks the relay for another."""
        if self._online:
            self._port.send(_encode(["sync", donor]))

    def tell_digest(self) -> None:
        """Tells the others the digest of this replica."""
        if self._online and not self.reading.only:
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
            if self._online and not self.reading.only:
                self.outbox.count_other()
                self._port.send(message)

    # -- time -------------------------------------------------------------------------------------

    def release(self) -> None:
        """Takes the entries from the future whose time has come."""
        self.updated(self.replica.release())
        if self._online and self.replica.held.take_fetch(self.replica.clock.latest_ms()):
            self._port.send(_encode(["sync", None]))
