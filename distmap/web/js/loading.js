// Reads the saved copy of a map into a peer.

/** @import { Stamp } from "./clock.js" */
/** @import { Entry } from "./entries.js" */
/** @import { Journal } from "./journal.js" */
/** @import { Peer } from "./peer.js" */
/** @import { Copy, Table } from "./store.js" */
import { compareStamps } from "./clock.js"
import * as records from "./records.js"

/** So much is read, or written, in one step. */
export const STEP_KEYS = 500
export const STEP_CHARS = 256 * 1024
/** The first step of a reading; how long records are is not known before. */
const FIRST_KEYS = 64

/**
 * All records of a table, in parts that do not keep the program long.
 *
 * @param {Copy} copy
 * @param {Table} table
 */
export async function* parts(copy, table) {
  let most = FIRST_KEYS
  let next = copy.read(table, null, most)
  for (;;) {
    const part = await next
    const last = part.at(-1)
    if (last === undefined) return
    const chars = part.reduce((sum, [, record]) => sum + String(record).length, 0)
    if (chars > STEP_CHARS) most = Math.max(1, most >> 2)
    else if (chars < STEP_CHARS / 2) most = Math.min(STEP_KEYS, 2 * most)
    // It is read while this part is looked at. Who stops before hears of no failure.
    next = copy.read(table, last[0], most)
    next.catch(() => {})
    yield part
  }
}

/** Reads one copy, once. */
export class Loading {
  /** Records that could not be read. */
  damaged = 0
  /** The copy has all that the network had at that time of the relay; 0 if it was never in touch. */
  syncedMs = 0
  /** @type {Map<string, Stamp>} of the writes in the saved outbox */
  stamps = new Map()
  #copy
  #peer
  #journal

  /**
   * @param {Copy} copy
   * @param {Peer} peer
   * @param {Journal} journal of the peer's replica
   */
  constructor(copy, peer, journal) {
    this.#copy = copy
    this.#peer = peer
    this.#journal = journal
  }

  /** Reads everything, before the peer says anything to the relay. */
  async load() {
    const { replica } = this.#peer
    // First, since others may save meanwhile: the entries may be newer than that time.
    const meta = records.decodeMeta(await this.#copy.readMeta())
    const { floorMs, forgotMs, syncedMs } = meta
    replica.floorMs = Math.max(replica.floorMs, floorMs)
    replica.forgotMs = Math.max(replica.forgotMs, forgotMs)
    if (syncedMs !== null) this.#peer.absence.resume(syncedMs, meta.gaps)
    this.syncedMs = syncedMs ?? 0
    // By when it had been saved, and was known to the others.
    const sinceMs = this.syncedMs + replica.stepMs
    for await (const part of parts(this.#copy, "entries")) {
      for (const [key, record] of part) this.#restore(key, record, sinceMs)
    }
    /** @type {{ key: string, entry: Entry, base: Stamp | undefined }[]} */
    const writes = []
    for await (const part of parts(this.#copy, "outbox")) {
      for (const [key, record] of part) writes.push(...this.#readWrite(key, record))
    }
    // By stamp: in the order they were written, those of a batch together.
    writes.sort((one, other) => compareStamps(one.entry.stamp, other.entry.stamp))
    for (const { key, entry, base } of writes) this.#peer.adopt(key, entry, base)
  }

  /**
   * @param {string} key
   * @param {string} record
   * @param {number} sinceMs
   */
  #restore(key, record, sinceMs) {
    const { replica } = this.#peer
    const entry = records.decodeRecord(key, record, replica.maxValueBytes)
    if (entry === undefined) this.damaged++
    else if (replica.restore(key, entry, sinceMs)) this.#journal.isSaved(key)
  }

  /**
   * @param {string} key
   * @param {string} record
   */
  #readWrite(key, record) {
    const write = records.decodeWrite(key, record, this.#peer.replica.maxValueBytes)
    if (write === undefined) {
      this.damaged++
      return []
    }
    this.stamps.set(key, write.entry.stamp)
    return [{ key, ...write }]
  }
}
