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
 */
export function showHints(element, { uri, filter, status, relay }) {
  const text = JSON.stringify([uri, filter, status, relay.href])
  if (element.dataset.text === text) return
  element.dataset.text = text
  if (filter) {
    element.replaceChildren(make("p", "large", "No key has this in it."))
  } else if (status !== "ready") {
    element.replaceChildren(make("p", "large", "Nothing here yet."))
  } else {
    const command = `distmap set ${relay.href} ${shellWord(uri)} apple '{"n": 3}'`
    const python = [
      `connection = connect(reactor, ${JSON.stringify(relay.href)})`,
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
