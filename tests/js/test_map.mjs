// Whole maps, on a relay in memory.

/** @import { DistributedMap } from "../../distmap/web/js/map.js" */
import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"

import * as errors from "../../distmap/web/js/errors.js"
import { DistributedMap as Maps } from "../../distmap/web/js/map.js"
import { Network } from "./memory.mjs"
import { pick, refused, seeded } from "./support.mjs"

const HOSTILE = [
  "__proto__",
  "constructor",
  "toString",
  "🍎",
  "\u2028",
  "\0",
  '"\\',
  "é".repeat(512),
]

/** @type {Network} */
let network
/** @type {import("node:test").Mock<any>[]} */
let logs = []
beforeEach(() => {
  network = new Network()
  logs = [mock.method(console, "warn", () => {}), mock.method(console, "error", () => {})]
})
afterEach(() => mock.restoreAll())

/**
 * So many maps, each on a connection of its own, all ready.
 *
 * @param {number} count
 * @param {{ retentionMs?: number }} [options]
 */
async function open(count, options) {
  const maps = Array.from({ length: count }, () => network.open("/fruits", options))
  await network.pass(1)
  for (const map of maps) assert.equal(map.status, "ready")
  return maps
}

/**
 * @param {DistributedMap[]} maps
 * @param {[string, unknown][]} wanted
 */
function assertEqual(maps, wanted) {
  for (const map of maps) {
    assert.deepEqual(new Map(map), new Map(wanted))
    assert.equal(map.size, wanted.length)
  }
}

/** @param {DistributedMap} map */
function heard(map) {
  /** @type {unknown[]} */
  const events = []
  map.on("set", (value, key, from) => events.push(["set", key, value, from === map]))
  map.on("delete", (value, key, from) => events.push(["delete", key, value, from === map]))
  return events
}

test("reads as a Map does", async () => {
  const [map] = await open(1)
  map.set("a", { n: [1] })
  map.set("b", null)
  map.set("gone", 1)
  map.delete("gone")
  assert.deepEqual([...map.keys()], ["a", "b"])
  assert.deepEqual([...map.values()], [{ n: [1] }, null])
  assert.deepEqual([...map.entries()], [...map])
  assert.deepEqual(Object.fromEntries(map), { a: { n: [1] }, b: null })
  assert.deepEqual([map.get("b"), map.get("gone"), map.get("never")], [null, undefined, undefined])
  assert.deepEqual([map.has("b"), map.has("gone"), map.has("never")], [true, false, false])
  /** @type {unknown[]} */
  const seen = []
  map.forEach(
    function (value, key, from) {
      // @ts-expect-error what is handed over as `self`
      seen.push([value, key, from === map, this.x])
    },
    { x: 1 },
  )
  assert.deepEqual(seen[1], [null, "b", true, 1])
  assert.notEqual(map.get("a"), map.get("a"), "each reading is a new object")
  map.get("a").n.push(2)
  assert.deepEqual(map.get("a"), { n: [1] })
  for (const key of /** @type {any[]} */ ([1, undefined, null, {}])) {
    assert.equal(map.get(key), undefined)
    assert.equal(map.has(key), false)
  }
})

test("stamps, time and digest", async () => {
  const [mine, theirs] = await open(2)
  assert.equal(mine.digest(), "0".repeat(13))
  /** @type {any[]} */
  const changes = []
  theirs.observe((change) => changes.push(change))
  mine.set("apple", 3)
  const one = mine.digest()
  assert.match(one, /^[0-9a-f]{13}$/)
  await network.pass(1)
  assert.equal(theirs.digest(), one)
  const stamp = theirs.stamp("apple")
  assert.deepEqual([stamp?.ms, stamp?.writer], [changes[0].timeMs, changes[0].writer])
  assert.deepEqual(mine.stamp("apple"), stamp)
  assert.equal(mine.stamp("none"), undefined)
  await network.pass(60)
  for (const map of [mine, theirs]) {
    assert.ok(Math.abs(map.nowMs() - (stamp?.ms ?? 0) - 61_000) < 1500)
  }
  mine.delete("apple")
  assert.equal(mine.stamp("apple"), undefined)
  assert.ok(![one, theirs.digest(), "0".repeat(13)].includes(mine.digest()))
})

