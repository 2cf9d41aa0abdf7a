"""One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
other peers. Without I/O: what is to be done goes out through a :class:`~distmap.port.Port`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from distmap import channel_wire as wire
from distmap.absence import ALONE, BY_PEER, Absence
from distmap.doubts import Doubts
from distmap.entries import encode_entry
from distmap.errors import RemoteProtocolError
from distmap.hub import VERSION
from distmap.lww import Replica, Update
from distmap.merging import gather_sets, merge_all, merge_items
from distmap.outbox import Outbox, encode_messages
from distmap.port import Port
from distmap.reading import Reader, Reading
from distmap.sync import Newcomer
from distmap.timekeeping import Timekeeper

TURN_MESSAGES: Final = 4
"""Messages of own writes, of about 64 KiB each if many wait, that are sent in one turn."""

__all__ = ["ALONE", "BY_PEER", "Peer"]

_encode = msgspec.json.Encoder().encode


class Peer:
    """The state of one map, and its side of the channel.

    Args:
        replica: the entries.
        port: where to act.
        now_ms: the local clock, to estimate the offset to the relay's.

    Attributes:
        is_busy: something takes several turns; nothing is compared meanwhile.
    """

    def __init__(self, replica: Replica, port: Port, now_ms: Callable[[], float]) -> None:
        self.replica = replica
        self.outbox = Outbox()
        self.reading = Reading(replica, self.outbox, port)
        self.id = ""
        self.peers = 0
        self.time = Timekeeper(replica, self.outbox, port, now_ms)
        self.absence = Absence(replica, self.outbox, port)
        self.doubts = Doubts(replica, port)
        self.is_busy = False
        self._port = port
        self._open = self._online = False
        self._how: str | None = None  # it is to be told as ready, once this is not busy
        replica.in_touch = False

    # -- the channel's stream ---------------------------------------------------------------------

    def opened(self) -> None:
        """The stream was opened; nothing is sent before the relay's welcome."""
        self._open = True
        if not self.absence.was_in_touch:
            self.replica.known_ms = 0
        self.time.opened()

    def lost(self) -> None:
        """The stream, or the connection, is gone."""
        self.replica.lose_touch()
        self._open = self._online = False
        self.doubts.lost()
        self._how = None
        self.time.lost()
        self.reading.lost()
        self.absence.lost()
        self.outbox.go_offline()
        self._set_peers(0)

    def receive(self, *payloads: bytes | Raw) -> None:
        """Takes payloads of the channel that came together: of the relay, or of other peers.

        Raises:
            RemoteProtocolError: the relay sent something that it never would. What another peer
                sent is never an error here: what cannot be taken is counted in `replica.refused`.
        """
        replica, was_open = self.replica, self._open
        for each in gather_sets(map(bytes, payloads), replica.max_value_bytes):
            if was_open and not self._open:
                return  # a handler has left the map
            held = len(replica.held)
            if isinstance(each, dict):
                self.updated(merge_items(replica, each, doubtful=self.doubts.aside))
            elif each[:1] == b"[":
                self._receive_control(each)
            else:
                self._receive_others(each)
            if len(replica.held) > held:
                self.time.ask()  # before it is believed that others are ahead, and not this behind

    def _receive_control(self, text: bytes) -> None:
        control = wire.decode_control(text)
        if not self._open:
            return  # a handler has left the map meanwhile
        if isinstance(control, wire.Welcome):
            self._welcome(control.details)
        elif control is not None and not self._online:
            raise RemoteProtocolError("the relay sent something before its welcome")
        match control:
            case wire.Members(count):
                self._set_peers(count - 1)
            case wire.Ack(number, time_ms):
                taken = self.outbox.acknowledge(number)
                self.replica.arrived(key for key, _ in taken)
                self._port.taken(taken)
                self.send_writes()
                self.time.acknowledged(time_ms)
            case wire.Donor(donor):
                self._port.begin_sync(donor)
            case wire.Alone():
                self._become_ready(ALONE)
            case wire.Client(name) if wire.is_name(name):
                self._port.serve(name)
            case wire.Reader(name) if wire.is_name(name):
                self._port.serve(name, reader=True)
            case wire.Refused():
                self.reading.refused()
                self.absence.give_up()
                self.is_busy = True
                self._port.work_soon()
            case wire.Time(sent_ms, time_ms):
                self.time.answered(sent_ms, time_ms)
                self.work()
                self.release()
            # Anything else is of a newer relay.

    def _welcome(self, welcome: wire.Details) -> None:
        if welcome.version[0] != VERSION[0]:
            raise RemoteProtocolError(f"the relay speaks version {welcome.version[0]}")
        if self._online:
            raise RemoteProtocolError("a second welcome")
        self.id = welcome.peer
        self.time.welcomed(welcome.time_ms)
        self._told_access(welcome.access)
        self.release()
        if not self._open:
            return  # a handler of what was released has left the map
        self._online = self.time.online = True
        if not self.absence.has_to_ask:
            self.outbox.go_online()
        self.work()
        self._set_peers(welcome.members - 1)

    def _told_access(self, access: str) -> None:
        self.reading.told(access)
        if self.reading.only:
            self.absence.give_up()
        else:
            self.absence.keep()

    def _receive_others(self, text: bytes) -> None:
        try:
            said = wire.decode_said(text)
        except RemoteProtocolError:
            self.replica.refused += 1
            return
        if isinstance(said, wire.Digest):
            self._port.heard_digest(said.peer, (said.count, said.sum))
        elif said is not None:
            self._take(said)

    def _take(self, texts: list[Raw]) -> None:
        self.updated(merge_all(self.replica, texts, doubtful=self.doubts.aside))

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
        self.time.correction.wrote(update)
        old = update.old.stamp if update.old is not None else None
        self.reading.wrote(update)
        self.outbox.add(update.key, update.entry, self.absence.written(update.key, old))

    def send_writes(self, most: int = TURN_MESSAGES) -> None:
        """Sends what waits in the outbox, as far as the window allows: up to `most` messages now,
        the rest in later turns.
        """
        if self.time.correction.is_on or self.reading.is_taking_back:
            return
        while self._online and (message := self.outbox.next_message()) is not None:
            self._port.send(message)
            most -= 1
            if most <= 0:
                self._port.work_soon()
                return

    # -- syncs ------------------------------------------------------------------------------------

    def synced(self) -> None:
        """The conversation with the donor is at its end."""
        self.replica.joined()
        self._port.send(_encode(["ready"]))
        self._become_ready(BY_PEER)

    def begin(self) -> Newcomer:
        """A conversation with a donor."""
        return Reader(self.replica) if self.reading.only else Newcomer(self.replica, self._met)

    def _met(self, floor_ms: int, outdated: bool) -> bool:
        """A donor told its floor; True if nothing has to be set aside before the two compare."""
        self.absence.met(floor_ms, outdated)
        self.work()
        return not self.is_busy

    def _become_ready(self, how: str) -> None:
        self.replica.get_in_touch()
        self.doubts.settle()
        asked = not self.outbox.is_online
        if asked:
            self.outbox.go_online()
        self.absence.over(how, asked=asked)
        self._how = how
        self.work()

    def work(self) -> None:
        """Goes on with what takes several turns, and tells that this peer is ready if it waits for
        that only.
        """
        done = self.time.work() and self.reading.work() and self.doubts.work()
        self.is_busy = not (done and self.absence.work())
        self.send_writes()
        if self.is_busy:
            self._port.work_soon()
        elif self._how is not None:
            how, self._how = self._how, None
            self._port.became_ready(how)

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
