// The entries of a copy in IndexedDB, one by one and many together, on an IndexedDB in memory.

/** @import { Copy } from "../../distmap/web/js/store.js" */
import "fake-indexeddb/auto"
import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import { IDBFactory, IDBObjectStore } from "fake-indexeddb"

import { BULK_KEYS, ENTRIES, PAGES, PAGE_CHARS } from "../../distmap/web/js/pages.js"
import { IndexedDbStore } from "../../distmap/web/js/store.js"
import { pick, seeded } from "./support.mjs"

afterEach(() => mock.restoreAll())

const unexpected = () => assert.fail("the copy is gone")
/** @param {number} n */
const keyOf = (n) => `k${String(n).padStart(6, "0")}`

/**
 * Saves records; null for one that goes.
 *
 * @param {Copy} copy
 * @param {[key: string, record: string | null][]} changes
 */
async function save(copy, changes) {
  await copy.update({ entries: changes.map(([key]) => key), outbox: [] }, () => ({
    entries: changes,
    outbox: [],
  }))
}

/**
 * @param {Copy} copy
 * @param {() => number} [most]
 */
async function readAll(copy, most = () => 500) {
  const found = []
  let bound = most()
  for (let part = await copy.read("entries", null, bound); part.length; ) {
    assert.ok(part.length <= bound)
    found.push(...part)
    bound = most()
    part = await copy.read("entries", part[part.length - 1][0], bound)
  }
  return found
}

/** Counts the calls of a method, by the name of the object store. */
function counted(/** @type {"put" | "get" | "delete"} */ method) {
  /** @type {Record<string, number>} */
  const counts = {}
  const own = IDBObjectStore.prototype[method]
  mock.method(IDBObjectStore.prototype, method, function (/** @type {any[]} */ ...args) {
    // @ts-expect-error it is a method
    const store = /** @type {any} */ (this)
    counts[store.name] = (counts[store.name] ?? 0) + 1
    return /** @type {any} */ (own).apply(store, args)
  })
  return counts
}

test("whatever is saved together or alone, what is read is what was saved last", async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const random = seeded(seed)
    const below = (/** @type {number} */ limit) => Math.floor(random() * limit)
    const copy = await new IndexedDbStore(new IDBFactory()).open("one", unexpected)
    const size = pick(random, [100, 400, 1500])
    /** @type {Map<string, string>} */
    const model = new Map()
    for (let step = 0; step < 12; step++) {
      const isLong = random() < 0.2
      const start = below(size)
      const count = pick(random, [1, 3, BULK_KEYS - 1, BULK_KEYS, 200])
      const keys = new Set(
        Array.from({ length: count }, (_, n) => keyOf(random() < 0.5 ? start + n : below(size))),
      )
      /** @type {[string, string | null][]} */
      const changes = Array.from(keys, (key) => {
        if (random() < 0.3) return [key, null]
        return [key, `${seed} ${step} ${isLong ? "x".repeat(below(3000)) : ""}`]
      })
      // Some are looked at, and stay as they are.
      const asked = [...keys, keyOf(below(size)), keyOf(below(size))]
      await copy.update({ entries: random() < 0.9 ? asked : [], outbox: [] }, ({ entries }) => {
        for (const key of entries.size ? asked : []) assert.equal(entries.get(key), model.get(key))
        return { entries: changes, outbox: [] }
      })
      for (const [key, record] of changes) {
        if (record === null) model.delete(key)
        else model.set(key, record)
      }
    }
    const wanted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
    assert.deepEqual(await readAll(copy), wanted)
    assert.deepEqual(await readAll(copy, () => 1 + below(70)), wanted)
    const asked = Array.from({ length: size + 200 }, (_, n) => keyOf(n))
    await copy.update({ entries: asked, outbox: [] }, ({ entries }) => {
      assert.deepEqual(new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1))), new Map(wanted))
      return { entries: [], outbox: [] }
    })
  }
})

test("what is saved together takes few calls, and what is saved alone no more than its own", async () => {
  const copy = await new IndexedDbStore(new IDBFactory()).open("one", unexpected)
  const record = "r".repeat(100)
  const [puts, gets, deletes] = [counted("put"), counted("get"), counted("delete")]
  for (let step = 0; step < 10; step++) {
    await save(copy, Array.from({ length: 500 }, (_, n) => [keyOf(500 * step + n), record]))
  }
  const pages = Math.ceil((500 * (record.length + 7)) / PAGE_CHARS)
  assert.deepEqual(puts, { [PAGES]: 10 * pages })
  assert.ok((gets[ENTRIES] ?? 0) === 0)
  assert.equal((await readAll(copy)).length, 5000)
  // Of few keys, or of some that are far apart, no page is written anew.
  await save(copy, [[keyOf(7), "one"]])
  await save(copy, Array.from({ length: BULK_KEYS }, (_, n) => [keyOf(70 * n + 8), "far"]))
  assert.deepEqual(puts, { [PAGES]: 10 * pages, [ENTRIES]: 1 + BULK_KEYS })
  assert.equal(gets[PAGES] <= 1 + 10 * pages, true)
  // Where many are saved together again, the single records are put into the pages.
  const before = deletes[PAGES] ?? 0
  await save(copy, Array.from({ length: 500 }, (_, n) => [keyOf(n), `again ${n}`]))
  assert.equal(puts[ENTRIES], 1 + BULK_KEYS)
  assert.equal(deletes[PAGES] - before, pages)
  const all = new Map(await readAll(copy))
  assert.deepEqual([all.get(keyOf(7)), all.get(keyOf(8)), all.get(keyOf(78))], ["again 7", "again 8", "again 78"])
  assert.equal(all.get(keyOf(708)), "far")
})

