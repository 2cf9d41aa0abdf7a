// The tombstones of one replica, by age. Python has a heap for that; here those that are due are
// sorted when the time has come for a step of the retention.

/**
 * A tombstone whose time is over.
 *
 * @typedef {object} Due
 * @property {string} key
 * @property {number} ms of its stamp
 * @property {number} sinceMs when it became known
 */

/** The tombstones of one replica. */
export class Tombstones {
  /** @type {Map<string, Due>} */
  #all = new Map()
  /** @type {Due[]} oldest last; some may be gone, or others by now */
  #due = []
  #untilMs = 0

  /**
   * @param {string} key
   * @param {number} ms of the stamp
   * @param {number} sinceMs when it became known
   */
  set(key, ms, sinceMs) {
    const tombstone = { key, ms, sinceMs }
    this.#all.set(key, tombstone)
    if (ms >= this.#untilMs) return
    this.#due.push(tombstone)
    if (this.#due.length > 2 * this.#all.size + 1000) this.#sort()
  }

  /** @param {string} key */
  delete(key) {
    this.#all.delete(key)
  }

  /**
   * It has become known to others too; nothing if there is no tombstone.
   *
   * @param {string} key
   * @param {number} nowMs
   */
  renew(key, nowMs) {
    const tombstone = this.#all.get(key)
    if (tombstone !== undefined) tombstone.sinceMs = nowMs
  }

  /**
   * The oldest of those with a stamp from before a time; null if there is none.
   *
   * @param {number} untilMs
   * @returns {Due | null}
   */
  first(untilMs) {
    if (untilMs !== this.#untilMs) {
      this.#untilMs = untilMs
      this.#sort()
    }
    for (let due = this.#due.at(-1); due !== undefined; due = this.#due.at(-1)) {
      if (this.#all.get(due.key) === due) return due
      this.#due.pop()
    }
    return null
  }

  #sort() {
    const due = [...this.#all.values()].filter(({ ms }) => ms < this.#untilMs)
    this.#due = due.sort((a, b) => b.ms - a.ms)
  }
}
