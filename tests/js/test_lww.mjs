// One replica: it agrees with the plainest model, whatever comes in whatever order.

/** @import { KeyedEntry } from "../../distmap/web/js/entries.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { MAX_AHEAD_MS } from "../../distmap/web/js/clock.js"
import { entryHash, wins } from "../../distmap/web/js/entries.js"
import { MAX_HELD, MAX_HELD_PER_WRITER } from "../../distmap/web/js/holding.js"
import { HybridClock } from "../../distmap/web/js/clock.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { NOW_MS, Wall, newReplica, pick, refused, seeded } from "./support.mjs"

/**
 * @param {string | null} value
 * @param {number} ms
 * @param {string} [writer]
 * @param {number} [counter]
 */
function entryOf(value, ms, writer = "w", counter = 0) {
  return { stamp: { ms, counter, writer }, value, extras: null }
}

/**
 * @param {() => number} random
 * @param {number} count
 * @returns {KeyedEntry[]}
 */
function randomEntries(random, count) {
  return Array.from({ length: count }, () => {
    const stamp = {
      ms: NOW_MS + Math.floor(random() * 5) - 2,
      counter: Math.floor(random() * 2),
      writer: pick(random, ["a", "b", "c"]),
    }
    const key = pick(random, ["__proto__", "constructor", "k1", "k2", "k3", "🍎"])
    const value = pick(random, [null, "1", "2", '"x"'])
    return [key, { stamp, value, extras: pick(random, [null, null, '{"e":1}']) }]
  })
}

test("agrees with the model: the greatest entry of each key stays", () => {
  const random = seeded(1)
  for (let round = 0; round < 150; round++) {
    const replica = newReplica()
    const model = new Map()
    for (const [key, entry] of randomEntries(random, 40)) {
      const won = wins(key, entry, model.get(key))
      const before = model.get(key)
      if (won) model.set(key, entry)
      const update = replica.merge(key, entry)
      assert.deepEqual(update, won ? { key, entry, old: before } : null)
      if (random() < 0.1) replica.fold(2)
    }
    assert.deepEqual(replica.entries, model)
    let sum = 0n
    for (const [key, entry] of model) sum += BigInt(entryHash(key, entry))
    assert.deepEqual(replica.digest(), [model.size, Number(sum % 2n ** 52n)])
    assert.equal(replica.live, [...model.values()].filter((entry) => entry.value !== null).length)
  }
})

test("own writes win over all that was seen", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  replica.merge("k", entryOf("1", NOW_MS + 50_000, "zzz", 7))
  const update = replica.set("k", { n: 2 })
  assert.deepEqual(update.entry, entryOf('{"n":2}', NOW_MS + 50_000, "me", 8))
  assert.equal(update.old?.value, "1")
  assert.equal(replica.delete("k")?.entry.value, null)
  assert.equal(replica.delete("k"), null)
  assert.equal(replica.delete("never"), null)
  refused(() => replica.set("", 1), "invalid-key")
  refused(() => replica.set("k", NaN), "invalid-value")
  refused(() => replica.delete(1), "invalid-type")
})

test("what is ahead waits for its time", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  assert.equal(replica.releaseInMs(), null)
  assert.equal(replica.merge("k", entryOf("1", NOW_MS + MAX_AHEAD_MS + 500)), null)
  assert.equal(replica.merge("k", entryOf("2", NOW_MS + MAX_AHEAD_MS + 900, "other")), null)
  assert.equal(replica.held.size, 2)
  assert.equal(replica.releaseInMs(), 500)
  assert.deepEqual(replica.digest(), [0, 0])
  wall.ms += 500
  assert.deepEqual(
    replica.release().map((update) => update.entry.value),
    ["1"],
  )
  assert.equal(replica.releaseInMs(), 400)
})

test("what is held is bounded, and what is let go is fetched later", () => {
  const replica = newReplica()
  const far = NOW_MS + 10 * MAX_AHEAD_MS
  for (let n = 0; n < MAX_HELD_PER_WRITER + 5; n++) replica.merge(`k${n}`, entryOf("1", far - n))
  assert.equal(replica.held.size, MAX_HELD_PER_WRITER)
  assert.equal(replica.held.fetchAtMs, far - 4 - MAX_AHEAD_MS)
  for (let n = 0; n < MAX_HELD + 50; n++) replica.merge("k", entryOf("1", far + n, `w${n}`))
  assert.equal(replica.held.size, MAX_HELD)
  assert.equal(replica.held.takeFetch(far - 5 - MAX_AHEAD_MS), false)
  assert.equal(replica.held.takeFetch(far - 4 - MAX_AHEAD_MS), true)
  assert.equal(replica.held.takeFetch(far), false)
})

test("a clock that was wrong holds again what it let in", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  wall.ms += 1_000_000
  replica.merge("k", entryOf("1", wall.ms))
  replica.set("own", 1)
  wall.ms -= 1_000_000
  assert.ok(replica.clock.correct(0))
  assert.equal(replica.holdAgain().length, 2)
  assert.deepEqual([replica.entries.size, replica.live, replica.held.size], [0, 0, 2])
  assert.deepEqual(replica.digest(), [0, 0])
})

test("unsent writes are stamped anew", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  wall.ms += 1_000_000
  replica.set("a", 1)
  replica.set("b", 1)
  replica.delete("b")
  wall.ms -= 1_000_000
  replica.clock.correct(0)
  const stamps = replica.restamp(["a", "b"]).map((update) => update.entry.stamp)
  assert.deepEqual(stamps, [
    { ms: NOW_MS, counter: 1, writer: "me" },
    { ms: NOW_MS, counter: 2, writer: "me" },
  ])
  assert.deepEqual([replica.live, replica.digest()[0]], [1, 2])
})

test("tombstones are collected after the retention, and do not come back", () => {
  const wall = new Wall()
  const retentionMs = 720_000
  const replica = new Replica(new HybridClock(wall.read, "me"), undefined, retentionMs)
  for (let n = 0; n < 10; n++) {
    replica.set(`k${n}`, n)
    wall.ms += 1000
    if (n < 8) replica.delete(`k${n}`)
  }
  const gone = replica.entries.get("k3")
  assert.ok(gone)
  replica.set("k7", "again")
  assert.deepEqual([replica.digest()[0], replica.live], [10, 3])
  wall.ms += retentionMs + 2000
  assert.equal(replica.fold(3), false)
  assert.deepEqual(replica.digest()[0], 3)
  assert.equal(replica.floorMs, /** @type {any} */ (NOW_MS) + 7001)
  assert.equal(replica.merge("k3", gone), null)
  assert.equal(replica.merge("k3", { ...gone, value: "1" }), null)
  assert.equal(replica.refused, 1)
  assert.equal(replica.merge("k3", gone, true), null, "a tombstone, also from a donor")
  assert.notEqual(replica.merge("k3", { ...gone, value: "1" }, true), null)
  assert.notEqual(replica.merge("new", entryOf("1", replica.floorMs)), null)
  // One that comes when its time is over already, for a key that is known, goes with the next fold.
  assert.notEqual(replica.merge("k3", entryOf(null, gone.stamp.ms, "zzz", 9)), null)
  assert.equal(replica.digest()[0], 4)
  assert.equal(replica.entries.has("k3"), false)
  replica.clear()
  assert.deepEqual([replica.digest(), replica.live, replica.entries.size], [[0, 0], 0, 0])
})
