// Those who wait for what the relay makes of new credentials.

/** @import { Member } from "./attempts.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
import { Deferred } from "./deferreds.js"
import { AccessRefused, CredentialsFailed } from "./errors.js"

/** How long the relay has to say. */
export const JUDGE_SECONDS = 30

/** The promise of Connection.renew(): one for all calls that wait. */
export class Renewal {
  #scheduler
  #members
  /** @type {Deferred<void> | null} */
  #waiting = null
  #isJudged = false
  /** @type {Timer | null} */
  #timer = null

  /**
   * @param {Scheduler} scheduler
   * @param {() => Member[]} members gives the maps of the connection
   */
  constructor(scheduler, members) {
    this.#scheduler = scheduler
    this.#members = members
  }

  /**
   * What is judged from now on counts.
   *
   * @returns {Promise<void>}
   */
  wait() {
    this.again()
    this.#waiting ??= new Deferred()
    return this.#waiting.promise
  }

  /** Whether there is one that is not settled. */
  get waits() {
    return this.#waiting !== null
  }

  /** It begins anew: there is a new call, or no connection any more. */
  again() {
    this.#isJudged = false
    this.#timer?.cancel()
    this.#timer = null
  }

  /** The relay has been shown something. */
  shown() {
    if (this.#waiting === null) return
    this.#timer ??= this.#scheduler.later(JUDGE_SECONDS, () => {
      this.settle(new CredentialsFailed(`the relay did not answer within ${JUDGE_SECONDS} s`))
    })
  }

  /** The relay has made up its mind about all that was open. */
  judged() {
    this.#isJudged = true
    this.check()
  }

  /** Settles it if it is known of all maps whether they are open. */
  check() {
    if (this.#waiting === null || !this.#isJudged) return
    const members = this.#members()
    if (members.some(({ letIn }) => letIn === null)) return
    const refused = members.filter(({ letIn }) => !letIn).map(({ uri }) => uri)
    const text = `the relay does not open ${refused.join(", ")}`
    this.settle(refused.length > 0 ? new AccessRefused(text) : null)
  }

  /** @param {Error | null} problem what went wrong */
  settle(problem) {
    this.again()
    const waiting = this.#waiting
    this.#waiting = null
    if (problem === null) waiting?.resolve()
    else waiting?.reject(problem)
  }
}
