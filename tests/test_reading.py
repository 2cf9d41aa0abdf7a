"""distmap.reading: peers that may only read, well-behaved and hostile."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from distmap import Change, DistributedMap, connect
from distmap.entrance import MAX_HELD_BYTES
from distmap.errors import AccessRefused
from distmap.relay_server import RelayOptions
from distmap.testing import Network
from tests.support.authorizers import Scripted
from tests.support.processes import fires, until
from tests.support.sockets import RawPeer, raw_peer, start_relay

CREDENTIALS = {"route": "credentials", "version": [1, 0]}


class MemoryTestCase(TestCase):
    def setUp(self) -> None:
        self.network = Network(options=RelayOptions(authorizer=Scripted()))
        self.addCleanup(self.end)

    def end(self) -> None:
        self.network.close()
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def open(self, shown: str = "write") -> DistributedMap:
        return self.network.open(credentials=shown)

    def equal(self, *maps: DistributedMap) -> None:
        for each in maps:
            self.assertEqual(dict(each), dict(maps[0]))
            self.assertEqual(each.digest(), maps[0].digest())


class Readers(MemoryTestCase):
    def test_it_reads(self) -> None:
        writer = self.open()
        writer.update({f"key {number}": number for number in range(500)})
        reader = self.open("read")
        self.network.settle()
        self.assertEqual((reader.access, reader.synced, writer.access), ("read", "peer", "write"))
        writer["live"] = True
        del writer["key 7"]
        self.network.settle()
        self.assertEqual(len(reader), 500)
        self.equal(writer, reader)

    def test_it_does_not_write(self) -> None:
        writer, reader = self.open(), self.open("read")
        writer["apple"] = 1
        self.network.settle()
        told: list[Change] = []
        reader.observe(told.append)
        with self.assertRaises(AccessRefused):
            reader["apple"] = 2
        with self.assertRaises(AccessRefused):
            del reader["apple"]
        for write in (
            lambda: reader.set("apple", 2),
            lambda: reader.delete("apple"),
            lambda: reader.update(apple=2),
            reader.batch,
        ):
            with self.assertRaises(AccessRefused):
                write()
        self.assertEqual((dict(reader), told), ({"apple": 1}, []))
        self.network.cut(reader.connection)
        self.network.settle(0.01)
        with self.assertRaises(AccessRefused):
            reader["apple"] = 2

    def test_what_it_wrote_before_it_knew_is_taken_back(self) -> None:
        writer = self.open()
        writer["apple"] = 1
        self.network.settle()
        reader = self.open("read")
        told: list[tuple[str, Any]] = []
        reader.observe(lambda change: told.append((change.key, change.value)))
        done = [reader.set("apple", 99), reader.set("pear", 2), reader.set("pear", 3)]
        with reader.batch() as batch:
            reader["plum"] = 4
        done.append(batch.taken())
        self.assertEqual(dict(reader), {"apple": 99, "pear": 3, "plum": 4})
        self.network.settle()
        for each in done:
            self.failureResultOf(each, AccessRefused)
        self.assertEqual(dict(reader), {"apple": 1})
        self.equal(writer, reader)
        self.assertEqual(
            {key for key, value in told[4:] if value is None}, {"apple", "pear", "plum"}
        )

    def test_what_stood_there_comes_back(self) -> None:
        """A writer that comes back as a reader shows what it had before, in one step."""
        answers = ["read", "write"]
        shared = self.network.open(credentials=answers.pop)
        self.network.settle()
        shared["apple"] = 1
        self.network.settle()
        self.network.cut(shared.connection)
        written = [shared.set("apple", 2), shared.set("apple", 3), shared.delete("apple")]
        told: list[tuple[Any, Any]] = []
        shared.observe(lambda change: told.append((change.old_value, change.value)))
        shared["apple"] = 4
        self.network.settle(10)
        for each in written:
            self.failureResultOf(each, AccessRefused)
        self.assertEqual(dict(shared), {"apple": 1})
        self.assertEqual(told, [(None, 4), (4, 1)])

    def test_what_only_it_has_goes(self) -> None:
        """It could not offer it to anybody, and would differ for ever."""
        writer, reader = self.open(), self.open("read")
        writer.update({f"key {number}": number for number in range(3000)})
        self.network.settle(0.2)
        self.equal(writer, reader)
        writer.connection.close()
        self.network.settle()
        other = self.open()
        other["key 5"] = "another"
        other["new"] = True
        self.network.settle(1)
        self.assertEqual(dict(reader), {"key 5": "another", "new": True})
        self.equal(other, reader)

    def test_alone_and_then_not(self) -> None:
        one, two = self.open("read"), self.open("read")
        self.network.settle()
        self.assertEqual((one.synced, two.synced, one.peers), ("alone", "alone", 1))
        writer = self.network.connect(credentials="write")
        shared = DistributedMap(writer, one.uri)
        shared["apple"] = 1
        self.network.settle(1)
        self.equal(shared, one, two)
        self.assertEqual(shared.synced, "alone")
        second = self.open()
        self.network.settle()
        self.assertEqual(second.synced, "peer")

    def test_a_reader_is_never_the_donor(self) -> None:
        writer = self.open()
        writer["apple"] = 1
        readers = [self.open("read") for _ in range(6)]
        self.network.settle()
        writer.connection.close()
        self.network.settle()
        late = self.open()
        self.network.settle()
        self.assertEqual((late.synced, dict(late)), ("alone", {}))
        self.network.settle(30)
        self.equal(late, *readers)

    def test_it_does_not_gossip_and_is_repaired(self) -> None:
        writer, reader = self.open(), self.open("read")
        writer["apple"] = 1
        self.network.settle()
        reader._replica.forget("apple")
        reader._replica.set("bad", 1)
        self.network.settle(40)
        self.equal(writer, reader)
        self.assertEqual(dict(reader), {"apple": 1})
        (error,) = self.flushLoggedErrors() or [None]
        self.assertIsNone(error)

    def test_broadcasts_during_its_sync_are_kept(self) -> None:
        network = Network(delay_seconds=0.05, options=RelayOptions(authorizer=Scripted()))
        self.addCleanup(network.close)
        writer = network.open(credentials="write")
        network.settle(1)
        writer.update({f"key {number}": number for number in range(2000)})
        network.settle(1)
        reader = network.open(credentials="read")
        for number in range(60):
            writer[f"late {number}"] = number
            writer[f"key {number}"] = -number
            network.settle(0.05)
        network.settle(1)
        self.equal(writer, reader)

    def test_plain_members_only_get(self) -> None:
        writer = self.open()
        connection = self.network.connect(credentials="read")
        stream = connection.create_stream(f"{writer.uri}/channel")
        heard: list[Any] = []
        stream.on("data", heard.append)
        stream.write({"event": "set", "key": "apple", "value": 666, "stamp": [1, 0, "x"]})
        self.network.settle()
        writer["apple"] = 1
        self.network.settle()
        self.assertEqual([each["value"] for each in heard], [1])
        self.assertEqual((dict(writer), str(stream.id) != ""), ({"apple": 1}, True))


class Hostile(TestCase):
    """A reader that speaks the protocol as it likes, over a real socket."""

    timeout = 60

    async def reader(self, port: int) -> RawPeer:
        peer = await raw_peer(self, port)
        peer.open("shown", CREDENTIALS)
        peer.send_mux("shown", "data", "read")
        peer.open("/u/channel", {"route": "/u/channel", "version": [1, 0]})
        await until(lambda: peer.got("/u/channel", "data"), what=lambda: peer.lines)
        return peer

    async def test_it_cannot_write(self) -> None:
        service, port = start_relay(self, RelayOptions(authorizer=Scripted()))
        connections = [
            connect(reactor, f"ws://127.0.0.1:{port}/", credentials=shown)
            for shown in ("write", "read")
        ]
        for each in connections:
            self.addCleanup(each.close)
        writer, victim = [DistributedMap(each, "/u") for each in connections]
        await fires(writer.ready())
        await fires(victim.ready())
        await fires(writer.set("apple", 1))
        await until(lambda: "apple" in victim)
        donor = writer._seat.peer.id
        told: list[Change] = []
        writer.observe(told.append)
        victim.observe(told.append)

        peer = await self.reader(port)
        now_ms = int(reactor.seconds() * 1000)
        forged = {"event": "set", "key": "apple", "value": 666, "stamp": [now_ms, 9, "x"]}
        channel = "/u/channel"
        # On the channel, one by one and many at once, and as a member of the old kind.
        peer.send_mux(channel, "data", forged)
        peer.send(b"".join(b'["/u/channel","data",%b]\n' % _encode(forged) for _ in range(50)))
        peer.send_mux(channel, "data", {"event": "entries", "entries": [forged]})
        digest = {"event": "digest", "peer": "1", "count": 9, "sum": 9}
        peer.send_mux(channel, "data", digest)
        await until(lambda: peer.got(channel, "data", ["refused", 53]), what=lambda: peer.lines)
        peer.open("plain", "/u/channel")
        peer.send_mux("plain", "data", forged)
        # As somebody who serves others.
        peer.send_mux(channel, "data", ["ready"])
        welcome = next(line[2][1] for line in peer.lines if line[2][:1] == ["welcome"])
        for name, meta in (
            ("listen", "/u/proxy/server/s"),
            ("digits", f"/u/proxy/server/{welcome['peer']}"),
            ("take", f"/u/proxy/server/{donor}/client/c/1"),
            ("named", "/u/proxy/client/s/c"),
        ):
            peer.open(name, meta)
            await until(lambda name=name: peer.got(name, "error"))  # type: ignore[misc]
            (error,) = [line[2] for line in peer.lines if line[:2] == [name, "error"]]
            self.assertEqual(error["code"], "refused")
        # As a newcomer that hands over what it likes, with floors and held entries too.
        peer.open("sync", f"/u/proxy/client/{donor}/c1")
        await until(lambda: peer.got("sync", "data", "[stream-server]:open"))
        hello = {"event": "hello", "version": [1, 0], "count": 1, "sum": 5, "floor_ms": now_ms}
        held = {**forged, "stamp": [now_ms + 10**9, 0, "x"]}
        for message in (
            hello,
            {"event": "push", "id": 1, "entries": [forged]},
            {"event": "done", "held": [held, forged]},
        ):
            peer.send_mux("sync", "data", message)
        await until(lambda: any(line[2].get("event") == "done" for line in _data(peer, "sync")))
        taken = [line[2] for line in _data(peer, "sync") if line[2].get("event") == "taken"]
        self.assertEqual(len(taken), 1)
        # Nobody asks it for anything, although it said that it is ready.
        third = connect(reactor, f"ws://127.0.0.1:{port}/", credentials="write")
        self.addCleanup(third.close)
        late = DistributedMap(third, "/u")
        await fires(late.ready())
        self.assertFalse(
            [line for line in peer.lines if line[1:2] == ["data"] and "client" in line[2]]
        )
        await fires(writer.set("pear", 2))
        await until(lambda: "pear" in victim and "pear" in late)
        for shared in (writer, victim, late):
            self.assertEqual(dict(shared), {"apple": 1, "pear": 2})
            self.assertEqual(len(shared._replica.held), 0)
            self.assertEqual(shared._replica.floor_ms, 0)
        self.assertEqual({change.key for change in told}, {"pear"})
        self.assertTrue(any("pear" in str(line) for line in _data(peer, channel)))
        self.assertEqual(
            service.server.core.hub.channels["/u"].ready.keys() & {welcome["peer"]}, set()
        )

    async def test_who_may_nothing_holds_nothing_up(self) -> None:
        """What it sends before the answer is bounded."""
        _, port = start_relay(self, RelayOptions(authorizer=Scripted()))
        peer = await raw_peer(self, port)
        peer.open("shown", CREDENTIALS)
        peer.open("/u/channel", "/u/channel")
        for _ in range(3):
            peer.send_mux("/u/channel", "data", "x" * (MAX_HELD_BYTES // 2))
        await until(lambda: peer.got("/u/channel", "error"))
        (error,) = [line[2] for line in peer.lines if line[1] == "error"]
        self.assertEqual(error["code"], "limit")


def _data(peer: RawPeer, stream: str) -> list[Any]:
    found = [line for line in peer.lines if line[:2] == [stream, "data"]]
    return [line for line in found if not isinstance(line[2], str)]


def _encode(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()
