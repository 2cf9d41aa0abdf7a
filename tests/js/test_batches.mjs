// What is written together goes in one message and is applied in one step.

/** @import { DistributedMap } from "../../distmap/web/js/map.js" */
import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"

import { ENTRY_BYTES, MAX_BATCH_BYTES } from "../../distmap/web/js/batches.js"
import { encodeEntry } from "../../distmap/web/js/entries.js"
import * as errors from "../../distmap/web/js/errors.js"
import { Observers } from "../../distmap/web/js/observers.js"
import { Outbox } from "../../distmap/web/js/outbox.js"
import { Network } from "./memory.mjs"
import { Wall, newReplica, refused, stampAnew } from "./support.mjs"

/** @type {Network} */
let network
beforeEach(() => {
  network = new Network()
  for (const name of /** @type {const} */ (["warn", "error"])) mock.method(console, name, () => {})
})
afterEach(() => mock.restoreAll())

/** @param {number} count */
async function open(count) {
  const maps = Array.from({ length: count }, () => network.open("/fruits"))
  await network.pass(1)
  return maps
}

/** How many objects the relay has had of the peer that came first. */
function messages() {
  return [...network.relay.members.values()][0].count
}

/** @param {DistributedMap} map */
function lists(map) {
  /** @type {unknown[][][]} */
  const all = []
  map.observeBatch((changes) =>
    all.push(changes.map(({ key, value, oldValue, local }) => [key, value, oldValue, local])),
  )
  return all
}

/**
 * @param {DistributedMap[]} maps
 * @param {Record<string, unknown>} wanted
 */
function assertEqual(maps, wanted) {
  for (const map of maps) assert.deepEqual(Object.fromEntries(map), wanted)
}

test("an update is one message and one list, and nobody sees half of it", async () => {
  const maps = await open(3)
  const [mine, theirs] = maps
  const heard = maps.map(lists)
  const fruits = Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`fruit${n}`, n]))
  /** @type {number[]} */
  const seen = []
  theirs.on("set", (...args) => seen.push(args[2].size))
  const taken = mine.update(fruits)
  await network.pass(1)
  await taken
  assert.equal(messages(), 1)
  for (const [at, all] of heard.entries()) {
    assert.equal(all.length, 1)
    const wanted = Object.entries(fruits).map(([key, n]) => [key, n, undefined, at === 0])
    assert.deepEqual(all[0], wanted)
  }
  assert.ok(seen.length === 2000 && seen.every((size) => size === 2000))
  assertEqual(maps, fruits)
})

test("an update takes an object, a Map, pairs, and another map", async () => {
  const [mine, theirs] = await open(2)
  mine.update({ a: 1, ["__proto__"]: 2 })
  mine.update(new Map([["b", 2]]))
  mine.update([["c", 3]])
  mine.update(
    (function* () {
      for (const [key, value] of mine) yield /** @type {[string, number]} */ ([key, value + 1])
    })(),
  )
  mine.update([])
  await network.pass(1)
  assert.equal(messages(), 3, "batches of one key are as single writes")
  for (const map of [mine, theirs]) {
    assert.deepEqual(
      [...map],
      [
        ["a", 2],
        ["__proto__", 3],
        ["b", 3],
        ["c", 4],
      ],
    )
  }
  theirs.update(mine)
  await network.pass(1)
  assert.equal(mine.stamp("a")?.writer, theirs.stamp("b")?.writer)
})

test("one bad value, and nothing is written", async () => {
  const [mine, theirs] = await open(2)
  const heard = lists(mine)
  refused(() => mine.update({ a: 1, "": 2 }), "invalid-key")
  refused(() => mine.update({ a: 1, b: NaN }), "invalid-value")
  refused(() => mine.update({ a: 1, b: undefined }), "invalid-type")
  for (const pairs of /** @type {any[]} */ ([null, undefined, 3, "ab", [["a", 1], "b2"], [1]])) {
    refused(() => mine.update(pairs), "invalid-type", String(pairs))
  }
  for (const write of /** @type {any[]} */ ([null, undefined, {}])) {
    refused(() => mine.batch(write), "invalid-type")
  }
  await network.pass(1)
  assertEqual([mine, theirs], {})
  assert.deepEqual([heard, messages()], [[], 0])
  mine.close()
  refused(() => mine.update({ a: 1 }), "map-closed")
  refused(() => mine.batch(() => {}), "map-closed")
})