test("bad keys and values are refused at the call", async () => {
  const [map, other] = await open(2)
  refused(() => map.set("", 1), "invalid-key")
  refused(() => map.set("k".repeat(1025), 1), "invalid-key")
  refused(() => map.set(/** @type {any} */ (1), 1), "invalid-type")
  refused(() => map.set("k", undefined), "invalid-type")
  refused(() => map.set("k", "x".repeat(262_143)), "invalid-value")
  refused(() => map.delete(/** @type {any} */ (null)), "invalid-type")
  assert.ok(new errors.InvalidKey("x") instanceof errors.LocalError)
  const { connection } = map
  for (const [uri, options] of /** @type {any[]} */ ([
    ["", {}],
    ["u".repeat(901), {}],
    ["\ud800", {}],
  ])) {
    refused(() => new Maps(connection, uri, options), "invalid-value")
  }
  refused(() => new Maps(connection, /** @type {any} */ (1)), "invalid-type")
  for (const maxValueBytes of [0, -1, NaN, 524_289]) {
    refused(() => new Maps(connection, "/x", { maxValueBytes }), "invalid-value")
  }
  await network.pass(1)
  assertEqual([map, other], [])
})

test("alone, and by a peer", async () => {
  const [first] = await open(1)
  assert.equal(first.synced, "alone")
  first.set("k", 1)
  const second = network.open()
  let calls = 0
  second.on("ready", (map) => void (calls += Number(map === second)))
  const ready = second.ready()
  await network.pass(1)
  assert.equal(await ready, second)
  assert.equal(second.synced, "peer")
  second.on("ready", () => void calls++)
  assert.equal(calls, 2)
  assert.deepEqual([first.peers, second.peers], [1, 1])
  assertEqual([first, second], [["k", 1]])
})

test("writes reach the others, and their promises are kept", async () => {
  const [one, two] = await open(2)
  const events = heard(two)
  const own = heard(one)
  const set = one.set("apple", 3)
  const again = one.set("apple", { n: 4 })
  await network.pass()
  assert.equal(await set, undefined)
  await again
  const deleted = one.delete("apple")
  await network.pass()
  assert.equal(await deleted, true)
  assert.equal(await one.delete("apple"), false)
  assert.deepEqual(events, [
    ["set", "apple", 3, true],
    ["set", "apple", { n: 4 }, true],
    ["delete", "apple", { n: 4 }, true],
  ])
  assert.deepEqual(own, [])
})

test("what one handler writes leaves as one message", async () => {
  const [one, two] = await open(2)
  const link = [...network.relay.links][0]
  link.received.length = 0
  for (let n = 0; n < 100; n++) one.set(`k${n}`, n)
  await Promise.resolve()
  for (let n = 0; n < 100; n++) one.set(`l${n}`, n)
  await network.pass()
  assert.equal(link.received.length, 2)
  assert.equal(two.size, 200)
})

test("hostile keys and values are like others", async () => {
  const [one, two] = await open(2)
  for (const key of HOSTILE)
    one.set(key, JSON.parse('{"__proto__":{"polluted":1},"constructor":[]}'))
  const late = network.open()
  await network.pass(1)
  for (const map of [one, two, late]) {
    assert.deepEqual([...map.keys()].sort(), HOSTILE.toSorted())
    for (const key of HOSTILE) {
      assert.deepEqual(Object.keys(map.get(key)), ["__proto__", "constructor"])
    }
  }
  assert.equal(/** @type {any} */ ({}).polluted, undefined)
  for (const key of HOSTILE) two.delete(key)
  await network.pass()
  assertEqual([one, two, late], [])
})

test("observers hear of all changes, also of own ones", async () => {
  const [one, two] = await open(2)
  /** @type {any[]} */
  const changes = []
  const off = two.observe((change) => changes.push(change))
  one.set("k", 1)
  await network.pass()
  two.set("k", 2)
  two.delete("k")
  off()
  two.set("k", 3)
  const [first, second, third] = changes
  assert.equal(changes.length, 3)
  assert.deepEqual(
    { ...first, writer: "", timeMs: 0 },
    {
      key: "k",
      value: 1,
      oldValue: undefined,
      deleted: false,
      local: false,
      writer: "",
      timeMs: 0,
    },
  )
  assert.deepEqual([second.value, second.oldValue, second.local], [2, 1, true])
  assert.deepEqual([third.value, third.oldValue, third.deleted], [undefined, 2, true])
  assert.match(first.writer, /^[A-Za-z0-9]{12}$/)
  assert.ok(Math.abs(first.timeMs - network.clock.nowMs()) < 2000)
})

