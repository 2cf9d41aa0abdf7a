// One peer and its side of the channel, with a port that notes what is asked of it.

/** @import { Port } from "../../distmap/web/js/port.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { MESSAGE_CHARS } from "../../distmap/web/js/frames.js"
import { HybridClock, MIN_TIME_MS } from "../../distmap/web/js/clock.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { OffsetEstimator } from "../../distmap/web/js/offset.js"
import { Peer } from "../../distmap/web/js/peer.js"
import { NOW_MS, Wall, refused } from "./support.mjs"

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS

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
    refused: (writes, updates) => void did.push(["refused", writes.length, updates.length]),
    workSoon: () => note("workSoon")(null),
  }
  const replica = new Replica(new HybridClock(wall.read, "me"))
  const peer = new Peer(replica, port, wall.read)
  let relayMs = NOW_MS
  return {
    wall,
    port,
    /** Sets both clocks. */
    relayMs: (/** @type {number} */ ms) => {
      relayMs = wall.ms = ms
    },
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
      const details = { version: [1, 0], peer: "7", time_ms: relayMs, members }
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
  assert.equal(peer.time.ask(), false)
  peer.tellDigest()
  assert.deepEqual(taken(), [])
  welcome(3)
  const [[what, message], ...rest] = /** @type {any[]} */ (taken())
  assert.deepEqual([what, message.key], ["send", "k"])
  assert.deepEqual(rest, [["peersChanged", 2]])
  assert.equal(peer.id, "7")
})

test("what the relay says is done", () => {
  const { peer, replica, taken, welcome } = fixture()
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
  assert.ok(replica.inTouch)
  peer.lost()
  assert.deepEqual(taken(), [["peersChanged", 0]])
  assert.ok(!replica.inTouch)
})

test("until when it knows of all deletes", () => {
  const { peer, replica, welcome, wall } = fixture()
  assert.deepEqual([replica.knownMs, replica.inTouch], [null, false])
  peer.opened()
  peer.lost()
  assert.equal(replica.knownMs, 0, "others may know more")
  welcome(2)
  peer.receive(["donor", "3"])
  assert.equal(replica.knownMs, 0, "who is there knows more")
  const newcomer = peer.begin()
  newcomer.start()
  newcomer.receive({ event: "hello", version: [1, 0], count: 0, sum: 0 })
  newcomer.receive({ event: "done" })
  peer.synced()
  assert.deepEqual([replica.knownMs, replica.inTouch], [null, true])
  peer.receive(["donor", "3"])
  assert.equal(replica.knownMs, null, "a repair, or what was let go")
  wall.ms += 5000
  peer.lost()
  assert.equal(replica.knownMs, NOW_MS, "what the relay last said")
  peer.lost()
  assert.equal(replica.knownMs, NOW_MS)
  welcome(2)
  peer.receive(["donor", "3"])
  assert.equal(replica.knownMs, NOW_MS)
  peer.receive(["alone"])
  assert.deepEqual([replica.knownMs, replica.gaps], [null, []], "the relay's time stood still")
})

test("one that is alone from the beginning, or comes back alone, does not know of all deletes", () => {
  const { peer, replica, welcome, relayMs, taken } = fixture()
  welcome()
  peer.receive(["alone"])
  assert.deepEqual(replica.gaps, [[0, NOW_MS]])
  assert.ok(!replica.mayForget)
  peer.lost()
  relayMs(NOW_MS + replica.retentionMs + 1)
  welcome()
  peer.receive(["alone"])
  taken()
  const returnedMs = replica.clock.latestMs()
  /** @type {[number, number][]} */
  const gaps = [[NOW_MS, returnedMs]]
  for (const [ms, wanted] of /** @type {[number, [number, number][]][]} */ ([
    [0, gaps],
    [replica.retentionMs, gaps],
    [replica.retentionMs + 1, []],
  ])) {
    relayMs(returnedMs + ms)
    peer.receive(["time", returnedMs + ms, returnedMs + ms])
    peer.lookUp()
    assert.deepEqual([replica.knownMs, replica.gaps], [null, wanted])
  }
  assert.ok(replica.mayForget)
  assert.equal(/** @type {any} */ (taken()[0])[1][0], "time")
})

