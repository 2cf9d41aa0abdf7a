// Deletes can be taken back for a while.

import { READ_ONLY } from "./access.js"
import { find, forbid, say } from "./dom.js"

const SHOWN_MS = 12_000
const MAX_KEPT = 100

/** Shows what happened, and offers to undo it. */
export class Undo {
  #toast = find("toast", HTMLElement)
  #button = find("undo", HTMLButtonElement)
  /** @type {{ text: string, undo: () => void }[]} the last one last */
  #done = []
  /** @type {number | undefined} */
  #timer
  #text = ""

  constructor() {
    this.#button.addEventListener("click", () => this.undo())
  }

  /**
   * @param {string} text what was done
   * @param {() => void} undo
   */
  offer(text, undo) {
    this.#done.push({ text, undo })
    if (this.#done.length > MAX_KEPT) this.#done.shift()
    this.#show()
  }

  /**
   * Tells something that cannot be undone.
   *
   * @param {string} text
   */
  tell(text) {
    this.#done = []
    this.#show(text)
  }

  /**
   * Whether it can be used just now.
   *
   * @param {boolean} isAllowed
   */
  allow(isAllowed) {
    forbid(this.#button, isAllowed ? "" : READ_ONLY)
  }

  /** Undoes the last thing. */
  undo() {
    const last = this.#done.pop()
    if (last === undefined) return
    this.#show()
    last.undo()
  }

  /** Nothing of before can be undone any more. */
  clear() {
    this.#done = []
    this.#show()
  }

  /** @param {string} [text] */
  #show(text = this.#done.at(-1)?.text ?? "") {
    this.#text = text
    say(this.#toast, text)
    this.#button.hidden = this.#done.length === 0
    clearTimeout(this.#timer)
    if (text) this.#timer = window.setTimeout(() => this.#expire(), SHOWN_MS)
  }

  #expire() {
    // Nobody loses the button while reaching for it.
    if (this.#toast.matches(":hover, :focus-within")) this.#show(this.#text)
    else this.clear()
  }
}
