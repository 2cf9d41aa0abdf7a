// One replica: it agrees with the plainest model, whatever comes in whatever order.

/** @import { KeyedEntry } from "../../distmap/web/js/entries.js" */
/** @import { Update } from "../../distmap/web/js/lww.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { HEARD_MS, HybridClock, MAX_AHEAD_MS, Restamper } from "../../distmap/web/js/clock.js"
import { entryHash, wins } from "../../distmap/web/js/entries.js"
import { MAX_HELD, MAX_HELD_PER_WRITER } from "../../distmap/web/js/holding.js"
import { Journal } from "../../distmap/web/js/journal.js"
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
    assert.deepEqual(replica.digest(), sumOf(replica))
    assert.equal(replica.live, [...model.values()].filter((entry) => entry.value !== null).length)
  }
})

test("many entries together are taken as one by one", () => {
  const random = seeded(21)
  for (let round = 0; round < 100; round++) {
    const [together, alone] = [newReplica(), newReplica()]
    const journals = [new Journal(() => {}), new Journal(() => {})]
    together.journal = journals[0]
    alone.journal = journals[1]
    for (let step = 0; step < 3; step++) {
      const far = entryOf("1", NOW_MS + MAX_AHEAD_MS + 1)
      const items = new Map([...randomEntries(random, 5), [`n${step}`, entryOf("1", NOW_MS)], ["far", far]])
      const updates = [...items].map(([key, entry]) => alone.merge(key, entry, { trusted: true }))
      assert.deepEqual(byKey(together.mergeMany(items)), byKey(updates.filter((each) => each !== null)))
      if (random() < 0.3) together.fold(2)
      if (random() < 0.3) for (const replica of [together, alone]) replica.set("k1", step)
    }
    assert.deepEqual(together.entries, alone.entries)
    assert.deepEqual([...together.held], [...alone.held])
    assert.deepEqual([together.live, together.digest()], [alone.live, alone.digest()])
    assert.deepEqual(journals[0].changes, journals[1].changes)
    assert.deepEqual(together.set("own", 1).entry, alone.set("own", 1).entry) // and so the clocks
  }
})

/** @param {Update[]} updates */
function byKey(updates) {
  return new Map(updates.map((update) => [update.key, update]))
}

test("the sums come to be up to date in steps", () => {
  const replica = newReplica()
  replica.mergeMany(new Map(["a", "b", "c"].map((key) => [key, entryOf("1", NOW_MS)])))
  replica.set("d", 1)
  for (let n = 0; n < 3; n++) assert.ok(!replica.fold(1))
  replica.set("e", 1) // while it goes on
  replica.set("d", 2)
  let steps = 0
  while (!replica.fold(1)) steps++
  assert.equal(steps, 2)
  assert.deepEqual(replica.digest(), sumOf(replica))
  replica.set("a", 2) // and after that
  assert.ok(replica.fold(1))
  assert.deepEqual(replica.digest(), sumOf(replica))
})

/** @param {Replica} replica */
function sumOf({ entries }) {
  const hashes = Array.from(entries, ([key, entry]) => BigInt(entryHash(key, entry)))
  return [entries.size, Number(hashes.reduce((sum, hash) => sum + hash, 0n) % 2n ** 52n)]
}

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

test("what a wrong clock had let in is held", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  wall.ms += 1_000_000
  replica.merge("k", entryOf("1", wall.ms))
  replica.set("own", 1)
  wall.ms -= 1_000_000
  assert.ok(replica.clock.correct(0))
  for (const key of ["k", "own"]) replica.hold(key)
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
  const stamps = replica.restamp(["a", "b"], new Restamper(replica.clock)).map((update) => update.entry.stamp)
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
  assert.equal(replica.merge("k3", gone, { trusted: true }), null, "a tombstone, also from a donor")
  assert.notEqual(replica.merge("k3", { ...gone, value: "1" }, { trusted: true }), null)
  assert.notEqual(replica.merge("new", entryOf("1", replica.floorMs)), null)
  // One that comes when its time is over already, for a key that is known, goes with the next fold.
  assert.notEqual(replica.merge("k3", entryOf(null, gone.stamp.ms, "zzz", 9)), null)
  assert.equal(replica.digest()[0], 4)
  assert.equal(replica.entries.has("k3"), false)
})

