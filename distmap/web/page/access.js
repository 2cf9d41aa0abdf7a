// What the relay lets this page do: says so, and asks for credentials.

/** @import { DistributedMap } from "../distmap.js" */
/** @import { Showing } from "./showing.js" */
import { find, setText } from "./dom.js"
import { Field } from "./field.js"
import { isRefusal } from "./showing.js"

/** Why what writes cannot be used. */
export const READ_ONLY = "You may read this map, and not change it."

/** What the page asks with, by why it asks. */
const ASKS = {
  none: "The relay opens this map only to who shows credentials: a ticket, or name:password.",
  wrong:
    "The relay does not open this map for these credentials." +
    " They may be mistyped, too old, or for other maps.",
  expired:
    "Your credentials have expired: what others set since is not shown." +
    " What you set is kept here, and sent when new ones let you write.",
  trying: "The relay is asked.",
}

export class Access {
  #showing
  #actions
  #form = find("credentials", HTMLFormElement)
  #input = find("shown", HTMLInputElement)
  #field = new Field(this.#input, find("shown-error", HTMLElement))
  #button = find("access", HTMLButtonElement)
  #forget = find("forget", HTMLButtonElement)
  /** @type {DistributedMap | null} */
  #map = null
  /** @type {keyof typeof ASKS | null} why it asks; null if the relay has refused nothing */
  #why = null
  /** @type {unknown} the problem that was judged last */
  #judged = null
  /** Whether the map is offline for another reason. */
  #isLost = false
  /** Whether somebody has opened the form. */
  #isOpened = false

  /**
   * @param {Showing} showing
   * @param {{ changed: () => void, left: () => void }} actions there is something else to show; the
   *   form is gone, and the keyboard was in it
   */
  constructor(showing, actions) {
    this.#showing = showing
    this.#actions = actions
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#use()
    })
    this.#form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#isOpened) return
      event.preventDefault()
      this.#button.focus()
      this.#open(false)
    })
    this.#input.addEventListener("input", () => this.#field.clear())
    this.#forget.addEventListener("click", () => showing.forget())
    this.#button.addEventListener("click", () => this.#open(!this.#isOpened))
  }

  /** @param {DistributedMap} map */
  use(map) {
    this.#map = map
    this.#why = this.#judged = null
    this.#isLost = this.#isOpened = false
    this.#field.clear()
    map.on("status", () => map === this.#map && this.#judge(map))
  }

  /** Whether the map may only be read. */
  get isReadOnly() {
    return this.#map?.access === "read"
  }

  /** Whether the relay does not open the map: not that it cannot be reached. */
  get isRefused() {
    return this.#why !== null && this.#why !== "trying" && !this.#isLost
  }

  /** Whether there are credentials that the relay is shown. */
  get isShowing() {
    return this.#showing.any
  }

  /** Whether the relay has just been given credentials. */
  get isTrying() {
    return this.#why === "trying" && !this.#isLost
  }

  /** Shows what is the case now; returns what the page says about it, or "". */
  refresh() {
    if (this.#map !== null) this.#judge(this.#map)
    const isAsking = this.#why !== null
    const isReadOnly = this.isReadOnly && !isAsking
    this.#button.hidden = isAsking || !(isReadOnly || this.#showing.any)
    this.#button.setAttribute("aria-expanded", String(this.#isOpened))
    this.#button.title = isReadOnly ? READ_ONLY : "Credentials"
    setText(this.#button.querySelector("span") ?? this.#button, isReadOnly ? "Read only" : "")
    if (isReadOnly) this.#button.removeAttribute("aria-label")
    else this.#button.setAttribute("aria-label", "Credentials")
    this.#forget.hidden = !this.#showing.any
    const isShown = isAsking || this.#isOpened
    const hadFocus = this.#form.contains(document.activeElement)
    this.#form.hidden = !isShown
    if (hadFocus && !isShown) this.#actions.left()
    if (this.#why !== null) return ASKS[this.#why]
    if (!this.#isOpened) return ""
    if (!this.isReadOnly) return "This tab shows credentials to the relay, until it is closed."
    return `${READ_ONLY} Other credentials may let you.`
  }

  /**
   * The relay may have let the page in, or not.
   *
   * @param {DistributedMap} map
   */
  #judge({ status, problem }) {
    if (status === "ready" && !this.#showing.isTried) {
      this.#why = null
      this.#showing.keep()
    }
    if (status !== "offline") this.#isLost = false
    if (status !== "offline" || problem === this.#judged) return
    this.#judged = problem
    this.#isLost = !isRefusal(problem)
    if (this.#isLost || this.#showing.isTried) return
    const before = this.#why
    if (!this.#showing.any) this.#why = "none"
    else if (problem?.code === "expired") this.#why = "expired"
    else if (this.#why !== "expired") this.#why = "wrong" // it is refused when it is tried again
    if (this.#why === "wrong" && before !== "wrong") {
      this.#input.setAttribute("aria-invalid", "true")
    }
  }

  #use() {
    const problem = this.#showing.use(this.#input.value, () => {
      this.#judged = null
      this.#actions.changed()
    })
    if (problem) {
      this.#field.fail(problem)
      return
    }
    this.#field.clear()
    this.#input.value = ""
    this.#why = "trying"
    this.#isOpened = false
    this.#input.focus()
    this.#actions.changed()
  }

  /** @param {boolean} isOpened */
  #open(isOpened) {
    this.#isOpened = isOpened
    this.#field.clear()
    this.#actions.changed()
    if (isOpened) this.#input.focus()
  }
}