test("a batch sets and deletes, and reading within it sees that", async () => {
  const [mine, theirs] = await open(2)
  await Promise.all([mine.update({ apple: 1, pear: 2, plum: 3 }), network.pass(1)])
  const heard = lists(mine)
  const there = lists(theirs)
  const stamp = mine.stamp("apple")
  mine.batch(() => {
    mine.set("apple", 10)
    mine.delete("pear")
    mine.set("fig", 4)
    mine.set("fig", mine.get("fig") + 1)
    assert.deepEqual([...mine.keys()], ["apple", "plum", "fig"])
    assert.deepEqual([...mine.values()], [10, 3, 5])
    assert.deepEqual([mine.size, mine.has("pear"), mine.get("pear")], [3, false, undefined])
    assert.deepEqual([mine.has("fig"), mine.get("plum")], [true, 3])
    assert.deepEqual(mine.stamp("apple"), stamp)
    assert.deepEqual(heard, [])
  })
  await network.pass(1)
  assertEqual([mine, theirs], { apple: 10, fig: 5, plum: 3 })
  const wanted = [
    ["apple", 10, 1],
    ["pear", undefined, 2],
    ["fig", 5, undefined],
  ]
  assert.deepEqual(heard, [wanted.map((each) => [...each, true])])
  assert.deepEqual(there, [wanted.map((each) => [...each, false])])
  assert.equal(messages(), 2)
})

test("a batch that throws writes nothing; one that is caught within another takes back its own", async () => {
  const [mine, theirs] = await open(2)
  /** @type {Promise<unknown>[]} */
  const lost = []
  assert.throws(
    () =>
      mine.batch(() => {
        lost.push(mine.set("a", 1), mine.update({ b: 2 }))
        throw new RangeError("enough")
      }),
    RangeError,
  )
  refused(() => mine.batch(async () => void mine.set("a", 1)), "invalid-type", "at once")
  for (const each of lost) await assert.rejects(each, errors.BatchError)
  const taken = mine.batch(() => {
    mine.set("a", 1)
    assert.throws(() =>
      mine.batch(() => {
        mine.delete("a")
        mine.set("b", 2)
        throw new RangeError("enough")
      }),
    )
    mine.batch(() => void mine.set("c", 3))
    refused(() => mine.set("", 1), "invalid-key")
  })
  await network.pass(1)
  await taken
  assertEqual([mine, theirs], { a: 1, c: 3 })
  assert.equal(messages(), 1)
  refused(
    () =>
      mine.batch(() => {
        mine.set("z", 1)
        mine.close()
      }),
    "map-closed",
  )
})

test("what comes and goes within a batch is not written, and an empty batch is nothing", async () => {
  const [mine] = await open(2)
  const heard = lists(mine)
  /** @type {Promise<unknown>[]} */
  const within = []
  await mine.batch(() => {
    within.push(mine.set("a", 1), mine.delete("a"), mine.delete("none"))
  })
  assert.deepEqual(await Promise.all(within), [undefined, true, false])
  await mine.batch(() => {})
  await mine.update({})
  await network.pass(1)
  assert.deepEqual([heard, messages(), mine.digest()], [[], 0, "0".repeat(13)])
})

test("a batch shares no message with other writes", async () => {
  const [mine, theirs] = await open(2)
  const heard = lists(theirs)
  mine.set("a", 1)
  mine.set("b", 1)
  mine.update({ b: 2, c: 2 })
  mine.update({ c: 3, d: 3 })
  mine.set("d", 4)
  await network.pass(1)
  assert.deepEqual(
    heard.map((list) => list.map(([key]) => key)),
    [["a", "b"], ["b", "c"], ["c", "d"], ["d"]],
  )
})

test("of two batches of the same keys one wins whole", async () => {
  const maps = await open(4)
  const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
  for (const [at, map] of maps.entries()) {
    map.update(keys.map((key) => [key, at]))
    keys.reverse()
  }
  await network.pass(1)
  const winner = maps[0].get("k0")
  assertEqual(maps, Object.fromEntries(keys.map((key) => [key, winner])))
})

