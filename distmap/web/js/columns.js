// Many sets together, column by column: shorter than one by one, and quicker to read.

/** @import { Entry, KeyedEntry } from "./entries.js" */
import { checkWriter, isCount, isObject } from "./entries.js"
import { LocalError, RemoteProtocolError } from "./errors.js"
import { MAX_INTEGER, checkKey, encode } from "./values.js"

/**
 * What is counted for each entry beside its key and its value. It is more than a stamp mostly
 * takes, and bounds how many small entries a chunk has.
 */
export const ENTRY_BYTES = 48
/** In the columns of one message. A chunk has a third of that, but who sends may not keep to it. */
export const MAX_SETS = 4096

/**
 * Sets without extras. All but `since_ms` and `names` have one item for each set.
 *
 * @typedef {object} Columns
 * @property {string[]} keys no key comes twice
 * @property {unknown[]} values
 * @property {number} since_ms from here the milliseconds are counted
 * @property {number[]} ms of the stamps, less `since_ms`
 * @property {number[]} counters of the stamps
 * @property {string[]} names of the writers
 * @property {number[]} writers of the stamps, as places in `names`
 */

/**
 * Whether something has the form of columns.
 *
 * @param {unknown} wire
 * @returns {wire is Columns}
 */
export function isColumns(wire) {
  return (
    isObject(wire) &&
    isListOf(wire.keys, isString) &&
    isListOf(wire.values, () => true) &&
    isCount(wire.since_ms) &&
    isListOf(wire.ms, isCount) &&
    isListOf(wire.counters, isCount) &&
    isListOf(wire.names, isString) &&
    isListOf(wire.writers, isCount)
  )
}

/**
 * The JSON text of the columns of some sets without extras, each of another key.
 *
 * @param {readonly KeyedEntry[]} items
 */
export function encodeColumns(items) {
  /** @type {Map<string, number>} */
  const places = new Map()
  const keys = []
  const texts = []
  const ms = []
  const counters = []
  const writers = []
  const sinceMs = items.reduce((least, [, { stamp }]) => Math.min(least, stamp.ms), MAX_INTEGER)
  for (const [key, { stamp, value }] of items) {
    let place = places.get(stamp.writer)
    if (place === undefined) places.set(stamp.writer, (place = places.size))
    keys.push(key)
    texts.push(value)
    ms.push(stamp.ms - sinceMs)
    counters.push(stamp.counter)
    writers.push(place)
  }
  return (
    `{"keys":${JSON.stringify(keys)},"values":[${texts.join(",")}],"since_ms":${sinceMs},` +
    `"ms":[${ms.join(",")}],"counters":[${counters.join(",")}],` +
    `"names":${JSON.stringify([...places.keys()])},"writers":[${writers.join(",")}]}`
  )
}

/**
 * Checks columns.
 *
 * @param {Columns} columns
 * @param {number} maxValueBytes
 * @returns {[entries: Map<string, Entry>, refused: number]} the entries by key, and how many are left
 *   out because no map can hold them
 * @throws {RemoteProtocolError} the columns do not belong together
 */
export function readColumns(columns, maxValueBytes) {
  const { keys, values, since_ms: sinceMs, ms, counters, names, writers } = columns
  if ([values, ms, counters, writers].some(({ length }) => length !== keys.length)) {
    throw new RemoteProtocolError("columns of different lengths")
  }
  for (const name of names) checkWriter(name)
  /** @type {Map<string, Entry>} */
  const entries = new Map()
  const refused = []
  for (let at = 0; at < keys.length; at++) {
    const writer = names[writers[at]]
    if (writer === undefined) throw new RemoteProtocolError("a writer without a name")
    if (ms[at] > MAX_INTEGER - sinceMs) throw new RemoteProtocolError("a stamp is out of its bounds")
    /** @type {Entry} */
    const entry = {
      stamp: { ms: sinceMs + ms[at], counter: counters[at], writer },
      value: null,
      extras: null,
    }
    entries.set(keys[at], entry)
    try {
      checkKey(keys[at])
      entry.value = encode(values[at], maxValueBytes)
    } catch (error) {
      if (!(error instanceof LocalError)) throw error
      refused.push(keys[at])
    }
  }
  if (entries.size < keys.length) throw new RemoteProtocolError("a key comes twice in columns")
  for (const key of refused) entries.delete(key)
  return [entries, refused.length]
}

/**
 * @param {unknown} value
 * @param {(item: unknown) => boolean} check
 */
function isListOf(value, check) {
  return Array.isArray(value) && value.length <= MAX_SETS && value.every((item) => check(item))
}

/** @param {unknown} value */
function isString(value) {
  return typeof value === "string"
}
