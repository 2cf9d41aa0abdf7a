// The hybrid logical clock that stamps each write.
//
// After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (2014): milliseconds
// of the wall clock, and a counter for what happens within one of them or while the wall clock is
// behind what was already seen.

/** How far ahead of the relay's time a stamp may be and still be taken at once. */
export const MAX_AHEAD_MS = 60_000
/** How far the local clock is believed to have gone on since the relay last told its time. */
export const HEARD_MS = 30_000
/**
 * The latest time that anybody may tell: the last that ECMAScript has a date for. Stamps go further,
 * so that there is always a later one.
 */
export const MAX_TIME_MS = 8_640_000_000_000_000
/**
 * The beginning of 2020. A relay that tells an earlier time has none: a machine that has lost its clock
 * begins in 1970, or at another day long ago.
 */
export const MIN_TIME_MS = 1_577_836_800_000
/** The greatest integer that a stamp can carry on the wire. */
export const MAX_COUNTER = Number.MAX_SAFE_INTEGER

/**
 * When, and by whom, an entry was written; stamps compare in the order of the fields.
 *
 * @typedef {object} Stamp
 * @property {number} ms milliseconds since 1970, by the relay's time as the writer estimated it
 * @property {number} counter orders the writes within one `ms`
 * @property {string} writer the id of the replica that wrote
 */

/**
 * The order of two stamps.
 *
 * @param {Stamp} a
 * @param {Stamp} b
 * @returns {number} less than, equal to or greater than 0
 */
export function compareStamps(a, b) {
  if (a.ms !== b.ms) return a.ms < b.ms ? -1 : 1
  if (a.counter !== b.counter) return a.counter < b.counter ? -1 : 1
  return a.writer === b.writer ? 0 : a.writer < b.writer ? -1 : 1
}

/** The clock of one replica. */
export class HybridClock {
  #wallMs
  #ms = 0
  #counter = 0

  /**
   * @param {() => number} wallMs tells the wall clock, in milliseconds since 1970
   * @param {string} writer the id of the replica: 1 to 32 of `A-Z a-z 0-9 _ -`
   */
  constructor(wallMs, writer) {
    this.writer = writer
    this.offsetMs = 0
    /**
     * What the relay last said; unlike the estimate, no jump of the local clock moves it.
     *
     * @type {number | null}
     */
    this.heardMs = null
    /** What is from the future is about to go: no stamp has to be later. */
    this.isCorrecting = false
    this.#wallMs = wallMs
  }

  /** The relay's time, as estimated here. */
  nowMs() {
    return Math.max(0, Math.trunc(this.#wallMs() + this.offsetMs))
  }

  // A local clock that jumped must not make anything be forgotten, or be taken too early: it would
  // replace what nobody else may have. So there are two bounds beside the estimate.

  /** What the relay's time is at least. */
  earliestMs() {
    const nowMs = this.nowMs()
    return this.heardMs === null ? nowMs : Math.min(nowMs, Math.trunc(this.heardMs))
  }

  /** What the relay's time is at most, if it spoke within HEARD_MS. */
  latestMs() {
    const nowMs = this.nowMs()
    if (this.heardMs === null) return nowMs
    const heardMs = Math.trunc(this.heardMs)
    return Math.max(heardMs, Math.min(nowMs, heardMs + HEARD_MS))
  }

  /**
   * A new stamp, later than all that this clock issued or observed.
   *
   * @param {Stamp} [after] a stamp that the new one must also be later than
   * @returns {Stamp}
   */
  tick(after) {
    if (after !== undefined && !this.#isToGo(after)) this.observe(after)
    const now = this.nowMs()
    if (now > this.#ms) {
      this.#ms = now
      this.#counter = 0
    } else if (this.#counter < MAX_COUNTER) {
      this.#counter++
    } else {
      // Somebody counted that far to make the next stamp one that nobody takes.
      this.#ms++
      this.#counter = 0
    }
    return { ms: this.#ms, counter: this.#counter, writer: this.writer }
  }

  /**
   * Takes note of another replica's stamp: what is written here from now on is later.
   *
   * @param {Stamp} stamp
   */
  observe({ ms, counter }) {
    if (ms > this.#ms || (ms === this.#ms && counter > this.#counter)) {
      this.#ms = ms
      this.#counter = counter
    }
  }

  /**
   * Whether a stamp is so far in the future that its entry has to wait.
   *
   * @param {Stamp} stamp
   */
  isAhead({ ms }) {
    return ms > this.#ms && ms > this.latestMs() + MAX_AHEAD_MS
  }

  /**
   * Whether a stamp of this clock is not later than that of an entry that stays.
   *
   * @param {Stamp} stamp
   * @param {Stamp} old
   */
  isBefore(stamp, old) {
    return compareStamps(stamp, old) <= 0 && !this.#isToGo(old)
  }

  /** @param {Stamp} stamp */
  #isToGo(stamp) {
    return this.isCorrecting && this.isAhead(stamp)
  }

  /**
   * Sets the offset to the relay's time.
   *
   * @param {number} offsetMs
   * @returns {boolean} whether this clock had run ahead of the bound: stamps it issued before may
   *   then be too far in the future, and those not yet sent had better be issued anew
   */
  correct(offsetMs) {
    this.offsetMs = offsetMs
    const now = this.nowMs()
    if (this.#ms <= now + MAX_AHEAD_MS) return false
    this.#ms = now
    this.#counter = 0
    return true
  }
}

/**
 * New stamps for old ones. Writes of one stamp, as those of a batch are, share the new one if they
 * come one after the other.
 */
export class Restamper {
  #clock
  /** @type {Stamp | undefined} */
  #old
  /** @type {Stamp | undefined} */
  #new

  /** @param {HybridClock} clock issues them */
  constructor(clock) {
    this.#clock = clock
  }

  /**
   * The new stamp for an old one.
   *
   * @param {Stamp} old
   * @returns {Stamp}
   */
  anew(old) {
    const isSame = this.#old !== undefined && compareStamps(this.#old, old) === 0
    this.#old = old
    if (!isSame || this.#new === undefined) this.#new = this.#clock.tick()
    return this.#new
  }
}
