// Entries from the future, which wait until their time has come.
//
// They are neither dropped nor taken: by their own clocks, peers would disagree about that. The
// queue is bounded for each writer; what it had to let go is fetched again once it would have been
// due.

/** @import { HybridClock } from "./clock.js" */
/** @import { Entry, KeyedEntry } from "./entries.js" */
import { MAX_AHEAD_MS, compareStamps } from "./clock.js"
import { wins } from "./entries.js"

/** Entries held in all. */
export const MAX_HELD = 1000
export const MAX_HELD_PER_WRITER = 100

/** The entries of one replica that wait. */
export class Holding {
  /** @type {number | null} when to ask another peer for what was let go, by the relay's time */
  fetchAtMs = null
  /**
   * By writer and key: another writer's, further ahead, must not displace it.
   *
   * @type {Map<string, Map<string, Entry>>}
   */
  #writers = new Map()
  #size = 0
  /** @type {number | null} of the stamps; null also while it is not known */
  #firstMs = null

  get size() {
    return this.#size
  }

  /** @returns {Generator<KeyedEntry, void>} */
  *[Symbol.iterator]() {
    for (const entries of this.#writers.values()) yield* entries
  }

  /**
   * Takes an entry.
   *
   * @param {string} key
   * @param {Entry} entry
   * @returns {boolean} false if it was known
   */
  add(key, entry) {
    const { writer } = entry.stamp
    const entries = this.#writers.get(writer) ?? new Map()
    const known = entries.get(key)
    if (!wins(key, entry, known)) return false
    this.#writers.set(writer, entries.set(key, entry))
    this.#firstMs = null
    if (known !== undefined) return true
    this.#size++
    if (entries.size > MAX_HELD_PER_WRITER) this.#letGo(entries)
    else if (this.#size > MAX_HELD) this.#letGo(this)
    return true
  }

  /**
   * Hands out the entries whose time has come, in the order of their stamps.
   *
   * @param {HybridClock} clock
   * @returns {KeyedEntry[]}
   */
  due(clock) {
    const ready = [...this].filter(([, entry]) => !clock.isAhead(entry.stamp))
    for (const item of ready) this.#remove(item)
    return ready.sort(byStamp)
  }

  /** When the next entry is due, or something is to be fetched; null if never. */
  nextMs() {
    if (this.#firstMs === null) {
      for (const [, { stamp: { ms } }] of this) this.#firstMs = Math.min(ms, this.#firstMs ?? ms)
    }
    const dueMs = this.#firstMs === null ? Infinity : this.#firstMs - MAX_AHEAD_MS
    const nextMs = Math.min(dueMs, this.fetchAtMs ?? Infinity)
    return nextMs === Infinity ? null : nextMs
  }

  /**
   * Whether something that was let go would be due by now; says so once.
   *
   * @param {number} nowMs
   */
  takeFetch(nowMs) {
    if (this.fetchAtMs === null || this.fetchAtMs > nowMs) return false
    this.fetchAtMs = null
    return true
  }

  /**
   * Lets the furthest of some entries go.
   *
   * @param {Iterable<KeyedEntry>} entries
   */
  #letGo(entries) {
    const furthest = [...entries].reduce((a, b) => (byStamp(a, b) < 0 ? b : a))
    this.#remove(furthest)
    const dueMs = furthest[1].stamp.ms - MAX_AHEAD_MS
    this.fetchAtMs = Math.min(dueMs, this.fetchAtMs ?? dueMs)
  }

  /** @param {KeyedEntry} item */
  #remove([key, { stamp }]) {
    this.#firstMs = null
    const entries = this.#writers.get(stamp.writer)
    if (entries?.delete(key)) this.#size--
    if (entries?.size === 0) this.#writers.delete(stamp.writer)
  }
}

/**
 * @param {KeyedEntry} a
 * @param {KeyedEntry} b
 */
export function byStamp([, a], [, b]) {
  return compareStamps(a.stamp, b.stamp)
}
