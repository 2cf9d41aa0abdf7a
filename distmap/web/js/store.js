// Where browsers keep data: IndexedDB. The one module that knows it.

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

/** Of the database; a later version may keep things in another way. */
export const SCHEMA = 1
const META = "meta"
/** @type {Table[]} */
const TABLES = ["entries", "outbox"]

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
      for (const table of [...TABLES, META]) request.result.createObjectStore(table)
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
    const range = after === null ? null : IDBKeyRange.lowerBound(after, true)
    const store = this.#database.transaction(table).objectStore(table)
    const [keys, records] = await Promise.all([
      resultOf(store.getAllKeys(range, most)),
      resultOf(store.getAll(range, most)),
    ])
    return keys.map((key, at) => [/** @type {string} */ (key), records[at]])
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
      const transaction = this.#database.transaction([...TABLES, META], "readwrite", {
        durability: "relaxed",
      })
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(failure ?? transaction.error ?? new Error("aborted"))
      /** @type {Found} */
      const found = { meta: undefined, entries: new Map(), outbox: new Map() }
      let missing = 1 + keys.entries.length + keys.outbox.length
      /**
       * @param {IDBRequest} request
       * @param {(record: any) => void} take
       */
      const expect = (request, take) => {
        request.onsuccess = () => {
          if (request.result !== undefined) take(request.result)
          if (--missing > 0) return
          try {
            write(transaction, decide(found))
          } catch (error) {
            failure = error
            transaction.abort()
          }
        }
      }
      for (const table of TABLES) {
        const store = transaction.objectStore(table)
        for (const key of keys[table]) {
          expect(store.get(key), (record) => found[table].set(key, record))
        }
      }
      expect(transaction.objectStore(META).get(META), (record) => void (found.meta = record))
    })
  }

  close() {
    this.#database.close()
  }
}

/**
 * @param {IDBTransaction} transaction
 * @param {Changed} changed
 */
function write(transaction, changed) {
  for (const table of TABLES) {
    const store = transaction.objectStore(table)
    for (const [key, record] of changed[table]) {
      if (record === null) store.delete(key)
      else store.put(record, key)
    }
  }
  if (changed.meta !== undefined) transaction.objectStore(META).put(changed.meta, META)
  // It need not wait for more: a page that is being closed gets it done.
  transaction.commit?.()
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
