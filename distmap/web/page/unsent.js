// The writes that have not left yet.

export class Unsent {
  #settled
  /** @type {Map<string, Promise<unknown>>} by key, the last one */
  #byKey = new Map()
  /** @type {Set<Promise<unknown>>} of the map that is shown */
  #writes = new Set()
  #count = 0

  /** @param {(error?: Error & { code?: string }) => void} settled a write has left, or failed */
  constructor(settled) {
    this.#settled = settled
  }

  /** How many there are, those to maps that are not shown any more too. */
  get count() {
    return this.#count
  }

  /** @param {string} key */
  has(key) {
    return this.#byKey.has(key)
  }

  /**
   * Takes note of a write until it has left.
   *
   * @param {string} key
   * @param {Promise<unknown>} taken
   */
  add(key, taken) {
    const writes = this.#writes
    writes.add(taken)
    this.#byKey.set(key, taken)
    this.#count++
    const done = (/** @type {Error | undefined} */ error) => {
      this.#count--
      writes.delete(taken)
      if (writes !== this.#writes) return
      if (this.#byKey.get(key) === taken) this.#byKey.delete(key)
      this.#settled(error)
    }
    taken.then(() => done(undefined), done)
  }

  /** Another map is shown; fulfilled once all writes to the one before have left, or failed. */
  async leave() {
    const writes = this.#writes
    this.#writes = new Set()
    this.#byKey.clear()
    await Promise.allSettled(writes)
  }
}
