// Old entries that came before a peer knew what was deleted meanwhile.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica } from "./lww.js" */
/** @import { Port } from "./port.js" */
import { Queue } from "./queue.js"

/** Entries that are taken in one step. */
export const STEP_ENTRIES = 1000

/** What one peer puts aside while it is not in touch, and takes once it is, some in each step. */
export class Doubts {
  #replica
  #port
  /** @type {Map<string, Entry>} */
  #waiting = new Map()
  /** @type {Queue<Iterator<KeyedEntry>>} */
  #due = new Queue()

  /**
   * @param {Replica} replica takes it, but for what it knows to be deleted by then
   * @param {Port} port is told what that changed
   */
  constructor(replica, port) {
    this.#replica = replica
    this.#port = port
  }

  /** Where to put what is in doubt; null while the replica is in touch: nothing is then. */
  get aside() {
    return this.#replica.inTouch ? null : this.#waiting
  }

  /**
   * The connection is gone: what waits comes again with the next sync. What was due already goes on.
   */
  lost() {
    this.#waiting = new Map()
  }

  /** The replica has the network's state: from now on work() takes what waits. */
  settle() {
    // The donor may have learned of it after it had told of what is near it.
    if (this.#waiting.size) this.#due.push(this.#waiting.entries())
    this.#waiting = new Map()
  }

  /**
   * Takes a step.
   *
   * @returns {boolean} whether nothing is left to do
   */
  work() {
    const updates = []
    for (let taken = 0; taken < STEP_ENTRIES && this.#due.first; taken++) {
      const { value, done } = this.#due.first.next()
      if (done) {
        this.#due.shift()
        continue
      }
      const update = this.#replica.merge(...value)
      if (update !== null) updates.push(update)
    }
    if (updates.length) this.#port.updated(updates)
    return this.#due.length === 0
  }
}
