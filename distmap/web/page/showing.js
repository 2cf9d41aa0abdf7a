// The connection, and what it shows to the relay: the credentials that somebody gave to this tab.

import { connect } from "../distmap.js"
import { MAX_CREDENTIALS_BYTES } from "../js/fetching.js"
import { isOver, isWellFormed } from "../js/text.js"

const NORMAL = 1000
/** How a relay closes a connection that it has let in nowhere. */
const UNAUTHORIZED = 4401

/** Credentials are in memory, and in the storage of this tab once the relay has let them in. */
export class Showing {
  #name
  /** @type {string | null} */
  #text
  /** The relay has been shown what was here before. */
  #isStale = false
  /** @type {WebSocket | null} */
  #socket = null
  #closeCode = 0
  /** @type {unknown} the last problem that was brought about here: no trouble */
  dropped = null

  /** @param {URL} relay */
  constructor(relay) {
    this.#name = `distmap-credentials ${relay.href}`
    this.#text = stored(this.#name)
    const opened = (/** @type {WebSocket} */ socket) => {
      this.#socket = socket
      this.#closeCode = 0
      socket.addEventListener("close", ({ code }) => {
        if (this.#socket === socket) this.#closeCode = code
      })
    }
    class Socket extends WebSocket {
      /** @param {string} url */
      constructor(url) {
        super(url)
        opened(this)
      }
    }
    const credentials = () => {
      this.#isStale = false
      return this.#text
    }
    this.connection = connect(relay, { credentials, WebSocket: Socket })
    this.connection.on("open", () => this.#reconnect())
    this.connection.on("offline", (problem) => {
      if (this.#isStale) this.dropped = problem
      this.#reconnect()
    })
  }

  /** Whether there are any. */
  get any() {
    return this.#text !== null
  }

  /** Whether the relay is still to be shown them. */
  get isStale() {
    return this.#isStale
  }

  /** Whether the relay has closed the connection because it was shown nothing that counts. */
  get isTurnedAway() {
    return this.#closeCode === UNAUTHORIZED
  }

  /**
   * Shows these from now on: connects anew, at once. Maps stay, with what they have not sent.
   *
   * @param {string} text
   * @returns {string} why they cannot be used; "" if they can
   */
  use(text) {
    text = text.trim() // blanks are of the copying
    if (text === "") return "Credentials are needed."
    if (!isWellFormed(text) || isOver(JSON.stringify(text), MAX_CREDENTIALS_BYTES)) {
      return `Credentials are a text of ${MAX_CREDENTIALS_BYTES} bytes at most.`
    }
    this.#text = text
    this.#isStale = true
    this.#reconnect()
    return ""
  }

  /** The relay has let them in: keeps them over a reload. */
  keep() {
    if (this.#text === null || this.#isStale) return
    try {
      if (stored(this.#name) !== this.#text) sessionStorage.setItem(this.#name, this.#text)
    } catch {
      // Some browsers forbid storage: they hold until the page is closed.
    }
  }

  /** Forgets them, and what they opened: the page begins anew. */
  forget() {
    this.#text = null
    try {
      sessionStorage.removeItem(this.#name)
    } catch {
      // There is none.
    }
    // Who stays, because something has not been sent, stays without them.
    this.#socket?.close(NORMAL)
    location.reload()
  }

  #reconnect() {
    if (!this.#isStale) return
    if (this.connection.status === "open") this.#socket?.close(NORMAL)
    else this.connection.wake() // an attempt that is under way comes back here
  }
}

/** @param {string} name */
function stored(name) {
  try {
    return sessionStorage.getItem(name)
  } catch {
    return null
  }
}
