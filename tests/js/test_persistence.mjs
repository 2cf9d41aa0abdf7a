// Maps that keep a copy: what a tab that is loaded again has, and what of it the others see.

/** @import { Attempt } from "../../distmap/web/js/attempts.js" */
import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"

import { Connection } from "../../distmap/web/js/connection.js"
import { encodeEntry } from "../../distmap/web/js/entries.js"
import { ConnectionLost } from "../../distmap/web/js/errors.js"
import { DistributedMap as Maps } from "../../distmap/web/js/map.js"
import { STORE_SECONDS } from "../../distmap/web/js/persistence.js"
import { decodeMeta } from "../../distmap/web/js/records.js"
import { STEP_CHARS, STEP_KEYS } from "../../distmap/web/js/saving.js"
import { Network } from "./memory.mjs"
import { Disks, MemoryStore } from "./stores.mjs"
import { NOW_MS, pick, refused, seeded } from "./support.mjs"

const RETENTION_MS = 60_000
/** In seconds: when everything that was deleted is forgotten. */
const LATER = 150
const OPTIONS = { retentionMs: RETENTION_MS }

/** @type {Network} */
let network
/** @type {Disks} */
let disks
/** @type {import("node:test").Mock<any>} */
let warn
beforeEach(() => {
  network = new Network()
  disks = new Disks()
  warn = mock.method(console, "warn", () => {})
  mock.method(console, "error", () => {})
})
afterEach(() => mock.restoreAll())

/** A tab of a browser: a map, and the store that it uses. */
class Tab {
  /** @type {unknown[][]} */
  events = []
  /** Whether the network is up for this one. */
  isUp = true

  /**
   * @param {MemoryStore} [store]
   * @param {number} [aheadMs] of its clock
   * @param {{ retentionMs?: number }} [options]
   */
  constructor(store = new MemoryStore(disks), aheadMs = 0, options = OPTIONS) {
    this.store = store
    const { nowMs } = network.clock
    const clock = { ...network.clock, nowMs: () => Math.max(0, nowMs() + aheadMs) }
    const connector = network.connector()
    /** @param {Attempt} attempt */
    const connect = (attempt) => {
      if (this.isUp) return connector.connect(attempt)
      const timer = network.clock.soon(() => attempt.attemptFailed(new ConnectionLost("no network")))
      return () => timer.cancel()
    }
    const connection = new Connection({ connect }, clock, network.random, options)
    this.map = new Maps(connection, "/fruits", { persist: store })
    for (const name of ["set", "delete", "superseded"]) {
      this.map.on(name, (value, key) => this.events.push([name, key, value]))
    }
    this.map.on("persisted", (...event) => this.events.push(["persisted", ...event]))
  }

  goOffline() {
    this.isUp = false
    for (const link of [...network.relay.links]) {
      if (link.attempt === this.map.connection) link.drop()
    }
  }

  /** It is gone, without a last word to anybody. */
  crash() {
    this.store.kill()
    this.goOffline()
    void this.map.connection.close()
  }

  get content() {
    return Object.fromEntries(this.map)
  }
}

/** A new tab, with all that it does at first behind it. */
async function open(store = new MemoryStore(disks)) {
  const tab = new Tab(store)
  await network.pass(1)
  return tab
}

/** Another program, which keeps nothing. */
async function openPeer() {
  const peer = network.open("/fruits", OPTIONS)
  await network.pass(1)
  return peer
}

/** A new tab without a network. */
async function openOffline() {
  network.isUp = false
  const tab = await open()
  return tab
}

/** @param {() => any} read */
async function passUntil(read) {
  for (let n = 0; n < 100 && !read(); n++) await network.pass(1)
  assert.ok(read())
}

test("a tab that is loaded again begins with its copy", async () => {
  const tab = await open()
  assert.equal(tab.map.persisted, "on")
  tab.map.set("apple", { n: 3 })
  tab.map.set("__proto__", "<b>")
  tab.map.set("gone", 1)
  tab.map.delete("gone")
  await network.pass()
  tab.crash()

  const again = await openOffline()
  assert.deepEqual([...again.map], [["__proto__", "<b>"], ["apple", { n: 3 }]])
  assert.deepEqual([again.map.status, again.map.synced, again.map.persisted], [...["offline", null, "on"]])
  assert.deepEqual(again.events, [["persisted", "on", null]])
  assert.equal(await again.map.delete("gone"), false)
})

