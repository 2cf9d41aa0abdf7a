// What a newcomer has still to hand over to its donor.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica } from "./lww.js" */
import { HASH_DIGITS } from "./entries.js"
import { Burials } from "./merging.js"
import { Queue } from "./queue.js"
import { DIGITS } from "./ranges.js"

/** The keys that the donor lacks, ranges of which it has nothing, and burials. */
export class Handover {
  burials = new Burials()
  #replica
  #most
  #told
  /** @type {string[]} */
  #ranges = []
  /** @type {Queue<string>} */
  #keys = new Queue()

  /**
   * @param {Replica} replica what it is taken from
   * @param {number} most a range of more entries is taken in parts
   * @param {(entry: Entry) => void} told is called with each entry that the donor lacks
   */
  constructor(replica, most, told) {
    this.#replica = replica
    this.#most = most
    this.#told = told
  }

  /** Whether nothing is left to hand over. */
  get isEmpty() {
    return !(this.#keys.length || this.#ranges.length || this.burials.size)
  }

  /**
   * The donor lacks what is at this key.
   *
   * @param {string} key
   */
  add(key) {
    this.#keys.push(key)
  }

  /**
   * The donor has nothing of a range.
   *
   * @param {string} prefix
   */
  addRange(prefix) {
    this.#ranges.push(prefix)
  }

  /**
   * Hands out what is to be sent, the burials first.
   *
   * @returns {Generator<KeyedEntry, void>}
   */
  *take() {
    yield* this.burials.take()
    while (this.#keys.length || this.#ranges.length) {
      const key = this.#keys.shift()
      if (key === undefined) {
        this.#open(/** @type {string} */ (this.#ranges.pop()))
        continue
      }
      const entry = this.#replica.entries.get(key)
      if (entry === undefined) continue
      this.#told(entry)
      yield [key, entry]
    }
  }

  /** @param {string} prefix */
  #open(prefix) {
    const { tree } = this.#replica
    if (tree.summary(prefix)[0] > this.#most && prefix.length < HASH_DIGITS) {
      for (const digit of DIGITS) this.#ranges.push(prefix + digit)
    } else {
      for (const key of tree.keys(prefix)) this.#keys.push(key)
    }
  }
}
