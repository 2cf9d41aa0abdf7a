// The messages by which two replicas are made equal; docs/protocol.md is the normative text.
//
// The newcomer asks, the donor answers. Requests carry an id, and each answer the id of its
// request.

/** @import { Columns } from "./columns.js" */
/** @import { Gap } from "./knowledge.js" */
/** @import { Summary } from "./ranges.js" */
import { isColumns } from "./columns.js"
import { HASH_DIGITS, isCount, isObject } from "./entries.js"
import { RemoteProtocolError, VersionMismatch } from "./errors.js"
import { isGaps } from "./knowledge.js"
import { FAN_OUT } from "./ranges.js"

/** Major and minor: another major is refused, another minor is taken. */
export const VERSION = [1, 1]
/** So many ranges are divided or compared with one request; their sums are 40 KB. */
export const MAX_PREFIXES = 128
export const MAX_HASHES = 8192
/** A message of entries ends with the entry that brings it over this size. */
export const CHUNK_BYTES = 64 * 1024

/**
 * Opens the conversation, from both sides: the version and the digest of the whole replica. Below
 * `floor_ms` this side may have collected tombstones. `known_ms` is told by a side that does not
 * know of all deletes so far: it knows of all until then. `gaps` are the times before that, from and
 * until, in which deletes may have become known that it does not know of.
 *
 * @typedef {{ event: "hello", version: number[], count: number, sum: number, floor_ms: number,
 *   known_ms: number | null, gaps: Gap[] }} Hello
 */
/** @typedef {{ event: "ask-sums", id: number, prefixes: string[] }} AskSums */
/** @typedef {{ event: "sums", id: number, sums: number[][] }} Sums */
/**
 * @typedef {{ event: "ask-entries", id: number, prefixes: string[], start: string,
 *   hashes: number[], columns: boolean }} AskEntries
 */
/**
 * `columns` are more entries, for a newcomer that takes them.
 *
 * @typedef {{ event: "entries", id: number, entries: unknown[], next: string | null,
 *   missing: number[], columns: Columns | null }} Entries
 */
/** @typedef {{ event: "push", id: number, entries: unknown[] }} Push */
/**
 * `buried` are tombstones for those that were deleted so long ago that the deletes are forgotten.
 *
 * @typedef {{ event: "taken", id: number, buried: unknown[] }} Taken
 */
/**
 * Ends the conversation, from the newcomer; the donor answers. Both tell the entries that they hold
 * back until their time, those that are due first, up to a chunk.
 *
 * @typedef {{ event: "done", held: unknown[] }} Done
 */

/** @typedef {Hello | AskSums | AskEntries | Push | Done} Request */
/** @typedef {Hello | Sums | Entries | Taken | Done} Answer */

// -- out: entries are handed over as the texts that they are --------------------------------------

/**
 * @param {Summary} digest
 * @param {number} floorMs below it tombstones may have been collected
 * @param {number | null} knownMs until when all deletes are known; null if all are
 * @param {Gap[]} gaps when, before that, they are not
 */
export const hello = ([count, sum], floorMs, knownMs, gaps) => {
  return JSON.stringify({
    ...{ event: "hello", version: VERSION, count, sum },
    ...(floorMs === 0 ? {} : { floor_ms: floorMs }),
    ...(knownMs === null ? {} : { known_ms: knownMs }),
    ...(gaps.length === 0 ? {} : { gaps }),
  })
}

/**
 * @param {number} id
 * @param {string[]} prefixes
 */
export const askSums = (id, prefixes) => JSON.stringify({ event: "ask-sums", id, prefixes })

/**
 * @param {number} id
 * @param {number[][]} sums
 */
export const sums = (id, sums) => JSON.stringify({ event: "sums", id, sums })

/**
 * @param {number} id
 * @param {string[]} prefixes
 * @param {string} start
 * @param {number[]} hashes
 */
export const askEntries = (id, prefixes, start, hashes) =>
  JSON.stringify({ event: "ask-entries", id, prefixes, start, hashes, columns: true })

/**
 * @param {number} id
 * @param {string[]} texts
 * @param {string | null} next
 * @param {number[]} missing
 * @param {string | null} columns
 */
export const entries = (id, texts, next, missing, columns) =>
  `{"event":"entries","id":${id},"entries":[${texts.join(",")}],"next":${JSON.stringify(next)},` +
  `"missing":[${missing.join(",")}]${columns === null ? "" : `,"columns":${columns}`}}`

/**
 * @param {number} id
 * @param {string[]} texts
 */
export const push = (id, texts) => `{"event":"push","id":${id},"entries":[${texts.join(",")}]}`

/**
 * Whether a message that is sent hands over entries.
 *
 * @param {string} text
 */
export const isPush = (text) => text.startsWith('{"event":"push"')