test("what a store gets", async () => {
  const tab = await open()
  const peer = await openPeer()
  peer.set("pear", 1)
  await network.pass()
  tab.map.set("apple", 3)
  tab.map.delete("pear")
  assert.equal(await tab.map.saved(), true)
  assert.deepEqual([...disks.disk.outbox.keys()], ["apple", "pear"])
  await network.pass()
  assert.deepEqual([...disks.disk.outbox.keys()], [])
  const events = [...disks.disk.entries.values()].map((record) => JSON.parse(record).event)
  assert.deepEqual(events, ["delete", "set"])
  const gaps = [[0, NOW_MS + 50]] // since the first peer was alone
  assert.deepEqual(disks.disk.meta, { floorMs: 0, forgotMs: 0, syncedMs: NOW_MS, gaps })
  assert.deepEqual([...disks.all.keys()], ["distmap  /fruits"])
})

test("unsent writes outlive a crash, and are sent once there is a relay", async () => {
  const peer = await openPeer()
  peer.set("pear", 1)
  peer.set("fig", 1)
  const tab = await open()
  network.stop()
  await network.pass()
  tab.map.set("apple", 3)
  tab.map.delete("pear")
  tab.map.set("kiwi", 1)
  tab.map.set("kiwi", 2)
  await network.pass()
  tab.crash()

  const again = await openOffline()
  assert.deepEqual(again.content, { apple: 3, fig: 1, kiwi: 2 })
  network.start()
  await passUntil(() => peer.has("apple"))
  await network.pass(1)
  const sent = [...network.relay.members.values()]
    .filter(({ link }) => link.attempt === again.map.connection)
    .flatMap(({ link }) => link.received.join("").match(/"key":"\w+"/g))
  assert.deepEqual([...new Set(sent)], ['"key":"apple"', '"key":"pear"', '"key":"kiwi"'])
  assert.deepEqual(Object.fromEntries(peer), { apple: 3, fig: 1, kiwi: 2 })
  await network.pass(1)
  assert.equal(disks.disk.outbox.size, 0)
  again.crash()
  assert.deepEqual((await open()).content, { apple: 3, fig: 1, kiwi: 2 })
})

