// The store in IndexedDB, on an IndexedDB in memory; and the store that other tests use instead.

/** @import { Store } from "../../distmap/web/js/store.js" */
import "fake-indexeddb/auto"
import assert from "node:assert/strict"
import { mock, test } from "node:test"
import { IDBFactory } from "fake-indexeddb"

import { IndexedDbStore, SCHEMA } from "../../distmap/web/js/store.js"
import { Disks, MemoryStore } from "./stores.mjs"

/** @type {[string, () => Store][]} */
const STORES = [
  ["IndexedDB", () => new IndexedDbStore(new IDBFactory())],
  ["memory", () => new MemoryStore(new Disks())],
]
const unexpected = () => assert.fail("the copy is gone")

for (const [name, newStore] of STORES) {
  test(`${name}: records are there when the copy is opened again`, async () => {
    const store = newStore()
    let copy = await store.open("one", unexpected)
    assert.equal(await copy.readMeta(), undefined)
    assert.deepEqual(await copy.read("entries", null, 10), [])
    await copy.update({ entries: ["b"], outbox: ["__proto__"] }, (found) => {
      assert.deepEqual(found, { meta: undefined, entries: new Map(), outbox: new Map() })
      return { meta: { n: 1 }, entries: [["b", "B"]], outbox: [["__proto__", "P"]] }
    })
    copy.close()
    copy = await store.open("one", unexpected)
    assert.deepEqual(await copy.readMeta(), { n: 1 })
    assert.deepEqual(await copy.read("outbox", null, 10), [["__proto__", "P"]])
    await copy.update({ entries: ["a", "b"], outbox: [] }, (found) => {
      assert.deepEqual(found.entries, new Map([["b", "B"]]))
      const entries = /** @type {[string, string | null][]} */ ([["b", null]])
      return { entries: [...entries, ["c", "C"]], outbox: [] }
    })
    assert.deepEqual(await copy.read("entries", null, 10), [["c", "C"]])
    assert.deepEqual(await copy.readMeta(), { n: 1 })
    const other = await store.open("two", unexpected)
    assert.deepEqual(await other.read("entries", null, 10), [])
  })

  test(`${name}: reading goes on after a key`, async () => {
    const copy = await newStore().open("one", unexpected)
    const keys = ["\0", "0", "A", "a", "é", "\u2028", "🍎", "\uffff"]
    await copy.update({ entries: [], outbox: [] }, () => ({
      entries: [...keys].reverse().map((key) => [key, key + "!"]),
      outbox: [],
    }))
    const found = []
    for (let part = await copy.read("entries", null, 3); part.length; ) {
      assert.ok(part.length <= 3)
      found.push(...part)
      part = await copy.read("entries", part[part.length - 1][0], 3)
    }
    assert.deepEqual(found, keys.map((key) => [key, key + "!"]))
  })

  test(`${name}: an update is one step, or nothing`, async () => {
    const store = newStore()
    const copies = [await store.open("one", unexpected), await store.open("one", unexpected)]
    const add = async (/** @type {number} */ n) =>
      copies[n % 2].update({ entries: ["sum"], outbox: [] }, ({ entries }) => ({
        entries: [["sum", String(Number(entries.get("sum") ?? 0) + n)]],
        outbox: [],
      }))
    await Promise.all(Array.from({ length: 20 }, (_, n) => add(n)))
    assert.deepEqual(await copies[0].read("entries", null, 10), [["sum", "190"]])
    const failed = copies[0].update({ entries: [], outbox: [] }, () => {
      throw new Error("it cannot decide")
    })
    await assert.rejects(failed, /cannot decide/)
    assert.deepEqual(await copies[1].read("entries", null, 10), [["sum", "190"]])
  })

  test(`${name}: who has it open is told when it is erased`, async () => {
    const store = newStore()
    const gone = mock.fn()
    const copy = await store.open("one", gone)
    await copy.update({ entries: [], outbox: [] }, () => ({ entries: [["a", "A"]], outbox: [] }))
    await store.erase("one")
    assert.equal(gone.mock.callCount(), 1)
    assert.ok(gone.mock.calls[0].arguments[0] instanceof Error)
    const again = await store.open("one", unexpected)
    assert.deepEqual(await again.read("entries", null, 10), [])
  })
}

test("without IndexedDB", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "indexedDB")
  try {
    Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true })
    await assert.rejects(new IndexedDbStore().open("one", unexpected), /no IndexedDB/)
    const get = () => {
      throw new Error("SecurityError")
    }
    Object.defineProperty(globalThis, "indexedDB", { get, configurable: true })
    await assert.rejects(new IndexedDbStore().open("one", unexpected), /SecurityError/)
    await assert.rejects(new IndexedDbStore().erase("one"), /SecurityError/)
  } finally {
    Object.defineProperty(globalThis, "indexedDB", /** @type {PropertyDescriptor} */ (own))
  }
  const copy = await new IndexedDbStore().open("one", unexpected)
  copy.close()
  await assert.rejects(copy.readMeta(), (error) => error instanceof Error)
  await assert.rejects(copy.read("entries", null, 1), (error) => error instanceof Error)
  const late = copy.update({ entries: [], outbox: [] }, () => ({ entries: [], outbox: [] }))
  await assert.rejects(late, (error) => error instanceof Error)
})

/**
 * @param {IDBFactory} factory
 * @param {number} version
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(factory, version) {
  return new Promise((resolve, reject) => {
    const request = factory.open("one", version)
    request.onupgradeneeded = () => {
      if (!request.result.objectStoreNames.contains("of a newer version")) {
        request.result.createObjectStore("of a newer version").put("data", "key")
      }
    }
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

test("what a newer version has saved is left alone", async () => {
  const factory = new IDBFactory()
  const store = new IndexedDbStore(factory)
  const newer = await openDatabase(factory, SCHEMA + 1)
  await assert.rejects(store.open("one", unexpected), { name: "VersionError" })
  newer.close()
  const again = await openDatabase(factory, SCHEMA + 1)
  const request = again.transaction("of a newer version").objectStore("of a newer version").get("key")
  await new Promise((resolve) => void (request.onsuccess = resolve))
  assert.equal(request.result, "data")
})

test("a newer version in another tab takes over, and is not kept waiting", async () => {
  const factory = new IDBFactory()
  const gone = mock.fn()
  await new IndexedDbStore(factory).open("one", gone)
  const newer = await openDatabase(factory, SCHEMA + 1)
  assert.equal(newer.version, SCHEMA + 1)
  assert.equal(gone.mock.callCount(), 1)
})

test("the reason of an update that cannot be", async () => {
  const copy = await new IndexedDbStore(new IDBFactory()).open("one", unexpected)
  const full = copy.update({ entries: [], outbox: [] }, () => ({
    // What cannot be cloned stands for a disk that is full: both come from put().
    entries: [["a", "A"], ["b", /** @type {any} */ (() => {})]],
    outbox: [],
  }))
  await assert.rejects(full, { name: "DataCloneError" })
  assert.deepEqual(await copy.read("entries", null, 10), [])
})
