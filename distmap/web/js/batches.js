// How a map writes: key by key, or in batches, which go to the others in one message.
//
// Within a batch nothing is written yet: what it sets and deletes is checked, and kept aside where
// reading sees it. At the end all of it gets one stamp. So where two batches write the same keys at
// one time, the same one of the two wins all of these.

/** @import { Replica, Update } from "./lww.js" */
/** @import { Waiter, Writes } from "./writes.js" */
import { compareStamps } from "./clock.js"
import { Deferred } from "./deferreds.js"
import { BatchError, InvalidType, InvalidValue } from "./errors.js"
import { utf8Length } from "./text.js"
import { checkKey, encode } from "./values.js"

/** What the entries of a batch have together, so that their message fits a frame. */
export const MAX_BATCH_BYTES = 768 * 1024
/** What is counted for each entry beside its key and its value: more than it can have. */
export const ENTRY_BYTES = 128

/** The writes of one batch. */
class Batch {
  /** @type {Map<string, string | null>} by key, the texts of the values; null for a delete */
  texts = new Map()
  /** @type {[key: string, waiter: Waiter, result: unknown][]} who waits for a write */
  waiters = []
  /** @type {Deferred<void>} */
  taken = new Deferred()
  #left = 0

  /** @param {Batch | null} outer the one that it is within */
  constructor(outer) {
    this.outer = outer
    this.size = outer?.size ?? 0
  }

