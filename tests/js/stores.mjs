// A store in memory, whose programs can crash.

/** @import { Changed, Copy, Found, Store, Table } from "../../distmap/web/js/store.js" */

/** @typedef {{ meta: unknown, entries: Map<string, string>, outbox: Map<string, string> }} Disk */

/** What stays when the programs end. */
export class Disks {
  /** @type {Map<string, Disk>} */
  all = new Map()
  /** @type {Set<MemoryCopy>} */
  open = new Set()

  /** The only one. */
  get disk() {
    const [disk, ...others] = this.all.values()
    if (disk === undefined || others.length) throw new Error(`${this.all.size} disks`)
    return disk
  }
}

/**
 * The store of one program.
 *
 * @implements {Store}
 */
export class MemoryStore {
  /** After so many more updates the program is dead: what it asks for is never answered. */
  updatesToLive = Infinity
  /** @type {Error | null} what every update fails with */
  problem = null
  /** The most records that were read, or written, in one step. */
  largestStep = 0
  /** The most characters that were read in one step. */
  largestRead = 0
  updates = 0

  /** @param {Disks} disks */
  constructor(disks) {
    this.disks = disks
  }

  kill() {
    this.updatesToLive = 0
  }

  /** Resolves in a turn of its own, if the program lives. */
  turn() {
    if (this.updatesToLive <= 0) return new Promise(() => {})
    return Promise.resolve()
  }

  /**
   * @param {string} name
   * @param {(problem: Error) => void} gone
   * @returns {Promise<Copy>}
   */
  async open(name, gone) {
    await this.turn()
    const { all, open } = this.disks
    const disk = all.get(name) ?? { meta: undefined, entries: new Map(), outbox: new Map() }
    all.set(name, disk)
    const copy = new MemoryCopy(this, disk, gone)
    open.add(copy)
    return copy
  }

  /** @param {string} name */
  async erase(name) {
    await this.turn()
    this.disks.all.delete(name)
    for (const copy of this.disks.open) copy.gone(new Error("the copy was deleted"))
  }
}

/** @implements {Copy} */
class MemoryCopy {
  #store
  #disk

  /**
   * @param {MemoryStore} store
   * @param {Disk} disk
   * @param {(problem: Error) => void} gone
   */
  constructor(store, disk, gone) {
    this.#store = store
    this.#disk = disk
    this.gone = gone
  }

  async readMeta() {
    await this.#store.turn()
    return this.#disk.meta
  }

  /**
   * @param {Table} table
   * @param {string | null} after
   * @param {number} most
   */
  async read(table, after, most) {
    await this.#store.turn()
    const records = [...this.#disk[table]].sort(([a], [b]) => (a < b ? -1 : 1))
    const part = records.filter(([key]) => after === null || key > after).slice(0, most)
    const store = this.#store
    const chars = part.reduce((sum, [, record]) => sum + String(record).length, 0)
    store.largestStep = Math.max(store.largestStep, part.length)
    store.largestRead = Math.max(store.largestRead, chars)
    return part
  }

  /**
   * @param {Record<Table, string[]>} keys
   * @param {(found: Found) => Changed} decide
   */
  async update(keys, decide) {
    const store = this.#store
    await store.turn()
    if (store.problem !== null) throw store.problem
    const disk = this.#disk
    /** @type {Found} */
    const found = { meta: disk.meta, entries: new Map(), outbox: new Map() }
    /** @type {Table[]} */
    const tables = ["entries", "outbox"]
    for (const table of tables) {
      for (const key of keys[table]) {
        const record = disk[table].get(key)
        if (record !== undefined) found[table].set(key, record)
      }
    }
    const changed = decide(found)
    for (const table of tables) {
      store.largestStep = Math.max(store.largestStep, changed[table].length)
      for (const [key, record] of changed[table]) {
        if (record === null) disk[table].delete(key)
        else disk[table].set(key, record)
      }
    }
    if (changed.meta !== undefined) disk.meta = changed.meta
    store.updates++
    store.updatesToLive--
    await store.turn()
  }

  close() {
    this.#store.disks.open.delete(this)
  }
}
