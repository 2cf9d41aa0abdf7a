// Writes that are set aside, and whole peers that were away for longer than tombstones are kept.

import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"

import { Absence } from "../../distmap/web/js/absence.js"
import { compareStamps } from "../../distmap/web/js/clock.js"
import { Outbox } from "../../distmap/web/js/outbox.js"
import { Network } from "./memory.mjs"
import { NOW_MS, newReplica } from "./support.mjs"

const RETENTION_SECONDS = 100

beforeEach(() => {
  mock.method(console, "warn", () => {})
  mock.method(console, "error", () => {})
})
afterEach(() => mock.restoreAll())

/** A replica that has "a" of another peer, its outbox, and an absence. */
function fixture() {
  const replica = newReplica()
  const outbox = new Outbox()
  const theirs = {
    stamp: { ms: NOW_MS - 9, counter: 0, writer: "w" },
    value: '"theirs"',
    extras: null,
  }
  replica.merge("a", theirs)
  /**
   * @param {string} key
   * @param {unknown} value null deletes
   */
  const write = (key, value) => {
    const update = value === null ? replica.delete(key) : replica.set(key, value)
    assert.ok(update)
    outbox.add(key, update.entry, update.old?.stamp)
    return update.entry
  }
  return { replica, outbox, theirs, write, absence: new Absence(replica) }
}

test("set aside, writes are out of the replica; what others wrote there stays", () => {
  const { replica, outbox, theirs, write, absence } = fixture()
  const entry = write("a", 1)
  write("b", 1)
  const later = { ...theirs, stamp: { ...theirs.stamp, ms: NOW_MS + 5 } }
  replica.merge("b", later)
  const updates = absence.setAside(outbox.take())
  assert.deepEqual(updates, [{ key: "a", entry: { ...entry, value: null }, old: entry }])
  assert.deepEqual([...replica.entries], [["b", later]])
})

test("offered where nobody has changed the key, and nowhere else", () => {
  const { replica, outbox, theirs, write, absence } = fixture()
  write("a", "mine")
  const lost = write("b", "mine")
  write("new", "mine")
  const through = write("through", "mine")
  absence.setAside(outbox.take())
  replica.merge("a", theirs)
  replica.merge("b", theirs)
  replica.merge("through", through)
  const end = absence.end(outbox)
  assert.deepEqual(
    end.offered.map(({ key, entry }) => [key, entry.value]),
    [
      ["a", '"mine"'],
      ["new", '"mine"'],
    ],
  )
  assert.deepEqual(end.taken, [["through", through.stamp]])
  assert.deepEqual(end.superseded, [["b", lost]])
  assert.deepEqual(
    outbox.take().map(({ key, base }) => [key, base]),
    [
      ["a", theirs.stamp],
      ["new", undefined],
    ],
  )
})

test("a delete of what is gone is superseded", () => {
  const { outbox, write, absence } = fixture()
  const entry = write("a", null)
  assert.equal(absence.setAside(outbox.take()).length, 1)
  assert.deepEqual(absence.end(outbox), { offered: [], taken: [], superseded: [["a", entry]] })
})

test("a later write of a key keeps the base of the first", () => {
  const { replica, outbox, theirs, write, absence } = fixture()
  write("a", 1)
  absence.setAside(outbox.take())
  write("a", 2)
  absence.setAside(outbox.take())
  replica.merge("a", theirs)
  const { offered } = absence.end(outbox)
  assert.deepEqual(
    offered.map(({ entry }) => entry.value),
    ["2"],
  )
})

test("a key that is written again meanwhile is left alone", () => {
  const { outbox, write, absence } = fixture()
  write("a", 1)
  absence.setAside(outbox.take())
  const again = write("a", 2)
  assert.deepEqual(absence.end(outbox), { offered: [], taken: [], superseded: [] })
  const fresh = new Absence(newReplica())
  fresh.setAside([{ key: "a", entry: again, base: undefined }])
  assert.deepEqual(fresh.restore(outbox), [])
  assert.equal(outbox.take().length, 1)
})

/** Writes a new key and a known one; both are buried while they wait. */
function buried() {
  const { replica, outbox, write, absence } = fixture()
  replica.forget("a")
  replica.merge("known", { stamp: { ms: 1, counter: 0, writer: "x" }, value: "1", extras: null })
  for (const key of ["new", "known"]) {
    const entry = write(key, 2)
    replica.merge(key, { ...entry, value: null })
  }
  write("kept", 2)
  const writes = outbox.takeBuried(replica.entries)
  assert.deepEqual(
    writes.map(({ key }) => key),
    ["new", "known"],
  )
  assert.deepEqual(absence.setAside(writes), [])
  return { replica, outbox, absence }
}

