// A peer that may only read: it takes what the others have, and gives nothing.
//
// Its copy is made equal to that of its donor: what it has and the donor has not cannot be offered to
// anybody, so it goes. Own writes from before it knew are taken back, some in each step.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Port } from "./port.js" */
/** @import { Item, Summary } from "./ranges.js" */
/** @import { Hello } from "./sync_wire.js" */
import { STEP_WRITES } from "./absence.js"
import { entryHash } from "./entries.js"
import { isEqual } from "./ranges.js"
import { Newcomer } from "./sync.js"

export const READ = "read"
export const WRITE = "write"

/** What this peer may do, and what its own writes replaced while that is not known. */
export class Reading {
  /**
   * `read` or `write`, as the relay said last; null before it has said it.
   *
   * @type {string | null}
   */
  access = null
  /** Own writes wait that the relay will not take: nothing is sent. */
  isTakingBack = false
  #replica
  #outbox
  #port
  #sweep = -1
  #known = false
  #toFetch = false
  /**
   * By key, what the first of several own writes replaced.
   *
   * @type {Map<string, Entry | undefined>}
   */
  #originals = new Map()

  /**
   * @param {Replica} replica its entries
   * @param {Outbox} outbox its writes that wait
   * @param {Port} port where to act
   */
  constructor(replica, outbox, port) {
    this.#replica = replica
    this.#outbox = outbox
    this.#port = port
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

  /**
   * The stream is gone: the relay may say something else next time. What it said holds until then,
   * so taking back goes on.
   */
  lost() {
    this.#known = this.#toFetch = false
  }

  /**
   * The relay has told what this peer may do. If it may only read, work() takes back the own writes
   * that wait. If it may write after all, those that are left are sent.
   *
   * @param {unknown} access
   */
  told(access) {
    this.#known = access !== READ
    this.access = this.#known ? WRITE : READ
    if (this.#known && this.#sweep === this.#outbox.sweeps) this.#outbox.endSweep()
    this.#sweep = -1
    this.#toFetch = false
    this.isTakingBack = !this.#known && this.#outbox.size > 0
    if (!this.isTakingBack) this.#originals = new Map()
  }

  /**
   * The relay has refused what was sent, though it had not told that this peer may only read. What
   * that had replaced is not remembered: once it is taken back, another peer is asked.
   */
  refused() {
    this.told(READ)
    this.#toFetch = this.isTakingBack
  }

  /**
   * Takes some writes back.
   *
   * @returns {boolean} whether nothing is left to do
   */
  work() {
    if (this.isTakingBack) this.#takeSomeBack()
    return !this.isTakingBack
  }

  #takeSomeBack() {
    /** @type {KeyedEntry[]} */
    const writes = []
    /** @type {Update[]} */
    const updates = []
    // It begins, or another sweep has come in between.
    if (this.#sweep !== this.#outbox.sweeps) this.#sweep = this.#outbox.beginSweep({ sent: true })
    this.#outbox.sweep(STEP_WRITES, ({ key, entry }) => {
      writes.push([key, entry])
      const original = this.#originals.get(key)
      this.#originals.delete(key)
      if (this.#replica.entries.get(key) === entry) {
        updates.push(this.#takeBack(key, entry, original))
      }
      return false
    })
    if (!this.#outbox.isSweeping) {
      this.isTakingBack = false
      this.#originals = new Map()
    }
    if (writes.length) this.#port.refused(writes, updates)
    if (this.#toFetch && !this.isTakingBack) {
      this.#toFetch = false
      this.#port.send('["sync",null]')
    }
  }

  /**
   * @param {string} key
   * @param {Entry} entry
   * @param {Entry} [original]
   * @returns {Update}
   */
  #takeBack(key, entry, original) {
    const gone = this.#replica.forget(key)
    const back = original && this.#replica.merge(key, original, { trusted: true })
    return back ? { ...back, old: entry } : gone
  }
}

/** The newcomer's side of a sync, for one that may only read. */
export class Reader extends Newcomer {
  /** @param {Replica} replica what it takes into */
  constructor(replica) {
    super(replica)
    replica.forgetFloor()
  }

  /**
   * @override
   * @param {Hello} hello
   */
  receiveHello(hello) {
    const messages = super.receiveHello(hello)
    this.replica.forgetFloor()
    this.trustsDonor = true
    return messages
  }

  /**
   * @override
   * @param {string} prefix
   * @param {Summary} mine
   * @param {Summary} theirs
   * @param {number} most
   */
  judge(prefix, mine, theirs, most) {
    // Entries may have come meanwhile that the donor has too: it is asked about each.
    const isEmpty = theirs[0] === 0 && !isEqual(mine, theirs)
    super.judge(prefix, mine, isEmpty ? [1, theirs[1]] : theirs, most)
  }

  /**
   * What the donor has not goes, unless it has changed since it was asked about.
   *
   * @override
   * @param {Map<string, Entry>} sets
   * @param {unknown[]} others
   * @param {Item[]} lacked
   */
  take(sets, others, lacked) {
    const { entries } = this.replica
    /** @type {Map<string, Update>} */
    const updates = new Map()
    for (const { key, hash } of lacked) {
      const entry = entries.get(key)
      if (entry === undefined || entryHash(key, entry) !== hash) continue
      updates.set(key, this.replica.forget(key))
    }
    for (const update of super.take(sets, others, [])) {
      const gone = updates.get(update.key)
      updates.set(update.key, gone === undefined ? update : { ...update, old: gone.old })
    }
    return [...updates.values()]
  }
}