test("a batch is sent again as one, and what was overwritten drops out of it", async () => {
  const [mine, theirs] = await open(2)
  const heard = lists(theirs)
  network.stop()
  /** @type {string[]} */
  const settled = []
  mine.update({ a: 1, b: "x".repeat(100_000), c: 1 }).then(() => settled.push("first"))
  mine.set("b", 2)
  mine.update({ d: 4, a: 4 }).then(() => settled.push("second"))
  await network.pass(1)
  assert.deepEqual(settled, [])
  network.start()
  await network.pass(30)
  assert.deepEqual(settled.sort(), ["first", "second"])
  assertEqual([theirs], { a: 4, b: 2, c: 1, d: 4 })
  assert.ok(heard.every((list) => list.some(([key]) => key === "a") === list.some(([key]) => key === "d")))
})

test("a batch fails with the map", async () => {
  const [mine] = await open(1)
  network.stop()
  const taken = mine.update({ a: 1, b: 2 })
  mine.close()
  await assert.rejects(taken, errors.MapClosed)
})

test("too much is refused before anything is written", async () => {
  const [mine, theirs] = await open(2)
  const value = "é".repeat(50_000)
  const many = (/** @type {number} */ count) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, value]))
  assert.throws(() => mine.update(many(8)), new RegExp(`${MAX_BATCH_BYTES} bytes`))
  mine.batch(() => {
    mine.update(many(7))
    refused(() => mine.set("more", value), "invalid-value")
    mine.set("k0", value)
    mine.delete("k1")
    mine.set("more", value)
  })
  await network.pass(1)
  const wanted = new Map(Object.entries({ ...many(7), more: value }))
  wanted.delete("k1")
  assertEqual([mine, theirs], Object.fromEntries(wanted))
  assert.equal(messages(), 1)
})

test("the bound of an entry", () => {
  const most = Number.MAX_SAFE_INTEGER
  const stamp = { ms: most, counter: most, writer: "w".repeat(32) }
  const longest = encodeEntry("k", { stamp, value: "1", extras: null })
  assert.ok(longest.length - '"k"1'.length < ENTRY_BYTES - ",".length)
})

test("the outbox cuts no batch, and writes stamped anew keep together", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  const outbox = new Outbox()
  outbox.goOnline()
  const batch = (/** @type {string[]} */ ...keys) => {
    const stamp = replica.clock.tick()
    for (const key of keys) {
      const { entry, old } = replica.rewrite(key, JSON.stringify("x".repeat(50_000)), stamp)
      outbox.add(key, entry, old?.stamp)
    }
  }
  const sent = () => {
    const all = []
    for (let text = outbox.nextMessage(); text !== null; text = outbox.nextMessage()) {
      const message = JSON.parse(text)
      const entries = message.entries ?? [message]
      all.push(entries.map((/** @type {{ key: string }} */ { key }) => key).join(""))
    }
    return all
  }
  batch("a", "b", "c", "d")
  batch("e", "f")
  batch("b")
  batch("g")
  assert.deepEqual(outbox.unsent.join(""), "acdefbg")
  stampAnew(replica, outbox)
  assert.deepEqual(sent(), ["acd", "ef", "bg"])
  outbox.goOnline()
  assert.deepEqual(sent(), ["acd", "ef", "bg"], "sent again")
})

test("observers: a list comes before its changes, and none of nothing", () => {
  const observers = new Observers()
  /** @type {any[]} */
  let told = []
  for (const name of ["set", "delete", "change", "changes"]) {
    observers.on(name, (...args) => void told.push([name, ...args]))
  }
  const entry = (/** @type {string | null} */ value) => ({
    stamp: { ms: 1, counter: 0, writer: "x" },
    value,
    extras: null,
  })
  observers.tellOthers([{ key: "gone", entry: entry(null), old: undefined }], "map")
  observers.tellOwn([])
  assert.equal(told.length, 0)
  const updates = [
    { key: "a", entry: entry("1"), old: undefined },
    { key: "b", entry: entry(null), old: entry("2") },
  ]
  observers.tellOthers(updates, "map")
  assert.deepEqual(
    told.map(([name]) => name),
    ["changes", "change", "set", "change", "delete"],
  )
  assert.deepEqual(told[2], ["set", 1, "a", "map"])
  assert.deepEqual(told[4], ["delete", 2, "b", "map"])
  told = []
  observers.tellOwn(updates)
  const names = told.map((/** @type {any[]} */ [name]) => name)
  assert.deepEqual(names, ["changes", "change", "change"])
})
