// The live page of the relay: opens the map that the address names, and joins the parts.

/** @import { Change } from "../distmap.js" */
import { DistributedMap, errors } from "../distmap.js"
import { Access, READ_ONLY } from "./access.js"
import { eachFrame, find, forbid, say, setText } from "./dom.js"
import { Editor } from "./editor.js"
import { Entries } from "./entries.js"
import { hashOf, named, uriOf } from "./format.js"
import { showHints } from "./hints.js"
import { listen } from "./keys.js"
import { List } from "./list.js"
import { Presence } from "./presence.js"
import { Row } from "./row.js"
import { Showing } from "./showing.js"
import { State } from "./state.js"
import { Undo } from "./undo.js"
import { Unsent } from "./unsent.js"

const DEFAULT_URI = "/distributed-map"
const TICK_MS = 1000

const relay = new URL("../", import.meta.url) // the page may be anywhere in a site
relay.protocol = relay.protocol.replace(/^http/, "ws")
const showing = new Showing(relay)
const { connection } = showing

const elements = {
  uri: find("uri", HTMLInputElement),
  uriError: find("uri-error", HTMLElement),
  filter: find("filter", HTMLInputElement),
  count: find("count", HTMLElement),
  list: find("list", HTMLElement),
  empty: find("empty", HTMLElement),
  create: find("new", HTMLButtonElement),
}
const presence = new Presence()
const access = new Access(showing, {
  changed: () => state.refresh(),
  left() {
    isLeft = true
    render()
  },
})
const state = new State(connection, access)
const undo = new Undo()
const editor = new Editor({
  set: (key, value) => set(key, value),
  remove: (key) => remove(key),
  nameOf: (writer) => (presence.isOwn(writer) ? "you" : writer),
  opened: (key) => choose(key),
  closed: () => elements.list.focus(),
})

/** @type {DistributedMap} */
let map
/** @type {Entries} */
let entries
/** @type {string | null} */
let chosen = null
/** The keyboard was in a form that is gone. */
let isLeft = false
const unsent = new Unsent((error) => {
  // Otherwise the map is closed, or it told "superseded".
  if (error?.code === "refused") undo.tell(`What you set was taken back. ${READ_ONLY}`)
  render()
})

const rowState = () => ({
  map,
  entries,
  chosen,
  isDraft: (/** @type {string} */ key) => editor.isDraft(key),
  isReadOnly: access.isReadOnly,
  isWaiting: (/** @type {string} */ key) => unsent.has(key),
  isOwn: (/** @type {string} */ writer) => presence.isOwn(writer),
})
const list = new List(elements.list, () => new Row(rowState))

// -- the map --------------------------------------------------------------------------------------

/** Opens the map that the address names; if there can be none, the one before stays. */
function openMap() {
  const uri = uriOf(location.hash) || DEFAULT_URI
  elements.uri.value = uri
  say(elements.uriError, "")
  if (map?.uri === uri) return
  try {
    show(new DistributedMap(connection, uri))
  } catch (error) {
    if (!(error instanceof errors.DistMapError)) throw error
    if (map === undefined) show(new DistributedMap(connection, DEFAULT_URI))
    say(elements.uriError, `${error.message}.`)
  }
}

/** @param {DistributedMap} opened */
function show(opened) {
  const before = map
  if (before !== undefined) unsent.leave().then(() => before.close())
  map = opened
  entries = new Entries(opened)
  chosen = null
  presence.clear()
  undo.clear()
  editor.use(opened)
  access.use(opened)
  state.use(opened)
  elements.filter.value = ""
  elements.list.scrollTop = 0
  document.title = `${opened.uri} · distmap`
  opened.on("ready", () => opened === map && load())
  opened.on("peers", render)
  opened.on("status", render)
  opened.on("superseded", (_, key) => {
    undo.tell(`Your write of ${named(key)} was not kept: others had changed it since.`)
  })
  opened.observe((change) => opened === map && note(change))
  load()
}

function load() {
  entries.load()
  for (const key of map.keys()) {
    const stamp = map.stamp(key)
    if (stamp !== undefined) presence.saw(stamp.writer, stamp.ms)
  }
  entries.filter = elements.filter.value
  state.changed()
  render()
}

/** @param {Change} change */
function note(change) {
  entries.note(change, performance.now())
  presence.saw(change.writer, change.timeMs, change.local)
  state.changed()
  render()
}

/**
 * @param {string} key
 * @param {unknown} value
 */
function set(key, value) {
  unsent.add(key, map.set(key, value))
}

/**
 * Does what writes, or tells why not.
 *
 * @param {() => void} write
 */
function ifAllowed(write) {
  if (access.isReadOnly) undo.tell(READ_ONLY)
  else write()
}

