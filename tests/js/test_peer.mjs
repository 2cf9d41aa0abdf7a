// One peer and its side of the channel, with a port that notes what is asked of it.

/** @import { Port } from "../../distmap/web/js/port.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { MESSAGE_CHARS } from "../../distmap/web/js/frames.js"
import { HybridClock } from "../../distmap/web/js/clock.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { OffsetEstimator } from "../../distmap/web/js/offset.js"
import { Peer } from "../../distmap/web/js/peer.js"
import { NOW_MS, Wall, refused } from "./support.mjs"

const YEAR_MS = 365 * 86_400_000

/** @param {number} [localMs] the local clock; the relay's is NOW_MS */
function fixture(localMs = NOW_MS) {
  const wall = new Wall()
  wall.ms = localMs
  /** @type {unknown[]} */
  const did = []
  /** @param {string} what */
  const note = (what) => (/** @type {any} */ detail) =>
    void did.push([what, Array.isArray(detail) ? detail.length : detail])
  /** @type {Port} */
  const port = {
    send: (payload) => void did.push(["send", JSON.parse(payload)]),
    beginSync: note("beginSync"),
    serve: note("serve"),
    updated: note("updated"),
    taken: note("taken"),
    restamped: note("restamped"),
    becameReady: note("becameReady"),
    peersChanged: note("peersChanged"),
    heardDigest: (peer, digest) => void did.push(["heardDigest", peer, ...digest]),
    superseded: note("superseded"),
  }
  const replica = new Replica(new HybridClock(wall.read, "me"))
  const peer = new Peer(replica, port, wall.read)
  return {
    wall,
    replica,
    peer,
    taken: () => did.splice(0),
    write: (/** @type {string} */ key, /** @type {unknown} */ value) => {
      const update = replica.set(key, value)
      peer.wrote(update)
      return update.entry.stamp
    },
    welcome: (members = 1) => {
      peer.opened()
      const details = { version: [1, 0], peer: "7", time_ms: NOW_MS, members }
      peer.receive(["welcome", details])
    },
  }
}

/** @param {string} key */
const entry = (key, value = 1, ms = NOW_MS) => ({ event: "set", key, value, stamp: [ms, 0, "w"] })

test("nothing is sent before the welcome", () => {
  const { peer, write, taken, welcome } = fixture()
  write("k", 1)
  peer.opened()
  peer.sendWrites()
  assert.equal(peer.askTime(), false)
  peer.tellDigest()
  assert.deepEqual(taken(), [])
  welcome(3)
  const [[what, message], ...rest] = /** @type {any[]} */ (taken())
  assert.deepEqual([what, message.key], ["send", "k"])
  assert.deepEqual(rest, [["peersChanged", 2]])
  assert.equal(peer.id, "7")
})

test("what the relay says is done", () => {
  const { peer, taken, welcome } = fixture()
  welcome()
  peer.receive(["members", 5, ["8"], []])
  peer.receive(["members", 5])
  peer.receive(["donor", "3"])
  peer.receive(["client", "3.abc"])
  peer.receive(["alone"])
  assert.deepEqual(taken(), [
    ["peersChanged", 4],
    ["beginSync", "3"],
    ["serve", "3.abc"],
    ["becameReady", "alone"],
  ])
  assert.ok(peer.inTouch)
  peer.lost()
  assert.deepEqual(taken(), [["peersChanged", 0]])
  assert.ok(!peer.inTouch)
})

test("a malformed welcome, and one of another version", () => {
  const good = { version: [1, 9], peer: "7", time_ms: NOW_MS, members: 1 }
  for (const bad of [
    { version: [2, 0] },
    { version: 1 },
    { peer: 7 },
    { time_ms: "1" },
    { members: null },
  ]) {
    const { peer } = fixture()
    refused(() => peer.receive(["welcome", { ...good, ...bad }]), "protocol", JSON.stringify(bad))
  }
  fixture().peer.receive(["welcome", { ...good, more: 1 }])
})

test("acknowledgements, and other messages that count", () => {
  const { peer, write, taken, welcome } = fixture()
  welcome()
  peer.receive(["alone"])
  peer.learned([])
  write("a", 1)
  peer.sendWrites()
  peer.tellDigest()
  write("b", 1)
  peer.sendWrites()
  taken()
  peer.receive(["ack", 1, NOW_MS])
  peer.receive(["ack", 2, NOW_MS])
  peer.receive(["ack", 3])
  assert.deepEqual(taken(), [
    ["taken", 1],
    ["taken", 0],
    ["taken", 1],
  ])
  assert.equal(peer.outbox.size, 0)
})

