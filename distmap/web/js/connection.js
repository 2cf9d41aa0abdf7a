// The client's connection to a relay: it reconnects until it is closed.

/** @import { Connector, Member, Renewer } from "./attempts.js" */
/** @import { Limits } from "./frames.js" */
/** @import { Handler } from "./events.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Transport } from "./session.js" */
import { NORMAL } from "./connector.js"
import { Deferred } from "./deferreds.js"
import { ConnectionClosed, NoCredentials, PingTimeout } from "./errors.js"
import { Emitter } from "./events.js"
import { Heartbeat } from "./heartbeat.js"
import { RETENTION_MS } from "./knowledge.js"
import { Members } from "./members.js"
import { Session } from "./session.js"
import { CLOSED, CONNECTING, OFFLINE, OPEN } from "./status.js"
import { utf8Length } from "./text.js"
import { Tries } from "./tries.js"
import { onWake } from "./wake.js"

const CLOSE_SECONDS = 2

/** A connection to a relay. Made by connect(). */
export class Connection {
  /** @type {Session | null} */
  session = null
  /** @type {Renewer | null} */
  credentials = null
  #connector
  #limits
  #tries
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
  #members = new Members()
  #events = new Emitter("open", "offline", "close")
  /** @type {Deferred<void>} */
  #closed = new Deferred()
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
    this.#tries = new Tries(random)
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
   * Shows credentials to the relay now: asks what was passed to connect() for them once more, and
   * has what was refused tried again at once. While there is no connection, one is tried at once. A
   * second call begins anew, for both.
   *
   * @returns {Promise<void>} fulfilled once the relay has opened all maps of this connection with
   *   them; rejected with AccessRefused if it does not open one of them, with CredentialsFailed if
   *   there are none, or no answer, with Unauthorized if the relay closes the connection for want of
   *   any, and with ConnectionClosed if this program closes it. Nobody has to look at it.
   * @throws {ConnectionClosed} the connection is closed
   * @throws {NoCredentials} it was made without any
   */
  renew() {
    this.#checkOpen()
    if (this.credentials !== null) return this.credentials.renew()
    throw new NoCredentials("the connection was made without credentials: there is no source")
  }

  #checkOpen() {
    if (this.#status === CLOSED) throw new ConnectionClosed("the connection is closed")
  }

  /**
   * Closes the connection and all maps on it. May be called more than once.
   *
   * @returns {Promise<void>} fulfilled when nothing of it is left: no socket and no timer
   */
  async close() {
    if (this.#status !== CLOSED) this.#beginClose()
    await this.#closed.promise
    await this.#members.gone()
  }

  /**
   * Tries at once to connect; if there is a connection, finds out whether it is alive. Pages need
   * not call this: it happens when the network comes back and when the page is looked at again.
   */
  wake() {
    this.hurry()
    this.#heartbeat?.probe()
  }

  /** Does not wait any longer for the next try. */
  hurry() {
    if (this.#retry === null) return
    this.#retry.cancel()
    this.#tries.reset()
    this.#connect()
  }

  /** Leaves the relay and comes back, as somebody else. */
  comeBack() {
    this.#transport?.close(NORMAL, "")
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
    this.#checkOpen()
    this.#members.add(member)
    if (this.session?.alive) member.sessionOpened(this.session)
  }

  /**
   * Takes it off again.
   *
   * @param {Member} member
   */
  detach(member) {
    this.#members.remove(member)
    this.judged()
  }

  /** All that rides on it. */
  get members() {
    return this.#members.all
  }

  /** A member is let in, or not, or is gone. */
  judged() {
    this.credentials?.check()
  }

  /**
   * Waits at the end for a member that leaves, now or then.
   *
   * @param {Promise<void>} leaving fulfilled when nothing is left of the member
   */
  waitFor(leaving) {
    this.#members.waitFor(leaving)
  }

  // -- an attempt ---------------------------------------------------------------------------------

  #connect() {
    this.#retry = null
    this.#abandon = this.#connector.connect(this)
  }

  /** @param {Transport} transport */
  attemptOpened(transport) {
    this.#tries.opened()
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
      () => this.members.some((member) => member.ask()),
      () => this.#abandon?.(new PingTimeout("the relay did not answer")),
    )
    this.#members.tell((member) => member.sessionOpened(session))
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
    this.#retry = this.scheduler.later(this.#tries.failed(problem), () => this.#connect())
    this.#members.tell((member) => member.sessionLost(problem))
    this.#events.emit("offline", problem)
  }

  // -- the end ------------------------------------------------------------------------------------

  #beginClose() {
    this.#status = CLOSED
    this.#problem = null
    this.#stopWaking()
    this.#members.tell((member) => void member.close())
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
