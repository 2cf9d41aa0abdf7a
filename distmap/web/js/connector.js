// Connects to a relay by WebSocket.

/** @import { Attempt } from "./attempts.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Transport } from "./session.js" */
import { CannotConnect, ConnectionLost, HandshakeTimeout, InvalidValue } from "./errors.js"
import { lost } from "./restart.js"

export const HANDSHAKE_SECONDS = 10
export const NORMAL = 1000
const UNSUPPORTED_DATA = 1003
const MAX_REASON_CHARS = 40 // a close frame holds 123 bytes

/**
 * What is used of a WebSocket: that of browsers, of newer Node.js, or of npm's ws.
 *
 * @typedef {object} Socket
 * @property {number} readyState
 * @property {number} [bufferedAmount]
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onerror
 * @property {((event: any) => void) | null} onclose
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {() => void} [terminate] drops the connection; only ws has it
 */

/** @typedef {new (url: string) => Socket} SocketConstructor */

/**
 * The URL of a relay.
 *
 * @param {string | URL | undefined} url `ws://` or `wss://`; also `http://` or `https://`, or
 *   relative to the page; the root of the page's host if it is undefined
 * @param {string | undefined} page the address of the page, if there is one
 * @returns {string}
 * @throws {InvalidValue} it is no such URL
 */
export function relayUrl(url, page) {
  let found
  try {
    found = new URL(url ?? "/", page)
  } catch {
    throw new InvalidValue(`not a WebSocket URL: ${url ?? "none was given, and there is no page"}`)
  }
  found.protocol = found.protocol.replace(/^http/, "ws")
  found.hash = ""
  if (!/^wss?:$/.test(found.protocol)) throw new InvalidValue(`not a WebSocket URL: ${url}`)
  return found.href
}

/** Connects to the relay at a URL. */
export class WebSocketConnector {
  #WebSocket
  #scheduler

  /**
   * @param {string} url
   * @param {SocketConstructor} WebSocket
   * @param {Scheduler} scheduler
   */
  constructor(url, WebSocket, scheduler) {
    this.url = url
    this.#WebSocket = WebSocket
    this.#scheduler = scheduler
  }

  /**
   * Begins an attempt.
   *
   * @param {Attempt} attempt is told how it goes
   * @returns {(problem: Error) => void} abandons it: drops the connection and tells the attempt why
   */
  connect(attempt) {
    const tried = new Try(attempt)
    // Not at once, so that the attempt is never told of a failure before this returns.
    const timer = this.#scheduler.soon(() => tried.open(this.url, this.#WebSocket, this.#scheduler))
    return (problem) => {
      timer.cancel()
      tried.fail(problem)
    }
  }
}

/**
 * One attempt: hands what the socket tells to the Attempt.
 *
 * @implements {Transport}
 */
class Try {
  #attempt
  /** @type {Socket | null} */
  #socket = null
  /** @type {Timer | null} */
  #timer = null
  #isOpen = false
  #isOver = false

  /** @param {Attempt} attempt */
  constructor(attempt) {
    this.#attempt = attempt
  }

  /**
   * @param {string} url
   * @param {SocketConstructor} WebSocket
   * @param {Scheduler} scheduler
   */
  open(url, WebSocket, scheduler) {
    let why = ""
    let socket
    try {
      socket = new WebSocket(url)
    } catch (error) {
      // Such as ws:// from a page that came by HTTPS.
      this.fail(new CannotConnect(`cannot connect: ${error}`))
      return
    }
    this.#socket = socket
    this.#timer = scheduler.later(HANDSHAKE_SECONDS, () =>
      this.fail(new HandshakeTimeout("the server did not finish the opening handshake in time")),
    )
    socket.onopen = () => {
      this.#timer?.cancel()
      this.#isOpen = true
      this.#tell(() => this.#attempt.attemptOpened(this))
    }
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#tell(() => this.#attempt.attemptReceived(data))
      else this.close(UNSUPPORTED_DATA, "frames are text")
    }
    socket.onerror = ({ message }) => {
      why = message ? `: ${message}` : "" // only Node.js tells
      // Of what did not open, some releases of Node.js tell no close.
      if (!this.#isOpen) scheduler.soon(() => this.fail(new CannotConnect(`cannot connect${why}`)))
    }
    socket.onclose = ({ code, reason }) => {
      if (this.#isOpen) this.fail(lost(code, reason, why))
      else this.fail(new CannotConnect(`cannot connect${reason ? `: ${reason}` : why}`))
    }
  }

  /** What was sent and the network has not taken yet. */
  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0
  }

  /** @param {string} message */
  send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(message)
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  close(code, reason) {
    // A page may say no other code below 3000 than 1000; the others are moved to where it may.
    const allowed = code === NORMAL ? code : 3000 + code
    this.#socket?.close(allowed, reason.slice(0, MAX_REASON_CHARS))
  }

  /**
   * Ends the attempt; a second call does nothing.
   *
   * @param {Error} problem
   */
  fail(problem) {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer?.cancel()
    const socket = this.#socket
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null
      socket.onerror = () => {} // npm's ws throws what nobody hears
      if (socket.terminate !== undefined) socket.terminate()
      else socket.close()
    }
    this.#attempt.attemptFailed(problem)
  }

  /** @param {() => void} call */
  #tell(call) {
    try {
      call()
    } catch (error) {
      console.error("distmap: a defect of distmap: this connection is dropped:", error)
      this.fail(new ConnectionLost("a defect of distmap"))
    }
  }
}
