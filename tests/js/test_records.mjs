// What is saved of a map, and what becomes of it when another tab has saved something else.

/** @import { Entry } from "../../distmap/web/js/entries.js" */
import assert from "node:assert/strict"
import { mock, test } from "node:test"

import { encodeEntry } from "../../distmap/web/js/entries.js"
import { Journal } from "../../distmap/web/js/journal.js"
import { RETENTION_MS, RETENTION_STEPS } from "../../distmap/web/js/knowledge.js"
import { Peer } from "../../distmap/web/js/peer.js"
import * as records from "../../distmap/web/js/records.js"
import { Saving } from "../../distmap/web/js/saving.js"
import { Disks, MemoryStore } from "./stores.mjs"
import { NOW_MS, newReplica } from "./support.mjs"

/**
 * @param {number} ms
 * @param {string | null} [value]
 * @returns {Entry}
 */
const entry = (ms, value = "1") => ({ stamp: { ms, counter: 0, writer: "w" }, value, extras: null })
/** @param {Entry | undefined} each */
const text = (each) => each && encodeEntry("k", each)

test("of two entries the greater is saved", () => {
  const [old, now, other] = [entry(1), entry(2), entry(2, "2")]
  const winner = records.changeEntry("k", other, undefined, text(now)) === undefined ? now : other
  const loser = winner === now ? other : now
  /** @type {[Entry | undefined, Entry | undefined, Entry | undefined, string | null | undefined][]} */
  const cases = [
    // what is there, what is gone, what is saved, what becomes of that
    [now, undefined, undefined, text(now)],
    [now, undefined, old, text(now)],
    [old, undefined, now, undefined],
    [now, undefined, now, undefined],
    [winner, undefined, loser, text(winner)],
    [loser, undefined, winner, undefined],
    [undefined, undefined, undefined, undefined],
    [undefined, undefined, now, undefined],
    [undefined, now, undefined, undefined],
    [undefined, now, now, null],
    [undefined, now, old, null],
    [undefined, old, now, undefined],
    [old, now, now, text(old)],
    [old, now, entry(3), undefined],
    [entry(1, null), entry(2, null), entry(2, null), text(entry(1, null))],
  ]
  for (const [there, gone, saved, wanted] of cases) {
    assert.equal(records.changeEntry("k", there, gone, text(saved)), wanted)
  }
  assert.equal(records.changeEntry("k", now, undefined, "damaged"), text(now))
  assert.equal(records.changeEntry("k", undefined, now, "damaged"), undefined)
})

test("of two writes the later is saved, and each program takes out only its own", () => {
  const [old, now, base] = [entry(2), entry(3), entry(1).stamp]
  /** @param {Entry} each */
  const write = (each) => ({ entry: each, base })
  /** @param {Entry} each */
  const record = (each) => records.encodeWrite("k", write(each))
  const cases = /** @type {const} */ ([
    // what waits, what this program knows, what is saved, what becomes of that
    [write(now), undefined, undefined, record(now)],
    [write(now), undefined, record(old), record(now)],
    [write(old), undefined, record(now), undefined],
    [write(old), now.stamp, record(now), record(old)], // it had a wrong stamp
    [undefined, now.stamp, record(now), null],
    [undefined, old.stamp, record(now), undefined],
    [undefined, undefined, record(now), undefined],
    [undefined, now.stamp, undefined, undefined],
    [write(old), undefined, "damaged", record(old)],
  ])
  for (const [waits, known, saved, wanted] of cases) {
    assert.equal(records.changeWrite("k", waits, known, saved), wanted)
  }
})

test("records are read as they were written", () => {
  const full = { ...entry(2, '{"__proto__":1}'), extras: '{"expires":17}' }
  assert.deepEqual(records.decodeRecord("k", text(full)), full)
  for (const base of [undefined, entry(1).stamp]) {
    const write = { entry: full, base }
    assert.deepEqual(records.decodeWrite("k", records.encodeWrite("k", write)), write)
  }
  const long = entry(1, JSON.stringify("x".repeat(1000)))
  assert.deepEqual(records.decodeRecord("k", text(long)), long)
  assert.equal(records.decodeRecord("k", text(long), 1000), undefined)
  for (const damaged of [undefined, null, 1, {}, "", "1", "null", "{}", text(entry(-1))]) {
    assert.equal(records.decodeRecord("k", damaged), undefined)
    assert.equal(records.decodeWrite("k", damaged), undefined)
  }
  assert.equal(records.decodeRecord("another", text(full)), undefined)
  const none = { floorMs: 0, forgotMs: 0, syncedMs: null, gaps: [] }
  const wrong = [{ gaps: 1 }, { gaps: [[1]] }, { gaps: [[0, -1]] }, { gaps: Array(9).fill([1, 2]) }]
  for (const damaged of [undefined, null, [], { floorMs: -1, syncedMs: "1" }, ...wrong]) {
    assert.deepEqual(records.decodeMeta(damaged), none)
  }
  const meta = { floorMs: 1, forgotMs: 2, syncedMs: 3, gaps: [[4, 5]] }
  assert.deepEqual(records.decodeMeta({ ...meta, later: 4 }), meta)
})

