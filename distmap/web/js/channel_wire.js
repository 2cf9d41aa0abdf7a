// What comes to a member on its channel, checked: arrays of the relay, objects of other members; and how
// it sends entries there. docs/protocol.md is the normative text.
//
// A message of another name is of a newer relay or member, and so is what a known one has behind what
// is known.

/** @import { Summary } from "./ranges.js" */
import { MAX_TIME_MS } from "./clock.js"
import { isCount, isObject } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { MESSAGE_CHARS } from "./frames.js"

/** The longest name of a member, in code points. */
export const MAX_NAME_CHARS = 128

/**
 * What the welcome tells: the version, the member's id, the relay's time in milliseconds since 1970,
 * how many members there are, and whether this one may only `read`.
 *
 * @typedef {{ version: number[], peer: string, time_ms: number, members: number, access?: string }}
 *   Details
 */

/**
 * A message of the relay: its name, and what is known of it.
 *
 * @typedef {["welcome", Details] | ["members", number] | ["ack", number, number] | ["donor", string]
 *   | ["alone"] | ["client", string] | ["reader", string] | ["refused", number] | ["time", number, number]} Control
 */

/** @type {Map<unknown, ((value: unknown) => boolean)[]>} */
const CONTROLS = new Map([
  ["welcome", [isDetails]], // comes first, and once
  ["members", [isMembers]], // how many there are
  ["ack", [isCount, isTime]], // so many objects were passed on; the relay's time
  ["donor", [isName]], // the member to sync with
  ["alone", []], // there is nobody to sync with
  ["client", [isString]], // a newcomer asks to sync; the name is of its choice: no fault of the relay
  ["reader", [isString]], // likewise, from who may only read
  ["refused", [isCount]], // so many objects were not passed on: this member may only read
  ["time", [isTime, isTime]], // the time that was sent, and the relay's
])

/**
 * Checks a message of the relay.
 *
 * @param {unknown[]} message
 * @returns {Control | null} null if its name is unknown
 * @throws {RemoteProtocolError} it is malformed
 */
export function decodeControl(message) {
  const [name, ...details] = message
  const checks = CONTROLS.get(name)
  if (checks === undefined && typeof name === "string") return null
  if (!checks?.every((check, at) => check(details[at]))) {
    throw new RemoteProtocolError("the relay sent a malformed message")
  }
  return /** @type {Control} */ (message)
}

/**
 * Checks what another member said.
 *
 * @param {unknown} message
 * @returns {{ entries: unknown[] } | { peer: string, digest: Summary } | null} entries, which are
 *   not checked yet, or a digest; null if its name is unknown
 * @throws {RemoteProtocolError} it is malformed
 */
export function decodeSaid(message) {
  if (!isObject(message)) throw malformed()
  const { event, entries = [], peer, count, sum } = message
  if (event === "set" || event === "delete") return { entries: [message] }
  if (event === "entries" && Array.isArray(entries)) return { entries }
  if (typeof event !== "string" || event === "entries") throw malformed()
  if (event !== "digest") return null
  if (!isName(peer) || !isCount(count) || !isCount(sum)) throw malformed()
  return { peer, digest: [count, sum] }
}

function malformed() {
  return new RemoteProtocolError("a member sent a malformed message")
}

/**
 * Whether a member could have this name.
 *
 * @param {unknown} value
 * @returns {value is string}
 */
export function isName(value) {
  // A slash would make a route of other parts.
  return isString(value) && value !== "" && !isLong(value) && !value.includes("/")
}

/** @param {string} name */
function isLong(name) {
  return [...name].length > MAX_NAME_CHARS
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
function isString(value) {
  return typeof value === "string"
}

/** @param {unknown} value */
function isMembers(value) {
  return isCount(value) && value > 0
}

/** @param {unknown} value */
function isTime(value) {
  return typeof value === "number" && value >= 0 && value <= MAX_TIME_MS
}

/** @param {unknown} value */
function isDetails(value) {
  if (!isObject(value)) return false
  const { version, peer, time_ms: timeMs, members } = value
  const isVersion = Array.isArray(version) && version.length === 2 && version.every(isCount)
  return isVersion && isName(peer) && isTime(timeMs) && isMembers(members)
}

/**
 * The channel messages of some encoded entries, each of about MESSAGE_CHARS.
 *
 * @param {string[]} texts
 * @returns {Generator<string, void>}
 */
export function* encodeMessages(texts) {
  let part = []
  let size = 0
  for (const text of texts) {
    part.push(text)
    size += text.length
    if (size < MESSAGE_CHARS) continue
    yield encodeEntries(part)
    part = []
    size = 0
  }
  if (part.length) yield encodeEntries(part)
}

/**
 * The channel message of some encoded entries: the entry itself if it is only one.
 *
 * @param {string[]} texts
 */
export function encodeEntries(texts) {
  return texts.length === 1 ? texts[0] : `{"event":"entries","entries":[${texts.join(",")}]}`
}
