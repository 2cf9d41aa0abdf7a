"""The streams on which two peers sync: conversations of :mod:`distmap.sync` over the relay."""

from __future__ import annotations

from typing import Protocol

from distmap.conversation import Conversation, Host
from distmap.lww import Update
from distmap.session import Session
from distmap.sync import Donor, Newcomer
from distmap.sync_wire import is_push


class Party(Host, Protocol):
    """What the two sides of a sync need of their map."""

    def new_conversation(self) -> Newcomer:
        """This peer's part as a newcomer."""

    def merged(self, updates: list[Update]) -> None:
        """The donor's entries took their place."""

    def learned(self, updates: list[Update]) -> None:
        """The newcomer's entries took their place: they are news to the others too."""

    def told(self, texts: list[bytes]) -> None:
        """The newcomer brought entries from the future: they are news to the others too."""

    def sync_done(self, syncing: Syncing) -> None:
        """This newcomer has everything."""

    def sync_failed(self, syncing: Syncing, reason: str) -> None:
        """This newcomer needs another donor."""

    def serving_ended(self, serving: Serving | Refusing) -> None:
        """This donor has nothing left to do."""


class Syncing(Conversation[Party]):
    """This peer as the newcomer.

    Args:
        party: its map.
        session: the connection.
        donor: the member to sync with.
        client: names this conversation.
    """

    def __init__(self, party: Party, session: Session, donor: str, client: str) -> None:
        self.donor = donor
        self._newcomer = party.new_conversation()
        self._started = False
        super().__init__(party, session, f"{party.uri}/proxy/client/{donor}/{client}")

    def _needs_sums(self) -> bool:
        return not self._newcomer.blank

    def _step(self) -> None:
        if not self._started:
            self._started = True
            self._send(self._newcomer.start())
        if self._newcomer.waits:
            self._send(self._newcomer.go_on())
        elif self._inbox:
            messages, updates = self._newcomer.receive(self._inbox.popleft())
            self._party.merged(updates)
            self._send(messages)
        if self._newcomer.done:
            self.stop()
            self._party.sync_done(self)

    def _waits(self) -> bool:
        return self._newcomer.waits

    def _counts(self, message: bytes) -> bool:
        """What it asks can be long, and the answers still make no headway."""
        return is_push(message)

    @property
    def repaired(self) -> int:
        """See :class:`Newcomer`."""
        return self._newcomer.repaired

    def _fail(self, reason: str) -> None:
        self.stop()
        self._party.sync_failed(self, reason)


class Serving(Conversation[Party]):
    """This peer as the donor.

    Args:
        party: its map.
        session: the connection.
        member: this peer's name on the channel.
        client: the conversation that the relay announced.
        reader: the newcomer may only read.
    """

    def __init__(
        self, party: Party, session: Session, member: str, client: str, *, reader: bool = False
    ) -> None:
        self._donor = Donor(party.replica, reader=reader)
        route = f"{party.uri}/proxy/server/{member}/client/{client}/{client}"
        super().__init__(party, session, route)

    def _step(self) -> None:
        if not self._inbox:
            return
        messages, updates = self._donor.receive(self._inbox.popleft())
        # Before the answer: the newcomer then knows that nothing it brought can be lost with us.
        self._party.learned(updates)
        self._party.told(self._donor.news)
        self._send(messages)

    def _fail(self, reason: str) -> None:
        self.stop()
        self._party.serving_ended(self)


class Refusing(Conversation[Party]):
    """This peer as a donor that serves as many as it can already."""

    def __init__(self, party: Party, session: Session, member: str, client: str) -> None:
        route = f"{party.uri}/proxy/server/{member}/client/{client}/{client}"
        super().__init__(party, session, route)

    def _step(self) -> None:
        if self._stream is not None:
            self._session.error(self._stream, "this donor serves enough newcomers", "busy")

    def _fail(self, reason: str) -> None:
        self.stop()
        self._party.serving_ended(self)
