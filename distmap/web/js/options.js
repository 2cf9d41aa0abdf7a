// What a map is made with: checked, and completed.

/** @import { Store } from "./store.js" */
import { InvalidType, InvalidValue } from "./errors.js"
import { IndexedDbStore } from "./store.js"
import { isOver, isWellFormed } from "./text.js"

export const DEFAULT_URI = "/distributed-map"
export const MAX_URI_BYTES = 900
/** The bound of maxValueBytes: a message of such an entry still fits a frame. */
export const LARGEST_VALUE_BYTES = 512 * 1024

const WRITER_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const WRITER_LENGTH = 12

/**
 * Refuses what is no URI of a map.
 *
 * @param {unknown} uri
 */
export function checkUri(uri) {
  if (typeof uri !== "string") throw new InvalidType("a URI is a string")
  if (uri === "" || !isWellFormed(uri) || isOver(uri, MAX_URI_BYTES)) {
    throw new InvalidValue(`a URI is 1 to ${MAX_URI_BYTES} bytes`)
  }
}

/**
 * Refuses a bound that is out of its own bounds.
 *
 * @param {number} maxValueBytes
 */
export function checkMaxValueBytes(maxValueBytes) {
  if (!(maxValueBytes > 0 && maxValueBytes <= LARGEST_VALUE_BYTES)) {
    throw new InvalidValue(`maxValueBytes is 1 to ${LARGEST_VALUE_BYTES}`)
  }
}

/**
 * Where a copy of a map is kept.
 *
 * @param {unknown} persist
 * @returns {Store | null} null if nowhere
 */
export function storeOf(persist) {
  if (typeof persist === "boolean") return persist ? new IndexedDbStore() : null
  const store = /** @type {Store | null} */ (persist)
  if (typeof store?.open === "function" && typeof store.erase === "function") return store
  throw new InvalidType("persist is true, false or a store")
}

/**
 * The id of a new replica.
 *
 * @param {() => number} random gives a number from 0 to 1
 */
export function newWriter(random) {
  const digit = () => WRITER_DIGITS[Math.floor(random() * WRITER_DIGITS.length)]
  return Array.from({ length: WRITER_LENGTH }, digit).join("")
}
