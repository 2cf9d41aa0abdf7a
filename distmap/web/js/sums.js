// The sums of one replica, which are brought up to date when somebody compares.

/** @import { Entry } from "./entries.js" */
import { entryHash } from "./entries.js"
import { RangeTree } from "./ranges.js"

/** A tree of sums, and the keys whose entry it has not seen yet. */
export class Sums {
  /** Up to date once fold() says so. */
  tree = new RangeTree()
  #entries
  /** @type {Set<string>} */
  #stale = new Set()
  /** Goes on where the last fold() ended: each new one would begin with the places of what is gone. */
  #next = this.#stale.values()
  /** @type {string[]} the same, of keys that had no entry: of these there are many at a time */
  #fresh = []

  /** @param {ReadonlyMap<string, Entry>} entries of the replica */
  constructor(entries) {
    this.#entries = entries
  }

  /**
   * The entry of a key is another, or gone.
   *
   * @param {string} key
   */
  changed(key) {
    this.#stale.add(key)
  }

  /**
   * There is an entry of a key that had none.
   *
   * @param {string} key
   */
  came(key) {
    this.#fresh.push(key)
  }

  /**
   * Brings the tree up to date by some keys.
   *
   * @param {number} most how many at most
   * @returns {boolean} whether it is up to date
   */
  fold(most) {
    for (; most > 0; most--) {
      const key = this.#fresh.pop() ?? this.#takeStale()
      if (key === undefined) return true
      const entry = this.#entries.get(key)
      if (entry === undefined) this.tree.discard(key)
      else this.tree.put(key, entryHash(key, entry))
    }
    return this.#fresh.length + this.#stale.size === 0
  }

  /**
   * One that is stale no more; undefined if there is none.
   *
   * @returns {string | undefined}
   */
  #takeStale() {
    if (this.#stale.size === 0) return undefined
    const { value: key, done } = this.#next.next()
    if (done) {
      this.#next = this.#stale.values()
      return this.#takeStale()
    }
    this.#stale.delete(key)
    return key
  }
}
