// What an empty list says.

import { make } from "./dom.js"
import { shellWord } from "./format.js"

/**
 * Fills the place of an empty list.
 *
 * @param {HTMLElement} element
 * @param {object} about
 * @param {string} about.uri of the map
 * @param {string} about.filter
 * @param {string} about.status
 * @param {URL} about.relay its WebSocket
 * @param {boolean} about.isRefused the relay does not open the map
 * @param {boolean} about.isReadOnly
 * @param {boolean} about.isShowing there are credentials
 */
export function showHints(element, about) {
  const { uri, filter, status, relay, isRefused, isReadOnly, isShowing } = about
  const text = JSON.stringify([relay.href, about])
  if (element.dataset.text === text) return
  element.dataset.text = text
  if (filter) {
    element.replaceChildren(make("p", "large", "No key has this in it."))
  } else if (isRefused) {
    element.replaceChildren(make("p", "large", "What is in this map is not shown to you."))
  } else if (status === "ready" && isReadOnly) {
    element.replaceChildren(make("p", "large", "This map is empty."))
  } else if (status !== "ready") {
    element.replaceChildren(make("p", "large", "Nothing here yet."))
  } else {
    const option = isShowing ? "--credentials FILE " : ""
    const argument = isShowing ? ", credentials=…" : ""
    const command = `distmap set ${option}${relay.href} ${shellWord(uri)} apple '{"n": 3}'`
    const python = [
      `connection = connect(reactor, ${JSON.stringify(relay.href)}${argument})`,
      `shared = DistributedMap(connection, ${JSON.stringify(uri)})`,
      `await shared.set("apple", {"n": 3})`,
    ].join("\n")
    element.replaceChildren(
      make("p", "large", "This map is empty."),
      make("p", "", "Set something here, or from anywhere else; it shows at once."),
      make("h3", "", "From a shell"),
      make("pre", "mono", command),
      make("h3", "", "From Python"),
      make("pre", "mono", python),
    )
  }
}
