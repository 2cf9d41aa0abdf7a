// When a connection or a channel is tried again, and whether that is news.

/** @import { RemoteError } from "./errors.js" */
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
  #told = ""

  /** @param {() => number} random gives a number from 0 to 1; for the jitter */
  constructor(random) {
    this.#random = random
  }

  /**
   * The relay has ended the channel.
   *
   * @param {RemoteError} problem
   * @returns {[delaySeconds: number, isKnown: boolean]} after how many seconds it is to be opened
   *   again; and whether this is no news: the same as at the last try
   */
  ended(problem) {
    const isRefused = problem instanceof AccessRefused
    const [least, most] = isRefused ? REFUSED_AGAIN_SECONDS : REOPEN_SECONDS
    const range = Math.min(most, least * 2 ** this.#count++)
    const told = this.#told
    this.#told = `${problem.code} ${problem.message}`
    return [range * (0.5 + this.#random() / 2), told === this.#told]
  }

  /** The relay has opened it: what ends it now is news. */
  letIn() {
    this.#told = ""
  }

  /** It does well, or there is no connection any more, or there is hope. */
  reset() {
    this.#count = 0
  }
}