test("handlers: one that fails stops nothing, and no other names", async () => {
  const [one, two] = await open(2)
  /** @type {string[]} */
  const called = []
  two.on("set", () => {
    throw new Error("first")
  })
  two.on("set", async () => {
    throw new Error("second")
  })
  const third = () => void called.push("third")
  const off = two.on("set", third)
  two.on("set", third)
  one.set("k", 1)
  await network.pass()
  off()
  one.set("k", 2)
  await network.pass()
  two.off("set", third)
  two.off("set", third)
  one.set("k", 3)
  await network.pass()
  assert.deepEqual(called, ["third", "third", "third"])
  assert.equal(logs[1].mock.callCount(), 6)
  refused(() => two.on("sett", third), "invalid-value")
  refused(() => two.on("__proto__", third), "invalid-value")
  refused(() => two.on("set", /** @type {any} */ (1)), "invalid-type")
})

test("a handler may write, and may close the map", async () => {
  const [one, two, three] = await open(3)
  for (const map of [one, two]) {
    map.on("set", (value, key) => void (value < 5 && map.set(key, value + 1)))
  }
  three.on("set", () => void three.close())
  one.set("n", 1)
  await network.pass(1)
  assertEqual([one, two], [["n", 5]])
  assert.equal(three.status, "closed")
  assert.equal(three.get("n"), 1)
})

test("offline: writes wait, are merged, and told by their outcome", async () => {
  const [one, two] = await open(2)
  one.set("both", "old")
  one.set("deleted", 1)
  await network.pass()
  network.stop()
  assert.equal(one.status, "offline")
  assert.equal(/** @type {any} */ (one.problem).code, "connection-lost")
  const events = heard(two)
  const pending = [one.set("a", 1), one.set("a", 2), one.delete("deleted")]
  let kept = 0
  for (const each of pending) each.then(() => void kept++)
  await network.pass(5)
  two.set("both", "new")
  two.set("b", 1)
  assert.equal(kept, 0)
  network.start()
  await network.pass(12)
  assert.equal(kept, 3)
  assert.equal(one.problem, null)
  assertEqual(
    [one, two],
    [
      ["a", 2],
      ["b", 1],
      ["both", "new"],
    ],
  )
  assert.deepEqual(events, [
    ["set", "a", 2, true],
    ["delete", "deleted", 1, true],
  ])
})

test("a closed map fails what is pending, and nobody has to look", async () => {
  /** @type {unknown[]} */
  const unhandled = []
  const note = (/** @type {unknown} */ error) => void unhandled.push(error)
  process.on("unhandledRejection", note)
  network.isUp = false
  const map = network.open()
  map.ready()
  map.set("k", 1)
  const pending = [map.ready(), map.set("k", 2), map.delete("k")]
  await network.pass()
  await map.close()
  for (const each of pending) await assert.rejects(each, { code: "map-closed" })
  await assert.rejects(map.ready(), { code: "map-closed" })
  refused(() => map.set("k", 1), "map-closed")
  refused(() => map.delete("k"), "map-closed")
  assert.equal(map.get("k"), undefined)
  await map.close()
  await map.connection.close()
  assert.equal(network.clock.pending, 0)
  await network.pass(1)
  process.off("unhandledRejection", note)
  assert.deepEqual(unhandled, [])
})

test("closing right after a write hands it over", async () => {
  const [one, two] = await open(2)
  one.set("last", "words")
  one.connection.close()
  await network.pass(1)
  assertEqual([two], [["last", "words"]])
  assert.equal(two.peers, 0)
  assert.equal(one.status, "closed")
})

test("two maps of one URI on one connection are two peers", async () => {
  const connection = network.connect()
  const [one, two] = [new Maps(connection), new Maps(connection)]
  await network.pass(1)
  one.set("k", 1)
  await network.pass()
  assert.deepEqual([two.get("k"), one.peers], [1, 1])
  await one.close()
  await network.pass()
  assert.deepEqual([two.peers, connection.status], [0, "open"])
})

test("status and peers are told", async () => {
  const map = network.open()
  /** @type {unknown[]} */
  const events = []
  map.on("status", (status, problem) => events.push([status, problem?.code]))
  map.on("peers", (peers) => events.push(peers))
  await open(1)
  network.stop()
  network.start()
  await network.pass(12)
  await map.close()
  assert.deepEqual(events, [
    ["syncing", undefined],
    ["ready", undefined],
    1,
    0,
    ["offline", "connection-lost"],
    ["syncing", undefined],
    ...(events[6] === 1 ? [1, ["ready", undefined]] : [["ready", undefined], 1]),
    0,
    ["closed", undefined],
  ])
})

