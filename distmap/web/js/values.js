// The rules of keys and values, and the one text that each value has.
//
// A value is JSON: null, booleans, finite numbers, strings, arrays and plain objects. Its text is
// canonical (RFC 8785, the JSON Canonicalization Scheme): no white space, names sorted by UTF-16
// code units, numbers as ECMAScript writes them. So the same value has the same bytes, and the same
// hash, in Python and in JavaScript.

import { InvalidKey, InvalidType, InvalidValue } from "./errors.js"
import { isOver, isWellFormed, utf8Length } from "./text.js"

export const MAX_KEY_BYTES = 1024
export const MAX_VALUE_BYTES = 256 * 1024
export const MAX_DEPTH = 32
export const MAX_INTEGER = Number.MAX_SAFE_INTEGER
// From here on ECMAScript writes an integral number with an exponent, so it reads as no integer.
const EXPONENT_FROM = 1e21
// One half of a surrogate pair may be written as an escape, and the check of the text misses it.
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/

/**
 * Returns the key if a map can hold it.
 *
 * @param {unknown} key
 * @returns {string}
 * @throws {InvalidType} it is not a string
 * @throws {InvalidKey} it is empty, over 1 KiB of UTF-8, or has a lone surrogate
 */
export function checkKey(key) {
  if (typeof key !== "string") throw new InvalidType(`a key is a string, not ${nameOf(key)}`)
  if (key === "") throw new InvalidKey("a key cannot be empty")
  if (!isWellFormed(key)) throw new InvalidKey("a key cannot have a lone surrogate")
  if (isOver(key, MAX_KEY_BYTES)) {
    throw new InvalidKey(`a key is ${MAX_KEY_BYTES} bytes at most, not ${utf8Length(key)}`)
  }
  return key
}

/**
 * Checks a value and returns its canonical JSON text.
 *
 * @param {unknown} value
 * @param {number} [maxBytes] the longest text allowed
 * @returns {string}
 * @throws {InvalidType} JSON has no such type; that is also said of undefined in an object
 * @throws {InvalidValue} a number is not finite or out of range, a string has a lone surrogate, the
 *   value is more than 32 deep, or its text is over maxBytes
 */
export function encode(value, maxBytes = MAX_VALUE_BYTES) {
  const text = write(value, 0)
  if (isOver(text, maxBytes)) {
    throw new InvalidValue(`a value is ${maxBytes} bytes at most, not ${utf8Length(text)}`)
  }
  return text
}

/**
 * Checks JSON text and returns the canonical text of its value.
 *
 * @param {string} text
 * @param {number} [maxBytes] the longest text allowed
 * @returns {string}
 * @throws {InvalidType | InvalidValue} as encode(); InvalidValue also if it is no JSON
 */
export function canonical(text, maxBytes = MAX_VALUE_BYTES) {
  if (isOver(text, 2 * maxBytes)) throw new InvalidValue(`a value is ${maxBytes} bytes at most`)
  return encode(parse(text), maxBytes)
}

/**
 * Decodes JSON text, and refuses lone surrogates, of which JSON.parse() makes nothing.
 *
 * @param {string} text
 * @returns {unknown}
 * @throws {InvalidValue} it is no JSON
 */
export function parse(text) {
  try {
    if (!isWellFormed(text)) throw new InvalidValue("a lone surrogate")
    return SURROGATE_ESCAPE.test(text) ? JSON.parse(text, checkWellFormed) : JSON.parse(text)
  } catch (error) {
    throw new InvalidValue(`a value is not JSON: ${/** @type {Error} */ (error).message}`)
  }
}

/**
 * The value of a canonical text; a new object at each call.
 *
 * @param {string} text
 * @returns {any}
 */
export function decode(text) {
  return JSON.parse(text)
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function checkWellFormed(name, value) {
  if (!isWellFormed(name) || (typeof value === "string" && !isWellFormed(value))) {
    throw new InvalidValue("a lone surrogate")
  }
  return value
}

/**
 * Reads each part of a value once, so that what is checked is what is written.
 *
 * @param {unknown} value
 * @param {number} depth
 * @returns {string}
 */
function write(value, depth) {
  if (typeof value === "string") return writeString(value)
  if (typeof value === "number") return writeNumber(value)
  if (value === null || typeof value === "boolean") return String(value)
  if (typeof value !== "object") throw new InvalidType(`JSON has no ${nameOf(value)}`)
  if (depth === MAX_DEPTH) throw new InvalidValue(`a value is ${MAX_DEPTH} levels deep at most`)
  if (Array.isArray(value)) return writeArray(value, depth + 1)
  if (isPlain(value)) return writeObject(/** @type {Record<string, unknown>} */ (value), depth + 1)
  throw new InvalidType(`JSON has no ${nameOf(value)}`)
}

/** @param {string} value */
function writeString(value) {
  if (!isWellFormed(value)) throw new InvalidValue("a value cannot have a lone surrogate")
  return JSON.stringify(value)
}

/** @param {number} value */
function writeNumber(value) {
  if (!Number.isFinite(value)) throw new InvalidValue("a number is finite")
  const size = Math.abs(value)
  if (size > MAX_INTEGER && size < EXPONENT_FROM) {
    throw new InvalidValue("an integer is within +-(2**53 - 1)")
  }
  return String(value)
}

/**
 * @param {readonly unknown[]} value
 * @param {number} depth
 */
function writeArray(value, depth) {
  let text = "["
  for (let at = 0; at < value.length; at++) text += (at ? "," : "") + write(value[at], depth)
  return text + "]"
}

/**
 * @param {Record<string, unknown>} value
 * @param {number} depth
 */
function writeObject(value, depth) {
  let text = "{"
  for (const name of Object.keys(value).sort()) {
    text += (text.length > 1 ? "," : "") + writeString(name) + ":" + write(value[name], depth)
  }
  return text + "}"
}

/**
 * Whether an object is no instance of anything; those of other windows have another Object.
 *
 * @param {object} value
 */
function isPlain(value) {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** @param {unknown} value */
function nameOf(value) {
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value
  return Object.getPrototypeOf(value)?.constructor?.name || "object"
}
