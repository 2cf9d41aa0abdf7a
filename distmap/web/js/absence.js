// Writes of a peer that was away for longer than tombstones are kept, or that stamped them by a
// clock far behind.
//
// Others may have changed their keys since and forgotten it. So they are set aside until the state
// of the network is here, and are offered again only where nobody has changed the key meanwhile:
// anywhere else they would undo what they know nothing of.

/** @import { Stamp } from "./clock.js" */
/** @import { KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox, Waiting, Written } from "./outbox.js" */
import { Restamper, compareStamps } from "./clock.js"

/**
 * How an absence ended.
 *
 * @typedef {object} Return
 * @property {Update[]} offered own writes that are offered again, with new stamps
 * @property {Written[]} taken own writes that had got through after all
 * @property {KeyedEntry[]} superseded own writes that are not offered again
 */

/** The writes that are set aside. */
export class Absence {
  #replica
  /** @type {Map<string, Waiting>} */
  #writes = new Map()

  /** @param {Replica} replica they are taken out of it */
  constructor(replica) {
    this.#replica = replica
  }

  /**
   * Takes writes out of the outbox's hands; a later write of a key keeps the base of the first.
   *
   * @param {Waiting[]} writes
   * @returns {Update[]} what changed in the replica
   */
  setAside(writes) {
    const updates = []
    for (const { key, entry, base } of writes) {
      const first = this.#writes.get(key)
      this.#writes.delete(key) // so those of a batch stand together
      this.#writes.set(key, { key, entry, base: first === undefined ? base : first.base })
      if (this.#replica.entries.get(key) === entry) updates.push(this.#replica.forget(key))
    }
    return updates
  }

  /**
   * The writes, which will never be offered.
   *
   * @returns {KeyedEntry[]}
   */
  giveUp() {
    return [...this.#writes.values()].map(({ key, entry }) => [key, entry])
  }

  /**
   * Nobody is there to ask: the writes go on as if nothing had been.
   *
   * @param {Outbox} outbox
   * @returns {Update[]} what changed in the replica
   */
  restore(outbox) {
    const updates = []
    for (const { key, entry, base } of this.#writes.values()) {
      const update = this.#replica.merge(key, entry, { trusted: true })
      if (update !== null) updates.push(update)
      if (!outbox.has(key)) outbox.add(key, entry, base)
    }
    return updates
  }

  /**
   * The state of the network is here: settles what became of the writes.
   *
   * @param {Outbox} outbox
   * @returns {Return}
   */
  end(outbox) {
    /** @type {Return} */
    const end = { offered: [], taken: [], superseded: [] }
    const stamps = new Restamper(this.#replica.clock)
    for (const { key, entry, base } of this.#writes.values()) {
      if (outbox.has(key)) continue // written again meanwhile: that one is on its way
      const stamp = this.#replica.entries.get(key)?.stamp
      if (isEqual(stamp, entry.stamp)) {
        end.taken.push([key, entry.stamp])
      } else if (isEqual(stamp, base)) {
        const update = this.#replica.rewrite(key, entry.value, stamps.anew(entry.stamp))
        outbox.add(key, update.entry, base)
        end.offered.push(update)
      } else {
        end.superseded.push([key, entry])
      }
    }
    return end
  }
}

/**
 * @param {Stamp | undefined} a
 * @param {Stamp | undefined} b
 */
function isEqual(a, b) {
  return a === undefined || b === undefined ? a === b : compareStamps(a, b) === 0
}
