// The connection, and what it shows to the relay: the credentials that somebody gave to this tab.

import { connect } from "../distmap.js"
import { MAX_CREDENTIALS_BYTES } from "../js/fetching.js"
import { isOver, isWellFormed } from "../js/text.js"

/** Why a map is offline if it is for what was shown, or not. */
const REFUSALS = new Set(["refused", "expired", "unauthorized"])

/**
 * Whether the relay does not open a map: not that it cannot be reached.
 *
 * @param {{ code: string } | null} problem
 */
export function isRefusal(problem) {
  return problem !== null && REFUSALS.has(problem.code)
}

/** Credentials are in memory, and in the storage of this tab once the relay has let them in. */
export class Showing {
  #name
  /** @type {string | null} */
  #text
  /** @type {Promise<void> | null} */
  #renewed = null

  /** @param {URL} relay */
  constructor(relay) {
    this.#name = `distmap-credentials ${relay.href}`
    this.#text = stored(this.#name)
    this.connection = connect(relay, { credentials: () => this.#text })
  }

  /** Whether there are any. */
  get any() {
    return this.#text !== null
  }

  /** Whether the relay has still to say what it makes of them. */
  get isTried() {
    return this.#renewed !== null
  }

  /**
   * Shows these from now on. Maps stay, with what they have not sent.
   *
   * @param {string} text
   * @param {() => void} tried is called when the relay has said what it makes of them
   * @returns {string} why they cannot be used; "" if they can
   */
  use(text, tried) {
    text = text.trim() // blanks are of the copying
    if (text === "") return "Credentials are needed."
    if (!isWellFormed(text) || isOver(JSON.stringify(text), MAX_CREDENTIALS_BYTES)) {
      return `Credentials are a text of ${MAX_CREDENTIALS_BYTES} bytes at most.`
    }
    this.#text = text
    const renewed = this.connection.renew()
    this.#renewed = renewed
    const settled = () => {
      if (this.#renewed !== renewed) return
      this.#renewed = null
      tried()
    }
    renewed.then(settled, settled)
    return ""
  }

  /** The relay has let them in: keeps them over a reload. */
  keep() {
    if (this.#text === null || this.isTried) return
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
    this.connection.renew()
    location.reload()
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
