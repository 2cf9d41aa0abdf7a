"""A relay's core and its clients, back to back without sockets."""

from __future__ import annotations

import gc
import json
from typing import Any
from unittest import TestCase

from distmap.channel import Channel, Member
from distmap.frames import DEFAULT_LIMITS, Limits
from distmap.mux import MuxDemux
from distmap.router import Link, Relay
from distmap.states import Kind, MuxStream
from distmap.switchboard import End, Listener

VERSIONED = {"version": [1, 0]}

Heard = tuple[str, Any]
"""What happened to a stream, and its detail: decoded JSON for data."""


class Client:
    """One connection to the relay: what it opens, and what it hears on each stream."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.mux = MuxDemux(id_prefix=f"{name}-")
        self.link = world.relay.connect(name)
        self.link.owner = self
        self.messages = 0
        self._world = world
        self._heard: dict[MuxStream, list[Heard]] = {}

    def open(self, meta: Any, **options: Any) -> MuxStream:
        stream = self.mux.open(meta, **options)
        self._heard[stream] = []
        return stream

    def join(self, uri: str = "/u", **options: Any) -> MuxStream:
        """Opens a channel as a peer of ours does."""
        return self.open({"route": f"{uri}/channel", **VERSIONED}, **options)

    def send(self, stream: MuxStream, payload: Any) -> None:
        self.mux.send(stream, json.dumps(payload).encode())

    def hear(self, message: bytes) -> None:
        self.messages += 1
        for kind, stream, detail in self.mux.receive(message):
            assert kind is not Kind.FAILED, detail
            if stream is None:
                continue  # both sides closed it at one time
            heard = json.loads(bytes(detail)) if kind is Kind.DATA else detail
            self._heard[stream].append((kind.value, heard))

    def heard(self, stream: MuxStream) -> list[Heard]:
        """What happened to a stream since the last call."""
        heard, self._heard[stream] = self._heard[stream], []
        return heard

    def data(self, stream: MuxStream) -> list[Any]:
        """The payloads since the last call; nothing else may have happened."""
        heard = self.heard(stream)
        assert {what for what, _ in heard} <= {"data"}, heard
        return [detail for _, detail in heard]

    def disconnect(self) -> None:
        self._world.relay.disconnect(self.link)
        self._world.clients.remove(self)
        self.mux.disconnect()


class World:
    """A relay and its clients; time stands still."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.now_ms = 1_000_000.0
        self.observed: list[tuple[str, str, dict[str, Any]]] = []
        self.relay = Relay(lambda: self.now_ms, self._observe, limits)
        self.clients: list[Client] = []

    def _observe(self, event: str, link: Link, details: dict[str, Any]) -> None:
        self.observed.append((event, link.name, details))

    def client(self) -> Client:
        client = Client(self, f"c{len(self.clients)}")
        self.clients.append(client)
        return client

    def up(self) -> None:
        """All that the clients have to send reaches the relay."""
        for client in list(self.clients):
            data = b"".join(client.mux.take())
            if data:
                failure = self.relay.receive(client.link, data)
                assert failure is None, failure

    def down(self) -> int:
        """All that the relay has to send reaches the clients; returns how many messages."""
        outgoing = self.relay.flush()
        for message, links in outgoing:
            for link in links:
                if link in self.relay.links:
                    link.owner.hear(message)
        return len(outgoing)

    def settle(self) -> None:
        """Until there is nothing left to send."""
        while True:
            self.up()
            if not self.down() and not any(client.mux.has_output for client in self.clients):
                return

    def assert_empty(self, case: TestCase) -> None:
        """Everybody has gone: nothing of them may be left."""
        relay, hub = self.relay, self.relay.hub
        relay.flush()
        case.assertEqual(relay.links, set())
        case.assertEqual(relay._touched, {})
        case.assertEqual(relay.switchboard._listeners, {})
        case.assertEqual((hub.channels, hub._dirty, hub._changed), ({}, {}, {}))
        case.assertEqual(hub._controls, [])


def remains(*kinds: type) -> list[Any]:
    """The objects of the relay that are still referred to from anywhere."""
    gc.collect()
    kinds = kinds or (Link, End, Listener, Member, Channel)
    return [each for each in gc.get_objects() if type(each) in kinds]
