// How long to wait before the next try.

export const FIRST_DELAY_SECONDS = 0.5
export const LAST_DELAY_SECONDS = 10
/** The first range after a refusal, which a relay remembers for about as long. */
export const REFUSED_SECONDS = 10
export const LAST_REFUSED_SECONDS = 300

/**
 * The time before the next try: full jitter over a range that doubles, up to a bound.
 *
 * After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
 */
export class Backoff {
  #random
  #firstSeconds
  #lastSeconds
  #rangeSeconds

  /**
   * @param {() => number} random gives a number from 0 to 1
   * @param {number} [firstSeconds] the first range
   * @param {number} [lastSeconds] its bound
   */
  constructor(random, firstSeconds = FIRST_DELAY_SECONDS, lastSeconds = LAST_DELAY_SECONDS) {
    this.#random = random
    this.#firstSeconds = this.#rangeSeconds = firstSeconds
    this.#lastSeconds = lastSeconds
  }

  /** The next delay; the range grows. */
  nextSeconds() {
    const delay = this.#random() * this.#rangeSeconds
    this.#rangeSeconds = Math.min(this.#lastSeconds, 2 * this.#rangeSeconds)
    return delay
  }

  /** The connection is open. */
  reset() {
    this.#rangeSeconds = this.#firstSeconds
  }
}
