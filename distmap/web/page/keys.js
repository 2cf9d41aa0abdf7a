// The keyboard.

import { find } from "./dom.js"

/**
 * What the keys do.
 *
 * @typedef {object} Deeds
 * @property {{ uri: HTMLInputElement, filter: HTMLInputElement, list: HTMLElement,
 *   help: HTMLButtonElement }} elements
 * @property {number} index of the chosen entry; -1 if there is none
 * @property {number} last the index of the last entry
 * @property {number} page how many entries are in sight
 * @property {(index: number) => void} go chooses an entry
 * @property {() => void} edit
 * @property {() => void} remove
 * @property {() => void} openNew
 * @property {() => void} undo
 * @property {() => void} leave
 */

/**
 * Listens to the keyboard.
 *
 * @param {Deeds} deeds
 */
export function listen(deeds) {
  const { uri, filter, list, help } = deeds.elements
  const keys = find("keys", HTMLDialogElement)
  help.addEventListener("click", () => keys.showModal())

  /** @type {Record<string, () => void>} */
  const anywhere = {
    "/": () => goTo(filter),
    n: () => deeds.openNew(),
    o: () => goTo(uri),
    u: () => deeds.undo(),
    "?": () => keys.showModal(),
    Escape: () => deeds.leave(),
  }
  document.addEventListener("keydown", (event) => {
    closeMenus(event)
    const target = /** @type {Element} */ (event.target)
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (keys.open || target.matches("input, textarea") || target.closest(".panel")) return
    const act = anywhere[event.key]
    if (act === undefined) return
    event.preventDefault()
    act()
  })
  document.addEventListener("click", (event) => closeMenus(event))

  /** @type {Record<string, () => void>} */
  const inList = {
    ArrowDown: () => deeds.go(Math.min(deeds.last, deeds.index + 1)),
    ArrowUp: () => deeds.go(Math.max(0, deeds.index - 1)),
    PageDown: () => deeds.go(Math.min(deeds.last, Math.max(0, deeds.index) + deeds.page)),
    PageUp: () => deeds.go(Math.max(0, deeds.index - deeds.page)),
    Home: () => deeds.go(0),
    End: () => deeds.go(deeds.last),
    Enter: () => deeds.edit(),
    Delete: () => deeds.remove(),
    Backspace: () => deeds.remove(),
  }
  list.addEventListener("keydown", (event) => {
    const act = inList[event.key]
    if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    act()
  })

  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault()
      if (filter.value === "") list.focus()
      filter.value = ""
      filter.dispatchEvent(new Event("input"))
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault()
      list.focus()
      if (deeds.index < 0) deeds.go(0)
    }
  })
}

/** @param {HTMLInputElement} input */
function goTo(input) {
  input.focus()
  input.select()
}

/**
 * Menus close when another place is used, and by Escape.
 *
 * @param {Event} event
 */
function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!(menu instanceof HTMLDetailsElement)) continue
    const isEscape = event instanceof KeyboardEvent && event.key === "Escape"
    const target = /** @type {Node} */ (event.target)
    const isElsewhere = event instanceof MouseEvent && !menu.contains(target)
    if (!isEscape && !isElsewhere) continue
    menu.open = false
    if (!isEscape) continue
    event.preventDefault()
    menu.querySelector("summary")?.focus()
  }
}