/** A replica that keeps tombstones for 720 seconds, and its wall clock. */
function forgetful() {
  const wall = new Wall()
  const retentionMs = 720_000
  const replica = new Replica(new HybridClock(wall.read, "me"), undefined, retentionMs)
  return { wall, replica, retentionMs }
}

test("only who is in touch and knows of all deletes forgets any", () => {
  const { wall, replica, retentionMs } = forgetful()
  replica.set("k", 1)
  replica.delete("k")
  wall.ms += 2 * retentionMs
  replica.knownMs = NOW_MS
  assert.ok(replica.collect(9))
  replica.knownMs = null
  replica.inTouch = false
  assert.ok(replica.collect(9))
  assert.deepEqual([replica.entries.size, replica.floorMs, replica.forgotMs], [1, 0, 0])
  replica.inTouch = true
  assert.equal(replica.collect(0), false)
  assert.ok(replica.collect(1))
  assert.deepEqual([replica.entries.size, replica.floorMs], [0, NOW_MS + 1])
})

test("a local clock that jumped forgets nothing", () => {
  const { wall, replica, retentionMs } = forgetful()
  replica.set("k", 1)
  replica.delete("k")
  replica.clock.heardMs = NOW_MS + 1000
  wall.ms += 9 * retentionMs
  assert.ok(replica.collect(9))
  assert.equal(replica.entries.size, 1)
  assert.equal(replica.clock.earliestMs(), NOW_MS + 1000)
  replica.clock.heardMs = wall.ms
  replica.collect(9)
  assert.equal(replica.entries.size, 0)
})

test("when a forgotten delete may have become known decides who is trusted", () => {
  const { wall, replica, retentionMs } = forgetful()
  replica.clock.heardMs = NOW_MS
  for (const key of ["a", "b", "c"]) replica.set(key, 1)
  wall.ms += 5
  replica.delete("a")
  // Heard of last at 0, but deleted at 5: others cannot have known before.
  replica.clock.heardMs = wall.ms + 2 * retentionMs
  wall.ms = replica.clock.heardMs
  replica.digest()
  assert.equal(replica.forgotMs, NOW_MS + 5)
  assert.deepEqual(
    [null, NOW_MS + 6, NOW_MS + 5, NOW_MS].map((knownMs) => replica.trusts(knownMs)),
    [true, true, false, false],
  )
  // One that was written offline is known to others when it has arrived, or with a sync.
  replica.delete("b")
  wall.ms += 100
  replica.arrived(["b", "c", "never"])
  const arrivedMs = wall.ms
  wall.ms += 2 * retentionMs
  replica.clock.heardMs = wall.ms
  replica.digest()
  assert.equal(replica.forgotMs, arrivedMs)
  replica.delete("c")
  wall.ms += 100
  replica.joined()
  const joinedMs = wall.ms
  wall.ms += 2 * retentionMs
  replica.clock.heardMs = wall.ms
  replica.digest()
  assert.equal(replica.forgotMs, joinedMs)
  assert.equal(replica.entries.size, 0)
})

test("the floor of a donor is taken as far as it can be true", () => {
  const { wall, replica, retentionMs } = forgetful()
  replica.adoptFloor(NOW_MS + retentionMs)
  assert.deepEqual([replica.floorMs, replica.forgotMs], [NOW_MS - retentionMs, NOW_MS])
  wall.ms += 10
  replica.adoptFloor(5)
  assert.deepEqual([replica.floorMs, replica.forgotMs], [NOW_MS - retentionMs, NOW_MS])
})

