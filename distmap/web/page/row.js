// One row of the list: a key, its value on one line, who wrote it, and how long ago.

/** @import { DistributedMap } from "../distmap.js" */
/** @import { Entries } from "./entries.js" */
import { READ_ONLY } from "./access.js"
import { forbid, iconButton, make, setText } from "./dom.js"
import { FLASH_MS } from "./entries.js"
import { age, hue, parts, tokens } from "./format.js"

/**
 * What the rows show.
 *
 * @typedef {object} Shown
 * @property {DistributedMap} map
 * @property {Entries} entries
 * @property {string | null} chosen the key that the keyboard is at
 * @property {(key: string) => boolean} isDraft whether it has an edit that was not set
 * @property {boolean} isReadOnly whether nothing of it can be written
 * @property {(key: string) => boolean} isWaiting whether a write of it has not left yet
 * @property {(writer: string) => boolean} isOwn
 */

const still = matchMedia("(prefers-reduced-motion: reduce)")
let count = 0

/** A row that can show any entry. */
export class Row {
  key = ""
  #shown
  #flash = make("i", "flash")
  #key = cell("key mono")
  #value = cell("value mono")
  #writer = cell("writer")
  #age = cell("age")
  #dot = make("i", "dot")
  #name = make("span", "name")
  #edit = iconButton("i-edit", "Edit")
  #remove = iconButton("i-trash", "Delete")
  #title = ""
  #text = ""
  /** @type {number | undefined} */
  #flashedMs

  /** @param {() => Shown} shown */
  constructor(shown) {
    this.#shown = shown
    this.#writer.append(this.#dot, this.#name)
    this.#edit.dataset.act = "edit"
    this.#remove.dataset.act = "delete"
    this.#edit.tabIndex = this.#remove.tabIndex = -1 // the keyboard has Enter and Delete
    const acts = make("div", "acts", this.#edit, this.#remove)
    this.element = make("div", "row", this.#flash, this.#key, this.#value, this.#writer, this.#age)
    this.element.append(acts)
    this.element.id = `row-${count++}`
    this.element.setAttribute("role", "row")
  }

  /** @param {number} index */
  fill(index) {
    const shown = this.#shown()
    const { map, entries } = shown
    const key = entries.shown[index]
    const { element } = this
    this.key = key
    const gone = entries.isGone(key)
    const isChosen = key === shown.chosen
    element.setAttribute("aria-rowindex", String(index + 1))
    element.setAttribute("aria-selected", String(isChosen))
    element.classList.toggle("chosen", isChosen)
    element.classList.toggle("gone", gone)
    element.classList.toggle("draft", shown.isDraft(key))
    element.classList.toggle("waiting", shown.isWaiting(key))
    for (const button of [this.#edit, this.#remove]) {
      forbid(button, shown.isReadOnly ? READ_ONLY : "")
    }
    this.#fillKey(key, entries.filter)
    this.#fillValue(entries.line(key))
    this.#fillStamp(shown, map.stamp(key))
    this.#flashFrom(entries.changedMs(key), gone)
  }

  /**
   * @param {string} key
   * @param {string} filter
   */
  #fillKey(key, filter) {
    const title = `${filter}\n${key}`
    if (title === this.#title) return
    this.#title = title
    this.#key.replaceChildren(keyText(key, filter))
  }

  /** @param {string} text */
  #fillValue(text) {
    if (text === this.#text) return
    this.#text = text
    this.#value.replaceChildren(...tokens(text).map((each) => make("span", each.kind, each.text)))
  }

  /**
   * @param {Shown} shown
   * @param {{ ms: number, writer: string } | undefined} stamp
   */
  #fillStamp({ map, isOwn }, stamp) {
    if (stamp === undefined) {
      setText(this.#age, "deleted")
      return
    }
    setText(this.#name, isOwn(stamp.writer) ? "you" : stamp.writer.slice(0, 6))
    this.#writer.title = stamp.writer
    this.#dot.style.setProperty("--hue", String(hue(stamp.writer)))
    setText(this.#age, age(map.nowMs() - stamp.ms))
    this.#age.title = new Date(stamp.ms).toLocaleString()
  }

  /**
   * Shows that the entry has just changed, also if it is shown in this row only now.
   *
   * @param {number | undefined} sinceMs
   * @param {boolean} gone
   */
  #flashFrom(sinceMs, gone) {
    if (sinceMs === this.#flashedMs) return
    this.#flashedMs = sinceMs
    for (const animation of this.#flash.getAnimations()) animation.cancel()
    this.element.classList.toggle("changed", sinceMs !== undefined)
    this.#flash.classList.toggle("red", gone)
    if (sinceMs === undefined || still.matches) return // the style marks the row in any case
    const fade = { opacity: [1, 1, 0], offset: [0, 0.15, 1], easing: "ease-out" }
    const animation = this.#flash.animate(fade, FLASH_MS)
    animation.currentTime = performance.now() - sinceMs
  }
}

/**
 * A key as text, with what the filter found in it, and what would not be seen, marked.
 *
 * @param {string} key
 * @param {string} [filter] in small letters
 */
export function keyText(key, filter = "") {
  const fragment = document.createDocumentFragment()
  for (const { text, unseen } of parts(key)) {
    if (unseen) fragment.append(make("span", "unseen", text))
    else appendMarked(fragment, text, filter)
  }
  return fragment
}

/**
 * @param {DocumentFragment} fragment
 * @param {string} text
 * @param {string} filter
 */
function appendMarked(fragment, text, filter) {
  const small = text.toLowerCase()
  // Of a few letters the small form is longer: then the places would not agree.
  const at = filter && small.length === text.length ? small.indexOf(filter) : -1
  if (at < 0) {
    fragment.append(text)
    return
  }
  const end = at + filter.length
  fragment.append(text.slice(0, at), make("mark", "", text.slice(at, end)), text.slice(end))
}

/** @param {string} className */
function cell(className) {
  const element = make("div", `cell ${className}`)
  element.setAttribute("role", "gridcell")
  return element
}
