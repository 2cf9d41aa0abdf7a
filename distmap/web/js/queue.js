// A queue whose front is taken in constant time; that of an array moves all that is behind it.

/** @template T */
export class Queue {
  /** @type {T[]} */
  #items = []
  #start = 0

  get length() {
    return this.#items.length - this.#start
  }

  /** @returns {T | undefined} */
  get first() {
    return this.#items[this.#start]
  }

  /** @returns {T | undefined} what comes after the first */
  get second() {
    return this.#items[this.#start + 1]
  }

  /** @param {T} item */
  push(item) {
    this.#items.push(item)
  }

  /** @returns {T | undefined} */
  shift() {
    if (this.length === 0) return undefined
    const item = this.#items[this.#start++]
    if (2 * this.#start > this.#items.length) this.reset(this.#items.slice(this.#start))
    return item
  }

  /**
   * Replaces all that is in it.
   *
   * @param {T[]} [items]
   */
  reset(items = []) {
    this.#items = items
    this.#start = 0
  }

  *[Symbol.iterator]() {
    for (let at = this.#start; at < this.#items.length; at++) yield this.#items[at]
  }
}
