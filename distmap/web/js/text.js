// What JavaScript's strings, which are UTF-16, need so that both languages see the same text.

// Older browsers have no isWellFormed(); with the flag u only a lone surrogate matches.
const LONE_SURROGATE = /\p{Surrogate}/u

/**
 * Whether UTF-8 can hold a string: it has no lone surrogate.
 *
 * @type {(text: string) => boolean}
 */
export const isWellFormed =
  "isWellFormed" in String.prototype
    ? (text) => text.isWellFormed()
    : (text) => !LONE_SURROGATE.test(text)

const encoder = new TextEncoder()
/** Of a longer text the bytes are counted by encoding it, so many units at a time. */
const PART_CHARS = 4096
const part = new Uint8Array(3 * (PART_CHARS + 1))

/**
 * How many bytes of UTF-8 a well-formed string has.
 *
 * @param {string} text
 */
export function utf8Length(text) {
  return text.length > PART_CHARS ? encodedLength(text) : countedLength(text)
}

/**
 * The platform's encoder is some ten times as fast as a loop; only with short texts its call counts.
 *
 * @param {string} text
 */
function encodedLength(text) {
  let bytes = 0
  for (let at = 0, end; at < text.length; at = end) {
    end = at + PART_CHARS
    if (isHighSurrogate(text.charCodeAt(end - 1))) end++ // the two halves of a pair stay together
    bytes += encoder.encodeInto(text.slice(at, end), part).written
  }
  return bytes
}

/** @param {string} text */
function countedLength(text) {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // Each half of a surrogate pair counts for two of the four bytes.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

/**
 * Whether a string has more bytes of UTF-8 than a limit; counts them only if that is in doubt.
 *
 * @param {string} text
 * @param {number} limit
 */
export function isOver(text, limit) {
  return text.length > limit || (3 * text.length > limit && utf8Length(text) > limit)
}

/**
 * The JSON text of what JSON.parse() made, or null: it goes deeper into a text than
 * JSON.stringify() goes into a value.
 *
 * @param {unknown} value
 * @param {(name: string, value: unknown) => unknown} [replacer] that of JSON.stringify()
 * @returns {string | null}
 */
export function stringify(value, replacer) {
  try {
    return JSON.stringify(value, replacer)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/**
 * Compares two strings in the order of their UTF-8, that is, of their code points.
 *
 * @param {string} a
 * @param {string} b
 * @returns {number} less than, equal to or greater than 0
 */
export function compareUtf8(a, b) {
  const length = Math.min(a.length, b.length)
  let at = 0
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  if (at === length) return a.length - b.length
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)]
  // A surrogate stands for a code point that is greater than all that one unit can tell.
  return rank(x) - rank(y)
}

/** @param {number} unit */
function isHighSurrogate(unit) {
  return unit >= 0xd800 && unit <= 0xdbff
}

/** @param {number} unit */
function rank(unit) {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
