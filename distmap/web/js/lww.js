// One replica of a map: the last writer wins.
//
// An entry is its own join: of two entries of one key the greater stays (wins() in entries.js), so
// entries may come in any order, any number of times, or not at all, and replicas that have seen
// the same entries are equal.

/** @import { HybridClock, Restamper, Stamp } from "./clock.js" */
/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Journal } from "./journal.js" */
/** @import { Summary } from "./ranges.js" */
import { MAX_AHEAD_MS } from "./clock.js"
import { wins } from "./entries.js"
import { Holding } from "./holding.js"
import { Knowledge, RETENTION_MS } from "./knowledge.js"
import { Sums } from "./sums.js"
import { Tombstones } from "./tombstones.js"
import { MAX_VALUE_BYTES, checkKey, encode } from "./values.js"

/**
 * An entry that took its place in the replica.
 *
 * @typedef {object} Update
 * @property {string} key
 * @property {Entry} entry what is there now
 * @property {Entry | undefined} old what was there before, if anything
 */

/** The entries of one peer. */
export class Replica extends Knowledge {
  /** @type {Map<string, Entry>} by key; tombstones too */
  entries = new Map()
  /** Entries from the future. */
  held = new Holding()
  /** How many keys have a value. */
  live = 0
  /**
   * How many entries of others could not be taken: because they are no entries (counted by who
   * decodes them), or because the floor forbids them.
   */
  refused = 0
  /** @type {Journal | null} is told of each change, if the replica is saved somewhere */
  journal = null
  #sums = new Sums(this.entries)
  #tombstones = new Tombstones()

  /**
   * @param {HybridClock} clock of this replica
   * @param {number} [maxValueBytes] the longest text of a value
   * @param {number} [retentionMs] how long a tombstone is kept; the same for all peers of a map
   */
  constructor(clock, maxValueBytes = MAX_VALUE_BYTES, retentionMs = RETENTION_MS) {
    super(clock, retentionMs)
    this.maxValueBytes = maxValueBytes
  }

  // -- this replica's own writes ------------------------------------------------------------------

  /**
   * Writes a value.
   *
   * @param {unknown} key
   * @param {unknown} value
   * @returns {Update}
   * @throws {InvalidKey | InvalidValue | InvalidType} no map can hold it
   */
  set(key, value) {
    return this.rewrite(checkKey(key), encode(value, this.maxValueBytes))
  }

  /**
   * Writes a tombstone.
   *
   * @param {unknown} key
   * @returns {Update | null} null if there is no value
   * @throws {InvalidKey | InvalidType} no map can hold such a key
   */
  delete(key) {
    const name = checkKey(key)
    return hasValue(this.entries.get(name)) ? this.rewrite(name, null) : null
  }

  /**
   * Stamps own entries anew, in the given order; only for what no peer has seen.
   *
   * @param {string[]} keys
   * @param {Restamper} stamps
   * @returns {Update[]}
   */
  restamp(keys, stamps) {
    return keys.map((key) => {
      const entry = this.#remove(key)
      return this.#place(key, { ...entry, stamp: stamps.anew(entry.stamp) }, undefined)
    })
  }

  // -- what comes from others ---------------------------------------------------------------------

  /**
   * Takes an entry.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {object} [how]
   * @param {boolean} [how.trusted] it is from who knows of all deletes that were forgotten here
   *   (see trusts()): an old entry that is unknown here was not deleted
   * @param {Map<string, Entry> | null} [how.doubtful] this replica does not know yet what was
   *   deleted: an old entry that is unknown here is put there
   * @returns {Update | null} null if it lost, was known, is held until its time, is refused or put
   *   aside
   */
  merge(key, entry, { trusted = false, doubtful = null } = {}) {
    const old = this.entries.get(key)
    if (!wins(key, entry, old)) return null
    if (this.clock.isAhead(entry.stamp)) {
      this.held.add(key, entry)
      return null
    }
    if (old === undefined && !(trusted && hasValue(entry))) {
      if (entry.stamp.ms < this.floorMs) {
        if (hasValue(entry)) this.refused++
        return null
      }
      const isOld = entry.stamp.ms < this.clock.latestMs() - this.retentionMs
      if (doubtful && hasValue(entry) && isOld) {
        if (wins(key, entry, doubtful.get(key))) doubtful.set(key, entry)
        return null
      }
    }
    this.clock.observe(entry.stamp)
    return this.#place(key, entry, old)
  }

