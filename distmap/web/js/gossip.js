// Finds out in production whether replicas have diverged, with little talk.
//
// Each peer tells the digest of its replica now and then, unless it heard the same digest from
// another peer since it last would have: so a map whose replicas are equal costs about one message
// an interval, however many peers it has. After Levis, Clausen, Hui, Gnawali and Ko, "The Trickle
// Algorithm" (RFC 6206), with a fixed interval.

/** @import { Summary } from "./ranges.js" */
import { isEqual } from "./ranges.js"

export const INTERVAL_SECONDS = 10
/** Writes under way make replicas differ for a moment: a difference must last this long. */
export const SETTLE_SECONDS = 2
/** In a map that never rests, a difference must last this long instead. */
export const PATIENCE_SECONDS = 60

/** When to tell one's digest, and what to make of another's. */
export class Gossip {
  #random
  #agreed = false
  /** @type {string | null} */
  #suspect = null
  /** @type {Summary} */
  #own = [0, 0]
  /** @type {number | null} */
  #differsSince = null

  /** @param {() => number} random gives a number from 0 to 1 */
  constructor(random) {
    this.#random = random
  }

  /** When to consider telling the digest again: half to one and a half intervals. */
  nextSeconds() {
    return INTERVAL_SECONDS * (0.5 + this.#random())
  }

  /** Whether nobody has told the same digest since the last call. */
  shouldTell() {
    const agreed = this.#agreed
    this.#agreed = false
    return !agreed
  }

  /**
   * Another peer told its digest.
   *
   * @param {string} peer
   * @param {Summary} theirs
   * @param {Summary} own
   * @param {number} nowSeconds
   * @returns {number | null} in how many seconds to call confirm(); null if there is nothing to
   *   confirm
   */
  hear(peer, theirs, own, nowSeconds) {
    if (isEqual(theirs, own)) {
      this.#agreed = true
      this.settle()
      return null
    }
    this.#differsSince ??= nowSeconds
    if (this.#suspect !== null) return null
    this.#suspect = peer
    this.#own = own
    return SETTLE_SECONDS * (1 + this.#random())
  }

  /**
   * Whether the difference has lasted.
   *
   * @param {Summary} own
   * @param {number} nowSeconds
   * @returns {string | null} the peer to compare with; null if there is no need
   */
  confirm(own, nowSeconds) {
    const suspect = this.#suspect
    const since = this.#differsSince
    this.#suspect = null
    if (suspect === null || since === null) return null
    if (!isEqual(own, this.#own) && nowSeconds - since < PATIENCE_SECONDS) return null
    this.#differsSince = null
    return suspect
  }

  /** The replicas agree, or are about to be compared. */
  settle() {
    this.#suspect = null
    this.#differsSince = null
  }
}
