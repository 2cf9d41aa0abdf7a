// How keys, values, sizes and ages are written for people.

const UNITS = ["B", "kB", "MB", "GB"]
const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** So many can be told from each other. */
const HUES = 15

// What would not be seen, or would make other text look like what it is not: controls, marks of
// direction, and the like. The joiner inside of emoji (U+200D) is none of them.
// A string, and perhaps the colon that makes it a name; a number; a word; or what stands between.
const TOKEN = /("(?:[^"\\]|\\.)*"?)(:)?|(-?\d[\d.eE+-]*)|(true|false|null)|[^"\dtfn-]+|./g
const UNSEEN = /(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/**
 * @param {number} bytes
 * @returns {string} such as `437 B` or `12.3 kB`
 */
export function size(bytes) {
  let unit = 0
  while (bytes >= 999.5 && unit < UNITS.length - 1) {
    bytes /= 1000
    unit++
  }
  return `${unit === 0 || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[unit]}`
}

/**
 * @param {number} ms
 * @returns {string} how long ago, such as `5 min`
 */
export function age(ms) {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 2) return "now"
  if (seconds < MINUTE) return `${seconds} s`
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`
  if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)} h`
  return `${Math.floor(seconds / DAY)} d`
}

/**
 * The text of a value on one line.
 *
 * @param {unknown} value
 */
export function line(value) {
  // A line break in JSON is never inside of a string.
  const text = JSON.stringify(value, null, 1).replace(/(?<=[[{])\n *|\n *(?=[\]}])/g, "")
  return escapeUnseen(text.replace(/\n */g, " "))
}

/**
 * The text of a value for an editor; it is JSON again.
 *
 * @param {unknown} value
 */
export function pretty(value) {
  return escapeUnseen(JSON.stringify(value, null, 2))
}

/** @param {string} json */
function escapeUnseen(json) {
  return json.replace(UNSEEN, (found) => (found === "\n" ? found : escapes(found)))
}

/** @param {string} text */
function escapes(text) {
  const units = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("")
}

/**
 * Parts of a key: text as it is, and what would not be seen, by its number.
 *
 * @param {string} text
 * @returns {{ text: string, unseen: boolean }[]}
 */
export function parts(text) {
  const found = []
  let end = 0
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index), unseen: false })
    const code = /** @type {number} */ (match[0].codePointAt(0))
    found.push({ text: `U+${code.toString(16).toUpperCase().padStart(4, "0")}`, unseen: true })
    end = match.index + match[0].length
  }
  if (end < text.length) found.push({ text: text.slice(end), unseen: false })
  return found
}

/**
 * A key in a sentence: short, and with nothing unseen.
 *
 * @param {string} key
 */
export function named(key) {
  const text = parts(shorten(key, 40))
    .map((part) => part.text)
    .join("")
  return `“${text}”`
}

/**
 * The beginning of a text; no pair of surrogates is divided.
 *
 * @param {string} text
 * @param {number} most how many UTF-16 units
 */
export function shorten(text, most) {
  if (text.length <= most) return text
  const end = /[\ud800-\udbff]/.test(text[most - 1]) ? most - 1 : most
  return text.slice(0, end) + "…"
}

/**
 * The parts of JSON text, for colours. The text may have been shortened.
 *
 * @param {string} json
 * @returns {{ text: string, kind: "name" | "text" | "number" | "word" | "mark" }[]}
 */
export function tokens(json) {
  const found = []
  for (const [text, string, colon, number, word] of json.matchAll(TOKEN)) {
    if (string !== undefined && colon) {
      found.push({ text: string, kind: "name" }, { text: colon, kind: "mark" })
    } else if (string !== undefined) found.push({ text, kind: "text" })
    else if (number) found.push({ text, kind: "number" })
    else found.push({ text, kind: word ? "word" : "mark" })
  }
  return /** @type {any} */ (found)
}

/**
 * A colour for a writer: the same in every page.
 *
 * @param {string} writer
 * @returns {number} a hue, in degrees
 */
export function hue(writer) {
  let sum = 0x811c9dc5
  for (let at = 0; at < writer.length; at++) {
    sum = Math.imul(sum ^ writer.charCodeAt(at), 0x01000193) // FNV-1a
  }
  return ((sum >>> 0) % HUES) * (360 / HUES)
}

/**
 * A word for a shell to take as it is.
 *
 * @param {string} text
 */
export function shellWord(text) {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * The part of an address after the `#` that opens a map.
 *
 * @param {string} uri
 */
export function hashOf(uri) {
  return "#" + encodeURIComponent(uri).replaceAll("%2F", "/").replaceAll("%3A", ":")
}

/**
 * The map that the part of an address after the `#` opens.
 *
 * @param {string} hash
 * @returns {string} empty if it names none
 */
export function uriOf(hash) {
  try {
    return decodeURIComponent(hash.slice(1))
  } catch {
    return hash.slice(1) // somebody wrote it by hand
  }
}
