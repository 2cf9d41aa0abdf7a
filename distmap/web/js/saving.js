// Brings a peer's state into the saved copy of its map.
//
// Two rules keep what is saved as true as a replica is. Only a peer that is in touch saves entries
// and the time when it was: so a tab that slept for months does not bring back what others have
// deleted and forgotten since. Until then it saves its own writes alone. And a write leaves the
// saved outbox only when its entry is saved.

/** @import { Stamp } from "./clock.js" */
/** @import { Journal, Notes } from "./journal.js" */
/** @import { Knowledge } from "./knowledge.js" */
/** @import { Peer } from "./peer.js" */
/** @import { Changed, Copy, Found } from "./store.js" */
import * as knowledge from "./knowledge.js"
import { Loading, STEP_CHARS, STEP_KEYS, parts } from "./loading.js"
import * as records from "./records.js"
import { sorted } from "./sorting.js"

export { STEP_CHARS, STEP_KEYS }

/** The saved copy of one map, as one program sees it. */
export class Saving {
  /** Records that could not be read. */
  damaged = 0
  #copy
  #peer
  #journal
  #turn
  /** @type {Map<string, Stamp>} of the writes in the saved outbox, as last read or saved here */
  #saved = new Map()
  /** The time of the last touch, as last read or saved here. */
  #syncedMs = 0
  /** The part of journal.absences that the copy has been told of. */
  #absences = 0

  /**
   * @param {Copy} copy
   * @param {Peer} peer
   * @param {Journal} journal of the peer's replica
   * @param {() => Promise<void>} [turn] waits for the next turn
   */
  constructor(copy, peer, journal, turn = () => Promise.resolve()) {
    this.#copy = copy
    this.#peer = peer
    this.#journal = journal
    this.#turn = turn
  }

  /** Reads everything, before the peer says anything to the relay. */
  async load() {
    const loading = new Loading(this.#copy, this.#peer, this.#journal)
    await loading.load()
    this.damaged = loading.damaged
    this.#syncedMs = loading.syncedMs
    this.#saved = loading.stamps
  }

  /** Saves what has changed up to now. */
  async save() {
    if (this.#knowsAll) await this.#saveAll()
    else await this.#saveWrites()
  }

  /** Not in touch: only what this program wrote. */
  async #saveWrites() {
    const { outbox } = this.#peer
    const { writes } = this.#journal
    // Also what was acknowledged meanwhile: it stays until its entry is saved.
    const isUnsaved = (/** @type {string} */ key) => outbox.has(key) || writes.get(key) !== undefined
    const keys = [...writes.keys()].filter(isUnsaved)
    if (keys.length === 0) return
    for (const step of this.#steps(keys)) {
      const before = new Map(step.map((key) => [key, outbox.get(key) ?? writes.get(key)]))
      for (const key of step) writes.delete(key)
      await this.#copy.update({ entries: [], outbox: step }, (found) => {
        for (const key of step) {
          if (!outbox.has(key) && !writes.has(key)) writes.set(key, undefined)
        }
        const waiting = new Map(step.map((key) => [key, outbox.get(key) ?? before.get(key)]))
        return { entries: [], outbox: this.#changeWrites(found, waiting) }
      })
    }
  }

