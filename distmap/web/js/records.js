// What is saved of a map, as records; and how a program brings its own state into what is saved,
// where other programs, such as other tabs of a page, save theirs.
//
// What is saved is one more replica: an entry there stays until a greater one comes. A record of an
// entry is the text that it has on the wire. A record of the outbox is a write that the relay has
// not taken, and the stamp of what it replaced.

/** @import { Stamp } from "./clock.js" */
/** @import { Entry } from "./entries.js" */
/** @import { Gap } from "./knowledge.js" */
import { compareStamps } from "./clock.js"
import { decodeEntry, decodeStamp, encodeEntry, isCount, isObject, isSame, wins } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { isGaps } from "./knowledge.js"

/**
 * What is known of a saved copy as a whole.
 *
 * @typedef {object} Meta
 * @property {number} floorMs as in a replica: tombstones below it may be gone
 * @property {number} forgotMs as in a replica: until when they may have become known to the others
 * @property {number | null} syncedMs the copy has all that the network had at that time of the
 *   relay; null if it was never in touch
 * @property {Gap[]} gaps as in a replica: of what was deleted then it may not have heard
 */

/**
 * A write that the relay has not taken, and the stamp of what it replaced.
 *
 * @typedef {{ entry: Entry, base: Stamp | undefined }} SavedWrite
 */

/**
 * What becomes of a record: its new text; or null: it goes; or undefined: it stays.
 *
 * @typedef {string | null | undefined} Change
 */

/** @param {unknown} record */
export function decodeMeta(record) {
  const { floorMs, forgotMs, syncedMs, gaps } = isObject(record) ? record : {}
  return /** @type {Meta} */ ({
    floorMs: isCount(floorMs) ? floorMs : 0,
    forgotMs: isCount(forgotMs) ? forgotMs : 0,
    syncedMs: isCount(syncedMs) ? syncedMs : null,
    gaps: isGaps(gaps) ? gaps : [],
  })
}

/**
 * Reads the record of an entry.
 *
 * @param {string} key
 * @param {unknown} record
 * @param {number} [maxValueBytes]
 * @returns {Entry | undefined} undefined if it is damaged
 */
export function decodeRecord(key, record, maxValueBytes = Infinity) {
  return orUndefined(() => entryOf(key, JSON.parse(String(record)), maxValueBytes))
}

/**
 * Writes the record of a write.
 *
 * @param {string} key
 * @param {SavedWrite} write
 */
export function encodeWrite(key, { entry, base }) {
  const stamp = base === undefined ? null : [base.ms, base.counter, base.writer]
  return `{"base":${JSON.stringify(stamp)},"entry":${encodeEntry(key, entry)}}`
}

/**
 * Reads the record of a write.
 *
 * @param {string} key
 * @param {unknown} record
 * @param {number} [maxValueBytes]
 * @returns {SavedWrite | undefined} undefined if it is damaged
 */
export function decodeWrite(key, record, maxValueBytes = Infinity) {
  return orUndefined(() => {
    const { entry, base } = JSON.parse(String(record))
    const stamp = base === null ? undefined : decodeStamp(base)
    return { entry: entryOf(key, entry, maxValueBytes), base: stamp }
  })
}

/**
 * @param {string} key
 * @param {unknown} wire
 * @param {number} maxValueBytes
 */
function entryOf(key, wire, maxValueBytes) {
  const [found, entry] = decodeEntry(wire, maxValueBytes)
  if (found !== key) throw new RemoteProtocolError("the entry of another key")
  return entry
}

/**
 * @template T
 * @param {() => T} decode
 */
function orUndefined(decode) {
  try {
    return decode()
  } catch (error) {
    const isDamage = [SyntaxError, TypeError, RemoteProtocolError].some((E) => error instanceof E)
    if (isDamage) return undefined
    throw error
  }
}

// -- bringing one's own state in ------------------------------------------------------------------

/**
 * What becomes of the record of an entry.
 *
 * @param {string} key
 * @param {Entry | undefined} entry what is there now
 * @param {Entry | undefined} gone see Changes in journal.js
 * @param {string | undefined} record what is saved
 * @returns {Change}
 */
export function changeEntry(key, entry, gone, record) {
  const saved = record === undefined ? undefined : decodeRecord(key, record)
  if (saved === undefined) return entry && encodeEntry(key, entry)
  const isGone = gone !== undefined && !wins(key, saved, gone)
  if (entry === undefined) return isGone ? null : undefined
  if (isSame(entry, saved)) return undefined
  return isGone || wins(key, entry, saved) ? encodeEntry(key, entry) : undefined
}

/**
 * What becomes of the record of a write. Another tab may have put one of its own there; a later one
 * stays, since only that could win.
 *
 * @param {string} key
 * @param {SavedWrite | undefined} write what waits here
 * @param {Stamp | undefined} known of what was last saved from here, or read
 * @param {string | undefined} record what is saved
 * @returns {Change}
 */
export function changeWrite(key, write, known, record) {
  const saved = record === undefined ? undefined : decodeWrite(key, record)?.entry
  if (saved === undefined) return write && encodeWrite(key, write)
  const isKnown = known !== undefined && compareStamps(saved.stamp, known) === 0
  if (write === undefined) return isKnown ? null : undefined
  return isKnown || wins(key, write.entry, saved) ? encodeWrite(key, write) : undefined
}

/**
 * Whether an entry of which nothing is saved must not be: a delete of it may be forgotten there,
 * and is not known here.
 *
 * @param {Entry} entry
 * @param {boolean} isTrusted whether this program knows of the deletes that are forgotten there
 * @param {number} floorMs of what is saved
 */
export function isForgotten({ stamp, value }, isTrusted, floorMs) {
  return stamp.ms < floorMs && (value === null || !isTrusted)
}
