// Tells a silent connection from a quiet one. A page can send no WebSocket ping, so it asks what
// must be answered.

/** @import { Scheduler, Timer } from "./scheduler.js" */

/** After so long without a message the other side is asked. */
export const QUIET_SECONDS = 15
/** And after so long without an answer the connection is dropped. */
export const ANSWER_SECONDS = 10
/** The same for a program that was asleep: its connection is likely to be gone. */
export const WAKE_SECONDS = 4

/** Watches over one open connection. */
export class Heartbeat {
  #scheduler
  #ask
  #silent
  #heard = false
  #asked = false
  /** @type {Timer} */
  #timer

  /**
   * @param {Scheduler} scheduler
   * @param {() => boolean} ask asks the other side something; false if there is nobody to ask
   * @param {() => void} silent the other side did not answer; comes once, and is the end
   */
  constructor(scheduler, ask, silent) {
    this.#scheduler = scheduler
    this.#ask = ask
    this.#silent = silent
    this.#timer = scheduler.later(QUIET_SECONDS, this.#check)
  }

  /** A message came. */
  heard() {
    this.#heard = true
  }

  /** Asks now: the program was asleep, or the network has changed. */
  probe() {
    if (!this.#asked) this.#askNow(WAKE_SECONDS)
  }

  stop() {
    this.#timer.cancel()
  }

  // Counts no time: that of a sleeping machine says nothing about the other side.
  #check = () => {
    if (this.#heard || !this.#asked) {
      const quiet = !this.#heard
      this.#heard = this.#asked = false
      if (quiet) this.#askNow(ANSWER_SECONDS)
      else this.#wait(QUIET_SECONDS)
    } else {
      this.#silent()
    }
  }

  /** @param {number} seconds */
  #askNow(seconds) {
    this.#heard = false
    this.#asked = this.#ask()
    this.#wait(this.#asked ? seconds : QUIET_SECONDS)
  }

  /** @param {number} seconds */
  #wait(seconds) {
    this.#timer.cancel()
    this.#timer = this.#scheduler.later(seconds, this.#check)
  }
}