  async #saveAll() {
    const { replica } = this.#peer
    /** @type {Batch} */
    const batch = {
      ...this.#journal.take(),
      floorMs: replica.floorMs,
      forgotMs: replica.forgotMs,
      gaps: replica.gaps,
      syncedMs: replica.syncedMs ?? 0,
    }
    const others = [...batch.changes.keys()].filter((key) => !batch.writes.has(key))
    // In their order, a store can put them together. Own writes come first, since somebody may wait.
    const keys = [...batch.writes.keys(), ...(await sorted(others, this.#turn))]
    if (keys.length === 0 && batch.syncedMs - this.#syncedMs < replica.stepMs) return
    let done = 0
    if (batch.absences === this.#absences || (await this.#purge(batch))) {
      for (const step of this.#steps(keys)) {
        const isLast = done + step.length === keys.length
        if (!(await this.#saveStep(batch, step, isLast))) break
        done += step.length
      }
    }
    if (done === keys.length) return
    this.#journal.putBack(keys.slice(done), batch)
    await this.#saveWrites()
  }

  /**
   * @param {Batch} batch
   * @param {string[]} keys
   * @param {boolean} isLast
   * @returns {Promise<boolean>} false if this peer must not save now
   */
  async #saveStep(batch, keys, isLast) {
    const { replica } = this.#peer
    const entries = keys.filter((key) => batch.changes.has(key))
    const writes = keys.filter((key) => batch.writes.has(key) && this.#isWaiting(key))
    let isSaved = false
    await this.#copy.update({ entries, outbox: writes }, (found) => {
      /** @type {Changed} */
      const changed = { entries: [], outbox: [] }
      const meta = records.decodeMeta(found.meta)
      // Of a later floor than this peer has heard of: it only seems to be in touch.
      isSaved = this.#isValid(batch) && meta.floorMs <= batch.syncedMs
      if (!isSaved) return changed
      // The floor goes ahead of the tombstones that are gone, the time behind all that was seen.
      const floorMs = Math.max(meta.floorMs, batch.floorMs)
      const forgotMs = Math.max(meta.forgotMs, batch.forgotMs)
      const isTrusted = knowledge.isTrusted(forgotMs, replica.knownMs, replica.gaps)
      const syncedMs = isLast ? Math.max(meta.syncedMs ?? 0, batch.syncedMs) : meta.syncedMs
      const isLater = syncedMs !== null && syncedMs - (meta.syncedMs ?? 0) >= replica.stepMs
      const left = knowledge.common(meta.gaps, meta.syncedMs ?? 0, batch.gaps, null)
      const gaps = isLast ? left.gaps : meta.gaps
      const isFilled = String(gaps) !== String(meta.gaps)
      if (floorMs > meta.floorMs || forgotMs > meta.forgotMs || isLater || isFilled) {
        // A newer version may have put more there.
        changed.meta = { ...Object(found.meta), floorMs, forgotMs, syncedMs, gaps }
      }
      this.#syncedMs = syncedMs ?? 0
      for (const key of entries) {
        const entry = replica.entries.get(key)
        const record = found.entries.get(key)
        if (record === undefined && entry && records.isForgotten(entry, isTrusted, floorMs)) {
          this.#journal.note(key)
          continue
        }
        const change = records.changeEntry(key, entry, batch.changes.get(key), record)
        if (change !== undefined) changed.entries.push([key, change])
      }
      const waiting = new Map(writes.map((key) => [key, this.#peer.outbox.get(key)]))
      changed.outbox = this.#changeWrites(found, waiting)
      return changed
    })
    return isSaved
  }

  /**
   * Whether a write waits, here or in the saved outbox.
   *
   * @param {string} key
   */
  #isWaiting(key) {
    return this.#peer.outbox.has(key) || this.#saved.has(key)
  }

  /**
   * @param {Found} found
   * @param {Map<string, records.SavedWrite | undefined>} writes what is to be there
   * @returns {[key: string, record: string | null][]}
   */
  #changeWrites(found, writes) {
    /** @type {[key: string, record: string | null][]} */
    const changed = []
    for (const [key, write] of writes) {
      const known = this.#saved.get(key)
      const change = records.changeWrite(key, write, known, found.outbox.get(key))
      if (change !== undefined) changed.push([key, change])
      if (write === undefined) this.#saved.delete(key)
      else if (change !== undefined) this.#saved.set(key, write.entry.stamp)
    }
    return changed
  }

  /**
   * This program was away for long: what others saved meanwhile, and it does not know, may be what was
   * deleted and forgotten.
   *
   * @param {Batch} batch
   * @returns {Promise<boolean>} false if this peer must not save now
   */
  async #purge(batch) {
    const { replica } = this.#peer
    for await (const part of parts(this.#copy, "entries")) {
      const keys = part.map(([key]) => key).filter((key) => !replica.entries.has(key))
      if (!this.#isValid(batch)) return false
      if (keys.length === 0) continue
      await this.#copy.update({ entries: keys, outbox: [] }, ({ entries }) => {
        const old = keys.filter((key) => {
          const entry = records.decodeRecord(key, entries.get(key))
          return this.#isValid(batch) && !(entry && entry.stamp.ms >= batch.floorMs)
        })
        return { entries: old.map((key) => [key, null]), outbox: [] }
      })
    }
    this.#absences = batch.absences
    return true
  }

  /** @param {Batch} batch */
  #isValid({ absences }) {
    return this.#knowsAll && this.#journal.absences === absences
  }

  /** In touch, and no writes are set aside any more: those are in the saved outbox alone. */
  get #knowsAll() {
    return this.#peer.replica.inTouch && !this.#peer.isBusy
  }

  /**
   * Divides keys by how much there is to write; one step, if there are none.
   *
   * @param {string[]} keys
   * @returns {Generator<string[], void>}
   */
  *#steps(keys) {
    /** @type {string[]} */
    let step = []
    let chars = 0
    for (const key of keys) {
      if (step.length >= STEP_KEYS || chars >= STEP_CHARS) {
        yield step
        step = []
        chars = 0
      }
      step.push(key)
      chars += key.length + (this.#peer.replica.entries.get(key)?.value?.length ?? 0)
    }
    yield step
  }
}

/**
 * What is saved together: notes of a journal, and how things were when they were taken.
 *
 * @typedef {Notes & Pick<Knowledge, "floorMs" | "forgotMs" | "gaps"> & { syncedMs: number }} Batch
 */