test("a page that was emptied one by one does not end a reading", async () => {
  const copy = await new IndexedDbStore(new IDBFactory()).open("one", unexpected)
  await save(copy, Array.from({ length: 200 }, (_, n) => [keyOf(n), "r".repeat(1000)]))
  for (let n = 0; n < 190; n++) await save(copy, [[keyOf(n), null]])
  assert.deepEqual((await readAll(copy)).map(([key]) => key), Array.from({ length: 10 }, (_, n) => keyOf(190 + n)))
})

test("two programs save in one copy", async () => {
  const store = new IndexedDbStore(new IDBFactory())
  const copies = [await store.open("one", unexpected), await store.open("one", unexpected)]
  await Promise.all(
    copies.map((copy, at) =>
      save(copy, Array.from({ length: 300 }, (_, n) => [keyOf(2 * n + at), `${at}`])),
    ),
  )
  const found = await readAll(copies[0])
  assert.deepEqual(found, Array.from({ length: 600 }, (_, n) => [keyOf(n), `${n % 2}`]))
})

/**
 * @param {IDBFactory} factory
 * @param {number} version
 * @param {(database: IDBDatabase) => void} upgrade
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(factory, version, upgrade) {
  return new Promise((resolve, reject) => {
    const request = factory.open("one", version)
    request.onupgradeneeded = () => upgrade(request.result)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

test("a copy of the first schema is read as it is", async () => {
  const factory = new IDBFactory()
  const old = await openDatabase(factory, 1, (database) => {
    for (const name of ["entries", "outbox", "meta"]) database.createObjectStore(name)
  })
  const transaction = old.transaction(["entries", "outbox", "meta"], "readwrite")
  for (let n = 0; n < 100; n++) transaction.objectStore("entries").put(`old ${n}`, keyOf(n))
  transaction.objectStore("outbox").put("write", "k")
  transaction.objectStore("meta").put({ floorMs: 5 }, "meta")
  await new Promise((resolve) => void (transaction.oncomplete = resolve))
  old.close()
  const copy = await new IndexedDbStore(factory).open("one", unexpected)
  assert.deepEqual(await copy.readMeta(), { floorMs: 5 })
  assert.deepEqual(await copy.read("outbox", null, 9), [["k", "write"]])
  await save(copy, Array.from({ length: 90 }, (_, n) => [keyOf(n + 50), `new ${n}`]))
  const wanted = Array.from({ length: 140 }, (_, n) => [keyOf(n), n < 50 ? `old ${n}` : `new ${n - 50}`])
  assert.deepEqual(await readAll(copy), wanted)
})

test("of a damaged page one damaged record is read, and the rest is there", async () => {
  const factory = new IDBFactory()
  const copy = await new IndexedDbStore(factory).open("one", unexpected)
  await save(copy, Array.from({ length: 100 }, (_, n) => [keyOf(n), "r".repeat(1000)]))
  const database = await openDatabase(factory, 2, () => {})
  const pages = database.transaction(PAGES, "readwrite").objectStore(PAGES)
  pages.put("no page", keyOf(0))
  const found = await readAll(copy)
  assert.deepEqual(found[0], [keyOf(0), "damaged"])
  assert.ok(found.length > 50 && found.length < 100)
})

test("a single entry is saved in one step", async () => {
  const copy = await new IndexedDbStore(new IDBFactory()).open("one", unexpected)
  await save(copy, Array.from({ length: 200 }, (_, n) => [keyOf(n), "r".repeat(1000)]))
  /** @type {string[]} */
  const calls = []
  for (const method of /** @type {const} */ (["get", "openCursor", "openKeyCursor", "count", "put"])) {
    const own = IDBObjectStore.prototype[method]
    mock.method(IDBObjectStore.prototype, method, function (/** @type {any[]} */ ...args) {
      calls.push(method)
      // @ts-expect-error it is a method
      return /** @type {any} */ (own).apply(this, args)
    })
  }
  const saved = save(copy, [[keyOf(100), "new"]])
  assert.deepEqual(calls, ["get", "openCursor", "get"], "all at once: the entry, its page, and the meta")
  await saved
  assert.deepEqual(calls.slice(3), ["put"])
  assert.deepEqual((await readAll(copy))[100], [keyOf(100), "new"])
})
