// What it means that a peer was away for longer than tombstones are kept, or has stamped writes by a
// clock far behind.
//
// Others may have forgotten deletes that it has not seen. So what it wrote is set aside (see
// aside.js) until the state of the network is here. All of it takes as many steps as there are
// writes to look at: none takes long.

/** @import { Stamp } from "./clock.js" */
/** @import { Gap } from "./knowledge.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Port } from "./port.js" */
import { Aside } from "./aside.js"
import { isBurial } from "./entries.js"

export const BY_PEER = "peer"
export const ALONE = "alone"
/** Writes that are looked at in one step. */
export const STEP_WRITES = 1000

/** The absences of one peer. */
export class Absence {
  wasInTouch = false
  #replica
  #outbox
  #port
  #aside
  /** While writes are set aside: those of stamps below this time, or all. */
  #belowMs = Infinity
  #isSettingAside = false
  #sweep = -1
  /**
   * While it becomes clear what becomes of them: how this replica became ready.
   *
   * @type {string | null}
   */
  #ending = null
  /** Only writes that others have buried are set aside. */
  #onlyBuried = false
  #isGivingUp = false

  /**
   * @param {Replica} replica its entries
   * @param {Outbox} outbox its writes that wait
   * @param {Port} port where to act
   */
  constructor(replica, outbox, port) {
    this.#replica = replica
    this.#outbox = outbox
    this.#port = port
    this.#aside = new Aside(replica, outbox)
  }

  /** Whether own writes are set aside, and it is not clear what becomes of them. */
  get isOpen() {
    return this.#isSettingAside || this.#aside.size > 0
  }

  /**
   * Whether tombstones may be forgotten that this replica has not seen, or that are later than its
   * writes: they then wait until it knows what became of their keys.
   */
  get hasToAsk() {
    if (this.isOpen || (this.wasInTouch && this.#replica.wasAwayLong)) return true
    return this.#outbox.isOlder(this.#replica.clock.earliestMs() - this.#replica.retentionMs)
  }

  /**
   * Goes on from a saved copy; comes before the first stream.
   *
   * @param {number} knownMs until when the copy knows of all deletes
   * @param {Gap[]} gaps when, before that, it may not have heard of all
   */
  resume(knownMs, gaps) {
    this.wasInTouch = true
    this.#replica.knownMs = knownMs
    this.#replica.gaps = gaps
  }

  /**
   * A donor told its floor: what may undo deletes that it has forgotten is set aside.
   *
   * @param {number} floorMs
   * @param {boolean} outdated
   */
  met(floorMs, outdated) {
    if (this.#replica.inTouch) return // a repair
    if (outdated) this.#replica.journal?.outdated()
    const all = outdated && this.wasInTouch
    this.#belowMs = all ? Infinity : floorMs
    this.#isSettingAside = true
    this.#onlyBuried = false
    this.#sweep = -1
  }

  /**
   * The replica has the network's state, or is all that there is of it.
   *
   * @param {string} how by a peer, or alone
   * @param {boolean} asked whether own writes waited for that: some may have been buried meanwhile
   */
  over(how, asked) {
    this.wasInTouch = true
    if (asked && this.#outbox.size > 0) {
      this.#isSettingAside = this.#onlyBuried = true
      this.#sweep = -1
    }
    this.#ending = this.isOpen ? how : null
  }

  /** The connection is gone: what is set aside stays so. */
  lost() {
    this.#ending = null
  }

  /**
   * This peer wrote a key; see written() of Aside.
   *
   * @param {string} key
   * @param {Stamp | undefined} old
   */
  written(key, old) {
    return this.#aside.written(key, old)
  }

  /**
   * This peer may only read: what is set aside is never offered. It is given up, also if the
   * connection is lost meanwhile.
   */
  giveUp() {
    this.#isSettingAside = false
    this.#ending = null
    this.#isGivingUp = this.isOpen
  }

  /** This peer may write: what is still set aside waits for the state of the network. */
  keep() {
    this.#isGivingUp = false
  }

  // -- step by step -------------------------------------------------------------------------------

  /**
   * Sets writes aside, gives them up, or settles what becomes of them: some of them.
   *
   * @returns {boolean} whether nothing is left to do
   */
  work() {
    if (this.#isGivingUp) this.#giveSomeUp()
    else if (this.#isSettingAside) this.#setAside()
    else if (this.#ending === ALONE) this.#restore()
    else if (this.#ending !== null) this.#end()
    if (!this.isOpen) this.#ending = null
    return !(this.#isGivingUp || this.#isSettingAside || this.#ending !== null)
  }

  #giveSomeUp() {
    this.#port.refused(this.#aside.giveUp(STEP_WRITES), [])
    this.#isGivingUp = this.#aside.size > 0
  }

  #setAside() {
    /** @type {Update[]} */
    const updates = []
    // It begins, or another sweep has come in between.
    if (this.#sweep !== this.#outbox.sweeps) {
      this.#sweep = this.#outbox.beginSweep({
        sent: this.#onlyBuried || this.#belowMs === Infinity,
      })
    }
    this.#outbox.sweep(STEP_WRITES, (write) => {
      if (this.#onlyBuried) {
        if (!isBurial(this.#replica.entries.get(write.key), write.entry)) return true
      } else if (this.#belowMs !== Infinity) {
        if (write.isSeen || write.entry.stamp.ms >= this.#belowMs) return true
      }
      const update = this.#aside.put(write)
      if (update !== null) updates.push(update)
      return false
    })
    this.#isSettingAside = this.#outbox.isSweeping
    this.#updated(updates)
  }

  #restore() {
    const updates = this.#aside.restore(STEP_WRITES)
    this.#port.restamped(updates.filter(({ old }) => old !== undefined))
    this.#updated(updates)
  }

  #end() {
    const end = this.#aside.end(STEP_WRITES)
    this.#port.restamped(end.offered)
    this.#updated(end.offered)
    this.#port.taken(end.taken)
    this.#port.superseded(end.superseded)
  }

  /** @param {Update[]} updates */
  #updated(updates) {
    if (updates.length) this.#port.updated(updates)
  }
}
