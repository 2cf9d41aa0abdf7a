// The state of the connection and the map: the pill, the line of trouble, and the foot of the page.

/** @import { Connection, DistributedMap } from "../distmap.js" */
/** @import { Access } from "./access.js" */
import { find, say, setText } from "./dom.js"
import { size } from "./format.js"

const WORDS = {
  connecting: "Connecting",
  syncing: "Syncing",
  ready: "Live",
  offline: "Offline",
  closed: "Closed",
}
/** The digest is of the whole map: it is not made anew for each change. */
const DIGEST_MS = 500

export class State {
  #connection
  #access
  /** @type {DistributedMap | null} */
  #map = null
  #pill = find("status", HTMLElement)
  #word = find("status-word", HTMLElement)
  #more = find("status-more", HTMLElement)
  #trouble = find("trouble", HTMLElement)
  #sync = find("sync-bytes", HTMLElement)
  #received = find("received", HTMLElement)
  #sent = find("sent", HTMLElement)
  #digest = find("digest", HTMLElement)
  #digestedMs = -Infinity
  #isStale = true
  /** When and at how many bytes the sync began. */
  #began = { ms: 0, bytes: 0 }

  /**
   * @param {Connection} connection
   * @param {Access} access
   */
  constructor(connection, access) {
    this.#connection = connection
    this.#access = access
    find("retry", HTMLButtonElement).addEventListener("click", () => connection.wake())
  }

  /** @param {DistributedMap} map */
  use(map) {
    this.#map = map
    setText(this.#sync, "–")
    this.changed()
    const status = () => this.#statusChanged(map)
    map.on("status", status)
    status()
  }

  /** The map has changed. */
  changed() {
    this.#isStale = true
  }

  get #bytes() {
    return this.#connection.bytesReceived + this.#connection.bytesSent
  }

  /** @param {DistributedMap} map */
  #statusChanged(map) {
    if (map !== this.#map) return
    if (map.status === "syncing") this.#began = { ms: performance.now(), bytes: this.#bytes }
    if (map.status === "ready") {
      const ms = Math.round(performance.now() - this.#began.ms)
      const bytes = size(this.#bytes - this.#began.bytes)
      const isAlone = map.synced === "alone" && map.peers === 0
      setText(this.#sync, isAlone ? `${bytes}, alone` : `${bytes} in ${ms} ms`)
    }
    this.refresh()
  }

  /** Shows what is the case now. */
  refresh() {
    const map = this.#map
    if (map === null) return
    this.#showTrouble(map)
    this.#showStatus(map)
    setText(this.#received, size(this.#connection.bytesReceived))
    setText(this.#sent, size(this.#connection.bytesSent))
    const nowMs = performance.now()
    if (this.#isStale && nowMs - this.#digestedMs > DIGEST_MS) {
      this.#isStale = false
      this.#digestedMs = nowMs
      setText(this.#digest, map.digest())
    }
  }

  /** @param {DistributedMap} map */
  #showStatus({ status }) {
    const { isRefused, isTrying, isReadOnly } = this.#access
    this.#pill.dataset.status = isRefused ? "offline" : isTrying ? "connecting" : status
    // It is tried again now and then: that is no news.
    setText(this.#word, isRefused ? "Refused" : isTrying ? WORDS.connecting : WORDS[status])
    setText(this.#more, status === "ready" && isReadOnly ? ", read only" : "")
  }

  /** @param {DistributedMap} map */
  #showTrouble({ status, problem }) {
    const told = this.#access.refresh()
    const isCut = this.#connection.status !== "open"
    const { isRefused, isTrying } = this.#access
    const isLost = status === "offline" && !isRefused && !isTrying
    find("retry", HTMLButtonElement).hidden = !isLost || !isCut
    this.#trouble.classList.toggle("calm", told !== "" && !isLost && !isRefused && !isTrying)
    if (!isLost) say(this.#trouble, told)
    else {
      const what = isCut ? "There is no connection to the relay" : "The relay has ended the channel"
      const why = problem === null ? "" : ` (${problem.message})`
      say(this.#trouble, `${what}${why}. What you set is kept here, and sent when it is back.`)
    }
  }
}
