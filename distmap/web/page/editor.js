// The panel of one entry: shows it whole, and edits it as JSON.
//
// What was edited and not set is kept while the panel shows other entries, or none. What others set
// meanwhile is shown at once where nothing was edited, and offered where something was.

/** @import { DistributedMap, Stamp } from "../distmap.js" */
import { errors } from "../distmap.js"
import { READ_ONLY } from "./access.js"
import { find, forbid, say, setText } from "./dom.js"
import { showFacts } from "./facts.js"
import { Field, readJson } from "./field.js"
import { pretty } from "./format.js"
import { keyText } from "./row.js"

const NEW = "" // no key is empty

/**
 * @typedef {object} Actions
 * @property {(key: string, value: unknown) => void} set throws what the map throws
 * @property {(key: string) => void} remove
 * @property {(writer: string) => string} nameOf a writer
 * @property {(key: string) => void} opened an entry is shown
 * @property {() => void} closed
 */

export class Editor {
  #actions
  /** @type {DistributedMap | null} */
  #map = null
  /** @type {string | null} what is shown: a key, a new entry, or nothing */
  #key = null
  /** The text that the edit began with. */
  #base = ""
  /** @type {string | null} the text of the map's value; null if there is none */
  #current = null
  /** @type {Stamp | undefined} */
  #stamp
  #bytes = 0
  #isAllowed = true
  /** @type {Map<string, { key: string, text: string, base: string }>} by what was shown */
  #drafts = new Map()