/**
 * @param {number} id
 * @param {string[]} buried
 */
export const taken = (id, buried) => `{"event":"taken","id":${id},"buried":[${buried.join(",")}]}`

/** @param {string[]} texts */
export const done = (texts) => `{"event":"done","held":[${texts.join(",")}]}`

// -- in -------------------------------------------------------------------------------------------

/** @typedef {(value: unknown) => boolean} Check */
/** @typedef {Record<string, [check: Check, missing?: unknown]>} Fields */

/**
 * @param {Check} check
 * @param {number} [most]
 * @param {number} [least]
 * @returns {Check}
 */
function listOf(check, most = Infinity, least = 0) {
  return (value) =>
    Array.isArray(value) &&
    value.length >= least &&
    value.length <= most &&
    value.every((item) => check(item))
}

/**
 * @param {number} most
 * @returns {Check}
 */
function digits(most) {
  return (value) => typeof value === "string" && value.length <= most && /^[0-9a-f]*$/.test(value)
}

const anything = () => true
const isPrefix = digits(HASH_DIGITS)
const hashes = listOf(isCount, MAX_HASHES)
const isVersion = listOf(isCount, 2, 2)

/** @type {Fields} */
const HELLO = {
  version: [isVersion],
  count: [isCount],
  sum: [isCount],
  floor_ms: [isCount, 0],
  known_ms: [(value) => value === null || isCount(value), null],
  gaps: [isGaps, []],
}
/** @type {Fields} */
const DONE = { held: [listOf(anything), []] }

/** @type {Map<unknown, Fields>} */
const REQUESTS = new Map([
  ["hello", HELLO],
  ["ask-sums", { id: [isCount], prefixes: [listOf(digits(HASH_DIGITS - 1), MAX_PREFIXES)] }],
  [
    "ask-entries",
    {
      id: [isCount],
      prefixes: [listOf(isPrefix, MAX_PREFIXES)],
      start: [isPrefix, ""],
      hashes: [hashes, []],
      columns: [(value) => typeof value === "boolean", false],
    },
  ],
  ["push", { id: [isCount], entries: [listOf(anything)] }],
  ["done", DONE],
])

/** @type {Map<unknown, Fields>} */
const ANSWERS = new Map([
  ["hello", HELLO],
  [
    "sums",
    { id: [isCount], sums: [listOf(listOf(isCount, 2 * FAN_OUT, 2 * FAN_OUT), MAX_PREFIXES)] },
  ],
  [
    "entries",
    {
      id: [isCount],
      entries: [listOf(anything)],
      next: [(value) => value === null || isPrefix(value), null],
      missing: [hashes, []],
      columns: [(value) => value === null || isColumns(value), null],
    },
  ],
  ["taken", { id: [isCount], buried: [listOf(anything), []] }],
  ["done", DONE],
])

/**
 * Checks what a newcomer sent.
 *
 * @param {unknown} message
 * @returns {Request}
 * @throws {RemoteProtocolError} it is no request
 * @throws {VersionMismatch} it is the hello of another major version
 */
export function decodeRequest(message) {
  return /** @type {Request} */ (decode(message, REQUESTS, "request"))
}

/**
 * Checks what a donor sent.
 *
 * @param {unknown} message
 * @returns {Answer}
 * @throws {RemoteProtocolError} it is no answer
 * @throws {VersionMismatch} it is the hello of another major version
 */
export function decodeAnswer(message) {
  return /** @type {Answer} */ (decode(message, ANSWERS, "answer"))
}

/**
 * @param {unknown} message
 * @param {Map<unknown, Fields>} known
 * @param {string} what
 */
function decode(message, known, what) {
  const fields = isObject(message) ? known.get(message.event) : undefined
  if (!isObject(message) || fields === undefined) {
    throw new RemoteProtocolError(`not a sync ${what}`)
  }
  /** @type {Record<string, unknown>} */
  const decoded = { event: message.event }
  // The hello of another major version may lack what this one needs: then that is the reason.
  if (fields === HELLO && isVersion(message.version)) checkVersion(message.version)
  for (const [name, [check, missing]] of Object.entries(fields)) {
    const value = Object.hasOwn(message, name) ? message[name] : missing
    if (!check(value)) throw new RemoteProtocolError(`not a sync ${what}: its ${name}`)
    decoded[name] = value
  }
  return decoded
}

/**
 * Refuses another major version.
 *
 * @param {any} version
 * @throws {VersionMismatch} the other side's major version is not ours
 */
function checkVersion([major, minor]) {
  if (major === VERSION[0]) return
  throw new VersionMismatch(
    `the other side speaks version ${major}.${minor} of the sync protocol, ` +
      `this one ${VERSION.join(".")}`,
  )
}