  /** It is whole: now it waits for each of its writes. */
  end() {
    this.#left = this.texts.size
    for (const key of this.texts.keys()) this.waiters.push([key, this, undefined])
    if (this.#left === 0) this.taken.resolve()
  }

  /**
   * Nothing of it is written.
   *
   * @param {Error} error
   */
  abandon(error) {
    for (const [, waiter] of this.waiters) waiter.reject(error)
  }

  /** The relay has one of the writes. */
  resolve() {
    if (--this.#left === 0) this.taken.resolve()
  }

  /**
   * One of the writes will not be taken.
   *
   * @param {Error} error
   */
  reject(error) {
    this.taken.reject(error)
  }
}

/** The writing of one map, and reading that sees what an open batch has kept aside. */
export class Writer {
  #replica
  #writes
  #wrote
  #checkOpen
  /** @type {Batch | null} the innermost one that is open */
  #batch = null

  /**
   * @param {Replica} replica the entries
   * @param {Writes} writes gets who waits for the relay
   * @param {(updates: Update[]) => void} wrote is told of what was written in one step
   * @param {() => void} checkOpen throws MapClosed once the map is closed
   */
  constructor(replica, writes, wrote, checkOpen) {
    this.#replica = replica
    this.#writes = writes
    this.#wrote = wrote
    this.#checkOpen = checkOpen
  }

  // -- reading ------------------------------------------------------------------------------------

  /**
   * The text of a key's value; null if it has none.
   *
   * @param {string} key
   */
  text(key) {
    for (let batch = this.#batch; batch !== null; batch = batch.outer) {
      const text = batch.texts.get(key)
      if (text !== undefined) return text
    }
    return this.#replica.entries.get(key)?.value ?? null
  }

  /** How many keys have a value. */
  get size() {
    if (this.#batch === null) return this.#replica.live
    let size = 0
    for (const _ of this.items()) size++
    return size
  }

  /**
   * The keys that have a value, and the texts of their values.
   *
   * @returns {Iterable<[key: string, value: string]>}
   */
  items() {
    if (this.#batch === null) return this.#replica.items()
    const items = new Map(this.#replica.items())
    for (const { texts } of this.#batches().reverse()) {
      for (const [key, text] of texts) {
        if (text === null) items.delete(key)
        else items.set(key, text)
      }
    }
    return items
  }

  // -- writing ------------------------------------------------------------------------------------

  /**
   * @param {unknown} key
   * @param {unknown} value
   * @returns {Promise<void>}
   */
  set(key, value) {
    this.#checkOpen()
    const waiter = new Deferred()
    if (this.#batch === null) {
      this.#write(this.#replica.set(key, value), waiter, undefined)
    } else {
      const name = checkKey(key)
      this.#put(name, encode(value, this.#replica.maxValueBytes), waiter, undefined)
    }
    return waiter.promise
  }

  /**
   * @param {unknown} key
   * @returns {Promise<boolean>}
   */
  delete(key) {
    this.#checkOpen()
    const waiter = new Deferred()
    if (this.#batch === null) {
      const update = this.#replica.delete(key)
      if (update === null) return Promise.resolve(false)
      this.#write(update, waiter, true)
    } else {
      const name = checkKey(key)
      if (this.text(name) === null) return Promise.resolve(false)
      this.#put(name, null, waiter, true)
    }
    return waiter.promise
  }

  /**
   * @param {Update} update
   * @param {Waiter} waiter
   * @param {unknown} result
   */
  #write(update, waiter, result) {
    this.#writes.add(update, waiter, result)
    this.#wrote([update])
  }

  /**
   * @param {string} key
   * @param {string | null} text
   * @param {Waiter} waiter
   * @param {unknown} result
   */
  #put(key, text, waiter, result) {
    const batch = /** @type {Batch} */ (this.#batch)
    const head = ENTRY_BYTES + utf8Length(JSON.stringify(key))
    const before = this.#batches().find(({ texts }) => texts.has(key))
    let size = batch.size + head + utf8Length(text ?? "")
    if (before !== undefined) size -= head + utf8Length(before.texts.get(key) ?? "")
    if (size > MAX_BATCH_BYTES) {
      throw new InvalidValue(
        `a batch is ${MAX_BATCH_BYTES} bytes at most, and this would make it ${size}`,
      )
    }
    batch.size = size
    batch.texts.set(key, text)
    batch.waiters.push([key, waiter, result])
  }

  /** The batches that are open, the innermost first. */
  #batches() {
    const batches = []
    for (let batch = this.#batch; batch !== null; batch = batch.outer) batches.push(batch)
    return batches
  }

  // -- batches ------------------------------------------------------------------------------------

  /**
   * Sets many keys as one batch.
   *
   * @param {unknown} pairs an object, or an iterable of pairs
   * @returns {Promise<void>}
   */
  update(pairs) {
    return this.batch(() => {
      for (const pair of pairsOf(pairs)) {
        if (!Array.isArray(pair)) throw new InvalidType("a pair is an array of a key and a value")
        this.set(pair[0], pair[1])
      }
    })
  }

  /**
   * Calls a function, and writes in one step what it sets and deletes; nothing, if it throws.
   *
   * @param {() => unknown} write
   * @returns {Promise<void>}
   */
  batch(write) {
    this.#checkOpen()
    if (typeof write !== "function") throw new InvalidType("a batch is a function")
    if (isAsync(write)) {
      throw new InvalidType("the function of a batch cannot be async: it ends when it returns")
    }
    const batch = new Batch(this.#batch)
    this.#batch = batch
    try {
      write()
      if (batch.outer === null && batch.texts.size > 0) this.#checkOpen()
    } catch (error) {
      batch.abandon(new BatchError("the function of the batch threw"))
      throw error
    } finally {
      this.#batch = batch.outer
    }
    batch.end()
    if (batch.outer === null) this.#writeAll(batch)
    else mergeInto(batch.outer, batch)
    return batch.taken.promise
  }

  /** @param {Batch} batch */
  #writeAll(batch) {
    const { clock, entries } = this.#replica
    // A delete of what only this batch had set is none.
    const texts = [...batch.texts].filter(
      ([key, text]) => text !== null || (entries.get(key)?.value ?? null) !== null,
    )
    const olds = texts.flatMap(([key]) => entries.get(key)?.stamp ?? [])
    const last = olds.sort(compareStamps).at(-1)
    const stamp = texts.length ? clock.tick(last) : undefined
    const updates = new Map(
      texts.map(([key, text]) => [key, this.#replica.rewrite(key, text, stamp)]),
    )
    for (const [key, waiter, result] of batch.waiters) {
      const update = updates.get(key)
      if (update === undefined) waiter.resolve(result)
      else this.#writes.add(update, waiter, result)
    }
    if (updates.size) this.#wrote([...updates.values()])
  }
}

/**
 * A batch that was within another one becomes a part of it.
 *
 * @param {Batch} outer
 * @param {Batch} inner
 */
function mergeInto(outer, inner) {
  outer.size = inner.size
  for (const [key, text] of inner.texts) outer.texts.set(key, text)
  for (const each of inner.waiters) outer.waiters.push(each)
}

/**
 * @param {unknown} pairs
 * @returns {Iterable<unknown>}
 */
function pairsOf(pairs) {
  if (typeof pairs !== "object" || pairs === null) {
    throw new InvalidType("keys and values come as an object, a Map, or an iterable of pairs")
  }
  if (Symbol.iterator in pairs) return /** @type {Iterable<unknown>} */ (pairs)
  return Object.entries(pairs)
}

/** @param {Function} write */
function isAsync(write) {
  return Object.prototype.toString.call(write) === "[object AsyncFunction]"
}