  #panel = find("panel", HTMLElement)
  #title = find("panel-title", HTMLElement)
  #facts = find("facts", HTMLElement)
  #keyPart = find("key-part", HTMLElement)
  #keyInput = find("key", HTMLInputElement)
  #keyField = new Field(this.#keyInput, find("key-error", HTMLElement))
  #keyNote = find("key-note", HTMLElement)
  #value = find("value", HTMLTextAreaElement)
  #valueField = new Field(this.#value, find("value-error", HTMLElement))
  #note = find("value-note", HTMLElement)
  #quote = find("quote", HTMLButtonElement)
  #theirs = find("theirs", HTMLButtonElement)
  #save = find("save", HTMLButtonElement)
  #revert = find("revert", HTMLButtonElement)
  #delete = find("delete", HTMLButtonElement)

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions
    const form = find("edit", HTMLFormElement)
    form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#set()
    })
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#set()
    })
    this.#panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close()
    })
    this.#value.addEventListener("input", () => this.#edited())
    this.#keyInput.addEventListener("input", () => this.#edited())
    this.#quote.addEventListener("click", () => this.#setAsText())
    this.#theirs.addEventListener("click", () => this.#restart())
    this.#revert.addEventListener("click", () => this.#restart())
    this.#delete.addEventListener("click", () => this.key !== null && actions.remove(this.key))
    find("panel-close", HTMLButtonElement).addEventListener("click", () => this.close())
    if (/Mac|iPhone|iPad/.test(navigator.platform)) setText(find("save-key", HTMLElement), "⌘")
  }

  /**
   * The key of the entry that is shown; null if none is.
   *
   * @returns {string | null}
   */
  get key() {
    return this.#key || null
  }

  get isOpen() {
    return this.#key !== null
  }

  /**
   * Whether a key has an edit that was not set.
   *
   * @param {string} key
   */
  isDraft(key) {
    return this.#drafts.has(key)
  }

  /**
   * From now on shows entries of this map.
   *
   * @param {DistributedMap} map
   */
  use(map) {
    this.#map = map
    this.#drafts.clear()
    this.#show(null)
  }

  /**
   * Shows an entry.
   *
   * @param {string} key
   * @param {boolean} [focus] and goes there with the keyboard
   */
  open(key, focus = false) {
    if (this.#key !== key) {
      this.#show(key)
      this.#actions.opened(key)
    }
    if (focus) this.#value.focus()
  }

  /** Begins a new entry, or goes on with the one that was begun. */
  openNew() {
    this.#show(NEW)
    this.#keyInput.focus()
  }

  /** @param {boolean} isAllowed whether what is shown can be edited */
  allow(isAllowed) {
    if (isAllowed === this.#isAllowed) return
    this.#isAllowed = isAllowed
    this.#keyInput.readOnly = this.#value.readOnly = !isAllowed
    for (const button of [this.#save, this.#delete]) forbid(button, isAllowed ? "" : READ_ONLY)
    this.#judge()
  }

  close() {
    if (!this.isOpen) return
    this.#show(null)
    this.#actions.closed()
  }

  /** Shows what has changed, and how old it is by now. */
  refresh() {
    const map = this.#map
    const key = this.key
    if (map === null || key === null) return
    const stamp = map.stamp(key)
    if (JSON.stringify(stamp) !== JSON.stringify(this.#stamp)) {
      this.#stamp = stamp
      const value = map.get(key)
      this.#bytes = new TextEncoder().encode(JSON.stringify(value)).length
      this.#take(value === undefined ? null : pretty(value))
    }
    this.#showFacts()
  }

  // -- what is shown ------------------------------------------------------------------------------

  /** @param {string | null} key */
  #show(key) {
    this.#key = key
    this.#panel.hidden = key === null
    document.body.classList.toggle("editing", key !== null)
    this.#clearErrors()
    this.#stamp = undefined
    this.#current = null
    this.#keyPart.hidden = key !== NEW
    this.#facts.hidden = key === NEW
    if (key === null) return
    this.#title.replaceChildren(key === NEW ? "New entry" : keyText(key))
    const draft = this.#drafts.get(key)
    this.#base = draft?.base ?? ""
    this.#keyInput.value = draft?.key ?? ""
    this.#value.value = draft?.text ?? ""
    this.#value.scrollTop = 0
    this.refresh()
    this.#judge()
  }

  /**
   * The map has another value.
   *
   * @param {string | null} text
   */
  #take(text) {
    this.#current = text
    if (text !== null && !this.#isDirty()) this.#begin(text)
    this.#judge()
  }

  /** @param {string} text */
  #begin(text) {
    const { selectionStart, selectionEnd } = this.#value
    this.#base = this.#value.value = text
    this.#value.setSelectionRange(selectionStart, selectionEnd)
    this.#clearErrors()
  }

  #isDirty() {
    return this.#value.value !== this.#base
  }

  #edited() {
    const shown = this.#key
    this.#clearErrors()
    if (shown === null) return
    const draft = { key: this.#keyInput.value, text: this.#value.value, base: this.#base }
    if (shown === NEW || this.#isDirty()) this.#drafts.set(shown, draft)
    else this.#drafts.delete(shown)
    if (shown !== NEW) this.#actions.opened(shown)
    this.#judge()
  }

  /** Which buttons there are, and what is to be said about what others did. */
  #judge() {
    const isNew = this.#key === NEW
    const isGone = !isNew && this.#current === null
    const isBehind = !isNew && !isGone && this.#isDirty() && this.#base !== this.#current
    this.#save.disabled = !this.#isAllowed || (!isNew && !isGone && !this.#isDirty())
    this.#revert.hidden = isNew || isGone || !this.#isDirty()
    this.#delete.hidden = isNew || isGone
    this.#theirs.hidden = !isBehind
    const who = this.#stamp === undefined ? "" : this.#actions.nameOf(this.#stamp.writer)
    if (isBehind) say(this.#note, `Meanwhile ${who} has set another value.`)
    else say(this.#note, isGone ? "It is deleted. Setting it brings it back." : "")
    const exists = isNew && this.#map?.has(this.#keyInput.value)
    say(this.#keyNote, exists ? "This key has a value already: setting it replaces that." : "")
  }

  #showFacts() {
    const stamp = this.#stamp
    const nowMs = this.#map?.nowMs() ?? 0
    this.#facts.hidden = stamp === undefined
    if (stamp === undefined) return
    const name = this.#actions.nameOf(stamp.writer)
    showFacts(this.#facts, { stamp, name, ageMs: nowMs - stamp.ms, bytes: this.#bytes })
  }

  // -- what is done -------------------------------------------------------------------------------

  /** Drops the edit. */
  #restart() {
    if (this.key === null || this.#current === null) return
    this.#drafts.delete(this.key)
    this.#begin(this.#current)
    this.#judge()
    this.#actions.opened(this.key)
    this.#value.focus()
  }

  #set() {
    this.#clearErrors()
    const { value, problem, isText } = readJson(this.#value.value)
    if (problem === undefined) {
      this.#setValue(value)
      return
    }
    this.#valueField.fail(problem)
    this.#quote.hidden = !isText
  }

  #setAsText() {
    this.#setValue(this.#value.value.trim())
  }

  /** @param {unknown} value */
  #setValue(value) {
    const key = this.key ?? this.#keyInput.value
    try {
      this.#actions.set(key, value)
    } catch (error) {
      if (!(error instanceof errors.DistMapError)) throw error
      const text = error.message[0].toUpperCase() + error.message.slice(1) + "."
      const field = error.code === "invalid-key" ? this.#keyField : this.#valueField
      field.fail(text)
      return
    }
    this.#drafts.delete(key)
    this.#drafts.delete(this.#key ?? NEW)
    this.#key = null // so that it is shown anew, as the map has it
    this.open(key, true)
  }

  #clearErrors() {
    this.#keyField.clear()
    this.#valueField.clear()
    this.#quote.hidden = true
  }
}