  /**
   * Takes many entries from who is trusted, each as merge() does; values of unknown keys, of which a
   * newcomer gets many, together.
   *
   * @param {ReadonlyMap<string, Entry>} items
   * @returns {Update[]}
   */
  mergeMany(items) {
    const latestMs = this.clock.latestMs() + MAX_AHEAD_MS
    /** @type {Update[]} */
    const updates = []
    /** @type {KeyedEntry[]} */
    const others = []
    for (const [key, entry] of items) {
      if (entry.value === null || entry.stamp.ms > latestMs || this.entries.has(key)) {
        others.push([key, entry])
      } else {
        this.clock.observe(entry.stamp)
        updates.push(this.#place(key, entry, undefined))
      }
    }
    for (const [key, entry] of others) {
      const update = this.merge(key, entry, { trusted: true })
      if (update !== null) updates.push(update)
    }
    return updates
  }

  /**
   * Whether an entry may be one that was deleted, and the delete forgotten.
   *
   * @param {string} key
   * @param {Entry} entry
   */
  forbids(key, entry) {
    return hasValue(entry) && entry.stamp.ms < this.floorMs && !this.entries.has(key)
  }

  /**
   * Takes the held entries whose time has come.
   *
   * @returns {Update[]}
   */
  release() {
    return this.held.due(this.clock).flatMap(([key, entry]) => this.merge(key, entry) ?? [])
  }

  /** How long until release() has something to do; null if nothing is held. */
  releaseInMs() {
    const next = this.held.nextMs()
    return next === null ? null : Math.max(0, next - this.clock.latestMs())
  }

  /**
   * Holds back what a wrong clock had let in from the future. What it had replaced is to be fetched
   * from another peer.
   *
   * @param {string} key
   */
  hold(key) {
    this.held.add(key, this.#remove(key))
  }

  /**
   * Takes an entry out, as if it had never been here.
   *
   * @param {string} key
   * @returns {Update}
   */
  forget(key) {
    const entry = this.#remove(key)
    return { key, entry: { ...entry, value: null }, old: entry }
  }

  /**
   * Writes a value, or a tombstone, of which the canonical text is known.
   *
   * @param {string} key
   * @param {string | null} value
   * @param {Stamp} [stamp] a new one
   */
  rewrite(key, value, stamp) {
    const old = this.entries.get(key)
    const isGood = stamp && (old === undefined || !this.clock.isBefore(stamp, old.stamp))
    const entry = { stamp: isGood ? stamp : this.clock.tick(old?.stamp), value, extras: null }
    return this.#place(key, entry, old)
  }

  /**
   * Takes an entry that this replica had before the program was last ended. Its time had come then,
   * whatever the clock says before it has heard from the relay.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {number} [sinceMs] by when it had become known to the others; not yet, if undefined
   * @returns {boolean} whether it took its place
   */
  restore(key, entry, sinceMs) {
    const old = this.entries.get(key)
    if (!wins(key, entry, old)) return false
    this.clock.observe(entry.stamp)
    this.#place(key, entry, old)
    if (sinceMs !== undefined) this.#tombstones.renew(key, sinceMs)
    return true
  }

  // -- tombstones ---------------------------------------------------------------------------------

  /**
   * Forgets tombstones older than the retention.
   *
   * @param {number} most how many at most
   * @returns {boolean} whether no more are
   */
  collect(most) {
    if (!this.mayForget) return true
    const { forgetBeforeMs } = this
    for (let due; (due = this.#tombstones.first(forgetBeforeMs)) !== null; most--) {
      if (most <= 0) return false
      this.forgets(due)
      this.#remove(due.key)
    }
    return true
  }

  /**
   * What is at these keys is known to the others from now on.
   *
   * @param {Iterable<string>} keys
   */
  arrived(keys) {
    const nowMs = this.clock.latestMs()
    for (const key of keys) this.#tombstones.renew(key, nowMs)
  }

  // -- comparing ----------------------------------------------------------------------------------

  /**
   * Brings the tree of sums up to date by some keys.
   *
   * @param {number} most how many at most
   * @returns {boolean} whether it is up to date
   */
  fold(most) {
    const collected = this.collect(most)
    return this.#sums.fold(most) && collected
  }

  /** The tree of sums, up to date. */
  get tree() {
    this.fold(Infinity)
    return this.#sums.tree
  }

  /**
   * How many entries there are (tombstones too) and the sum of their hashes.
   *
   * @returns {Summary}
   */
  digest() {
    return this.tree.summary()
  }

  /**
   * The live keys and the texts of their values.
   *
   * @returns {Generator<[key: string, value: string], void>}
   */
  *items() {
    for (const [key, { value }] of this.entries) if (value !== null) yield [key, value]
  }

  // -- helpers ------------------------------------------------------------------------------------

  /**
   * @param {string} key
   * @param {Entry} entry
   * @param {Entry | undefined} old
   * @returns {Update}
   */
  #place(key, entry, old) {
    this.journal?.changed(key, old, entry)
    this.entries.set(key, entry)
    if (old === undefined) this.#sums.came(key)
    else this.#sums.changed(key)
    this.live += Number(hasValue(entry)) - Number(hasValue(old))
    if (!hasValue(entry)) this.#tombstones.set(key, entry.stamp.ms, this.clock.latestMs())
    else if (old !== undefined) this.#tombstones.delete(key)
    return { key, entry, old }
  }

  /** @param {string} key */
  #remove(key) {
    const entry = /** @type {Entry} */ (this.entries.get(key))
    this.journal?.changed(key, entry)
    if (hasValue(entry)) this.live--
    this.entries.delete(key)
    this.#tombstones.delete(key)
    this.#sums.changed(key)
    return entry
  }
}

/** @param {Entry | undefined} entry */
function hasValue(entry) {
  return entry !== undefined && entry.value !== null
}