test("entries of others are taken, digests are handed on", () => {
  const { peer, replica, taken } = fixture()
  peer.receive(entry("a"))
  peer.receive({ event: "entries", entries: [entry("b"), entry("a"), { event: "set" }] })
  peer.receive({ event: "digest", peer: "3", count: 4, sum: 5 })
  assert.deepEqual(taken(), [
    ["updated", 1],
    ["updated", 1],
    ["heardDigest", "3", 4, 5],
  ])
  assert.deepEqual([replica.live, replica.refused], [2, 1])
})

test("the relay's time is taken half way, and the fastest answer counts", () => {
  const { peer, wall, replica } = fixture(NOW_MS - 5000)
  peer.opened()
  wall.ms += 200
  peer.receive(["welcome", { version: [1, 0], peer: "7", time_ms: NOW_MS + 100, members: 1 }])
  assert.equal(replica.clock.offsetMs, 5000)
  peer.receive(["time", wall.ms - 50_000, wall.ms + 5000 - 20_000])
  assert.equal(replica.clock.offsetMs, 5000)
  peer.receive(["time", wall.ms - 2, wall.ms + 5010])
  assert.equal(replica.clock.offsetMs, 5011)
})

test("an offset is not learned from answers that say nothing", () => {
  const offset = new OffsetEstimator()
  assert.equal(offset.add(100, 90, 95), null)
  assert.equal(offset.add(0, 60_001, 5), null)
  assert.equal(offset.add(0, 10, 105), 100)
  for (let n = 0; n < 20; n++) assert.equal(offset.add(0, 100, 170), n < 7 ? 100 : 120)
  assert.equal(offset.add(0, 100, 5050), 5000, "a jump")
  offset.forget()
  assert.equal(offset.add(0, 500, 0), -250)
})

test("one whose clock was a year ahead stamps anew what nobody has seen", () => {
  const { peer, replica, write, taken, welcome } = fixture(NOW_MS + YEAR_MS)
  assert.ok(write("k", 1).ms > NOW_MS + YEAR_MS - 1)
  write("other", 1)
  welcome()
  const [first, [, message]] = /** @type {any[]} */ (taken())
  assert.deepEqual(first, ["restamped", 2])
  for (const { stamp } of message.entries) assert.equal(stamp[0], NOW_MS)
  assert.equal(replica.entries.get("k")?.stamp.ms, NOW_MS)
  assert.equal(peer.outbox.size, 2)
})

test("one whose clock jumped ahead writes once more what it had sent", () => {
  const { peer, replica, wall, write, taken, welcome } = fixture()
  welcome()
  peer.receive(["alone"])
  wall.ms += YEAR_MS
  write("k", 1)
  peer.sendWrites()
  peer.receive(entry("theirs", 1, NOW_MS + YEAR_MS))
  taken()
  peer.receive(["ack", 1, NOW_MS])
  assert.deepEqual(taken(), [
    ["taken", 1],
    ["send", ["time", wall.ms]],
  ])
  peer.receive(["ack", 1, NOW_MS])
  peer.receive(["time", wall.ms, NOW_MS])
  const events = taken()
  peer.sendWrites()
  assert.deepEqual(
    events.map((event) => /** @type {any} */ (event)[0]),
    ["taken", "restamped", "restamped", "send"],
  )
  assert.deepEqual(events.at(-1), ["send", ["sync", null]])
  assert.equal(replica.entries.get("k")?.stamp.ms, NOW_MS)
  assert.equal(replica.held.size, 2)
  const [[, again]] = /** @type {any[]} */ (taken())
  assert.deepEqual([again.key, again.stamp[0]], ["k", NOW_MS])
})

test("what is held makes it ask for the time, and is told after a sync", () => {
  const { peer, taken, welcome } = fixture()
  welcome()
  peer.receive(entry("later", 1, NOW_MS + 100_000))
  peer.receive(entry("later still", 1, NOW_MS + 200_000))
  assert.deepEqual(taken(), [["send", ["time", NOW_MS]]])
  peer.synced()
  const [ready, became, told] = /** @type {any[]} */ (taken())
  assert.deepEqual(ready, ["send", ["ready"]])
  assert.deepEqual(became, ["becameReady", "peer"])
  assert.equal(told[1].entries.length, 2)
})

test("another donor is asked for, and broadcasts are bounded", () => {
  const { peer, replica, taken, welcome } = fixture()
  welcome()
  peer.syncFailed("3")
  assert.deepEqual(taken(), [["send", ["sync", "3"]]])
  const updates = Array.from({ length: 20 }, (_, n) => replica.set(`k${n}`, "x".repeat(100_000)))
  peer.learned(updates)
  const [told, ...messages] = /** @type {any[]} */ (taken())
  assert.deepEqual(told, ["updated", 20])
  assert.equal(messages.length, 7)
  for (const [, message] of messages) {
    assert.ok(JSON.stringify(message).length < MESSAGE_CHARS + 110_000)
  }
  peer.lost()
  taken()
  peer.learned(updates.slice(0, 1))
  peer.syncFailed("3")
  assert.deepEqual(taken(), [["updated", 1]])
})