test("what may have been deleted and forgotten", () => {
  const cases = /** @type {const} */ ([
    // milliseconds, value, whether it is trusted, floor there, whether it is forgotten
    [5, "1", false, 0, false],
    [5, "1", false, 6, true],
    [5, "1", false, 5, false],
    [5, "1", true, 6, false],
    [5, null, true, 6, true],
    [5, null, true, 5, false],
  ])
  for (const [ms, value, isTrusted, floorMs, wanted] of cases) {
    assert.equal(records.isForgotten(entry(ms, value), isTrusted, floorMs), wanted)
  }
})

test("a journal remembers the greatest that is gone, and what could not be saved", () => {
  const wake = mock.fn()
  const journal = new Journal(wake)
  journal.changed("a", undefined, entry(1))
  journal.changed("a", entry(1), entry(2))
  assert.deepEqual([...journal.changes], [["a", undefined]])
  journal.changed("a", entry(9), entry(2))
  journal.changed("a", entry(3))
  assert.deepEqual([...journal.changes], [["a", entry(9)]])
  const write = { entry: entry(1), base: undefined }
  journal.wrote("b", write)
  assert.equal(wake.mock.callCount(), 5)
  const notes = journal.take()
  assert.equal(journal.changes.size + journal.writes.size, 0)
  journal.changed("a", entry(4))
  journal.putBack(["a"], notes)
  assert.deepEqual([...journal.changes, ...journal.writes], [["a", entry(9)]])
  journal.putBack(["b"], notes)
  assert.deepEqual([...journal.writes], [["b", write]])
  assert.equal(wake.mock.callCount(), 6, "what could not be saved is not tried again at once")
  journal.isSaved("a")
  assert.equal(journal.changes.size, 0)
  journal.outdated()
  assert.equal(journal.take().absences, 1)
  assert.equal(wake.mock.callCount(), 7)
})

test("a write that is acknowledged while it is saved stays until its entry is saved", async () => {
  const disks = new Disks()
  const copy = await new MemoryStore(disks).open("one", () => {})
  const replica = newReplica()
  const journal = (replica.journal = new Journal(() => {}))
  /** @type {Map<string, { entry: Entry, base: undefined }>} */
  const outbox = new Map()
  replica.inTouch = false
  const peer = { replica, outbox }
  replica.knownMs = 1
  const saving = new Saving(copy, /** @type {any} */ (peer), journal)
  /** @param {string} key */
  const write = (key) => {
    outbox.set(key, { entry: replica.set(key, 1).entry, base: undefined })
    journal.wrote(key)
  }
  write("k")
  await saving.save()
  assert.deepEqual([disks.disk.entries.size, disks.disk.outbox.size], [0, 1])
  write("k")
  const saved = saving.save()
  outbox.delete("k")
  journal.wrote("k")
  await saved
  await saving.save()
  assert.deepEqual([disks.disk.entries.size, disks.disk.outbox.size], [0, 1])
  replica.inTouch = true
  await saving.save()
  assert.deepEqual([disks.disk.entries.size, disks.disk.outbox.size], [1, 0])
})

test("a peer goes on from what its copy knew of deletes", async () => {
  const disks = new Disks()
  const copy = await new MemoryStore(disks).open("one", () => {})
  disks.disk.meta = { floorMs: 5, forgotMs: 7, syncedMs: NOW_MS - 1000 }
  const deleted = entry(1, null)
  disks.disk.entries.set("k", encodeEntry("k", deleted))
  const replica = newReplica()
  replica.retentionMs = RETENTION_MS
  /** @type {any} */
  const port = new Proxy({}, { get: () => () => {} })
  const peer = new Peer(replica, port, () => NOW_MS)
  assert.equal(replica.syncedMs, null)
  await new Saving(copy, peer, new Journal(() => {})).load()
  assert.deepEqual([replica.floorMs, replica.forgotMs, replica.syncedMs], [5, 7, NOW_MS - 1000])
  peer.opened()
  peer.receive(["welcome", { version: [1, 0], peer: "1", time_ms: NOW_MS, members: 2 }])
  peer.receive(["donor", "2"])
  assert.equal(replica.knownMs, NOW_MS - 1000, "it is no newcomer that knows nothing")
  peer.receive(["alone"])
  assert.equal(replica.syncedMs, NOW_MS)
  peer.lost()
  assert.equal(replica.syncedMs, NOW_MS)

  // A delete of the copy was known to the others when it was saved, whatever the clock said since.
  replica.inTouch = true
  replica.knownMs = null
  assert.ok(replica.collect(10))
  assert.deepEqual([replica.entries.size, replica.floorMs], [0, 5])
  assert.equal(replica.forgotMs, NOW_MS - 1000 + RETENTION_MS / RETENTION_STEPS)
})
