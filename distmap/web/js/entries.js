// One entry of a map: a value or a tombstone, its stamp, and how it looks on the wire.
//
// On the wire an entry is an object: {"event":"set","key":…,"value":…,"stamp":[ms,counter,writer]}
// or {"event":"delete","key":…,"stamp":…}. Fields that this version does not know are its extras:
// kept, hashed and passed on.

/** @import { Stamp } from "./clock.js" */
import { compareStamps } from "./clock.js"
import { LocalError, RemoteProtocolError } from "./errors.js"
import { sha256 } from "./sha256.js"
import { compareUtf8 } from "./text.js"
import { MAX_VALUE_BYTES, checkKey, encode } from "./values.js"

/** Hashes and their sums fit the integers of JavaScript, also while two are added. */
export const HASH_BITS = 52
export const HASH_DIGITS = HASH_BITS / 4
export const MAX_EXTRAS_BYTES = 4096

const KNOWN_NAMES = new Set(["event", "key", "value", "stamp"])
const WRITER = /^[A-Za-z0-9_-]{1,32}$/

/**
 * A value or a tombstone, and its stamp.
 *
 * @typedef {object} Entry
 * @property {Stamp} stamp when and by whom it was written
 * @property {string | null} value canonical JSON text; null in a tombstone
 * @property {string | null} extras canonical JSON text of an object with the fields that this
 *   version does not know
 */

/** @typedef {[key: string, entry: Entry]} KeyedEntry */

/**
 * The first 52 bits of SHA-256.
 *
 * @param {string} text
 */
export function hash52(text) {
  const words = sha256(text)
  return (words[0] >>> 0) * 2 ** 20 + (words[1] >>> 12)
}

/**
 * Where a key stands among all possible hashes of keys.
 *
 * @param {string} key
 */
export function position(key) {
  return hash52(key)
}

/**
 * The hash of a whole entry; equal in all replicas and both languages.
 *
 * It is of the text ["set",key,[ms,counter,writer],value] or ["delete",key,[…]], followed by the
 * extras if there are any.
 *
 * @param {string} key
 * @param {Entry} entry
 */
export function entryHash(key, entry) {
  return hash52(content(key, entry))
}

/**
 * Whether one entry of a key replaces another: the later stamp; at the same stamp a tombstone, or
 * else the greater hash.
 *
 * @param {string} key
 * @param {Entry} entry
 * @param {Entry | undefined} old
 */
export function wins(key, entry, old) {
  if (old === undefined) return true
  const order = compareStamps(entry.stamp, old.stamp)
  if (order !== 0) return order > 0
  if (entry.value === old.value && entry.extras === old.extras) return false
  if ((entry.value === null) !== (old.value === null)) return entry.value === null
  const first = content(key, entry)
  const second = content(key, old)
  return (hash52(first) - hash52(second) || compareUtf8(first, second)) > 0
}

/**
 * Whether an entry is the tombstone that others have put in the place of a value because it may have
 * been deleted long ago.
 *
 * @param {Entry | undefined} entry
 * @param {Entry} of
 */
export function isBurial(entry, of) {
  if (entry === undefined || entry.value !== null || of.value === null) return false
  return compareStamps(entry.stamp, of.stamp) === 0
}

/**
 * Whether two entries of a key are the same.
 *
 * @param {Entry | undefined} a
 * @param {Entry | undefined} b
 */
export function isSame(a, b) {
  if (a === undefined || b === undefined) return a === b
  return a.value === b.value && a.extras === b.extras && compareStamps(a.stamp, b.stamp) === 0
}

/**
 * @param {string} key
 * @param {Entry} entry
 */
function content(key, { stamp: { ms, counter, writer }, value, extras }) {
  const parts = `${JSON.stringify(key)},[${ms},${counter},"${writer}"]`
  const more = extras === null ? "" : "," + extras
  return value === null ? `["delete",${parts}${more}]` : `["set",${parts},${value}${more}]`
}

// -- the wire -------------------------------------------------------------------------------------

/**
 * The JSON text of an entry on the wire.
 *
 * @param {string} key
 * @param {Entry} entry
 */
export function encodeEntry(key, { stamp: { ms, counter, writer }, value, extras }) {
  const more = extras === null ? "" : "," + extras.slice(1, -1)
  const tail = `"stamp":[${ms},${counter},"${writer}"]${more}}`
  const name = JSON.stringify(key)
  if (value === null) return `{"event":"delete","key":${name},${tail}`
  return `{"event":"set","key":${name},"value":${value},${tail}`
}

/**
 * Checks an entry that came from another peer.
 *
 * @param {unknown} wire what JSON.parse() made of it
 * @param {number} [maxValueBytes]
 * @returns {KeyedEntry}
 * @throws {RemoteProtocolError} it is malformed, or no map can hold it
 */
export function decodeEntry(wire, maxValueBytes = MAX_VALUE_BYTES) {
  if (!isObject(wire)) throw new RemoteProtocolError("an entry is an object")
  const hasValue = Object.hasOwn(wire, "value")
  if (hasValue ? wire.event !== "set" : wire.event !== "delete") {
    throw new RemoteProtocolError("an entry is a set with a value or a delete without")
  }
  try {
    const key = checkKey(wire.key)
    const value = hasValue ? encode(wire.value, maxValueBytes) : null
    return [key, { stamp: decodeStamp(wire.stamp), value, extras: decodeExtras(wire) }]
  } catch (error) {
    if (error instanceof LocalError) throw new RemoteProtocolError(error.message)
    throw error
  }
}

/**
 * Checks a stamp.
 *
 * @param {unknown} wire
 * @returns {Stamp}
 * @throws {RemoteProtocolError} it is malformed
 */
export function decodeStamp(wire) {
  if (!Array.isArray(wire) || wire.length !== 3) throw new RemoteProtocolError("no stamp")
  const [ms, counter, writer] = wire
  if (!isCount(ms) || !isCount(counter)) {
    throw new RemoteProtocolError("the numbers of a stamp are integers from 0 to 2**53 - 1")
  }
  return { ms, counter, writer: checkWriter(writer) }
}

/**
 * A writer's name.
 *
 * @param {unknown} name
 * @returns {string}
 * @throws {RemoteProtocolError} no writer has such a name
 */
export function checkWriter(name) {
  if (typeof name === "string" && WRITER.test(name)) return name
  throw new RemoteProtocolError("a writer is 1 to 32 of A-Z a-z 0-9 _ -")
}

/** @param {Record<string, unknown>} wire */
function decodeExtras(wire) {
  /** @type {Record<string, unknown> | null} */
  let extras = null
  for (const name of Object.keys(wire)) {
    if (KNOWN_NAMES.has(name)) continue
    extras ??= Object.create(null)
    // @ts-expect-error it is not null here; in an object without prototype __proto__ is a name too
    extras[name] = wire[name]
  }
  return extras === null ? null : encode(extras, MAX_EXTRAS_BYTES)
}

/**
 * Whether something is an object of JSON.
 *
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/**
 * Whether something is an integer that the wire can carry: not negative, and exact.
 *
 * @param {unknown} value
 * @returns {value is number}
 */
export function isCount(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0
}
