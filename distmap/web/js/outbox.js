// What this peer wrote and the relay has not yet taken.
//
// A write stays here until the relay acknowledges the message that carried it, and is sent again
// after a reconnect. While there is no connection only the last write of a key is kept.
//
// The writes of a batch have one stamp, and stand one after the other. They are never cut into two
// messages, and share none with other writes.

/** @import { Stamp } from "./clock.js" */
/** @import { Entry, KeyedEntry } from "./entries.js" */
import { compareStamps } from "./clock.js"
import { encodeEntry, isBurial } from "./entries.js"
import { MESSAGE_CHARS } from "./frames.js"
import { Queue } from "./queue.js"
import { CHUNK_BYTES } from "./sync_wire.js"
import { utf8Length } from "./text.js"

/** What may be on its way to the relay without an acknowledgement. */
export const WINDOW_BYTES = 1024 * 1024

/**
 * A write that waits.
 *
 * @typedef {object} Waiting
 * @property {string} key
 * @property {Entry} entry what was written
 * @property {Stamp | undefined} base the stamp of what it replaced, or of what the first of several
 *   writes of the key that wait replaced; undefined if there was nothing
 */

/** @typedef {[key: string, stamp: Stamp]} Written */
/** @typedef {{ number: number, size: number, entries: KeyedEntry[] }} Sent */

/** The unacknowledged writes of one map. */
export class Outbox {
  /** @type {Map<string, Entry>} */
  #waiting = new Map()
  /** @type {Set<string>} */
  #unsent = new Set()
  /**
   * The stamp of what each waiting write replaced, when the first of them was made.
   *
   * @type {Map<string, Stamp | undefined>}
   */
  #base = new Map()
  /** @type {Queue<KeyedEntry>} */
  #queue = new Queue()
  /** @type {Queue<Sent>} */
  #sent = new Queue()
  #sentBytes = 0
  #number = 0
  isOnline = false

  get size() {
    return this.#waiting.size
  }

  /** @param {string} key */
  has(key) {
    return this.#waiting.has(key)
  }

