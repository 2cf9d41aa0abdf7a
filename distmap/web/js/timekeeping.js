// One peer's idea of the relay's time, and what is done about what a wrong clock has stamped.

/** @import { Entry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Port } from "./port.js" */
import { Restamper, compareStamps } from "./clock.js"
import { OffsetEstimator } from "./offset.js"

/** If an acknowledgement names a time so far from the estimated one, the relay is asked. */
export const SUSPICIOUS_MS = 10_000

/** Keeps the clock of one replica at the relay's time. */
export class Timekeeper {
  /** Whether the relay can be asked. */
  online = false
  /** @type {Set<string>} ids of writers: this replica's, and those whose unsent writes it took */
  writers
  #replica
  #outbox
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
    this.#outbox = outbox
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
    if (Math.abs(this.#replica.clock.nowMs() - timeMs) > SUSPICIOUS_MS) this.ask()
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

  // -- putting right ------------------------------------------------------------------------------

  /**
   * @param {number} askedMs
   * @param {number} timeMs
   */
  #learn(askedMs, timeMs) {
    const { clock } = this.#replica
    clock.heardMs = timeMs
    const offsetMs = this.#offset.add(askedMs, this.#nowMs(), timeMs)
    if (offsetMs === null || !clock.correct(offsetMs)) return
    // It was far ahead. What nobody has seen is stamped anew; what was sent, others hold back until
    // its time: so does this peer, and writes it once more with a good stamp.
    this.#replica.observeAgain()
    const own = this.#outbox.unsent.filter((key) => this.#isOwn(this.#replica.entries.get(key)))
    const updates = this.#replica.restamp(own)
    this.#outbox.replace(updates.map(({ key, entry }) => [key, entry]))
    this.#port.restamped(updates)
    this.#holdAgain()
  }

  /**
   * Whether an entry is this peer's: another, whose clock is as wrong, may have overwritten it.
   *
   * @param {Entry | undefined} entry
   */
  #isOwn(entry) {
    return entry !== undefined && this.writers.has(entry.stamp.writer)
  }

  #holdAgain() {
    // By stamp: in the order they were written, those of a batch together.
    const ahead = this.#replica.holdAgain()
    ahead.sort(([, one], [, other]) => compareStamps(one.stamp, other.stamp))
    const stamps = new Restamper(this.#replica.clock)
    /** @type {Update[]} */
    const gone = []
    for (const [key, entry] of ahead) {
      if (this.#isOwn(entry)) {
        const update = this.#replica.rewrite(key, entry.value, stamps.anew(entry.stamp))
        this.#outbox.add(key, update.entry)
        this.#port.restamped([update])
      } else {
        gone.push({ key, entry: { ...entry, value: null }, old: entry })
      }
    }
    if (gone.length) this.#port.updated(gone)
    if (ahead.length && this.online) this.#port.send(JSON.stringify(["sync", null]))
  }
}
