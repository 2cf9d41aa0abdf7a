// What a client shows to a relay: fetched before it connects, and when the relay asks anew.

/** @import { Attempt, Connector } from "./attempts.js" */
/** @import { StreamError } from "./errors.js" */
/** @import { Source } from "./fetching.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
/** @import { MuxStream } from "./states.js" */
import { Backoff } from "./backoff.js"
import { Connection } from "./connection.js"
import { ConnectionClosed, CredentialsFailed, InvalidType, Unauthorized } from "./errors.js"
import { fetchFrom } from "./fetching.js"
import { Renewal } from "./renewal.js"
import { State } from "./states.js"

/** The route of the stream that carries them. */
export const CREDENTIALS = "credentials"
/** Of the conversation on that stream. */
export const VERSION = [1, 0]
const RENEW = "renew"
const JUDGED = "judged"

/**
 * Stands before a connector: connects once there is something to show. Rides on the connection too,
 * before all maps: what they open comes right behind.
 */
export class Credentials {
  uri = ""
  /** @type {boolean | null} */
  letIn = true
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
  /** @type {Connection | null} */
  #connection = null
  #renewal
  /** The source was to be asked since it was asked last. */
  #isStale = false
  /** The relay waits for others. */
  #isAsked = false
  /** How often the relay was shown some, and has not said what it thinks. */
  #unjudged = 0

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
    this.#renewal = new Renewal(scheduler, () => this.#members())
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
   */
  #fetch(done, failed) {
    this.#isStale = false
    /** @param {string | null} shown */
    const take = (shown) => {
      this.#shown = shown
      done()
    }
    return fetchFrom(this.#source, this.#scheduler, take, failed)
  }

  /**
   * See Connection.renew().
   *
   * @returns {Promise<void>}
   */
  renew() {
    const renewed = this.#renewal.wait()
    this.#isStale = true
    if (this.#session !== null) {
      this.#stopFetching()
      this.#renew()
    } else {
      this.#connection?.hurry()
    }
    return renewed
  }

  // -- a member of the connection -----------------------------------------------------------------

  /**
   * Takes the first place on a connection.
   *
   * @param {Connection} connection
   */
  ride(connection) {
    this.#connection = connection
    connection.credentials = this
    connection.attach(this)
  }

  #members() {
    return this.#connection?.members ?? []
  }

  /** @param {Session} session */
  sessionOpened(session) {
    this.#session = session
    this.#show()
    if (this.#isStale) this.#renew()
  }

  /** @param {Error} problem */
  sessionLost(problem) {
    this.#forget()
    const isFinal = problem instanceof CredentialsFailed || problem instanceof Unauthorized
    if (isFinal && !this.#isStale) this.#renewal.settle(problem)
  }

  /** It is open, or the relay does not want it. */
  reopen() {}

  /** A map is open, or is not, or is gone. */
  check() {
    this.#renewal.check()
  }

  /** Nothing is asked here. */
  ask() {
    return false
  }

  /** The connection is about to be closed. */
  async close() {
    this.#forget()
    this.#renewal.settle(new ConnectionClosed("the connection was closed"))
  }

  #forget() {
    this.#session = this.#stream = null
    this.#isAsked = false
    this.#renewal.again()
    this.#stopFetching()
  }

  #stopFetching() {
    this.#fetching?.cancel()
    this.#fetching = null
    this.#retry?.cancel()
    this.#retry = null
    this.#backoff.reset()
  }

  // -- the stream ---------------------------------------------------------------------------------

  #show() {
    if (!this.#session?.alive) return
    if (this.#shown === null) {
      if (this.#stream !== null) this.#connection?.comeBack() // it cannot be taken back
      else this.#judged()
      return
    }
    this.#stream ??= this.#session.open({ route: CREDENTIALS, version: VERSION }, this)
    if (this.#stream.state === State.CLOSED) return
    this.#session.send(this.#stream, JSON.stringify(this.#shown))
    this.#unjudged++
    this.#renewal.shown()
    for (const member of this.#members()) if (member.letIn === false) member.reopen()
  }

  /**
   * The relay asks for new ones, or has judged some; what else it says is of a newer one.
   *
   * @param {unknown} payload
   */
  streamData(payload) {
    if (!Array.isArray(payload)) return
    if (payload[0] === RENEW) {
      this.#isAsked = true
      if (this.#fetching === null && this.#retry === null) this.#renew()
    } else if (payload[0] === JUDGED && this.#unjudged > 0) {
      if (--this.#unjudged === 0) this.#judged()
    }
  }

  #judged() {
    if (this.#fetching !== null) return // there will be others in a moment
    for (const member of this.#members()) {
      // One was perhaps refused for what was shown before.
      if (member.letIn === null || (this.#renewal.waits && !member.letIn)) member.reopen()
    }
    this.#renewal.judged()
  }

  /** @param {StreamError | null} error */
  streamClosed(error) {
    this.#stream = null
    this.#unjudged = 0
    if (!this.#session?.alive) return
    // A relay that does not know the route has no use for credentials.
    if (error === null || error.code === "unknown-route") this.#judged()
    else this.#renewal.settle(error)
  }

  #renew() {
    this.#retry = null
    this.#fetching = this.#fetch(
      () => {
        this.#fetching = null
        this.#isAsked = false
        this.#backoff.reset()
        this.#show()
      },
      (problem) => {
        this.#fetching = null
        this.#renewal.settle(problem)
        if (!this.#isAsked) return
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
  shown.ride(connection)
  return connection
}