test("a malformed welcome, and one of another version", () => {
  const good = { version: [1, 9], peer: "7", time_ms: NOW_MS, members: 1 }
  for (const bad of [
    { version: [2, 0] },
    { version: 1 },
    { peer: 7 },
    { time_ms: "1" },
    { members: null },
    { members: 0 },
    { version: [1] },
    { version: [1, "0"] },
    { version: [true, 0] },
    { peer: "" },
    { peer: "7/proxy/client/8" },
    { peer: "7".repeat(129) },
    { time_ms: -1 },
    { time_ms: Infinity },
    { time_ms: 9e15 },
  ]) {
    const { peer } = fixture()
    peer.opened()
    refused(() => peer.receive(["welcome", { ...good, ...bad }]), "protocol", JSON.stringify(bad))
  }
  const { peer, welcome } = fixture()
  peer.opened()
  peer.receive(["welcome", { ...good, more: 1 }, "more"])
  refused(() => welcome(), "protocol", "a second welcome")
})

test("malformed messages of the relay, and what comes too early", () => {
  for (const message of [
    ...[[], [1], [null], [[]], ["welcome"], ["welcome", 1], ["ack"], ["ack", "1"], ["ack", 1, "2"]],
    ...[["members"], ["members", "x"], ["members", true], ["members", 0], ["members", 1.5]],
    ...[["donor"], ["donor", 1], ["donor", ""], ["donor", "a/b"], ["client"], ["client", 1]],
    ...[["time"], ["time", 1], ["time", "a", "b"], ["time", Infinity, 1], ["time", 1, Infinity]],
    ...[["ack", -1, 1], ["ack", 1], ["time", -1, 1], ["time", 1, 9e15]],
  ]) {
    const { peer, welcome, taken } = fixture()
    welcome()
    taken()
    refused(() => peer.receive(message), "protocol", JSON.stringify(message))
    assert.deepEqual(taken(), [])
  }
  for (const message of [["alone"], ["donor", "3"], ["client", "3"], ["ack", 1, 1], ["members", 1]]) {
    const { peer, taken } = fixture()
    peer.opened()
    refused(() => peer.receive(message), "protocol", JSON.stringify(message))
    peer.receive(["news", message])
    assert.deepEqual(taken(), [])
  }
})

test("a newcomer's name that is none, and a digest of nobody", () => {
  const { peer, replica, welcome, taken } = fixture()
  welcome()
  taken()
  for (const name of ["", "a/b", "x".repeat(129)]) {
    peer.receive(["client", name])
    peer.receive({ event: "digest", peer: name, count: 1, sum: 1 })
  }
  for (const bad of [{ count: true }, { count: -1 }, { sum: 1.5 }, { peer: 3 }]) {
    peer.receive({ event: "digest", peer: "3", count: 1, sum: 1, ...bad })
  }
  assert.equal(replica.refused, 7)
  assert.deepEqual(taken(), [])
})

test("what is a field of one message is anything in another", () => {
  const { peer, replica, welcome } = fixture()
  welcome()
  const stamp = [NOW_MS, 0, "w"]
  peer.receive({ event: "set", key: "a", value: 1, stamp, entries: 5, peer: [], count: "x" })
  assert.deepEqual([replica.refused, replica.live], [0, 1])
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
  peer.receive(["ack", 3, NOW_MS])
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
  assert.deepEqual(
    events.map((event) => /** @type {any} */ (event)[0]),
    ["taken", "restamped", "updated", "send", "send"],
  )
  const [[, asked], [, again]] = /** @type {any[]} */ (events.slice(-2))
  assert.deepEqual(asked, ["sync", null])
  assert.deepEqual([again.key, again.stamp[0]], ["k", NOW_MS])
  assert.equal(replica.entries.get("k")?.stamp.ms, NOW_MS)
  assert.equal(replica.held.size, 2)
})

