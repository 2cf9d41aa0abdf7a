// Keeps watch over one map while it is open: its digest against the others', and the time.

/** @import { Peer } from "./peer.js" */
/** @import { Summary } from "./ranges.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
import { Gossip } from "./gossip.js"
import { FOLD_KEYS } from "./conversation.js"

/** The gossip of one map; see gossip.js. */
export class Watching {
  #peer
  #scheduler
  #gossip
  #repair
  /** @type {Timer | null} */
  #tickTimer = null
  /** @type {Set<Timer>} */
  #timers = new Set()

  /**
   * @param {Peer} peer whose digest it is
   * @param {Scheduler} scheduler
   * @param {() => number} random gives a number from 0 to 1
   * @param {(peer: string) => void} repair is called with the peer that this one differs from
   */
  constructor(peer, scheduler, random, repair) {
    this.#peer = peer
    this.#scheduler = scheduler
    this.#gossip = new Gossip(random)
    this.#repair = repair
  }

  /** The map is ready; a second call does nothing. */
  start() {
    if (this.#tickTimer === null) this.#waitForTick()
  }

  /** The map is not ready any more. */
  stop() {
    this.#gossip.settle()
    this.#tickTimer?.cancel()
    this.#tickTimer = null
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }

  /**
   * Another peer told its digest.
   *
   * @param {string} peer
   * @param {Summary} theirs
   */
  heard(peer, theirs) {
    if (this.#tickTimer !== null) this.#whenFolded(() => this.#compare(peer, theirs))
  }

  #waitForTick() {
    this.#tickTimer = this.#scheduler.later(this.#gossip.nextSeconds(), () => {
      this.#waitForTick()
      this.#peer.lookUp()
      // Also alone: folding is what collects old tombstones.
      this.#whenFolded(() => this.#tell())
    })
  }

  #tell() {
    if (this.#peer.peers && this.#gossip.shouldTell()) this.#peer.tellDigest()
  }

  /**
   * @param {string} peer
   * @param {Summary} theirs
   */
  #compare(peer, theirs) {
    const own = this.#peer.replica.digest()
    const seconds = this.#gossip.hear(peer, theirs, own, this.#scheduler.nowMs() / 1000)
    if (seconds === null) return
    this.#keep(
      (call) => this.#scheduler.later(seconds, call),
      () => this.#whenFolded(() => this.#confirm()),
    )
  }

  #confirm() {
    const own = this.#peer.replica.digest()
    const suspect = this.#gossip.confirm(own, this.#scheduler.nowMs() / 1000)
    if (suspect !== null) this.#repair(suspect)
  }

  /**
   * Calls it once the tree of sums is up to date; hashing takes several turns.
   *
   * @param {() => void} then
   */
  #whenFolded(then) {
    if (this.#peer.replica.fold(FOLD_KEYS)) then()
    else this.#keep(this.#scheduler.soon, () => this.#whenFolded(then))
  }

  /**
   * @param {(call: () => void) => Timer} schedule
   * @param {() => void} call
   */
  #keep(schedule, call) {
    const timer = schedule(() => {
      this.#timers.delete(timer)
      call()
    })
    this.#timers.add(timer)
  }
}
