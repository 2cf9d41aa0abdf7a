// When a connection or a channel is tried again.

import { Backoff, LAST_REFUSED_SECONDS, REFUSED_SECONDS } from "./backoff.js"
import { AccessRefused, ConnectionProblem, Unauthorized } from "./errors.js"

/** After the relay ended a channel: the range of the wait before it is opened again. */
export const REOPEN_SECONDS = [1, 10]
/** Likewise after it refused to open it. */
export const REFUSED_AGAIN_SECONDS = [REFUSED_SECONDS, LAST_REFUSED_SECONDS]

/**
 * The tries of one connection. Without other credentials a try that follows a refusal will hardly
 * end otherwise: it waits for longer.
 */
export class Tries {
  #backoff
  #refusedBackoff

  /** @param {() => number} random gives a number from 0 to 1; for the jitter */
  constructor(random) {
    this.#backoff = new Backoff(random)
    this.#refusedBackoff = new Backoff(random, REFUSED_SECONDS, LAST_REFUSED_SECONDS)
  }

  /**
   * A try, or the connection it led to, has ended.
   *
   * @param {Error} problem
   * @returns {number} after how many seconds the next one is due
   */
  failed(problem) {
    const isRefused = problem instanceof Unauthorized
    if (!isRefused) this.#refusedBackoff.reset()
    const told = problem instanceof ConnectionProblem ? problem.retrySeconds : null
    return told ?? (isRefused ? this.#refusedBackoff : this.#backoff).nextSeconds()
  }

  /** The connection is open: it may yet be refused. */
  opened() {
    this.#backoff.reset()
  }

  /** There is hope: other credentials, or somebody who waits. */
  reset() {
    this.#backoff.reset()
    this.#refusedBackoff.reset()
  }
}

/** Those of the channel of one map, while there is a connection. */
export class Reopenings {
  #random
  #count = 0

  /** @param {() => number} random gives a number from 0 to 1; for the jitter */
  constructor(random) {
    this.#random = random
  }

  /**
   * The relay has ended the channel.
   *
   * @param {Error} problem
   * @returns {number} after how many seconds it is to be opened again
   */
  ended(problem) {
    const isRefused = problem instanceof AccessRefused
    const [least, most] = isRefused ? REFUSED_AGAIN_SECONDS : REOPEN_SECONDS
    const range = Math.min(most, least * 2 ** this.#count++)
    return range * (0.5 + this.#random() / 2)
  }

  /** It does well, or there is no connection any more, or there is hope. */
  reset() {
    this.#count = 0
  }
}