test("a relay that has lost its clock is not believed", () => {
  const { replica, peer, taken } = fixture()
  const { clock } = replica
  const asked = () => taken().filter((each) => Array.isArray(each) && each[0] === "send").length
  const { entry } = replica.set("mine", 1)
  for (const time_ms of [0, 946_684_800_000, MIN_TIME_MS - 1]) {
    peer.opened()
    peer.receive(["welcome", { version: [1, 0], peer: "1", time_ms, members: 2 }])
    assert.deepEqual([clock.nowMs(), clock.latestMs(), clock.heardMs], [NOW_MS, NOW_MS, null])
    peer.lost()
  }
  assert.deepEqual([replica.entries.get("mine"), replica.held.size], [entry, 0])
  peer.opened()
  peer.receive(["welcome", { version: [1, 0], peer: "1", time_ms: NOW_MS + 5000, members: 2 }])
  assert.deepEqual([clock.nowMs(), clock.heardMs], [NOW_MS + 5000, NOW_MS + 5000])
  asked()
  peer.receive(["ack", 0, 7])
  assert.equal(asked(), 1, "it has jumped")
  peer.receive(["time", NOW_MS, 8])
  assert.deepEqual([clock.nowMs(), clock.heardMs], [NOW_MS + 5000, null], "as corrected last")
  peer.receive(["ack", 0, 9])
  assert.equal(asked(), 0, "that it has none is known")
  peer.receive(["ack", 0, NOW_MS + 60_000])
  assert.equal(asked(), 1)
})

test("what is held makes it ask for the time", () => {
  const { peer, taken, welcome } = fixture()
  welcome()
  peer.receive(entry("later", 1, NOW_MS + 100_000))
  peer.receive(entry("later still", 1, NOW_MS + 200_000))
  assert.deepEqual(taken(), [["send", ["time", NOW_MS]]])
  peer.synced()
  assert.deepEqual(taken(), [
    ["send", ["ready"]],
    ["becameReady", "peer"],
  ])
})

test("before it is in touch it puts old entries aside that it does not know", () => {
  const { peer, replica, welcome } = fixture()
  welcome(2)
  const old = NOW_MS - replica.retentionMs - 1
  peer.receive(entry("old", 1, old))
  peer.receive(entry("young", 1, old + 1))
  assert.deepEqual([...replica.entries.keys()], ["young"])
  peer.lost()
  welcome(2)
  peer.receive(entry("older", 1, old - 1))
  syncWith(peer, old)
  assert.deepEqual([[...replica.entries.keys()], replica.refused], [["young"], 1])
  peer.receive(entry("old", 1, old))
  assert.deepEqual([...replica.entries.keys()], ["young", "old"])
})

test("what was put aside is taken when it is in touch", () => {
  const { peer, replica, welcome } = fixture()
  welcome(2)
  peer.receive(entry("old", 1, 1))
  syncWith(peer, 0)
  assert.deepEqual([...replica.entries.keys()], ["old"])
})

/**
 * Lets a peer sync with a donor that has collected tombstones up to a time, and has nothing else.
 *
 * @param {Peer} peer
 * @param {number} floorMs
 */
function syncWith(peer, floorMs) {
  peer.receive(["donor", "3"])
  const newcomer = peer.begin()
  newcomer.start()
  const hello = { event: "hello", version: [1, 0], count: 0, sum: 0, floor_ms: floorMs }
  const [messages] = newcomer.receive(hello)
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.event === "push") newcomer.receive({ event: "taken", id: message.id })
  }
  newcomer.receive({ event: "done", held: [] })
  peer.synced()
}

test("one that a stale donor has told knows of as few deletes", () => {
  const { peer, replica, welcome, relayMs } = fixture()
  welcome(2)
  peer.receive(["donor", "3"])
  const newcomer = peer.begin()
  newcomer.start()
  const knownMs = NOW_MS - replica.retentionMs - 1
  const gaps = [[knownMs, NOW_MS - 5]]
  newcomer.receive({ event: "hello", version: [1, 0], count: 0, sum: 0, gaps })
  newcomer.receive({ event: "done" })
  peer.synced()
  assert.deepEqual([replica.knownMs, replica.gaps], [null, gaps])
  for (const [ms, wanted] of /** @type {[number, number[][]][]} */ ([
    [replica.retentionMs - 5, gaps],
    [replica.retentionMs - 4, []],
  ])) {
    const timeMs = NOW_MS + ms
    relayMs(timeMs)
    peer.receive(["time", timeMs, timeMs])
    peer.lookUp()
    assert.deepEqual(replica.gaps, wanted)
  }
})

test("one that another tells to go on alone, while others are there, does not know better", () => {
  const { peer, replica, welcome, relayMs } = fixture()
  welcome()
  peer.receive(["alone"])
  peer.lost()
  relayMs(NOW_MS + replica.retentionMs + 1)
  welcome(3)
  peer.receive(["alone"])
  const [[sinceMs, untilMs]] = replica.gaps
  assert.deepEqual([sinceMs, untilMs], [NOW_MS, NOW_MS + replica.retentionMs + 1])
  assert.ok(!replica.mayForget)
})

