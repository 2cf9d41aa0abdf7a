// What a client shows to a relay: fetched before it connects, and when the relay asks anew.

/** @import { Attempt, Connector } from "./connection.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
/** @import { MuxStream } from "./states.js" */
import { Backoff } from "./backoff.js"
import { Connection } from "./connection.js"
import { CredentialsFailed, InvalidType } from "./errors.js"
import { State } from "./states.js"
import { isOver, isWellFormed } from "./text.js"

/** How long a source has. */
export const FETCH_SECONDS = 30
export const MAX_CREDENTIALS_BYTES = 16 * 1024
/** The route of the stream that carries them. */
export const CREDENTIALS = "credentials"
/** Of the conversation on that stream. */
export const VERSION = [1, 0]
const RENEW = "renew"

/**
 * A string, or what gives one: at once, or by a promise; null or undefined for nothing.
 *
 * @typedef {string | (() => string | null | undefined | Promise<string | null | undefined>)} Source
 */

/**
 * Stands before a connector: connects once there is something to show. Rides on the connection too,
 * before all maps: what they open comes right behind.
 */
export class Credentials {
  #connector
  #source
  #scheduler
  #backoff
  /** @type {string | null} */
  #shown = null
  /** @type {Session | null} */
  #session = null
  /** @type {MuxStream | null} */
  #stream = null
  /** @type {{ cancel(): void } | null} */
  #fetching = null
  /** @type {Timer | null} */
  #retry = null

  /**
   * @param {Connector} connector makes the connections
   * @param {Source} source
   * @param {Scheduler} scheduler
   * @param {() => number} random gives a number from 0 to 1; for the jitter
   * @throws {InvalidType} the source is neither a string nor a function
   */
  constructor(connector, source, scheduler, random) {
    if (typeof source !== "string" && typeof source !== "function") {
      throw new InvalidType("credentials are a string, or a function that returns one")
    }
    this.url = connector.url
    this.#connector = connector
    this.#source = source
    this.#scheduler = scheduler
    this.#backoff = new Backoff(random)
  }

  // -- a connector --------------------------------------------------------------------------------

  /**
   * Begins an attempt.
   *
   * @param {Attempt} attempt
   * @returns {(problem: Error) => void} abandons it
   */
  connect(attempt) {
    /** @type {((problem: Error) => void) | null} */
    let abandon = null
    const fetching = this.#fetch(
      () => void (abandon = this.#connector.connect(attempt)),
      (problem) => attempt.attemptFailed(problem),
    )
    return (problem) => {
      if (abandon !== null) abandon(problem)
      else if (fetching.cancel()) attempt.attemptFailed(problem)
    }
  }

  /**
   * Asks the source; one of the two is called, in a later turn, unless it is cancelled.
   *
   * @param {() => void} done there is something new to show
   * @param {(problem: CredentialsFailed) => void} failed
   * @returns {{ cancel(): boolean }} true if it was not over
   */
  #fetch(done, failed) {
    let isOver = false
    const end = () => {
      const was = isOver
      isOver = true
      timer.cancel()
      return !was
    }
    /** @param {string} why */
    const fail = (why) => {
      if (end()) failed(new CredentialsFailed(`there are no credentials: ${why}`))
    }
    const timer = this.#scheduler.later(FETCH_SECONDS, () =>
      fail(`nothing came within ${FETCH_SECONDS} s`),
    )
    this.#ask().then(
      (shown) => {
        if (!end()) return
        this.#shown = shown
        done()
      },
      (error) => {
        if (!isOver) console.warn("distmap: the credentials failed:", error)
        fail(String(error))
      },
    )
    return { cancel: end }
  }

  /** @returns {Promise<string | null>} */
  async #ask() {
    const source = this.#source
    const shown = (typeof source === "function" ? await source() : source) ?? null
    if (shown === null) return null
    if (typeof shown !== "string" || !isWellFormed(shown)) throw new TypeError("they are no string")
    if (isOver(JSON.stringify(shown), MAX_CREDENTIALS_BYTES)) {
      throw new RangeError(`they are ${MAX_CREDENTIALS_BYTES} bytes at most`)
    }
    return shown
  }

  // -- a member of the connection -----------------------------------------------------------------

  /** @param {Session} session */
  sessionOpened(session) {
    this.#session = session
    this.#show()
  }

  sessionLost() {
    this.#forget()
  }

  /** Nothing is asked here. */
  ask() {
    return false
  }

  /** The connection is about to be closed. */
  async close() {
    this.#forget()
  }

  #forget() {
    this.#session = this.#stream = null
    this.#fetching?.cancel()
    this.#fetching = null
    this.#retry?.cancel()
    this.#retry = null
    this.#backoff.reset()
  }

  // -- the stream ---------------------------------------------------------------------------------

  #show() {
    if (this.#shown === null || !this.#session?.alive) return
    this.#stream ??= this.#session.open({ route: CREDENTIALS, version: VERSION }, this)
    if (this.#stream.state === State.CLOSED) return
    this.#session.send(this.#stream, JSON.stringify(this.#shown))
  }

  /**
   * The relay asks for new ones; what else it says is of a newer relay.
   *
   * @param {unknown} payload
   */
  streamData(payload) {
    if (!Array.isArray(payload) || payload[0] !== RENEW) return
    if (this.#fetching === null && this.#retry === null) this.#renew()
  }

  /** A relay that does not know the route has no use for credentials. */
  streamClosed() {
    this.#stream = null
  }

  #renew() {
    this.#retry = null
    this.#fetching = this.#fetch(
      () => {
        this.#fetching = null
        this.#backoff.reset()
        if (this.#stream !== null) this.#show()
      },
      () => {
        this.#fetching = null
        this.#retry = this.#scheduler.later(this.#backoff.nextSeconds(), () => this.#renew())
      },
    )
  }
}

/**
 * A connection that shows credentials, if there are any.
 *
 * @param {Connector} connector
 * @param {Scheduler} scheduler
 * @param {() => number} random
 * @param {Source | undefined} source
 * @param {ConstructorParameters<typeof Connection>[3]} [options]
 * @throws {InvalidType} the credentials are neither a string nor a function
 */
export function openConnection(connector, scheduler, random, source, options) {
  if (source === undefined) return new Connection(connector, scheduler, random, options)
  const shown = new Credentials(connector, source, scheduler, random)
  const connection = new Connection(shown, scheduler, random, options)
  connection.attach(shown)
  return connection
}
