// Who is here: how many have the map open, and who has written to it lately.

import { find, make, setText } from "./dom.js"
import { age, hue } from "./format.js"

const MAX_WRITERS = 500
const MAX_SHOWN = 8

export class Presence {
  #menu = find("here", HTMLDetailsElement)
  #count = find("here-count", HTMLElement)
  #sheet = find("here-sheet", HTMLElement)
  /** @type {Map<string, number>} when each writer last wrote, the latest last */
  #writers = new Map()
  /** @type {Set<string>} the names of this page itself */
  #own = new Set()
  #peers = 0
  #isOnline = false
  #nowMs = 0

  constructor() {
    this.#menu.addEventListener("toggle", () => this.#show())
  }

  /** Another map: all are strangers. */
  clear() {
    this.#writers.clear()
  }

  /**
   * @param {string} writer
   * @param {number} timeMs
   * @param {boolean} [own] it is this page
   */
  saw(writer, timeMs, own = false) {
    if (own) this.#own.add(writer)
    const latestMs = Math.max(timeMs, this.#writers.get(writer) ?? 0)
    this.#writers.delete(writer)
    this.#writers.set(writer, latestMs)
    if (this.#writers.size <= MAX_WRITERS) return
    for (const oldest of this.#writers.keys()) {
      this.#writers.delete(oldest)
      break
    }
  }

  /** @param {string} writer */
  isOwn(writer) {
    return this.#own.has(writer)
  }

  /**
   * @param {number} peers how many others there are
   * @param {boolean} isOnline
   * @param {number} nowMs
   */
  refresh(peers, isOnline, nowMs) {
    this.#peers = peers
    this.#isOnline = isOnline
    this.#nowMs = nowMs
    setText(this.#count, isOnline ? String(peers + 1) : "–")
    if (this.#menu.open) this.#show()
  }

  #show() {
    const writers = [...this.#writers].sort((a, b) => b[1] - a[1]).slice(0, MAX_SHOWN)
    const items = writers.map(([writer, timeMs]) => {
      const dot = make("i", "dot")
      dot.style.setProperty("--hue", String(hue(writer)))
      const name = make("span", "mono", writer)
      const ago = age(this.#nowMs - timeMs)
      const own = this.isOwn(writer) ? make("small", "", "you") : ""
      return make("li", "", dot, name, own, make("span", "age", ago))
    })
    const heading = writers.length ? [make("h3", "", "Wrote last"), make("ul", "", ...items)] : []
    this.#sheet.replaceChildren(make("p", "", this.#sentence()), ...heading)
  }

  #sentence() {
    if (!this.#isOnline) return "Who is here is known once there is a connection."
    if (this.#peers === 0) return "Only you have this map open."
    const others = this.#peers === 1 ? "one other" : `${this.#peers.toLocaleString("en")} others`
    return `You and ${others} have this map open.`
  }
}
