// Writes that are set aside: others may have changed their keys since and forgotten it.
//
// Once the state of the network is here they are offered again, but only where nobody has changed
// the key meanwhile: anywhere else they would undo what they know nothing of.

/** @import { Stamp } from "./clock.js" */
/** @import { KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox, Waiting, Written } from "./outbox.js" */
import { Restamper, compareStamps } from "./clock.js"
import { isBurial } from "./entries.js"
import { areTogether } from "./outbox.js"
import { Queue } from "./queue.js"

/**
 * What became of some of the writes.
 *
 * @typedef {object} Return
 * @property {Update[]} offered own writes that are offered again, with new stamps
 * @property {Written[]} taken own writes that had got through after all
 * @property {KeyedEntry[]} superseded own writes that are not offered again
 */

/** The writes of one map that are set aside. */
export class Aside {
  #replica
  #outbox
  /** @type {Map<string, Waiting>} */
  #writes = new Map()
  /** @type {Queue<Waiting>} the same, oldest first; some are gone */
  #queue = new Queue()
  #stamps

  /**
   * @param {Replica} replica they are taken out of it
   * @param {Outbox} outbox they come from there, and may go back
   */
  constructor(replica, outbox) {
    this.#replica = replica
    this.#outbox = outbox
    this.#stamps = new Restamper(replica.clock)
  }

  get size() {
    return this.#writes.size
  }

  /**
   * Takes a write out of the outbox's hands.
   *
   * @param {Waiting} write
   * @returns {Update | null} what changed in the replica
   */
  put(write) {
    this.#writes.set(write.key, write)
    this.#queue.push(write)
    const isThere = this.#replica.entries.get(write.key) === write.entry
    return isThere ? this.#replica.forget(write.key) : null
  }

  /**
   * A key is written anew: what is set aside of it is not offered any more.
   *
   * @param {string} key
   * @param {Stamp | undefined} old
   * @returns {Stamp | undefined} the stamp of what the write that goes had replaced; `old` if there
   *   is none
   */
  written(key, old) {
    const write = this.#writes.get(key)
    if (write === undefined) return old
    this.#writes.delete(key)
    return write.base
  }

  /**
   * Lets go of some of the writes, the oldest first. A batch goes as a whole.
   *
   * @param {number} most how many at most
   * @returns {KeyedEntry[]} the writes
   */
  giveUp(most) {
    return Array.from(this.#takeFirst(most), ({ key, entry }) => [key, entry])
  }

  /**
   * Nobody is there to ask: some of the writes go on as if nothing had been, the latest first. A
   * batch goes as a whole.
   *
   * @param {number} most how many at most
   * @returns {Update[]} what changed in the replica
   */
  restore(most) {
    /** @type {Update[]} */
    const updates = []
    /** @type {Waiting | undefined} */
    let last
    for (; most > 0 || areTogether(last, this.#queue.last); most--) {
      last = this.#queue.pop()
      if (last === undefined) break
      if (!this.#take(last)) continue
      const { key, entry, base } = last
      let update = this.#replica.merge(key, entry, { trusted: true })
      if (isBurial(this.#replica.entries.get(key), entry)) {
        update = this.#replica.rewrite(key, entry.value, this.#stamps.anew(entry.stamp))
        this.#outbox.add(key, update.entry, base)
      } else {
        this.#outbox.putBack(last)
      }
      if (update !== null) updates.push(update)
    }
    return updates
  }

  /**
   * The state of the network is here: settles what becomes of some of the writes, the oldest first.
   * A batch goes as a whole.
   *
   * @param {number} most how many at most
   * @returns {Return}
   */
  end(most) {
    /** @type {Return} */
    const result = { offered: [], taken: [], superseded: [] }
    for (const write of this.#takeFirst(most)) this.#settle(write, result)
    return result
  }

  /**
   * @param {Waiting} write
   * @param {Return} result
   */
  #settle({ key, entry, base }, { offered, taken, superseded }) {
    const now = this.#replica.entries.get(key)
    const stamp = isBurial(now, entry) ? undefined : now?.stamp
    if (isEqual(stamp, entry.stamp)) {
      taken.push([key, entry.stamp])
    } else if (isEqual(stamp, base)) {
      const update = this.#replica.rewrite(key, entry.value, this.#stamps.anew(entry.stamp))
      this.#outbox.add(key, update.entry, base)
      offered.push(update)
    } else {
      superseded.push([key, entry])
    }
  }

  /** @param {number} most */
  *#takeFirst(most) {
    /** @type {Waiting | undefined} */
    let last
    for (; most > 0 || areTogether(last, this.#queue.first); most--) {
      last = this.#queue.shift()
      if (last === undefined) break
      if (this.#take(last)) yield last
    }
  }

  /** @param {Waiting} write */
  #take(write) {
    if (this.#writes.get(write.key) !== write) return false
    return this.#writes.delete(write.key)
  }
}

/**
 * @param {Stamp | undefined} a
 * @param {Stamp | undefined} b
 */
function isEqual(a, b) {
  return a === undefined || b === undefined ? a === b : compareStamps(a, b) === 0
}