  /**
   * What waits of a key, if anything does, and the stamp of what it replaced.
   *
   * @param {string} key
   * @returns {{ entry: Entry, base: Stamp | undefined } | undefined}
   */
  get(key) {
    const entry = this.#waiting.get(key)
    return entry && { entry, base: this.#base.get(key) }
  }

  /**
   * The keys whose last write no other peer can have seen, oldest write first.
   *
   * @returns {string[]}
   */
  get unsent() {
    return [...this.#waiting.keys()].filter((key) => this.#unsent.has(key))
  }

  /**
   * Takes a write.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {Stamp} [old] of what it replaced
   */
  add(key, entry, old) {
    if (!this.#waiting.delete(key)) this.#base.set(key, old)
    this.#waiting.set(key, entry)
    this.#unsent.add(key)
    if (!this.isOnline) return
    this.#queue.push([key, entry])
    if (this.#queue.length > 2 * this.#waiting.size + 1000) {
      this.#queue.reset([...this.#waiting].filter(([each]) => this.#unsent.has(each)))
    }
  }

  /**
   * Takes unsent writes with new stamps: with the old ones they are not sent any more.
   *
   * @param {KeyedEntry[]} writes
   */
  replace(writes) {
    const keys = new Set(writes.map(([key]) => key))
    this.#queue.reset([...this.#queue].filter(([key]) => !keys.has(key)))
    for (const [key, entry] of writes) this.add(key, entry)
  }

  /**
   * Takes writes out.
   *
   * @param {number | null} [belowMs] only those that nobody has seen and whose stamp is below a
   *   time; all if null
   * @returns {Waiting[]}
   */
  take(belowMs = null) {
    return this.#take(
      ([key, { stamp }]) => belowMs === null || (this.#unsent.has(key) && stamp.ms < belowMs),
    )
  }

  /**
   * Takes out those that were buried.
   *
   * @param {Map<string, Entry>} entries of the replica
   * @returns {Waiting[]}
   */
  takeBuried(entries) {
    return this.#take(([key, entry]) => isBurial(entries.get(key), entry))
  }

  /**
   * @param {(item: KeyedEntry) => boolean} isMeant
   * @returns {Waiting[]}
   */
  #take(isMeant) {
    /** @type {Waiting[]} */
    const writes = []
    for (const [key, entry] of [...this.#waiting].filter(isMeant)) {
      writes.push({ key, entry, base: this.#base.get(key) })
      for (const each of [this.#waiting, this.#base, this.#unsent]) each.delete(key)
    }
    const gone = new Set(writes.map(({ key }) => key))
    this.#queue.reset([...this.#queue].filter(([key]) => !gone.has(key)))
    return writes
  }

  /**
   * Whether a write has a stamp below a time.
   *
   * @param {number} ms
   */
  isOlder(ms) {
    for (const { stamp } of this.#waiting.values()) if (stamp.ms < ms) return true
    return false
  }

  /** A new stream is open to the relay: all that waits is to be sent. */
  goOnline() {
    this.goOffline()
    this.isOnline = true
    this.#number = 0
    this.#queue.reset([...this.#waiting])
  }

  /** The stream is gone: what was not acknowledged waits. */
  goOffline() {
    this.isOnline = false
    this.#queue.reset()
    this.#sent.reset()
    this.#sentBytes = 0
  }

  /** The next message to send; null if there is none, or too much is on its way. */
  nextMessage() {
    if (this.#queue.length === 0 || this.#sentBytes >= WINDOW_BYTES) return null
    /** @type {KeyedEntry[]} */
    const entries = []
    const texts = []
    let size = 0
    const isBatch = this.#beginsBatch()
    for (let item = this.#queue.first; item !== undefined; item = this.#queue.first) {
      if (isBatch) {
        if (entries.length && !isOneBatch(item, entries[0])) break
      } else if (size >= CHUNK_BYTES || this.#beginsBatch()) {
        break
      }
      this.#queue.shift()
      const [key, entry] = item
      const text = encodeEntry(key, entry)
      entries.push(item)
      texts.push(text)
      size += utf8Length(text)
      if (this.#waiting.get(key) === entry) this.#unsent.delete(key)
    }
    this.#number++
    this.#sent.push({ number: this.#number, size, entries })
    this.#sentBytes += size
    return encodeEntries(texts)
  }

  #beginsBatch() {
    const { first, second } = this.#queue
    return first !== undefined && second !== undefined && isOneBatch(first, second)
  }

  /** A message that carries no writes of this peer was sent: the relay counts it too. */
  countOther() {
    this.#number++
  }

  /**
   * The relay has taken the first messages of this stream.
   *
   * @param {number} number how many
   * @returns {Written[]} the key and stamp of each write that is now with the relay
   */
  acknowledge(number) {
    /** @type {Written[]} */
    const taken = []
    for (let sent = this.#sent.first; sent && sent.number <= number; sent = this.#sent.first) {
      this.#sent.shift()
      this.#sentBytes -= sent.size
      for (const [key, entry] of sent.entries) {
        if (this.#waiting.get(key) === entry) {
          this.#waiting.delete(key)
          this.#base.delete(key)
        }
        taken.push([key, entry.stamp])
      }
    }
    return taken
  }
}

/**
 * Whether two writes are of one batch.
 *
 * @param {KeyedEntry} one
 * @param {KeyedEntry} other
 */
function isOneBatch([, one], [, other]) {
  return compareStamps(one.stamp, other.stamp) === 0
}

/**
 * The channel messages of some encoded entries, each of about MESSAGE_CHARS.
 *
 * @param {string[]} texts
 * @returns {Generator<string, void>}
 */
export function* encodeMessages(texts) {
  let part = []
  let size = 0
  for (const text of texts) {
    part.push(text)
    size += text.length
    if (size < MESSAGE_CHARS) continue
    yield encodeEntries(part)
    part = []
    size = 0
  }
  if (part.length) yield encodeEntries(part)
}

/**
 * The channel message of some encoded entries: the entry itself if it is only one.
 *
 * @param {string[]} texts
 */
export function encodeEntries(texts) {
  return texts.length === 1 ? texts[0] : `{"event":"entries","entries":[${texts.join(",")}]}`
}