test("what the floor forbids, and what one that knows of no deletes puts aside", () => {
  const { replica, retentionMs } = forgetful()
  replica.floorMs = 1000
  replica.set("known", 1)
  for (const [key, entry, forbidden] of /** @type {[string, any, boolean][]} */ ([
    ["k", entryOf("1", 999), true],
    ["k", entryOf("1", 1000), false],
    ["k", entryOf(null, 999), false],
    ["known", entryOf("1", 999), false],
  ])) {
    assert.equal(replica.forbids(key, entry), forbidden)
  }
  const how = { doubtful: new Map() }
  const old = NOW_MS - retentionMs
  for (const ms of [old - 2, old - 1, old - 2]) {
    assert.equal(replica.merge("k", entryOf("1", ms), how), null)
  }
  assert.deepEqual([...how.doubtful], [["k", entryOf("1", old - 1)]])
  assert.equal(replica.merge("forbidden", entryOf("1", 999), how), null)
  assert.deepEqual([replica.refused, how.doubtful.size], [1, 1])
  assert.notEqual(replica.merge("k", entryOf("1", old), how), null)
  assert.notEqual(replica.merge("buried", entryOf(null, old - 1), how), null)
  assert.notEqual(replica.merge("j", entryOf("1", old - 1)), null)
})

test("an entry is taken out as if it had never been here", () => {
  const replica = newReplica()
  const { entry } = replica.set("k", 1)
  const update = replica.forget("k")
  assert.deepEqual(update, { key: "k", entry: { ...entry, value: null }, old: entry })
  assert.deepEqual([replica.live, replica.digest(), replica.entries.size], [0, [0, 0], 0])
})

test("the bounds of the relay's time", () => {
  const wall = new Wall()
  const clock = new HybridClock(wall.read, "me")
  const bounds = () => [clock.earliestMs() - NOW_MS, clock.latestMs() - NOW_MS]
  assert.deepEqual(bounds(), [0, 0])
  for (const [heardMs, earliestMs, latestMs] of [
    [-10, -10, 0],
    [-HEARD_MS - 10, -HEARD_MS - 10, -10],
    [0.7, 0, 0],
    [10, 0, 10],
  ]) {
    clock.heardMs = NOW_MS + heardMs
    assert.deepEqual(bounds(), [earliestMs, latestMs], `${heardMs}`)
  }
})

test("a local clock that jumped takes nothing early", () => {
  const wall = new Wall()
  const replica = newReplica("me", wall)
  replica.clock.heardMs = NOW_MS
  wall.ms += 9 * MAX_AHEAD_MS
  const atMs = NOW_MS + HEARD_MS + MAX_AHEAD_MS
  assert.equal(replica.clock.latestMs(), NOW_MS + HEARD_MS)
  assert.notEqual(replica.merge("k", entryOf("1", atMs)), null)
  assert.equal(replica.merge("l", entryOf("1", atMs + 1)), null)
  assert.equal(replica.releaseInMs(), 1)
  assert.deepEqual(replica.release(), [])
})

test("a tombstone of an older stamp, and many of them", () => {
  const { wall, replica, retentionMs } = forgetful()
  const random = seeded(8)
  for (let n = 0; n < 5000; n++) {
    const ms = NOW_MS + Math.floor(random() * 5000)
    const entry = entryOf(random() < 0.7 ? null : "1", ms, "w", n)
    replica.merge(`k${Math.floor(random() * 300)}`, entry)
    if (n % 7 === 0) {
      wall.ms = NOW_MS + retentionMs + n
      replica.collect(3)
    }
  }
  wall.ms += retentionMs
  while (!replica.collect(10)) continue
  for (const { value } of replica.entries.values()) assert.notEqual(value, null)
})

test("the first due time is known anew after each change", () => {
  const replica = newReplica()
  const { held } = replica
  assert.equal(held.nextMs(), null)
  held.add("a", entryOf("1", NOW_MS + 9 * MAX_AHEAD_MS))
  assert.equal(held.nextMs(), NOW_MS + 8 * MAX_AHEAD_MS)
  held.add("b", entryOf("1", NOW_MS + 3 * MAX_AHEAD_MS))
  assert.equal(held.nextMs(), NOW_MS + 2 * MAX_AHEAD_MS)
  held.add("b", entryOf("1", NOW_MS + 4 * MAX_AHEAD_MS))
  assert.equal(held.nextMs(), NOW_MS + 3 * MAX_AHEAD_MS)
  held.fetchAtMs = NOW_MS
  assert.equal(held.nextMs(), NOW_MS)
})