test("what was buried is offered again if it was new", () => {
  const { replica, outbox, absence } = buried()
  const { offered, taken, superseded } = absence.end(outbox)
  assert.deepEqual(
    offered.map(({ key, entry }) => [key, entry.value]),
    [["new", "2"]],
  )
  assert.deepEqual([taken, superseded.map(([key]) => key)], [[], ["known"]])
  assert.deepEqual(Object.fromEntries(replica.items()), { new: "2", kept: "2" })
  assert.deepEqual(outbox.unsent, ["kept", "new"])
})

test("what was buried goes on if nobody is left to ask", () => {
  const { replica, outbox, absence } = buried()
  const updates = absence.restore(outbox)
  for (const { entry, old } of updates) {
    assert.ok(old && compareStamps(entry.stamp, old.stamp) > 0)
  }
  assert.deepEqual(outbox.unsent, ["kept", "new", "known"])
  assert.deepEqual(outbox.takeBuried(replica.entries), [])
})

/** Two maps that are equal, of which one then leaves; the relay stays up for the other. */
async function apart() {
  const network = new Network()
  const options = { retentionMs: 1000 * RETENTION_SECONDS }
  const home = network.open("/fruits", options)
  await network.pass(1)
  const away = network.open("/fruits", options)
  await network.pass(1)
  for (let n = 0; n < 10; n++) home.set(`k${n}`, "old")
  await network.pass(1)
  network.isUp = false
  network.last.drop()
  await network.pass(1)
  const comeBack = async () => {
    network.isUp = true
    away.connection.wake()
    await network.pass(5)
    assert.equal(away.status, "ready")
  }
  return { network, home, away, comeBack }
}

/** @param {Iterable<[string, unknown]>} map */
const keysOf = (map) => Array.from(map, ([key]) => key).sort()

test("what was deleted and forgotten stays deleted, whoever asks whom", async () => {
  for (const homeLeaves of [false, true]) {
    const { network, home, away, comeBack } = await apart()
    for (let n = 0; n < 5; n++) home.delete(`k${n}`)
    await network.pass(2.5 * RETENTION_SECONDS)
    const wanted = ["k5", "k6", "k7", "k8", "k9"]
    if (homeLeaves) {
      // The stale one is the donor now.
      network.last.drop()
      await network.pass(1)
      await comeBack()
      home.connection.wake()
      await network.pass(5)
    } else {
      await comeBack()
    }
    assert.deepEqual([keysOf(home), keysOf(away)], [wanted, wanted])
    assert.deepEqual([home.synced, away.synced], ["alone", "peer"])
  }
})

test("a newcomer that learns from a stale one alone is put right later", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  await network.pass(2.5 * RETENTION_SECONDS)
  network.last.drop()
  await network.pass(1)
  await comeBack()
  assert.equal(away.has("k0"), true)
  const late = network.open("/fruits", { retentionMs: 1000 * RETENTION_SECONDS })
  await network.pass(1)
  assert.equal(late.has("k0"), true)
  home.connection.wake()
  await network.pass(60)
  for (const map of [home, away, late]) {
    assert.equal(map.status, "ready")
    assert.equal(map.has("k0"), false)
    assert.equal(map.size, 9)
  }
})

test("a shorter absence sets nothing aside", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  await network.pass(1)
  const kept = away.set("k0", "mine")
  /** @type {unknown[]} */
  const told = []
  away.observe((change) => told.push([change.key, change.value]))
  await network.pass(RETENTION_SECONDS / 2)
  await comeBack()
  await kept
  assert.deepEqual([home.get("k0"), told], ["mine", []])
})

test("a long absence in which nothing was forgotten keeps all, and offers all", async () => {
  const { network, home, away, comeBack } = await apart()
  const mine = away.set("mine", 1)
  home.set("theirs", 1)
  await network.pass(3 * RETENTION_SECONDS)
  await comeBack()
  await mine
  assert.deepEqual(keysOf(home), keysOf(away))
  assert.equal(home.size, 12)
})

test("the donor leaves before it has told all: own writes are taken back", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  const written = away.set("k1", "mine")
  await network.pass(2.5 * RETENTION_SECONDS)
  let gone = false
  away.observe(({ key, deleted }) => {
    if (key !== "k1" || !deleted || gone) return
    gone = true
    home.connection.close()
  })
  await comeBack()
  await network.pass(20)
  await written
  assert.ok(gone)
  assert.deepEqual([away.status, away.peers, away.get("k1")], ["ready", 0, "mine"])
})
