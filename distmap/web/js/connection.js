// The client's connection to a relay: it reconnects until it is closed.

/** @import { Limits } from "./frames.js" */
/** @import { Handler } from "./events.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Transport } from "./session.js" */
import { Backoff } from "./backoff.js"
import { NORMAL } from "./connector.js"
import { Deferred } from "./deferreds.js"
import { ConnectionClosed, ConnectionProblem, PingTimeout } from "./errors.js"
import { Emitter } from "./events.js"
import { Heartbeat } from "./heartbeat.js"
import { RETENTION_MS } from "./knowledge.js"
import { Session } from "./session.js"
import { CLOSED, CONNECTING, OFFLINE, OPEN } from "./status.js"
import { utf8Length } from "./text.js"
import { onWake } from "./wake.js"

const CLOSE_SECONDS = 2

/**
 * One try to reach the relay, and the connection it leads to.
 *
 * @typedef {object} Attempt
 * @property {(transport: Transport) => void} attemptOpened the connection is open
 * @property {(message: string) => void} attemptReceived a message came
 * @property {(problem: Error) => void} attemptFailed the connection could not be opened, or is
 *   closed; comes once, and ends the attempt
 */

/**
 * Makes connections to one relay. What comes back from connect() abandons the attempt.
 *
 * @typedef {object} Connector
 * @property {string} [url] of the relay
 * @property {(attempt: Attempt) => (problem: Error) => void} connect
 */

/**
 * What rides on a connection: told of each session.
 *
 * @typedef {object} Member
 * @property {(session: Session) => void} sessionOpened
 * @property {(problem: Error) => void} sessionLost there is none any more, or a try failed
 * @property {() => boolean} ask asks the relay something; false if it cannot
 * @property {() => unknown} close the connection is about to be closed: the member leaves, and says
 *   with waitFor() how long that takes
 */

/** A connection to a relay. Made by connect(). */
export class Connection {
  /** @type {Session | null} */
  session = null
  #connector
  #limits
  #backoff
  #status = CONNECTING
  /** @type {Error | null} */
  #problem = null
  /** @type {Timer | null} */
  #retry = null
  /** @type {Timer | null} */
  #closeTimer = null
  /** @type {Transport | null} */
  #transport = null
  /** @type {((problem: Error) => void) | null} */
  #abandon = null
  /** @type {Heartbeat | null} */
  #heartbeat = null
  /** @type {Set<Member>} */
  #members = new Set()
  #events = new Emitter("open", "offline", "close")
  /** @type {Deferred<void>} */
  #closed = new Deferred()
  /** @type {Set<Promise<void>>} of the members that leave */
  #leaving = new Set()
  #stopWaking
  #bytesReceived = 0
  #bytesSent = 0

  /**
   * @param {Connector} connector
   * @param {Scheduler} scheduler for all timers
   * @param {() => number} random gives a number from 0 to 1; for the jitter and the ids
   * @param {object} [options]
   * @param {Limits} [options.limits] what is taken from the relay
   * @param {number} [options.retentionMs] how long the maps on this connection keep tombstones
   */
  constructor(connector, scheduler, random, { limits, retentionMs = RETENTION_MS } = {}) {
    this.retentionMs = retentionMs
    this.scheduler = scheduler
    this.random = random
    this.#connector = connector
    this.#limits = limits
    this.#backoff = new Backoff(random)
    this.#stopWaking = onWake(() => this.wake())
    this.#connect()
  }

  // -- the user's side ----------------------------------------------------------------------------

  /** `connecting`, `open`, `offline` or `closed`. */
  get status() {
    return this.#status
  }

  /** Why there is no connection; null if there is one, or none was tried yet. */
  get problem() {
    return this.#problem
  }

  /** The bytes of all messages of the relay so far, without those of WebSocket and TCP. */
  get bytesReceived() {
    return this.#bytesReceived
  }

  /** The bytes of all messages to the relay so far; likewise. */
  get bytesSent() {
    return this.#bytesSent
  }

  /**
   * Adds a handler: of `open` (), of `offline` (problem), there is no connection, or another try
   * failed, or of `close` ().
   *
   * @param {string} name
   * @param {Handler} handler
   * @returns {() => void} what takes it back
   */
  on(name, handler) {
    return this.#events.on(name, handler)
  }

  /**
   * Takes a handler back.
   *
   * @param {string} name
   * @param {Handler} handler
   */
  off(name, handler) {
    this.#events.off(name, handler)
  }