test("a donor that dies is replaced, and so is a silent one", async () => {
  const [one, two] = await open(2)
  for (let n = 0; n < 3000; n++) one.set(`k${n}`, { n })
  await network.pass(1)
  const [first] = network.relay.links
  first.silent = true
  const late = network.open()
  await network.pass(5)
  assert.equal(late.status, "syncing")
  await network.pass(7)
  assert.equal(late.status, "ready")
  assert.deepEqual([late.size, two.size], [3000, 3000])
  assert.match(logs[0].mock.calls[0].arguments[0], /silent for 10 s/)
})

test("the relay ends the channel: it is opened again", async () => {
  const [map] = await open(1)
  const link = network.last
  const [stream] = link.mux.streams.values()
  link.mux.error(stream, "too slow", "slow")
  network.relay.gone(stream)
  map.set("k", 1)
  await network.pass(0.1)
  assert.equal(map.status, "offline")
  assert.equal(/** @type {any} */ (map.problem).code, "slow")
  await network.pass(2)
  assert.equal(map.status, "ready")
  assert.equal(network.last, link)
})

test("a relay that refuses is named, and one of another version", async () => {
  const [map] = await open(1)
  for (const [payload, code] of /** @type {[unknown, string][]} */ ([
    [["welcome", { version: [2, 0], peer: "1", time_ms: 1, members: 1 }], "protocol"],
    [["welcome", { version: [1, 0], peer: 1, time_ms: 1, members: 1 }], "protocol"],
    [null, "refused"],
  ])) {
    const [stream] = network.last.mux.streams.values()
    if (payload === null) {
      network.last.mux.error(stream, "not for you", "refused")
      network.relay.gone(stream)
    } else network.last.mux.send(stream, JSON.stringify(payload))
    await network.pass(0.1)
    assert.equal(map.status, "offline")
    if (payload === null) assert.ok(map.problem instanceof errors.AccessRefused)
    await network.pass(12)
    assert.equal(map.status, "ready", code)
  }
})

test("what nobody knows is ignored, and junk of peers is counted", async () => {
  const [map] = await open(1)
  const [stream] = network.last.mux.streams.values()
  const say = (/** @type {unknown} */ payload) =>
    network.last.mux.send(stream, JSON.stringify(payload))
  for (const payload of [["news"], ["__proto__", 1], { event: "wave" }, { event: "__proto__" }]) {
    say(payload)
  }
  const good = { event: "set", key: "good", value: 1, stamp: [1, 0, "w"] }
  /** @type {unknown[]} */
  const junk = [1, null, {}, { event: 1 }, { event: "set" }, { event: "entries", entries: 1 }]
  junk.push({ event: "digest", peer: 1 })
  for (const payload of [...junk, { event: "entries", entries: [1, good, null] }]) say(payload)
  await network.pass(1)
  assert.equal(map.status, "ready")
  assert.equal(map.refused, junk.length + 2)
  assertEqual([map], [["good", 1]])
})

test("an entry of the far future waits for its time", async () => {
  const [one, two] = await open(2)
  const [stream] = network.last.mux.streams.values()
  const stamp = [network.clock.nowMs() + 65_000, 0, "w"]
  network.last.mux.send(stream, JSON.stringify({ event: "set", key: "k", value: 1, stamp }))
  await network.pass(3)
  assert.equal(two.has("k"), false)
  await network.pass(3)
  assert.equal(two.get("k"), 1)
  assert.equal(one.has("k"), false)
  await network.pass(40)
  assertEqual([one, two], [["k", 1]])
})

test("an entry that is due before another one is not kept waiting", async () => {
  await open(1)
  const map = network.open()
  await network.pass(1)
  const [stream] = network.last.mux.streams.values()
  for (const [key, seconds] of /** @type {[string, number][]} */ ([
    ["late", 300],
    ["soon", 65],
  ])) {
    const stamp = [network.clock.nowMs() + 1000 * seconds, 0, "w"]
    network.last.mux.send(stream, JSON.stringify({ event: "set", key, value: 1, stamp }))
    await network.pass(1)
  }
  await network.pass(2)
  assertEqual([map], [])
  await network.pass(3)
  assertEqual([map], [["soon", 1]])
})

test("what comes with the end of the channel is answered nowhere", async () => {
  const [map] = await open(1)
  const link = network.last
  const [stream] = link.mux.streams.values()
  // It makes the map ask for the time.
  const stamp = [network.clock.nowMs() + 100_000, 0, "w"]
  link.mux.send(stream, JSON.stringify({ event: "set", key: "k", value: 1, stamp }))
  link.mux.error(stream, "too slow", "slow")
  network.relay.gone(stream)
  await network.pass(0.1)
  assert.equal(map.status, "offline")
  assert.equal(network.last, link, "and the connection lives on")
  await network.pass(12)
  assert.equal(map.status, "ready")
})

