// What happens to a replica that was away for longer than tombstones are kept.
//
// What it has from others may have been deleted and forgotten since, so it is discarded and fetched
// afresh. Its own writes that nobody has seen are offered again, but only where others have not
// changed the key meanwhile: there they would undo what they know nothing of.

/** @import { Stamp } from "./clock.js" */
/** @import { KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox, Written } from "./outbox.js" */
import { compareStamps } from "./clock.js"
import { isSame } from "./entries.js"

/**
 * How an absence ended.
 *
 * @typedef {object} Return
 * @property {Update[]} updates what others have changed
 * @property {Update[]} offered own writes that are offered again, with new stamps
 * @property {Written[]} taken own writes that had got through after all
 * @property {KeyedEntry[]} superseded own writes that are not offered again
 */

/** One discarded replica. */
export class Absence {
  #replica
  #before
  #writes

  /**
   * @param {Replica} replica its entries are discarded now
   * @param {Outbox} outbox emptied now
   */
  constructor(replica, outbox) {
    this.#replica = replica
    this.#before = replica.entries
    this.#writes = outbox.drain()
    replica.clear()
  }

  /**
   * The donor died meanwhile, and the next one demands the same.
   *
   * @param {Outbox} outbox
   */
  discardAgain(outbox) {
    const again = new Map(outbox.drain().map((write) => [write.key, write]))
    // A later write of a key keeps the place of the first.
    for (const write of this.#writes) {
      write.entry = again.get(write.key)?.entry ?? write.entry
      again.delete(write.key)
    }
    this.#writes.push(...again.values())
    this.#replica.clear()
  }

  /**
   * Nobody is left to fetch from: what was discarded is all there is.
   *
   * @param {Outbox} outbox
   */
  restore(outbox) {
    for (const [key, entry] of this.#before) this.#replica.merge(key, entry, true)
    for (const { key, entry, base } of this.#writes) {
      if (!outbox.has(key)) outbox.add(key, entry, base)
    }
  }

  /**
   * The state of the network is here: settles what became of the own writes.
   *
   * @param {Outbox} outbox
   * @returns {Return}
   */
  end(outbox) {
    /** @type {Return} */
    const end = { updates: [], offered: [], taken: [], superseded: [] }
    for (const { key, entry, base } of this.#writes) {
      if (outbox.has(key)) continue // written again meanwhile: that one is on its way
      const stamp = this.#replica.entries.get(key)?.stamp
      if (isEqual(stamp, entry.stamp)) {
        end.taken.push([key, entry.stamp])
      } else if (isEqual(stamp, base)) {
        const update = this.#replica.rewrite(key, entry.value)
        outbox.add(key, update.entry, base)
        end.offered.push(update)
      } else {
        end.superseded.push([key, entry])
      }
    }
    end.updates = this.#changes(outbox)
    return end
  }

  /** @param {Outbox} outbox */
  #changes(outbox) {
    const { entries } = this.#replica
    /** @type {Update[]} */
    const updates = []
    for (const [key, entry] of entries) {
      const old = this.#before.get(key)
      // Own writes are no news here.
      if (!isSame(old, entry) && !outbox.has(key)) updates.push({ key, entry, old })
    }
    // Whoever deleted these, nobody knows any more; the stamp is that of what is gone.
    for (const [key, old] of this.#before) {
      if (entries.has(key) || old.value === null) continue
      updates.push({ key, entry: { ...old, value: null }, old })
    }
    return updates
  }
}

/**
 * @param {Stamp | undefined} a
 * @param {Stamp | undefined} b
 */
function isEqual(a, b) {
  return a === undefined || b === undefined ? a === b : compareStamps(a, b) === 0
}