  /**
   * Closes the connection and all maps on it. May be called more than once.
   *
   * @returns {Promise<void>} fulfilled when nothing of it is left: no socket and no timer
   */
  async close() {
    if (this.#status !== CLOSED) this.#beginClose()
    await this.#closed.promise
    await Promise.all(this.#leaving)
  }

  /**
   * Tries at once to connect; if there is a connection, finds out whether it is alive. Pages need
   * not call this: it happens when the network comes back and when the page is looked at again.
   */
  wake() {
    if (this.#retry !== null) {
      this.#retry.cancel()
      this.#backoff.reset()
      this.#connect()
    }
    this.#heartbeat?.probe()
  }

  /** Which relay it is: the URL without what may differ between two visits; "" if there is none. */
  get relay() {
    if (this.#connector.url === undefined) return ""
    const { protocol, host, pathname } = new URL(this.#connector.url)
    return `${protocol}//${host}${pathname}`
  }

  // -- members ------------------------------------------------------------------------------------

  /**
   * Adds what rides on this connection.
   *
   * @param {Member} member
   * @throws {ConnectionClosed} the connection is closed
   */
  attach(member) {
    if (this.#status === CLOSED) throw new ConnectionClosed("the connection is closed")
    this.#members.add(member)
    if (this.session?.alive) member.sessionOpened(this.session)
  }

  /**
   * Takes it off again.
   *
   * @param {Member} member
   */
  detach(member) {
    this.#members.delete(member)
  }

  /**
   * Waits at the end for a member that leaves, now or then.
   *
   * @param {Promise<void>} leaving fulfilled when nothing is left of the member
   */
  waitFor(leaving) {
    const left = leaving.finally(() => void this.#leaving.delete(left))
    this.#leaving.add(left)
  }

  // -- an attempt ---------------------------------------------------------------------------------

  #connect() {
    this.#retry = null
    this.#abandon = this.#connector.connect(this)
  }

  /** @param {Transport} transport */
  attemptOpened(transport) {
    this.#backoff.reset()
    this.#transport = transport
    if (this.#status === CLOSED) {
      transport.close(NORMAL, "")
      return
    }
    this.#status = OPEN
    this.#problem = null
    /** @param {number} sizeBytes */
    const sent = (sizeBytes) => void (this.#bytesSent += sizeBytes)
    const { scheduler } = this
    const session = new Session(transport, { scheduler, limits: this.#limits, sent })
    this.session = session
    this.#heartbeat = new Heartbeat(
      this.scheduler,
      () => [...this.#members].some((member) => member.ask()),
      () => this.#abandon?.(new PingTimeout("the relay did not answer")),
    )
    this.#tellMembers((member) => member.sessionOpened(session))
    this.#events.emit("open")
  }

  /** @param {string} message */
  attemptReceived(message) {
    this.#bytesReceived += utf8Length(message)
    this.#heartbeat?.heard()
    this.session?.receive(message)
  }

  /** @param {Error} problem */
  attemptFailed(problem) {
    const session = this.session
    this.session = null
    this.#transport = null
    this.#abandon = null
    this.#heartbeat?.stop()
    this.#heartbeat = null
    session?.lost()
    if (this.#status === CLOSED) {
      this.#finish()
      return
    }
    this.#status = OFFLINE
    this.#problem = problem
    const told = problem instanceof ConnectionProblem ? problem.retrySeconds : null
    const delaySeconds = told ?? this.#backoff.nextSeconds()
    this.#retry = this.scheduler.later(delaySeconds, () => this.#connect())
    this.#tellMembers((member) => member.sessionLost(problem))
    this.#events.emit("offline", problem)
  }

  /** @param {(member: Member) => void} tell */
  #tellMembers(tell) {
    // A handler may close one meanwhile.
    for (const member of [...this.#members]) if (this.#members.has(member)) tell(member)
  }

  // -- the end ------------------------------------------------------------------------------------

  #beginClose() {
    this.#status = CLOSED
    this.#problem = null
    this.#stopWaking()
    this.#tellMembers((member) => void member.close())
    this.#heartbeat?.stop()
    this.#heartbeat = null
    const gone = new ConnectionClosed("the connection was closed")
    if (this.#retry !== null) {
      this.#retry.cancel()
      this.#retry = null
      this.#finish()
    } else if (this.#transport !== null) {
      this.session?.flush()
      // The relay may not answer the close.
      this.#closeTimer = this.scheduler.later(CLOSE_SECONDS, () => this.#abandon?.(gone))
      this.#transport.close(NORMAL, "")
    } else {
      this.#abandon?.(gone)
    }
  }

  #finish() {
    this.#closeTimer?.cancel()
    this.#events.emit("close")
    this.#closed.resolve()
  }
}
