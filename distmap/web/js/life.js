// The life of a map: its status, and what its seat tells it.

/** @import { KeyedEntry } from "./entries.js" */
/** @import { Observers } from "./observers.js" */
/** @import { Listener } from "./listener.js" */
/** @import { Writes } from "./writes.js" */
import { valueOf } from "./changes.js"
import { Deferred } from "./deferreds.js"
import { MapClosed, Superseded } from "./errors.js"
import { CLOSED, CONNECTING, READY } from "./status.js"

/**
 * The life of one map.
 *
 * @template M
 */
export class Life {
  status = CONNECTING
  /** @type {Error | null} */
  problem = null
  /** @type {string | null} what made the map ready */
  synced = null
  /** @type {Deferred<M>} */
  ready = new Deferred()
  /** Fulfilled when nothing is left of the map. */
  left = Promise.resolve()
  /** Lets go of the copy, if there is one. */
  leaveCopy = () => Promise.resolve()
  #map
  #uri
  #events
  #writes

  /**
   * @param {M} map is handed to the handlers
   * @param {string} uri of the map
   * @param {Observers} events its handlers
   * @param {Writes} writes who waits for the relay
   */
  constructor(map, uri, events, writes) {
    this.#map = map
    this.#uri = uri
    this.#events = events
    this.#writes = writes
  }

  /** Throws MapClosed once the map is closed. */
  checkOpen() {
    if (this.status === CLOSED) throw new MapClosed(`the map ${this.#uri} is closed`)
  }

  /**
   * What the seat tells the map.
   *
   * @returns {Listener}
   */
  listener() {
    return {
      updated: (updates) => {
        if (this.synced !== null) this.#events.tellOthers(updates, this.#map)
      },
      taken: (writes) => this.#writes.taken(writes),
      restamped: (updates) => this.#writes.restamped(updates),
      refused: (error, writes, updates) => {
        for (const [key] of writes) this.#writes.fail(error, key)
        this.#events.tellOthers(updates, this.#map)
      },
      superseded: (writes) => this.#superseded(writes),
      becameReady: (how) => this.#becameReady(how),
      peersChanged: (peers) => this.#events.emit("peers", peers),
      statusChanged: (status, problem) => this.#setStatus(status, problem),
      left: () => this.#leave(),
    }
  }

  /** @param {KeyedEntry[]} writes */
  #superseded(writes) {
    for (const [key, entry] of writes) {
      this.#writes.fail(new Superseded(`others have changed ${JSON.stringify(key)} since`), key)
      this.#events.emit("superseded", valueOf(entry), key, this.#map)
    }
  }

  /** @param {string} how */
  #becameReady(how) {
    this.#setStatus(READY, null)
    if (this.synced !== null) return
    this.synced = how
    this.ready.resolve(this.#map)
    this.#events.emit("ready", this.#map)
  }

  #leave() {
    this.#setStatus(CLOSED, null)
    const error = new MapClosed(`the map ${this.#uri} was closed`)
    this.ready.reject(error)
    this.#writes.fail(error)
    this.left = this.leaveCopy()
    return this.left
  }

  /**
   * @param {string} status
   * @param {Error | null} problem
   */
  #setStatus(status, problem) {
    const changed = status !== this.status
    this.status = status
    this.problem = problem
    if (changed) this.#events.emit("status", status, problem)
  }
}
