// How long to wait before the next try.

export const FIRST_DELAY_SECONDS = 0.5
export const LAST_DELAY_SECONDS = 10

/**
 * The time before the next try: full jitter over a range that doubles, up to a bound.
 *
 * After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
 */
export class Backoff {
  #random
  #rangeSeconds = FIRST_DELAY_SECONDS

  /** @param {() => number} random gives a number from 0 to 1 */
  constructor(random) {
    this.#random = random
  }

  /** The next delay; the range grows. */
  nextSeconds() {
    const delay = this.#random() * this.#rangeSeconds
    this.#rangeSeconds = Math.min(LAST_DELAY_SECONDS, 2 * this.#rangeSeconds)
    return delay
  }

  /** The connection is open. */
  reset() {
    this.#rangeSeconds = FIRST_DELAY_SECONDS
  }
}