/** @param {string} key */
function remove(key) {
  if (!map.has(key) || access.isReadOnly) return
  const value = map.get(key)
  const at = entries.indexOf(key)
  const next = entries.shown[at + 1] ?? entries.shown[at - 1] ?? null
  unsent.add(key, map.delete(key))
  if (editor.key === key) editor.close()
  if (chosen === key) choose(next)
  undo.offer(`Deleted ${named(key)}.`, () => {
    if (map.has(key)) undo.tell(`Somebody has set ${named(key)} since: it stays as it is.`)
    else {
      set(key, value)
      choose(key)
    }
  })
}

// -- the view -------------------------------------------------------------------------------------

const render = eachFrame(() => {
  const top = list.top
  const anchor = entries.shown[top]
  if (entries.settle(performance.now())) render()
  // What is being read stays where it is while others come and go above it.
  if (top > 0 && anchor !== undefined) list.shift(entries.place(anchor) - top)
  if (chosen !== null && entries.indexOf(chosen) < 0) {
    chosen = entries.shown[Math.min(entries.place(chosen), entries.shown.length - 1)] ?? null
  }
  list.show(entries.shown.length)
  elements.list.setAttribute("aria-rowcount", String(entries.shown.length))
  const at = list.rows.find((row) => row.key === chosen)
  if (at === undefined) elements.list.removeAttribute("aria-activedescendant")
  else elements.list.setAttribute("aria-activedescendant", at.element.id)
  showCount()
  forbid(elements.create, access.isReadOnly ? READ_ONLY : "")
  undo.allow(!access.isReadOnly)
  editor.allow(!access.isReadOnly)
  editor.refresh()
  if (isLeft) (elements.list.hidden ? elements.filter : elements.list).focus()
  isLeft = false
  presence.refresh(map.peers, map.status === "ready" || map.status === "syncing", map.nowMs())
  state.refresh()
})

function showCount() {
  const total = map.size.toLocaleString("en")
  const shown = entries.shown.length
  const all = map.size === 1 ? "1 entry" : `${total} entries`
  setText(elements.count, entries.filter ? `${shown.toLocaleString("en")} of ${total}` : all)
  elements.empty.hidden = shown > 0
  elements.list.hidden = shown === 0
  if (shown === 0) {
    const { isRefused, isReadOnly, isShowing } = access
    const { uri, status } = map
    const about = { uri, status, filter: entries.filter, relay, isRefused, isReadOnly, isShowing }
    showHints(elements.empty, about)
  }
}

/** @param {string | null} key */
function choose(key) {
  chosen = key
  if (key !== null && editor.key !== null && editor.key !== key) editor.open(key)
  const at = key === null ? -1 : entries.indexOf(key)
  if (at >= 0) list.reveal(at)
  render()
}

// -- what is done to it ---------------------------------------------------------------------------

find("open", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault()
  const uri = elements.uri.value || DEFAULT_URI
  if (uri === map.uri) elements.list.focus()
  try {
    location.hash = hashOf(uri)
  } catch {
    say(elements.uriError, "This is no text that a map can be named by.")
  }
})
elements.uri.addEventListener("input", () => say(elements.uriError, ""))
addEventListener("hashchange", openMap)
// Nothing is stored in the browser: what has not left would be lost.
addEventListener("beforeunload", (event) => unsent.count > 0 && event.preventDefault())

elements.filter.addEventListener("input", () => {
  entries.filter = elements.filter.value
  elements.list.scrollTop = 0
  elements.count.setAttribute("aria-live", "polite")
  render()
})
elements.filter.addEventListener("blur", () => elements.count.removeAttribute("aria-live"))

elements.list.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target)
  const row = list.rows.find(({ element }) => element.contains(target))
  if (row === undefined || entries.isGone(row.key)) return
  const act = target.closest("button")?.dataset.act
  if (act === "delete") remove(row.key)
  else editor.open(row.key, act === "edit")
})

elements.create.addEventListener("click", () => editor.openNew())

listen({
  elements: { ...elements, help: find("help", HTMLButtonElement) },
  get index() {
    return chosen === null ? -1 : entries.indexOf(chosen)
  },
  get last() {
    return entries.shown.length - 1
  },
  get page() {
    return list.page
  },
  go: (index) => choose(entries.shown[index] ?? null),
  edit: () => chosen !== null && !entries.isGone(chosen) && editor.open(chosen, true),
  remove: () => ifAllowed(() => chosen !== null && remove(chosen)),
  openNew: () => ifAllowed(() => editor.openNew()),
  undo: () => ifAllowed(() => undo.undo()),
  leave() {
    if (editor.isOpen) editor.close()
    else choose(null)
  },
})

setInterval(render, TICK_MS)
openMap()
