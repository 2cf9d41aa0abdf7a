// A queue with two ends. What is at the front of an array is taken, or put there, in a time that grows
// with all that is behind it; here it does not.

/** @template T */
export class Queue {
  /** @type {T[]} what comes first, the last of it first */
  #front = []
  /** @type {T[]} */
  #items = []
  #start = 0

  get length() {
    return this.#front.length + this.#items.length - this.#start
  }

  /** @returns {T | undefined} */
  get first() {
    return this.#front.at(-1) ?? this.#items[this.#start]
  }

  /** @returns {T | undefined} */
  get last() {
    return this.#items.length > this.#start ? this.#items.at(-1) : this.#front[0]
  }

  /** @param {T} item */
  push(item) {
    this.#items.push(item)
  }

  /** @returns {T | undefined} the first one, taken out */
  shift() {
    if (this.#front.length) return this.#front.pop()
    if (this.length === 0) return undefined
    const item = this.#items[this.#start++]
    if (2 * this.#start > this.#items.length) {
      this.#items = this.#items.slice(this.#start)
      this.#start = 0
    }
    return item
  }

  /** @returns {T | undefined} the last one, taken out */
  pop() {
    if (this.#items.length > this.#start) return this.#items.pop()
    return this.#front.shift()
  }

  /**
   * Puts items before all others, in their order.
   *
   * @param {T[]} items
   */
  unshift(items) {
    for (let at = items.length - 1; at >= 0; at--) this.#front.push(items[at])
  }

  /** Empties it. */
  reset() {
    this.#front = []
    this.#items = []
    this.#start = 0
  }

  *[Symbol.iterator]() {
    for (let at = this.#front.length - 1; at >= 0; at--) yield this.#front[at]
    for (let at = this.#start; at < this.#items.length; at++) yield this.#items[at]
  }
}
