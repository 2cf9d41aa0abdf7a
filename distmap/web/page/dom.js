// Few words for what the page does to its elements. All text goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg"

/**
 * The element of an id.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function find(id, type) {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`)
  return found
}

/**
 * Makes an element.
 *
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name
 * @param {string} [className]
 * @param {...(Node | string)} children strings become text
 * @returns {HTMLElementTagNameMap[N]}
 */
export function make(name, className = "", ...children) {
  const element = document.createElement(name)
  if (className) element.className = className
  element.append(...children)
  return element
}

/**
 * Makes a button with an icon.
 *
 * @param {string} icon the id of its symbol
 * @param {string} label
 */
export function iconButton(icon, label) {
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("class", "icon")
  svg.setAttribute("aria-hidden", "true")
  const use = document.createElementNS(SVG, "use")
  use.setAttribute("href", `#${icon}`)
  svg.append(use)
  const button = make("button", "quiet square", svg)
  button.type = "button"
  button.title = label
  button.setAttribute("aria-label", label)
  return button
}

/**
 * Disables a button and says why, or enables it.
 *
 * @param {HTMLButtonElement} button
 * @param {string} why "" if it can be used
 */
export function forbid(button, why) {
  const title = why || (button.getAttribute("aria-label") ?? "")
  if (button.title !== title) button.title = title
  button.disabled = why !== ""
}

/**
 * Sets a text if it is another: to set the same would cost a layout.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/**
 * Shows a text, or hides the element if there is none.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  element.hidden = text === ""
  setText(element.querySelector("p") ?? element, text)
}

/**
 * Calls at the next frame, once for all calls until then; a page that is not shown has no frames.
 *
 * @param {() => void} call
 * @returns {() => void}
 */
export function eachFrame(call) {
  let scheduled = false
  return () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(() => {
      scheduled = false
      call()
    })
  }
}
