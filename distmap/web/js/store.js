// Where browsers keep data: IndexedDB. This module and pages.js alone know it.

import { ENTRIES, PAGES, findEntries, rangeOf, readAll, readEntries, resultOf, writeEntries } from "./pages.js"

/**
 * A place where copies of maps are kept.
 *
 * @typedef {object} Store
 * @property {(name: string, gone: (problem: Error) => void) => Promise<Copy>} open opens a copy, an
 *   empty one if there is none; calls gone if it is closed by something else
 * @property {(name: string) => Promise<void>} erase deletes a copy; those who have it open lose it
 */

/** @typedef {"entries" | "outbox"} Table */

/**
 * The records of some keys; those without a record are missing.
 *
 * @typedef {object} Found
 * @property {unknown} meta
 * @property {Map<string, string>} entries
 * @property {Map<string, string>} outbox
 */

/**
 * New records; null for one that goes.
 *
 * @typedef {object} Changed
 * @property {object} [meta]
 * @property {[key: string, record: string | null][]} entries
 * @property {[key: string, record: string | null][]} outbox
 */

/**
 * The copy of one map: two tables of records, and one record about the whole.
 *
 * @typedef {object} Copy
 * @property {() => Promise<unknown>} readMeta
 * @property {(table: Table, after: string | null, most: number) => Promise<[string, string][]>} read
 *   the next records, in an order of its own that does not change
 * @property {(keys: Record<Table, string[]>, decide: (found: Found) => Changed) => Promise<void>}
 *   update reads, decides and writes as one step, between which nobody else writes; fulfilled when
 *   it is as safe as it gets
 * @property {() => void} close
 */

/** Of the database. The first had no pages; what it saved is read as it is. */
export const SCHEMA = 2
const OUTBOX = "outbox"
const META = "meta"
const STORES = [ENTRIES, PAGES, OUTBOX, META]

/**
 * Keeps copies in IndexedDB, each in a database of its own.
 *
 * @implements {Store}
 */
export class IndexedDbStore {
  #factory

  /** @param {IDBFactory} [factory] where the databases are; the page's own */
  constructor(factory = undefined) {
    this.#factory = factory
  }

  /** @returns {IDBFactory} */
  get #databases() {
    // Where a page may store nothing, to look at it may throw.
    const factory = this.#factory ?? globalThis.indexedDB
    if (!factory) throw new Error("there is no IndexedDB here")
    return factory
  }

  /**
   * @param {string} name
   * @param {(problem: Error) => void} gone
   * @returns {Promise<Copy>}
   */
  async open(name, gone) {
    const request = this.#databases.open(name, SCHEMA)
    request.onupgradeneeded = () => {
      const { objectStoreNames: names } = request.result
      for (const each of STORES) names.contains(each) || request.result.createObjectStore(each)
    }
    return new IndexedDbCopy(await resultOf(request), gone)
  }

  /** @param {string} name */
  async erase(name) {
    await resultOf(this.#databases.deleteDatabase(name))
  }
}

/** @implements {Copy} */
class IndexedDbCopy {
  #database

  /**
   * @param {IDBDatabase} database
   * @param {(problem: Error) => void} gone
   */
  constructor(database, gone) {
    this.#database = database
    database.onclose = () => gone(new Error("the browser has closed the database"))
    database.onversionchange = () => {
      // Who deletes it, or changes it for a newer version, would have to wait for this tab.
      database.close()
      gone(new Error("the database is deleted, or made anew for a newer version"))
    }
  }

  async readMeta() {
    return resultOf(this.#database.transaction(META).objectStore(META).get(META))
  }

  /**
   * @param {Table} table
   * @param {string | null} after
   * @param {number} most
   * @returns {Promise<[string, string][]>}
   */
  async read(table, after, most) {
    if (table === ENTRIES) {
      return readEntries(this.#database.transaction([ENTRIES, PAGES]), after, most)
    }
    return readAll(this.#database.transaction(table).objectStore(table), rangeOf(after, null), most)
  }

  /**
   * @param {Record<Table, string[]>} keys
   * @param {(found: Found) => Changed} decide
   * @returns {Promise<void>}
   */
  update(keys, decide) {
    return new Promise((resolve, reject) => {
      /** @type {unknown} */
      let failure = null
      // Relaxed: it outlives the browser, though perhaps not a loss of power, and takes little time.
      const transaction = this.#database.transaction(STORES, "readwrite", { durability: "relaxed" })
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error ?? failure ?? new Error("aborted"))
      change(transaction, keys, decide).catch((error) => {
        failure = error
        abort(transaction)
      })
    })
  }

  close() {
    this.#database.close()
  }
}

/**
 * Reads, decides and writes.
 *
 * @param {IDBTransaction} transaction
 * @param {Record<Table, string[]>} keys
 * @param {(found: Found) => Changed} decide
 */
async function change(transaction, keys, decide) {
  const outbox = transaction.objectStore(OUTBOX)
  const [entries, meta, ...writes] = await Promise.all([
    findEntries(transaction, keys.entries),
    resultOf(transaction.objectStore(META).get(META)),
    ...keys.outbox.map((key) => resultOf(outbox.get(key))),
  ])
  /** @type {Found} */
  const found = { meta, entries: entries.records, outbox: new Map() }
  keys.outbox.forEach((key, at) => writes[at] === undefined || found.outbox.set(key, writes[at]))
  const changed = decide(found)
  writeEntries(transaction, entries, changed.entries)
  for (const [key, record] of changed.outbox) {
    if (record === null) outbox.delete(key)
    else outbox.put(record, key)
  }
  if (changed.meta !== undefined) transaction.objectStore(META).put(changed.meta, META)
  // It need not wait for more: a page that is being closed gets it done.
  transaction.commit?.()
}

/** @param {IDBTransaction} transaction */
function abort(transaction) {
  try {
    transaction.abort()
  } catch {
    // It is over already.
  }
}
