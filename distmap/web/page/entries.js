// The keys that the list shows: sorted, filtered, and what has just happened to them.
//
// Changes only make notes. settle() works them in, once for all that came since the last frame, so
// a burst of thousands costs one pass.

/** @import { Change, DistributedMap } from "../distmap.js" */
import { line, shorten } from "./format.js"

/** How long a change shows. */
export const FLASH_MS = 1600
/** What a row shows of a value; the editor shows all. */
const LINE_CHARS = 240
const MAX_LINES = 2000

/** The entries of one map. */
export class Entries {
  /** The keys that pass the filter, in order; those just deleted are among them. */
  shown = /** @type {string[]} */ ([])
  #map
  #filter = ""
  /** @type {string[]} in order */
  #keys = []
  /** @type {Set<string>} those in #keys, and those on their way there */
  #known = new Set()
  /** @type {Set<string>} */
  #added = new Set()
  /** @type {Map<string, number>} when a key changed, oldest first */
  #changed = new Map()
  /** @type {Map<string, string>} the line of a value that is just deleted */
  #ghosts = new Map()
  /** @type {Map<string, string>} */
  #lines = new Map()

  /** @param {Pick<DistributedMap, "get" | "has" | "keys">} map */
  constructor(map) {
    this.#map = map
  }

  /** Begins with what the map holds; nothing of it is news. */
  load() {
    this.#known = new Set(this.#map.keys())
    this.#keys = [...this.#known].sort(inOrder)
    this.#added.clear()
    this.#ghosts.clear()
    this.#changed.clear()
    this.#lines.clear()
    this.#show()
  }

  /**
   * Takes note of a change.
   *
   * @param {Pick<Change, "key" | "deleted" | "oldValue">} change
   * @param {number} nowMs any clock; the same as that of settle()
   */
  note({ key, deleted, oldValue }, nowMs) {
    this.#lines.delete(key)
    this.#changed.delete(key) // to the end
    this.#changed.set(key, nowMs)
    if (deleted) this.#ghosts.set(key, shortLine(oldValue))
    else this.#ghosts.delete(key)
    if (this.#known.has(key)) return
    this.#known.add(key)
    this.#added.add(key)
  }

  /**
   * Works in what was noted, and forgets what has been shown for long enough.
   *
   * @param {number} nowMs
   * @returns {boolean} whether there is something left to forget: come again
   */
  settle(nowMs) {
    const removed = new Set()
    for (const [key, sinceMs] of this.#changed) {
      if (nowMs - sinceMs < FLASH_MS) break
      this.#changed.delete(key)
      if (!this.#ghosts.delete(key)) continue
      removed.add(key)
      this.#known.delete(key)
      this.#added.delete(key)
    }
    if (removed.size || this.#added.size) {
      this.#keys = merge(this.#keys, [...this.#added].sort(inOrder), removed)
      this.#added.clear()
      this.#show()
    }
    return this.#changed.size > 0
  }

  get filter() {
    return this.#filter
  }

  /** @param {string} text part of the keys to show; small and capital letters are the same */
  set filter(text) {
    this.#filter = text.toLowerCase()
    this.#show()
  }

  #show() {
    const filter = this.#filter
    this.shown = filter
      ? this.#keys.filter((key) => key.toLowerCase().includes(filter))
      : this.#keys
  }

  /**
   * Where a key is among those shown.
   *
   * @param {string} key
   * @returns {number} -1 if it is not
   */
  indexOf(key) {
    const at = this.place(key)
    return this.shown[at] === key ? at : -1
  }

  /**
   * Where a key is, or would be, among those shown.
   *
   * @param {string} key
   */
  place(key) {
    let low = 0
    let high = this.shown.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.shown[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * A value on one line, perhaps shortened.
   *
   * @param {string} key
   * @returns {string}
   */
  line(key) {
    const ghost = this.#ghosts.get(key)
    if (ghost !== undefined) return ghost
    let text = this.#lines.get(key)
    if (text === undefined) {
      if (this.#lines.size >= MAX_LINES) this.#lines.clear()
      text = shortLine(this.#map.get(key))
      this.#lines.set(key, text)
    }
    return text
  }

  /**
   * Whether a key is just deleted.
   *
   * @param {string} key
   */
  isGone(key) {
    return this.#ghosts.has(key)
  }

  /**
   * When a key changed, if that was just now.
   *
   * @param {string} key
   * @returns {number | undefined}
   */
  changedMs(key) {
    return this.#changed.get(key)
  }
}

/** @param {unknown} value */
function shortLine(value) {
  return value === undefined ? "" : shorten(line(value), LINE_CHARS)
}

/**
 * @param {string} a
 * @param {string} b
 */
function inOrder(a, b) {
  return a < b ? -1 : Number(a > b)
}

/**
 * Two sorted lists as one, without some keys.
 *
 * @param {string[]} keys
 * @param {string[]} added
 * @param {Set<string>} removed
 * @returns {string[]}
 */
function merge(keys, added, removed) {
  const merged = []
  let at = 0
  for (const key of keys) {
    while (at < added.length && added[at] < key) merged.push(added[at++])
    if (!removed.has(key)) merged.push(key)
  }
  while (at < added.length) merged.push(added[at++])
  return merged
}
