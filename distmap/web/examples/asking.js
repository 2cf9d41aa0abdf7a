// What the examples share: a connection to the relay that they came from, which asks whoever looks
// at the page for credentials if the relay wants some. They are never in the address of the page.

/** @import { DistributedMap } from "../distmap.js" */
import { Showing, isRefusal } from "../page/showing.js"

const relay = new URL("..", location.href)
relay.protocol = relay.protocol.replace(/^http/, "ws")
const showing = new Showing(relay)

export const { connection } = showing

const LOOK = {
  position: "fixed",
  inset: "auto 0 0",
  display: "flex",
  flexWrap: "wrap",
  alignItems: "center",
  gap: ".5rem",
  padding: ".75rem 1rem",
  background: "Canvas",
  borderTop: "1px solid",
}

/**
 * Says at the foot of the page what the relay does not let it do with a map, and asks for what does.
 *
 * @param {DistributedMap} map
 * @param {Iterable<Element>} [controls] what writes: disabled if nothing may be written
 * @returns {DistributedMap} the same
 */
export function guarded(map, controls = []) {
  const form = document.createElement("form")
  const says = form.appendChild(document.createElement("output"))
  const input = form.appendChild(document.createElement("input"))
  const button = form.appendChild(document.createElement("button"))
  form.id = "asking"
  Object.assign(form.style, LOOK)
  document.body.append(form)
  input.type = "password"
  input.autocomplete = "current-password"
  input.placeholder = "Credentials"
  input.setAttribute("aria-label", "Credentials")
  button.append("Use")
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const problem = showing.use(input.value, show)
    if (problem) says.textContent = problem
    else {
      input.value = ""
      show()
    }
  })

  function show() {
    const isRefused = map.status === "offline" && isRefusal(map.problem)
    const isReadOnly = map.access === "read"
    if (map.status === "ready") showing.keep()
    for (const control of controls) control.toggleAttribute("disabled", isRefused || isReadOnly)
    input.hidden = button.hidden = !isRefused
    form.style.display = isRefused || isReadOnly ? "flex" : "none"
    if (!isRefused) says.textContent = "You may read this map, and not change it."
    else if (showing.isTried) says.textContent = "The relay is asked."
    else if (!showing.any) says.textContent = "The relay asks for credentials: a ticket, or name:password."
    else says.textContent = "The relay does not open this map for these credentials, or no longer."
  }

  map.on("status", show)
  show()
  return map
}
