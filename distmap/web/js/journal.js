// What has changed in a replica and its outbox since they were last saved.

/** @import { Entry } from "./entries.js" */
/** @import { SavedWrite } from "./records.js" */
import { wins } from "./entries.js"

/**
 * The keys to save. What is saved of a key is what is there when it is saved; of what was there
 * before only this is remembered: an entry that is gone, or made way for an older one, and that is
 * therefore not to be kept although it is the greatest.
 *
 * @typedef {Map<string, Entry | undefined>} Changes
 */

/**
 * @typedef {object} Notes
 * @property {Changes} changes
 * @property {Map<string, SavedWrite | undefined>} writes keys of which something has come into the
 *   outbox, or left it; and what came, if it is not saved yet
 * @property {number} absences how often others had forgotten deletes meanwhile: what is saved may
 *   then have entries that were deleted, and that are unknown here
 */

/**
 * Takes notes for one replica.
 *
 * @implements {Notes}
 */
export class Journal {
  /** @type {Changes} */
  changes = new Map()
  /** @type {Map<string, SavedWrite | undefined>} */
  writes = new Map()
  absences = 0
  #wake

  /** @param {() => void} wake is called at each note */
  constructor(wake) {
    this.#wake = wake
  }

  /**
   * The entry of a key is another.
   *
   * @param {string} key
   * @param {Entry | undefined} old what was there
   * @param {Entry} [entry] what is there
   */
  changed(key, old, entry) {
    const isOlder = old !== undefined && (entry === undefined || wins(key, old, entry))
    this.note(key, isOlder ? old : undefined)
    this.#wake()
  }

  /**
   * A key is to be saved.
   *
   * @param {string} key
   * @param {Entry} [gone]
   */
  note(key, gone) {
    const before = this.changes.get(key)
    if (gone === undefined || (before !== undefined && wins(key, before, gone))) gone = before
    this.changes.set(key, gone)
  }

  /** Others have forgotten deletes that this replica may not know of. */
  outdated() {
    this.absences++
    this.#wake()
  }

  /**
   * This program wrote a key, or wrote it once more, or gave that up.
   *
   * @param {string} key
   * @param {SavedWrite} [write] what waits for the relay now
   */
  wrote(key, write) {
    this.writes.set(key, write)
    this.#wake()
  }

  /**
   * The relay has a write of this program. That need not be so of anybody else: it is saved even so.
   *
   * @param {string} key
   */
  taken(key) {
    if (!this.writes.has(key)) this.writes.set(key, undefined)
    this.#wake()
  }

  /**
   * What is there of a key was read from where it is saved.
   *
   * @param {string} key
   */
  isSaved(key) {
    this.changes.delete(key)
  }

  /**
   * Hands the notes over.
   *
   * @returns {Notes}
   */
  take() {
    const { changes, writes, absences } = this
    this.changes = new Map()
    this.writes = new Map()
    return { changes, writes, absences }
  }

  /**
   * Takes notes back of some keys that could not be saved.
   *
   * @param {string[]} keys
   * @param {Notes} notes
   */
  putBack(keys, { changes, writes }) {
    for (const key of keys) {
      if (changes.has(key)) this.note(key, changes.get(key))
      if (writes.has(key)) this.writes.set(key, this.writes.get(key) ?? writes.get(key))
    }
  }
}