test("a batch comes back as one, in the order of the writes", async () => {
  const peer = await openPeer()
  const tab = await open()
  network.stop()
  await network.pass()
  tab.map.update({ z: 1, b: 1, m: 1 })
  tab.map.update({ c: 1, a: 1 })
  tab.map.set("b", 2)
  await network.pass()
  tab.crash()

  const again = await openOffline()
  assert.equal(again.map.size, 5)
  network.start()
  await passUntil(() => peer.size === 5)
  const link = [...network.relay.links].find(({ attempt }) => attempt === again.map.connection)
  const sent = link?.received.flatMap((text) => text.match(/.*channel","data",\{.*/g) ?? []) ?? []
  const keys = sent.map((frame) => Array.from(frame.matchAll(/"key":"(\w)"/g), ([, key]) => key))
  assert.deepEqual(
    keys.map((each) => each.sort().join("")),
    ["mz", "ac", "b"],
  )
})

test("the promise of a write waits for the relay, not for the store", async () => {
  const tab = await open()
  tab.store.turn = () => new Promise(() => {}) // it hangs
  let taken = false
  tab.map.set("apple", 3).then(() => (taken = true))
  await network.pass()
  assert.equal(taken, true)

  const offline = await openOffline()
  taken = false
  offline.map.set("pear", 3).then(() => (taken = true))
  assert.equal(await offline.map.saved(), true)
  await network.pass()
  assert.equal(taken, false)
})

test("writes before the copy is read", async () => {
  const tab = await open()
  tab.map.set("apple", "old")
  tab.map.set("pear", "old")
  await network.pass()
  tab.crash()
  network.isUp = false
  await network.pass(1)
  const again = new Tab()
  assert.equal(again.map.persisted, "loading")
  again.map.set("apple", "new")
  assert.equal(await again.map.saved(), true)
  assert.deepEqual(again.content, { apple: "new", pear: "old" })
  again.crash()
  assert.deepEqual((await openOffline()).content, { apple: "new", pear: "old" })
})

test("a closed map has saved everything", async () => {
  network.isUp = false
  const tab = new Tab()
  const taken = tab.map.set("apple", 3)
  await tab.map.close()
  await assert.rejects(taken, { code: "map-closed" })
  assert.equal(disks.open.size, 0)
  assert.equal(await tab.map.saved(), false)
  const again = new Tab()
  again.map.set("pear", 1)
  const closed = again.map.connection.close()
  await network.pass()
  await closed
  assert.equal(disks.open.size, 0)
  network.isUp = true
  const peer = await openPeer()
  assert.deepEqual((await open()).content, { apple: 3, pear: 1 })
  await network.pass(1)
  assert.deepEqual(Object.fromEntries(peer), { apple: 3, pear: 1 })
})

test("nothing is left to do after all is closed", async () => {
  const tabs = [await open(), await open(new MemoryStore(disks))]
  tabs[0].map.set("a", 1)
  const closed = tabs.map((tab) => tab.map.connection.close())
  await network.pass(5)
  await Promise.all(closed)
  assert.equal(network.clock.pending, 0)
})

test("a connection that is closed waits for a map that was closed just before", async () => {
  const store = new MemoryStore(disks)
  const { clock } = network
  store.turn = () => new Promise((resolve) => void clock.later(0.1, () => resolve(undefined)))
  const tab = await open(store)
  tab.map.set("a", 1)
  void tab.map.close()
  const closed = tab.map.connection.close().then(() => network.clock.pending)
  await network.pass(5)
  assert.equal(await closed, 0)
  assert.equal(disks.open.size, 0)
})

test("two tabs save in one copy, and neither undoes what the other saved", async () => {
  const tabs = [await open(), await open()]
  network.stop()
  await network.pass()
  tabs[0].map.set("both", "first")
  tabs[0].map.set("one", 1)
  await network.pass(0.1)
  tabs[1].map.set("both", "second")
  tabs[1].map.set("two", 2)
  await network.pass(0.1)
  // The earlier one is saved once more, after the later one.
  tabs[0].map.set("another", 1)
  await network.pass()
  for (const tab of tabs) tab.crash()
  const again = await openOffline()
  assert.deepEqual(again.content, { another: 1, both: "second", one: 1, two: 2 })
  network.start()
  const peer = await openPeer()
  await passUntil(() => peer.size === 4)
  assert.deepEqual(Object.fromEntries(peer), again.content)
})

test("what one tab takes over from a living one is not lost if both crash", async () => {
  network.isUp = false
  const first = new Tab()
  first.map.set("apple", 1)
  await first.map.saved()
  const second = await openOffline()
  assert.equal(second.map.get("apple"), 1)
  first.map.set("apple", 2)
  await first.map.saved()
  second.map.set("pear", 1)
  await second.map.saved()
  network.start()
  await passUntil(() => first.map.status === "ready" && second.map.status === "ready")
  await network.pass(1)
  assert.deepEqual(second.content, { apple: 2, pear: 1 })
  assert.equal(disks.disk.outbox.size, 0)
  assert.deepEqual(first.content, second.content)
})

test("an acknowledged write of one tab leaves a later one of another tab in the outbox", async () => {
  const [first, second] = [await open(), await open()]
  network.stop()
  await network.pass()
  first.map.set("apple", 1)
  await network.pass(0.1)
  second.map.set("apple", 2)
  await second.map.saved()
  second.crash()
  network.start()
  await passUntil(() => first.map.status === "ready")
  await network.pass(1)
  assert.equal(first.map.get("apple"), 1)
  assert.equal(disks.disk.outbox.size, 1)
  await open()
  assert.equal(first.map.get("apple"), 2)
  assert.equal(disks.disk.outbox.size, 0)
})

// -- long absences --------------------------------------------------------------------------------

test("what was deleted and forgotten does not come back with a copy of long ago", async () => {
  const peer = await openPeer()
  const tab = await open()
  for (const key of ["stays", "goes", "changes"]) peer.set(key, "old")
  await network.pass(1)
  tab.crash()
  peer.delete("goes")
  peer.set("changes", "new")
  await network.pass(LATER)
  const again = await open()
  assert.deepEqual(again.content, { stays: "old", changes: "new" })
  assert.deepEqual(Object.fromEntries(peer), again.content)
  again.crash()
  const offline = await openOffline()
  assert.deepEqual(offline.content, { stays: "old", changes: "new" })
})

test("own writes of long ago are offered only where nobody has changed the key", async () => {
  const peer = await openPeer()
  peer.set("theirs", "old")
  peer.set("mine", "old")
  peer.set("deleted", "old")
  const tab = await open()
  network.stop()
  await network.pass()
  for (const key of ["theirs", "mine", "new"]) tab.map.set(key, "written offline")
  await tab.map.saved()
  tab.crash()
  network.start()
  await network.pass(10)
  assert.equal(peer.status, "ready")
  peer.set("theirs", "changed")
  peer.delete("deleted")
  await network.pass(LATER)
  const again = await open()
  const wanted = { theirs: "changed", mine: "written offline", new: "written offline" }
  assert.deepEqual(again.content, wanted)
  assert.deepEqual(Object.fromEntries(peer), wanted)
  assert.deepEqual(again.events.slice(1), [["superseded", "theirs", "written offline"]])
  assert.equal(disks.disk.outbox.size, 0)
  again.crash()
  assert.deepEqual((await openOffline()).content, wanted)
})

test("writes of a tab that was never in touch", async () => {
  const peer = await openPeer()
  peer.set("deleted", 1)
  const tab = await openOffline()
  tab.map.set("soon", 1)
  await tab.map.saved()
  tab.crash()
  network.start()
  const again = await open() // within the retention: as any other write
  assert.deepEqual(again.content, { deleted: 1, soon: 1 })
  await again.map.close()
  await again.map.eraseCopy()
  disks.all.clear()

  const offline = await openOffline()
  offline.map.set("late", 1)
  await offline.map.saved()
  offline.crash()
  network.start()
  await network.pass(1)
  assert.equal(peer.status, "ready")
  peer.delete("deleted")
  await network.pass(LATER)
  assert.deepEqual((await open()).content, { soon: 1, late: 1 })
  assert.deepEqual(Object.fromEntries(peer), { soon: 1, late: 1 })
  assert.equal(peer.divergences, 0)
})

test("what the relay takes before the tab is in touch is saved all the same", async () => {
  await openPeer()
  network.last.silent = true // a donor that says nothing
  const store = new MemoryStore(disks)
  const { clock } = network
  store.turn = () => new Promise((resolve) => void clock.later(0.5, () => resolve(undefined)))
  const tab = await open(store)
  await network.pass(2)
  const events = [tab.map.set("apple", 3), tab.map.saved()]
  await network.pass(2)
  assert.deepEqual(await Promise.all(events), [undefined, true])
  assert.equal(tab.map.status, "syncing")
  tab.crash()
  assert.deepEqual((await openOffline()).content, { apple: 3 })
})

test("an old copy is all there is, if nobody else is left", async () => {
  const tab = await open()
  tab.map.set("apple", 1)
  tab.map.set("pear", 1)
  await network.pass()
  tab.map.delete("pear")
  await network.pass()
  tab.crash()
  await network.pass(LATER)
  const again = await open()
  assert.deepEqual([again.content, again.map.synced], [{ apple: 1 }, "alone"])
})

test("a tab that is open for long stays in touch, also if nothing changes", async () => {
  const peer = await openPeer()
  const tab = await open()
  peer.set("apple", 1)
  peer.set("pear", 1)
  await network.pass(1)
  await network.pass(LATER)
  const { syncedMs } = /** @type {any} */ (disks.disk.meta)
  assert.ok(syncedMs > network.clock.nowMs() - 15_000)
  tab.crash()
  peer.delete("pear")
  await network.pass(30)
  const again = await open()
  assert.deepEqual(again.content, { apple: 1 })
  assert.ok(!again.events.some(([name]) => name === "delete"))
})

test("what was written offline is saved whole as soon as the tab is in touch", async () => {
  const peer = await openPeer()
  peer.set("pear", 1)
  const tab = new Tab(undefined, 0, {}) // tells the copy once an hour that it is in touch
  await network.pass(1)
  tab.goOffline()
  tab.map.set("apple", 1)
  await tab.map.saved()
  assert.deepEqual([disks.disk.entries.size, disks.disk.outbox.size], [1, 1])
  tab.isUp = true
  await passUntil(() => tab.map.status === "ready")
  await network.pass()
  assert.deepEqual([disks.disk.entries.size, disks.disk.outbox.size], [2, 0])
})

test("the relay's time is no whole number, and is saved all the same", async () => {
  await network.pass(0.0105)
  const tab = await open()
  tab.map.set("apple", 1)
  await network.pass()
  const { syncedMs } = decodeMeta(disks.disk.meta)
  assert.ok(syncedMs !== null && syncedMs > NOW_MS && syncedMs <= network.clock.nowMs())
})

test("the time of the last touch is saved behind all that was seen", async () => {
  const peer = await openPeer()
  const tab = await open()
  for (let n = 0; n < STEP_KEYS; n++) peer.set(`k${n}`, 1)
  await network.pass(1)
  const before = disks.disk.meta
  tab.goOffline()
  await network.pass(20)
  for (let n = 0; n < 2 * STEP_KEYS; n++) peer.set(`k${n}`, 2)
  tab.isUp = true
  tab.store.updatesToLive = 1
  await passUntil(() => tab.map.status === "ready")
  await network.pass(1)
  tab.crash()
  assert.deepEqual(disks.disk.meta, before)
  const changed = [...disks.disk.entries.values()].filter((text) => JSON.parse(text).value === 2)
  assert.equal(changed.length, STEP_KEYS)
})

test("collected tombstones leave the copy", async () => {
  const tab = await open()
  tab.map.set("apple", 1)
  tab.map.set("pear", 1)
  tab.map.delete("pear")
  await network.pass()
  assert.equal(disks.disk.entries.size, 2)
  await network.pass(LATER)
  assert.deepEqual([...disks.disk.entries.keys()], ["apple"])
  assert.ok(/** @type {any} */ (disks.disk.meta).floorMs > NOW_MS)
  tab.crash()
  const again = await open()
  const floors = again.map
  assert.deepEqual(Object.fromEntries(floors), { apple: 1 })
})

test("a tab that was away for long removes what only another tab had saved", async () => {
  const peer = await openPeer()
  const tab = await open()
  peer.set("known", 1)
  await network.pass(1)
  tab.goOffline()
  // Another tab, in touch for a while, has saved these, and is gone.
  const stamp = { ms: network.clock.nowMs(), counter: 0, writer: "another" }
  /** @param {string} key @param {number} ms */
  const save = (key, ms) => {
    const entry = { stamp: { ...stamp, ms }, value: "1", extras: null }
    disks.disk.entries.set(key, encodeEntry(key, entry))
  }
  save("deleted", stamp.ms)
  save("young", stamp.ms + 1000 * LATER)
  disks.disk.entries.set("damaged", "?")
  peer.set("deleted", 1)
  await network.pass(1)
  peer.delete("deleted")
  peer.delete("known")
  await network.pass(LATER)
  tab.isUp = true
  await passUntil(() => tab.map.status === "ready")
  await network.pass(1)
  assert.deepEqual(tab.content, {})
  const records = [...disks.disk.entries.values()].map((record) => JSON.parse(record))
  assert.deepEqual(records.filter(({ event }) => event === "set").map(({ key }) => key), ["young"])
})

test("a tab that only seems to be in touch saves nothing but its own writes", async () => {
  const tab = await open()
  const peer = await openPeer()
  peer.set("known", 1)
  await network.pass(0.1)
  const now = network.clock.nowMs()
  disks.disk.meta = { floorMs: now + 30_000, syncedMs: now + 30_000 } // by another tab
  const record = disks.disk.entries.get("known")
  peer.set("theirs", 1)
  peer.set("known", 2)
  await network.pass(0.1)
  tab.map.set("mine", 1)
  assert.equal(await tab.map.saved(), true)
  assert.deepEqual([...disks.disk.entries], [["known", record]])
  assert.deepEqual([...disks.disk.outbox.keys()], ["mine"])
  await network.pass(60)
  peer.set("theirs", 2)
  await network.pass(1)
  assert.deepEqual([...disks.disk.entries.keys()], ["known", "mine", "theirs"])
  assert.notEqual(disks.disk.entries.get("known"), record)
  assert.equal(disks.disk.outbox.size, 0)
})

// -- wrong clocks ---------------------------------------------------------------------------------

test("a copy is read also where the clock is years behind", async () => {
  const tab = await open()
  for (let n = 0; n < 300; n++) tab.map.set(`k${n}`, n)
  await network.pass()
  tab.crash()
  network.isUp = false
  const again = new Tab(undefined, -NOW_MS)
  await network.pass(1)
  assert.equal(again.map.size, 300)
  again.map.set("k0", "new")
  network.start()
  await passUntil(() => again.map.status === "ready")
  assert.equal(again.map.get("k0"), "new")
  assert.equal(again.map.size, 300)
})

test("writes with a wrong clock, taken over after a crash, do not win over all that comes", async () => {
  const peer = await openPeer()
  const DAY_MS = 86_400_000
  network.stop()
  const tab = new Tab(undefined, DAY_MS)
  tab.map.set("apple", "far ahead")
  await tab.map.saved()
  tab.crash()
  const again = new Tab(undefined, DAY_MS)
  await network.pass(1)
  assert.equal(again.map.get("apple"), "far ahead")
  network.start()
  await passUntil(() => again.map.status === "ready" && peer.status === "ready")
  await network.pass(1)
  assert.equal(peer.get("apple"), "far ahead")
  peer.set("apple", "later")
  await network.pass(1)
  assert.deepEqual([again.map.get("apple"), peer.get("apple")], ["later", "later"])
  again.crash()
  const last = await open()
  assert.deepEqual(last.content, { apple: "later" })
  const [record] = disks.disk.entries.values()
  assert.ok(JSON.parse(record).stamp[0] < network.clock.nowMs() + 60_000)
})

// -- what can go wrong ----------------------------------------------------------------------------

test("no store: the map goes on, and says so once", async () => {
  const store = new MemoryStore(disks)
  store.open = () => {
    throw new Error("not in private windows")
  }
  const tab = await open(store)
  const peer = await openPeer()
  tab.map.set("apple", 1)
  await network.pass(1)
  assert.deepEqual(tab.events, [["persisted", "failed", new Error("not in private windows")]])
  assert.deepEqual([tab.map.persisted, await tab.map.saved()], ["failed", false])
  assert.equal(warn.mock.callCount(), 1)
  assert.match(warn.mock.calls[0].arguments[0], /not in private windows/)
  assert.equal(peer.get("apple"), 1)
  const closed = tab.map.connection.close()
  await network.pass()
  await closed
})

test("a full disk: the map goes on, and says so once; the copy stays as it was", async () => {
  const tab = await open()
  tab.map.set("apple", 1)
  await network.pass()
  tab.store.problem = new DOMException("full", "QuotaExceededError")
  tab.map.set("pear", 1)
  tab.map.set("fig", 1)
  assert.equal(await tab.map.saved(), false)
  await network.pass(1)
  tab.map.set("kiwi", 1)
  await network.pass(30)
  assert.deepEqual([tab.map.persisted, tab.map.size, tab.map.status], ["failed", 4, "ready"])
  assert.equal(warn.mock.callCount(), 1)
  assert.equal(tab.events.length, 2)
  await tab.map.close()
  assert.equal(disks.open.size, 0)
  assert.deepEqual((await open()).content, { apple: 1 })
})

test("a store that does not open in time", async () => {
  const store = new MemoryStore(disks)
  const { open: openCopy } = store
  /** @type {() => void} */
  let go = () => {}
  store.open = async (...args) => {
    await new Promise((resolve) => void (go = () => resolve(undefined)))
    return openCopy.apply(store, args)
  }
  const tab = await open(store)
  assert.deepEqual([tab.map.persisted, tab.map.status], ["loading", "connecting"])
  await network.pass(STORE_SECONDS)
  assert.deepEqual([tab.map.persisted, tab.map.status], ["failed", "ready"])
  go()
  await network.pass(1)
  assert.equal(disks.open.size, 0)
  assert.equal(tab.map.persisted, "failed")
})

test("a store that hangs keeps nobody from closing", async () => {
  const tab = await open()
  tab.store.turn = () => new Promise(() => {})
  tab.map.set("apple", 1)
  const saved = tab.map.saved()
  const closed = tab.map.connection.close()
  await network.pass(STORE_SECONDS + 1)
  await closed
  assert.equal(await saved, false)
  assert.equal(disks.open.size, 0)
})

test("what a newer version has noted of a copy is kept", async () => {
  const tab = await open()
  tab.map.set("apple", 1)
  await network.pass()
  disks.disk.meta = { ...Object(disks.disk.meta), later: [1] }
  await network.pass(30)
  const { later, syncedMs } = /** @type {any} */ (disks.disk.meta)
  assert.deepEqual(later, [1])
  assert.ok(syncedMs > NOW_MS + 10_000)
})

test("the copy is deleted by somebody else", async () => {
  const [first, second] = [await open(), await open()]
  first.map.set("apple", 1)
  await network.pass()
  await first.map.eraseCopy()
  assert.equal(disks.all.size, 0)
  assert.equal(warn.mock.callCount(), 1, "who erased it need not be warned")
  for (const { map } of [first, second]) {
    assert.deepEqual([map.persisted, map.get("apple")], ["failed", 1])
    map.set("pear", 1)
  }
  await network.pass(1)
  assert.equal(disks.all.size, 0)
  await network.open().eraseCopy() // has none
})

test("damaged records are left out, and the rest is taken", async () => {
  const tab = await open()
  for (const key of ["a", "b", "c", "d"]) tab.map.set(key, 1)
  await network.pass()
  tab.goOffline()
  for (const key of ["a", "x", "y"]) tab.map.set(key, 2)
  await tab.map.saved()
  tab.crash()
  const { entries, outbox } = disks.disk
  entries.set("b", "{").set("c", /** @type {any} */ (undefined))
  entries.set("e", /** @type {string} */ (entries.get("d")))
  entries.set("f", '{"event":"set","key":"f","value":NaN,"stamp":[1,2,"w"]}')
  outbox.set("x", "null").set("y", '{"entry":{},"base":[1]}')
  disks.disk.meta = ["?"]
  const again = await openOffline()
  assert.deepEqual(again.content, { a: 2, d: 1 })
  assert.equal(again.map.persisted, "on")
  assert.equal(warn.mock.callCount(), 1)
  assert.match(warn.mock.calls[0].arguments[0], /6 damaged/)
  again.map.set("b", 3)
  network.start()
  await passUntil(() => again.map.status === "ready")
  await network.pass(1)
  again.crash()
  assert.deepEqual((await openOffline()).content, { a: 2, b: 3, d: 1 })
})

test("what a newer peer says of an entry is kept", async () => {
  const tab = await open()
  const peer = await openPeer()
  const stamp = [network.clock.nowMs(), 0, "newer"]
  const wire = { event: "set", key: "a", value: 1, stamp, expires: 17 }
  for (const { id, link, stream } of network.relay.members.values()) {
    if (id === "1") link.mux.send(stream, JSON.stringify(wire))
  }
  await network.pass()
  assert.equal(tab.map.get("a"), 1)
  tab.crash()
  await open()
  await network.pass(1)
  assert.deepEqual(JSON.parse(/** @type {string} */ (disks.disk.entries.get("a"))), wire)
  assert.equal(peer.get("a"), 1)
})

test("what is no store is refused", () => {
  for (const persist of [1, "yes", {}, null, { open() {} }]) {
    const options = /** @type {any} */ ({ persist })
    refused(() => new Maps(network.connect(), "/fruits", options), "invalid-type")
  }
})

// -- many entries, many crashes -------------------------------------------------------------------

test("a large map is read and written in steps", async () => {
  const peer = await openPeer()
  for (let n = 0; n < 20_000; n++) peer.set(`k${n}`, n)
  await network.pass(1)
  const tab = await open()
  await passUntil(() => disks.disk.entries.size === 20_000)
  const long = "x".repeat(100_000)
  for (let n = 0; n < 20; n++) peer.set(`long ${n}`, long)
  await network.pass(1)
  assert.ok(tab.store.largestStep <= STEP_KEYS)
  assert.ok(tab.store.updates > 20_000 / STEP_KEYS)
  tab.crash()
  const again = await openOffline()
  await again.map.saved()
  assert.equal(again.map.size, 20_020)
  assert.ok(again.store.largestStep <= STEP_KEYS)
  assert.ok(again.store.largestRead < 20 * STEP_CHARS)
})

test("what was said to be safe survives any crash", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    network = new Network()
    disks = new Disks()
    await crashes(seeded(seed), `seed ${seed}`)
  }
})

