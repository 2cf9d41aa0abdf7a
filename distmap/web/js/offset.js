// Estimates how far the local clock is from the relay's.
//
// Cristian, "Probabilistic clock synchronization" (1989): the relay's time is taken for the middle
// between question and answer, and of several answers the one that came fastest is the most exact.

export const SAMPLES = 8
/** Answers that differ by more than their round trips explain, and by this, tell of a jump. */
export const JUMP_MS = 1000
/** An answer that took longer than this says nothing. */
export const SLOWEST_MS = 60_000

/** @typedef {{ tripMs: number, offsetMs: number }} Sample */

/** The offset of one local clock. */
export class OffsetEstimator {
  /** @type {Sample[]} */
  #samples = []

  /**
   * Takes one question and its answer.
   *
   * @param {number} askedMs the local clock when the question was sent
   * @param {number} answeredMs the local clock when the answer came
   * @param {number} relayMs the relay's clock in between
   * @returns {number | null} what to add to the local clock to get the relay's; null if the answer
   *   says nothing, because it came too late or the local clock jumped meanwhile
   */
  add(askedMs, answeredMs, relayMs) {
    const tripMs = answeredMs - askedMs
    if (!(tripMs >= 0 && tripMs <= SLOWEST_MS)) return null
    const offsetMs = relayMs - (askedMs + answeredMs) / 2
    if (this.#samples.length) {
      const best = this.#best()
      const explained = JUMP_MS + (tripMs + best.tripMs) / 2
      if (Math.abs(offsetMs - best.offsetMs) > explained) this.forget()
    }
    this.#samples = [...this.#samples, { tripMs, offsetMs }].slice(-SAMPLES)
    return this.#best().offsetMs
  }

  /** Another relay answers from now on. */
  forget() {
    this.#samples = []
  }

  #best() {
    return this.#samples.reduce((a, b) =>
      b.tripMs < a.tripMs || (b.tripMs === a.tripMs && b.offsetMs < a.offsetMs) ? b : a,
    )
  }
}