test("one that never was in touch need not ask what became of its writes", () => {
  const { peer, replica, write, welcome, taken } = fixture()
  welcome(2)
  peer.receive(["donor", "3"])
  peer.lost()
  assert.equal(replica.knownMs, 0)
  write("k", 1)
  taken()
  welcome(2)
  const [[what, sent]] = /** @type {any[]} */ (taken())
  assert.deepEqual([what, sent.key], ["send", "k"])
})

test("writes with stamps of a clock far behind are offered again with good ones", () => {
  const { peer, replica, write, taken, welcome } = fixture(NOW_MS - YEAR_MS)
  const { ms } = write("k", 1)
  assert.equal(ms, NOW_MS - YEAR_MS)
  welcome(2)
  assert.deepEqual(taken(), [["peersChanged", 1]], "it is not sent before it has asked")
  syncWith(peer, NOW_MS - 40 * DAY_MS)
  const events = /** @type {any[]} */ (taken())
  assert.deepEqual(
    events.map(([what]) => what),
    [
      ...["beginSync", "updated", "send", "restamped", "updated", "taken", "superseded", "send"],
      "becameReady",
    ],
  )
  const [, sent] = events[7]
  assert.deepEqual([sent.key, sent.value, sent.stamp[0]], ["k", 1, NOW_MS])
  assert.equal(replica.live, 1)
})

test("writes with old stamps are sent as they are where no delete was forgotten", () => {
  const { peer, write, taken, welcome } = fixture(NOW_MS - YEAR_MS)
  const stamp = write("k", 1)
  welcome(2)
  syncWith(peer, 0)
  const events = /** @type {any[]} */ (taken())
  const [, sent] = events.find(([, each]) => each?.key === "k")
  assert.equal(sent.stamp[0], stamp.ms)
})

test("writes with old stamps go on as they are if nobody is there to ask", () => {
  const { peer, write, taken, welcome } = fixture(NOW_MS - YEAR_MS)
  const stamp = write("k", 1)
  welcome()
  taken()
  peer.receive(["alone"])
  const [[what, sent], ready] = /** @type {any[]} */ (taken())
  assert.deepEqual([what, sent.key, sent.stamp[0]], ["send", "k", stamp.ms])
  assert.deepEqual(ready, ["becameReady", "alone"])
})

test("the donor leaves after writes were set aside: they are taken back", () => {
  const { peer, replica, write, taken, welcome } = fixture(NOW_MS - YEAR_MS)
  const stamp = write("k", 1)
  welcome(2)
  peer.receive(["donor", "3"])
  const hello = { event: "hello", version: [1, 0], count: 0, sum: 0 }
  peer.begin().receive({ ...hello, floor_ms: NOW_MS - 40 * DAY_MS })
  assert.equal(replica.live, 0)
  peer.lost()
  welcome()
  taken()
  peer.receive(["alone"])
  const [restamped, updated, [what, sent]] = /** @type {any[]} */ (taken())
  assert.deepEqual([restamped, updated], [["restamped", 0], ["updated", 1]])
  assert.deepEqual([what, sent.key, sent.stamp[0]], ["send", "k", stamp.ms])
  assert.equal(replica.live, 1)
})

test("a handler that leaves the map at the welcome, or when it is ready, ends all talk", () => {
  const { peer, replica, port, welcome, write, taken } = fixture(NOW_MS - YEAR_MS)
  replica.held.add("later", {
    stamp: { ms: NOW_MS, counter: 0, writer: "w" },
    value: "1",
    extras: null,
  })
  write("k", 1)
  const { updated } = port
  port.updated = () => peer.lost()
  welcome(3)
  assert.deepEqual(taken(), [])
  assert.equal(peer.peers, 0)
  port.updated = updated

  welcome(2)
  port.superseded = () => peer.lost()
  taken()
  syncWith(peer, NOW_MS - 40 * DAY_MS)
  const events = /** @type {any[]} */ (taken())
  assert.ok(!events.some(([what, each]) => what === "becameReady" || each?.key === "k"))
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
  peer.tellDigest()
  assert.deepEqual(taken(), [["updated", 1]])
})
