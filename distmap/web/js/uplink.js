// The way out of a connection: who sends much sends in turn, as the network takes it.
//
// Without that a donor of many newcomers would put all that they ask for into the buffer of a slow
// network, where it takes memory, and what was written since would have to wait behind it.

/** @import { Scheduler, Timer } from "./scheduler.js" */
import { MESSAGE_CHARS } from "./frames.js"

/** After so long one goes on though the network is slow: own writes may keep it busy for ever. */
export const PATIENCE_SECONDS = 5
/**
 * A WebSocket does not tell when it has sent what it was given: it is asked so often, and when something
 * comes, since pages in the background have to wait long for a timer.
 */
export const LOOK_SECONDS = 0.02

/**
 * One who sends much.
 *
 * @typedef {object} Guest
 * @property {() => void} goOn there is room for a message
 */

/** Who waits for room, first come, first served. */
export class Uplink {
  #scheduler
  #bufferedBytes
  /** Since what was gathered has left. */
  #gatheredChars = 0
  /** @type {Set<Guest>} */
  #guests = new Set()
  #patientUntilMs = 0
  /** @type {Timer | null} */
  #timer = null

  /**
   * @param {Pick<Scheduler, "nowMs" | "later" | "soon">} scheduler for the turns
   * @param {() => number} bufferedBytes how much was sent that the network has not taken
   */
  constructor(scheduler, bufferedBytes) {
    this.#scheduler = scheduler
    this.#bufferedBytes = bufferedBytes
  }

  get #isCongested() {
    return this.#bufferedBytes() >= MESSAGE_CHARS
  }

  get #hasRoom() {
    return this.#gatheredChars < MESSAGE_CHARS && !this.#isCongested
  }

  // -- those who send much ------------------------------------------------------------------------

  /**
   * Whether a guest may send a message now; if not, it is told once it may.
   *
   * @param {Guest} guest
   */
  enter(guest) {
    if (this.#guests.size === 0) {
      if (this.#hasRoom) return true
      this.#startPatience()
    }
    this.#guests.add(guest)
    this.#wait()
    return false
  }

  /**
   * Whether a guest waits.
   *
   * @param {Guest} guest
   */
  has(guest) {
    return this.#guests.has(guest)
  }

  /**
   * A guest does not want to send any more; also if it does not wait.
   *
   * @param {Guest} guest
   */
  leave(guest) {
    this.#guests.delete(guest)
    if (this.#guests.size === 0) this.#stopWaiting()
  }

  // -- the session --------------------------------------------------------------------------------

  /**
   * So much is to leave at the end of the turn.
   *
   * @param {number} chars
   */
  gathered(chars) {
    this.#gatheredChars += chars
  }

  /** What was gathered was given to the network. */
  flushed() {
    this.#gatheredChars = 0
    this.#wait()
  }

  /** Something came: it may answer what was sent. */
  heard() {
    if (this.#guests.size === 0 || !this.#hasRoom) return
    this.#admit() // at once, before anybody fills the network again
    this.#wait()
  }

  /** The connection is gone. */
  close() {
    this.#guests.clear()
    this.#stopWaiting()
  }

  // -- one after the other ------------------------------------------------------------------------

  /** Looks again in a turn of its own, and again while the network is slow. */
  #wait() {
    this.#stopWaiting()
    if (this.#guests.size === 0) return
    const look = () => this.#look()
    const { soon, later } = this.#scheduler
    this.#timer = this.#hasRoom ? soon(look) : later(LOOK_SECONDS, look)
  }

  #look() {
    this.#timer = null
    // What others have gathered since there was room does not count: it would be so every turn.
    if (!this.#isCongested || this.#scheduler.nowMs() >= this.#patientUntilMs) this.#admit()
    this.#wait()
  }

  /** Lets one go on; the next one in a later turn. */
  #admit() {
    const [guest] = this.#guests
    this.#guests.delete(guest)
    this.#startPatience()
    guest.goOn()
  }

  #startPatience() {
    this.#patientUntilMs = this.#scheduler.nowMs() + 1000 * PATIENCE_SECONDS
  }

  #stopWaiting() {
    this.#timer?.cancel()
    this.#timer = null
  }
}