/**
 * @param {() => number} random
 * @param {string} about
 */
async function crashes(random, about) {
  const keys = ["a", "b", "c", "d", "e"]
  /** @type {Map<string, { value: unknown, timeMs: number, isSafe: boolean }[]>} */
  const writes = new Map(keys.map((key) => [key, []]))
  const peer = await openPeer()
  /** @type {Tab[]} */
  let tabs = [await open()]
  for (let step = 1; step <= 60; step++) {
    const chance = random()
    const tab = pick(random, tabs)
    if (chance < 0.1 && tabs.length < 3) {
      tabs.push(new Tab())
    } else if (chance < 0.2) {
      if (tab.isUp) tab.goOffline()
      else tab.isUp = true
    } else if (chance < 0.35) {
      tab.store.updatesToLive = Math.floor(3 * random())
      await network.pass(random() < 0.5 ? 0 : 0.5)
      tab.crash()
      tabs = tabs.filter((each) => each !== tab)
      if (tabs.length === 0) tabs.push(new Tab())
    } else if (tab.map.status !== "closed") {
      const map = chance < 0.5 ? peer : tab.map
      const key = pick(random, keys)
      const isDelete = random() < 0.3
      if (isDelete && !map.has(key)) continue
      const write = { value: isDelete ? undefined : step, timeMs: 0, isSafe: false }
      const off = map.observe((change) => (write.timeMs = change.timeMs))
      writes.get(key)?.push(write)
      const taken = isDelete ? map.delete(key) : map.set(key, step)
      off()
      taken.then(() => (write.isSafe = true), () => {})
      if (map !== peer) map.saved().then((isSaved) => (write.isSafe ||= isSaved))
    }
    await network.pass(random() < 0.3 ? 0.3 : 0.002)
  }
  for (const tab of tabs) tab.isUp = true
  tabs.push(await open())
  await network.pass(60)

  for (const tab of tabs) {
    assert.deepEqual(Object.fromEntries(tab.map), Object.fromEntries(peer), about)
    assert.equal(tab.map.persisted, "on", about)
  }
  for (const [key, all] of writes) {
    // Clocks may differ by some milliseconds: the later write is the one with the later stamp.
    const safeMs = Math.max(0, ...all.filter((each) => each.isSafe).map((each) => each.timeMs))
    const value = peer.get(key)
    const isKept = all.some((each) => each.value === value && each.timeMs >= safeMs)
    assert.ok(isKept || safeMs === 0, `${about}: ${key} is ${value}, of ${JSON.stringify(all)}`)
  }
  const records = [...disks.disk.entries.values()].map((record) => JSON.parse(record))
  const live = records.filter(({ event }) => event === "set").map(({ key, value }) => [key, value])
  assert.deepEqual(Object.fromEntries(live), Object.fromEntries(peer), about)
  assert.equal(disks.disk.outbox.size, 0, about)
  for (const { map } of tabs) void map.connection.close()
  void peer.connection.close()
}

