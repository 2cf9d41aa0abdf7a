// What observers of a map are told.

/** @import { Entry } from "./entries.js" */
/** @import { Update } from "./lww.js" */
import { decode } from "./values.js"

/**
 * One change of a map.
 *
 * @typedef {object} Change
 * @property {string} key
 * @property {any} value what is there now; undefined if it was deleted
 * @property {any} oldValue what was there before; undefined if nothing was
 * @property {boolean} deleted whether this is a delete
 * @property {boolean} local whether this peer wrote it
 * @property {string} writer the id of the replica that wrote
 * @property {number} timeMs when it wrote, by the relay's time: milliseconds since 1970
 */

/**
 * The value of an entry; undefined, which is no value, if it has none.
 *
 * @param {Entry | undefined} entry
 * @returns {any}
 */
export function valueOf(entry) {
  return entry === undefined || entry.value === null ? undefined : decode(entry.value)
}

/**
 * What an update means for an observer.
 *
 * @param {Update} update
 * @param {boolean} local
 * @returns {Change}
 */
export function changeOf({ key, entry, old }, local) {
  return {
    key,
    value: valueOf(entry),
    oldValue: valueOf(old),
    deleted: entry.value === null,
    local,
    writer: entry.stamp.writer,
    timeMs: entry.stamp.ms,
  }
}