test("a peer whose clock is a year ahead writes with good stamps all the same", async () => {
  const [good] = await open(1)
  network.isUp = false
  const wrong = network.connect()
  const year = 365 * 86_400_000
  Object.assign(wrong.scheduler, { nowMs: network.clock.nowMs })
  const scheduler = { ...network.clock, nowMs: () => network.clock.nowMs() + year }
  Object.assign(wrong, { scheduler })
  const map = new Maps(wrong, "/fruits")
  const kept = map.set("k", "from the future")
  network.isUp = true
  await network.pass(2)
  await kept
  assertEqual([good, map], [["k", "from the future"]])
  good.set("k", "now")
  await network.pass(1)
  assertEqual([good, map], [["k", "now"]])
})

test("copies that differ find out, and are repaired", async () => {
  const [one, two, three] = await open(3)
  for (let n = 0; n < 500; n++) one.set(`k${n}`, n)
  await network.pass(1)
  const links = [...network.relay.links]
  const [stream] = links[1].mux.streams.values()
  const stamp = [network.clock.nowMs(), 0, "w"]
  const lost = { event: "set", key: "lost", value: "by the network", stamp }
  links[1].mux.send(stream, JSON.stringify(lost))
  await network.pass(60)
  for (const map of [one, two, three]) assert.equal(map.get("lost"), "by the network")
  assert.ok(one.divergences + two.divergences + three.divergences >= 1)
  const before = links.map((link) => link.received.length)
  await network.pass(60)
  const told = links.flatMap((link, at) => link.received.slice(before[at]))
  const digests = told.filter((message) => message.includes('"digest"')).length
  assert.ok(digests >= 3 && digests <= 14, `${digests}`)
})

test("one that was away for longer than tombstones are kept", async () => {
  const options = { retentionMs: 100_000 }
  const [stays, leaves] = await open(2, options)
  for (const key of ["deleted", "changed", "kept", "own"]) stays.set(key, "old")
  await network.pass(1)
  const { connection } = leaves
  const link = [...network.relay.links][1]
  network.isUp = false
  link.drop()
  const offered = leaves.set("own", "new")
  const superseded = leaves.set("changed", "mine")
  leaves.set("added", 1)
  /** @type {unknown[]} */
  const told = []
  leaves.on("superseded", (value, key) => told.push(["superseded", key, value]))
  leaves.on("delete", (value, key) => told.push(["delete", key, value]))
  stays.delete("deleted")
  stays.set("changed", "theirs")
  await network.pass(250)
  assert.equal(leaves.has("deleted"), true)
  network.isUp = true
  connection.wake()
  await network.pass(5)
  await offered
  await assert.rejects(superseded, { code: "superseded" })
  assertEqual(
    [stays, leaves],
    [
      ["added", 1],
      ["changed", "theirs"],
      ["kept", "old"],
      ["own", "new"],
    ],
  )
  // Own writes are set aside until it is known what became of their keys.
  assert.deepEqual(told, [
    ["delete", "own", "new"],
    ["delete", "changed", "mine"],
    ["delete", "added", 1],
    ["delete", "deleted", "old"],
    ["superseded", "changed", "mine"],
  ])
})

test("whatever happens, all are equal in the end", async () => {
  const random = seeded(99)
  for (let round = 0; round < 12; round++) {
    network = new Network()
    network.random = seeded(round)
    const maps = Array.from({ length: 4 }, () => network.open())
    const keys = ["a", "b", "__proto__", "constructor", "🍎"]
    for (let step = 0; step < 150; step++) {
      const map = pick(random, maps)
      const what = random()
      if (what < 0.5) map.set(pick(random, keys), { step })
      else if (what < 0.7) map.delete(pick(random, keys))
      else if (what < 0.78) pick(random, [...network.relay.links])?.drop()
      else if (what < 0.8) network.stop()
      else if (what < 0.9) network.start()
      else await network.pass(random() * 3)
    }
    network.start()
    await network.pass(30)
    assertEqual(maps, [...maps[0]])
    assert.deepEqual(
      maps.map((map) => map.status),
      Array(4).fill("ready"),
    )
    await Promise.all(maps.map((map) => map.connection.close()))
    await network.pass(1)
    assert.equal(network.clock.pending, 0)
  }
})

test("a relay in memory leaves nothing behind", async () => {
  const [one, two] = await open(2)
  await one.connection.close()
  await two.connection.close()
  await network.pass(1)
  assert.deepEqual([network.relay.members.size, network.relay.joined.size], [0, 0])
})