test("what is deleted stays deleted, whichever tab comes back when", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    network = new Network()
    disks = new Disks()
    await absences(seeded(seed), `seed ${seed}`)
  }
})

/**
 * @param {() => number} random
 * @param {string} about
 */
async function absences(random, about) {
  const peer = await openPeer()
  /** @type {Set<string>} */
  const deleted = new Set()
  let tabs = [await open(), await open()]
  for (let round = 0; round < 3; round++) {
    const keys = Array.from({ length: 12 }, (_, n) => `${round} ${n}`)
    for (const key of keys) pick(random, [peer, ...tabs.map((tab) => tab.map)]).set(key, 1)
    await network.pass(random() < 0.5 ? 0.1 : 2)
    for (const tab of tabs) {
      if (random() < 0.7) tab.goOffline()
      if (random() < 0.5) for (const key of keys.slice(0, 3)) tab.map.set(key, "offline")
      if (random() < 0.5) continue
      tab.store.updatesToLive = Math.floor(2 * random())
      await network.pass(0.1)
      tab.crash()
      tabs = tabs.filter((each) => each !== tab)
    }
    if (random() < 0.5) tabs.push(await open())
    await network.pass(1)
    for (const key of keys.slice(3)) {
      if (random() < 0.5 || !peer.has(key)) continue
      peer.delete(key)
      deleted.add(key)
    }
    await network.pass(random() < 0.7 ? LATER : 5)
    for (const tab of tabs) tab.isUp = true
    tabs.push(await open())
    await network.pass(30)
    const content = Object.fromEntries(peer)
    assert.deepEqual(Object.keys(content).filter((key) => deleted.has(key)), [], about)
    for (const tab of tabs) assert.deepEqual(tab.content, content, about)
    const records = [...disks.disk.entries.values()].map((record) => JSON.parse(record))
    const live = records.filter(({ event }) => event === "set")
    assert.deepEqual(Object.fromEntries(live.map(({ key, value }) => [key, value])), content, about)
    assert.equal(disks.disk.outbox.size, 0, about)
  }
  for (const { connection } of [peer, ...tabs.map((tab) => tab.map)]) void connection.close()
}
