// What is told of an entry besides its value.

/** @import { Stamp } from "../distmap.js" */
import { make } from "./dom.js"
import { age, hue, size } from "./format.js"

/**
 * Shows who wrote an entry, when, and how large it is.
 *
 * @param {HTMLElement} element a list of terms
 * @param {object} about
 * @param {Stamp} about.stamp
 * @param {string} about.name of the writer, for people
 * @param {number} about.ageMs
 * @param {number} about.bytes
 */
export function showFacts(element, { stamp, name, ageMs, bytes }) {
  const ago = age(ageMs)
  const text = JSON.stringify([stamp, name, ago, bytes])
  if (element.dataset.text === text) return
  element.dataset.text = text
  const dot = make("i", "dot")
  dot.style.setProperty("--hue", String(hue(stamp.writer)))
  const id = make("span", "mono", stamp.writer)
  const time = make("span", "", new Date(stamp.ms).toLocaleString())
  element.replaceChildren(
    fact("Writer", dot, id, make("small", "", name === stamp.writer ? "" : name)),
    fact("Set", time, make("small", "", ago === "now" ? ago : `${ago} ago`)),
    fact("Size", size(bytes)),
  )
}

/**
 * @param {string} term
 * @param {...(Node | string)} about
 */
function fact(term, ...about) {
  return make("div", "", make("dt", "", term), make("dd", "", ...about))
}
