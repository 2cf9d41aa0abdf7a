// The promises of a map's writes that the relay has not yet taken.

/** @import { Stamp } from "./clock.js" */
/** @import { Update } from "./lww.js" */
/** @import { Written } from "./outbox.js" */
import { compareStamps } from "./clock.js"
import { Queue } from "./queue.js"

/**
 * A promise, or what one stands behind.
 *
 * @typedef {object} Waiter
 * @property {(result: any) => void} resolve the relay has the write
 * @property {(error: Error) => void} reject the write will not be taken
 */
/** @typedef {{ stamp: Stamp, waiter: Waiter, result: unknown }} Write */

/** By key, the promises, oldest first. */
export class Writes {
  /** @type {Map<string, Queue<Write>>} */
  #waiting = new Map()

  /**
   * Adds a write.
   *
   * @param {Update} update
   * @param {Waiter} waiter is resolved once the relay has the write, or a later one of its key
   * @param {unknown} [result] with this
   */
  add({ key, entry: { stamp } }, waiter, result) {
    const waiting = this.#waiting.get(key) ?? new Queue()
    waiting.push({ stamp, waiter, result })
    this.#waiting.set(key, waiting)
  }

  /**
   * The relay has these.
   *
   * @param {Written[]} writes
   */
  taken(writes) {
    for (const [key, stamp] of writes) {
      const waiting = this.#waiting.get(key)
      if (waiting === undefined) continue
      for (let write = waiting.first; write; write = waiting.first) {
        if (compareStamps(write.stamp, stamp) > 0) break
        waiting.shift()
        write.waiter.resolve(write.result)
      }
      if (waiting.length === 0) this.#waiting.delete(key)
    }
  }

  /**
   * These have new stamps.
   *
   * @param {Update[]} updates
   */
  restamped(updates) {
    for (const { key, entry } of updates) {
      for (const write of this.#waiting.get(key) ?? []) write.stamp = entry.stamp
    }
  }

  /**
   * Those of a key, or all, will not be taken.
   *
   * @param {Error} error
   * @param {string} [key]
   */
  fail(error, key) {
    const keys = key === undefined ? [...this.#waiting.keys()] : [key]
    for (const each of keys) {
      const waiting = this.#waiting.get(each) ?? []
      this.#waiting.delete(each)
      for (const { waiter } of waiting) waiter.reject(error)
    }
  }
}
