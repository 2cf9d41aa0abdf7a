// One peer's idea of the relay's time.

/** @import { Replica } from "./lww.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Port } from "./port.js" */
import { MIN_TIME_MS } from "./clock.js"
import { Correction } from "./correction.js"
import { OffsetEstimator } from "./offset.js"

/** If an acknowledgement names a time so far from the estimated one, the relay is asked. */
export const SUSPICIOUS_MS = 10_000

/** Keeps the clock of one replica at the relay's time, unless the relay has none. */
export class Timekeeper {
  /** Whether the relay can be asked. */
  online = false
  /** @type {Set<string>} ids of writers: this replica's, and those whose unsent writes it took */
  writers
  #replica
  #port
  #nowMs
  #openedMs = 0
  #asked = false
  #offset = new OffsetEstimator()

  /**
   * @param {Replica} replica whose clock it is
   * @param {Outbox} outbox its writes that wait
   * @param {Port} port where to act
   * @param {() => number} nowMs the local clock
   */
  constructor(replica, outbox, port, nowMs) {
    this.writers = new Set([replica.clock.writer])
    this.#replica = replica
    this.correction = new Correction(replica, outbox, port, this.writers)
    this.#port = port
    this.#nowMs = nowMs
  }

  /** The relay is greeted; it may be another one than before. */
  opened() {
    this.#openedMs = this.#nowMs()
    this.#offset.forget()
  }

  /** There is no relay to ask. */
  lost() {
    this.online = this.#asked = false
  }

  /**
   * The relay told its time with the welcome.
   *
   * @param {number} timeMs
   */
  welcomed(timeMs) {
    this.#learn(this.#openedMs, timeMs)
  }

  /**
   * The relay told its time because it was asked.
   *
   * @param {number} askedMs
   * @param {number} timeMs
   */
  answered(askedMs, timeMs) {
    this.#asked = false
    this.#learn(askedMs, timeMs)
  }

  /**
   * The relay told its time, but not how long ago.
   *
   * @param {number} timeMs
   */
  acknowledged(timeMs) {
    const { clock } = this.#replica
    if (timeMs < MIN_TIME_MS && clock.heardMs === null) return // that it has none is known
    if (Math.abs(clock.nowMs() - timeMs) > SUSPICIOUS_MS) this.ask()
  }

  /**
   * Asks the relay for its time, unless the question is on its way.
   *
   * @returns {boolean} whether an answer is due
   */
  ask() {
    if (this.online && !this.#asked) {
      this.#asked = true
      this.#port.send(JSON.stringify(["time", this.#nowMs()]))
    }
    return this.online
  }

  /**
   * @param {number} askedMs
   * @param {number} timeMs
   */
  #learn(askedMs, timeMs) {
    const { clock } = this.#replica
    if (timeMs < MIN_TIME_MS) {
      clock.heardMs = null // as before the first connection
      return
    }
    clock.heardMs = timeMs
    const offsetMs = this.#offset.add(askedMs, this.#nowMs(), timeMs)
    if (offsetMs === null || !clock.correct(offsetMs)) return
    // It was far ahead.
    this.correction.begin()
    this.work()
  }

  /**
   * Goes on with what a wrong clock has left to do.
   *
   * @returns {boolean} whether nothing is
   */
  work() {
    const { correction } = this
    if (correction.work() && correction.toFetch) {
      correction.toFetch = false
      if (this.online) this.#port.send(JSON.stringify(["sync", null]))
    }
    return !correction.isOn
  }
}
