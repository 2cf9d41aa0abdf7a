// What another peer says is in a map, brought into a replica.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Entries } from "./sync_wire.js" */
import { readColumns } from "./columns.js"
import { decodeEntry } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { Queue } from "./queue.js"

/** Tombstones for entries that another peer has and that were deleted long ago. */
export class Burials {
  /** @type {Queue<KeyedEntry>} */
  #entries = new Queue()

  get size() {
    return this.#entries.length
  }

  /**
   * Of the same stamp: it is forgotten wherever the delete is.
   *
   * @param {string} key
   * @param {Entry} entry
   */
  add(key, { stamp }) {
    this.#entries.push([key, { stamp, value: null, extras: null }])
  }

  /**
   * Hands them out.
   *
   * @returns {Generator<KeyedEntry, void>}
   */
  *take() {
    for (let item = this.#entries.shift(); item; item = this.#entries.shift()) yield item
  }
}

/**
 * Merges entries from another peer; one that no map can hold is left out, the rest is taken.
 *
 * @param {Replica} replica takes them
 * @param {Iterable<unknown>} entries
 * @param {object} [how]
 * @param {boolean} [how.trusted] that of Replica.merge()
 * @param {Map<string, Entry> | null} [how.doubtful] that of Replica.merge()
 * @param {Burials} [how.burials] takes what the floor forbids
 * @returns {Update[]}
 */
export function mergeAll(replica, entries, how = {}) {
  /** @type {KeyedEntry[]} */
  const items = []
  for (const each of entries) {
    try {
      items.push(decodeEntry(each, replica.maxValueBytes))
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      replica.refused++
    }
  }
  if (how.trusted) {
    const together = new Map(items)
    if (together.size === items.length) return replica.mergeMany(together)
  }
  return merge(replica, items, how)
}

/**
 * The sets of a donor's answer, from its columns; nothing is merged yet.
 *
 * @param {Replica} replica
 * @param {Entries} answer
 * @returns {Map<string, Entry>}
 * @throws {RemoteProtocolError} the columns do not belong together
 */
export function readSets(replica, { columns }) {
  if (columns === null) return new Map()
  const [sets, refused] = readColumns(columns, replica.maxValueBytes)
  replica.refused += refused
  return sets
}

/**
 * Merges what a donor answered.
 *
 * @param {Replica} replica
 * @param {Map<string, Entry>} sets
 * @param {unknown[]} entries the others
 * @param {{ trusted: boolean, burials: Burials }} how that of mergeAll()
 * @returns {Update[]}
 */
export function mergeAnswer(replica, sets, entries, how) {
  const updates = how.trusted ? replica.mergeMany(sets) : merge(replica, sets, how)
  return entries.length === 0 ? updates : updates.concat(mergeAll(replica, entries, how))
}

/**
 * @param {Replica} replica
 * @param {Iterable<KeyedEntry>} items
 * @param {{ trusted?: boolean, doubtful?: Map<string, Entry> | null, burials?: Burials }} [how]
 */
function merge(replica, items, { trusted = false, doubtful = null, burials } = {}) {
  const how = { trusted, doubtful }
  const updates = []
  for (const [key, entry] of items) {
    const update = replica.merge(key, entry, how)
    if (update !== null) updates.push(update)
    else if (!trusted && replica.forbids(key, entry)) burials?.add(key, entry)
  }
  return updates
}
