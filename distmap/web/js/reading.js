// What a peer may do, and what its own writes replaced while that is not known: those of a peer that
// may only read are taken back.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox } from "./outbox.js" */

export const READ = "read"
export const WRITE = "write"

export class Reading {
  /**
   * `read` or `write`, as the relay said last; null before it has said it.
   *
   * @type {string | null}
   */
  access = null
  #replica
  #outbox
  #known = false
  /**
   * By key, what the first of several own writes replaced.
   *
   * @type {Map<string, Entry | undefined>}
   */
  #originals = new Map()

  /**
   * @param {Replica} replica
   * @param {Outbox} outbox
   */
  constructor(replica, outbox) {
    this.#replica = replica
    this.#outbox = outbox
  }

  /** Whether this peer may only read. */
  get only() {
    return this.access === READ
  }

  /**
   * This peer wrote.
   *
   * @param {Update} update
   */
  wrote({ key, old }) {
    if (!this.#known && !this.#originals.has(key)) this.#originals.set(key, old)
  }

  /** The stream is gone: the relay may say something else next time. */
  lost() {
    this.#known = false
  }

  /**
   * The relay has told what this peer may do.
   *
   * @param {unknown} access
   * @returns {{ updates: Update[], writes: KeyedEntry[] }} what changed in the replica, and the own
   *   writes that the relay will not take
   */
  told(access) {
    this.#known = access !== READ
    this.access = this.#known ? WRITE : READ
    const originals = this.#originals
    this.#originals = new Map()
    /** @type {Update[]} */
    const updates = []
    /** @type {KeyedEntry[]} */
    const writes = []
    if (this.#known) return { updates, writes }
    this.#outbox.beginSweep({ sent: true })
    this.#outbox.sweep(Infinity, ({ key, entry }) => {
      writes.push([key, entry])
      return false
    })
    for (const [key, entry] of writes) {
      if (this.#replica.entries.get(key) !== entry) continue
      const gone = this.#replica.forget(key)
      const original = originals.get(key)
      const back = original && this.#replica.merge(key, original, { trusted: true })
      updates.push(back ? { ...back, old: entry } : gone)
    }
    return { updates, writes }
  }
}
