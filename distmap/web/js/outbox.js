// What this peer wrote and the relay has not yet taken.
//
// A write stays here until the relay acknowledges the message that carried it, and is sent again
// after a reconnect. While there is no connection only the last write of a key is kept.
//
// The writes of a batch have one stamp, and stand one after the other. They are never cut into two
// messages, and share none with other writes.
//
// Nothing here goes through all that waits at once: what has to look at all of it makes a sweep, in
// as many steps as it likes.

/** @import { Stamp } from "./clock.js" */
/** @import { Entry } from "./entries.js" */
import { encodeEntries } from "./channel_wire.js"
import { compareStamps } from "./clock.js"
import { encodeEntry } from "./entries.js"
import { Queue } from "./queue.js"
import { CHUNK_BYTES } from "./sync_wire.js"
import { utf8Length } from "./text.js"

/** What may be on its way to the relay without an acknowledgement. */
export const WINDOW_BYTES = 1024 * 1024
/** Writes that were written over and may still be in the queue. */
const SPARE = 1000
const TIDY_STEPS = 8

/**
 * A write that waits.
 *
 * @typedef {object} Waiting
 * @property {string} key
 * @property {Entry} entry what was written
 * @property {Stamp | undefined} base the stamp of what it replaced, or of what the first of several
 *   writes of the key that wait replaced; undefined if there was nothing
 * @property {number} session if it is written over, it is still sent in this session, and in no
 *   later one
 * @property {boolean} isSeen it was sent, so another peer may have it
 */

/** @typedef {[key: string, stamp: Stamp]} Written */
/** @typedef {{ number: number, size: number, writes: Waiting[] }} Sent */

/** The unacknowledged writes of one map. */
export class Outbox {
  /** @type {Map<string, Waiting>} the last write of each key */
  #waiting = new Map()
  /**
   * What is to be sent, oldest first; in two parts, so that a sweep need not move all of it: what
   * the sweep has seen comes to the end of the front.
   *
   * @type {Queue<Waiting>}
   */
  #front = new Queue()
  /** @type {Queue<Waiting>} */
  #back = new Queue()
  #toSweep = 0
  /** @type {Queue<Sent>} */
  #sent = new Queue()
  #sentBytes = 0
  #number = 0
  #session = 0
  /** What was sent up to this message stands in the queue again. */
  #requeued = 0
  /** How many sweeps were begun. */
  sweeps = 0
  /** A stream is open to the relay. */
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
   * @returns {Waiting | undefined}
   */
  get(key) {
    return this.#waiting.get(key)
  }

  /** The keys whose last write no other peer can have seen, oldest write first. */
  get unsent() {
    return Array.from(this.#unsentWrites(), ({ key }) => key)
  }

  *#unsentWrites() {
    for (const queue of [this.#front, this.#back]) {
      for (const write of queue) if (!write.isSeen && this.#isLast(write)) yield write
    }
  }

  /** @param {Waiting} write */
  #isLast(write) {
    return this.#waiting.get(write.key) === write
  }

  /**
   * Takes a write.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {Stamp} [old] of what it replaced
   */
  add(key, entry, old) {
    const before = this.#waiting.get(key)
    const base = before === undefined ? old : before.base
    const write = { key, entry, base, session: this.#session, isSeen: false }
    this.#waiting.set(key, write)
    this.#back.push(write)
    if (before !== undefined && !this.isSweeping) this.#tidy()
  }

  /**
   * If much was written over, lets go of some of it: a little at each write, so that no write takes
   * long.
   */
  #tidy() {
    if (this.#front.length + this.#back.length <= this.#waiting.size + SPARE) return
    for (let step = 0; step < TIDY_STEPS; step++) {
      if (this.#back.length === 0) [this.#front, this.#back] = [this.#back, this.#front]
      const write = this.#back.shift()
      if (write !== undefined && this.#isLast(write)) this.#front.push(write)
    }
  }

  /**
   * Whether an entry is a write that waits and that no other peer can have seen.
   *
   * @param {string} key
   * @param {Entry} entry
   */
  isUnsent(key, entry) {
    const write = this.#waiting.get(key)
    return write !== undefined && write.entry === entry && !write.isSeen
  }

  /**
   * Takes a write before all others, unless its key was written since it was taken out.
   *
   * @param {Waiting} write
   */
  putBack(write) {
    if (this.#waiting.has(write.key)) return
    write.isSeen = false
    this.#waiting.set(write.key, write)
    this.#front.unshift([write])
  }

  /**
   * Whether a write has a stamp below a time.
   *
   * @param {number} ms
   */
  isOlder(ms) {
    // What was sent comes first; the others wait in the order of their stamps.
    for (const queue of [this.#front, this.#back]) {
      for (const write of queue) {
        if (!this.#isLast(write)) continue
        if (write.entry.stamp.ms < ms) return true
        if (!write.isSeen) return false
      }
    }
    return false
  }

  // -- sweeps -------------------------------------------------------------------------------------

  /** Whether a sweep has begun and not ended; nothing is sent meanwhile. */
  get isSweeping() {
    return this.#toSweep > 0
  }

  /**
   * Goes through all writes that wait, oldest first: see sweep(). A sweep that is under way ends.
   *
   * @param {object} [which]
   * @param {boolean} [which.sent] also those that were sent, and that the relay has not acknowledged
   * @returns {number} the number of this sweep
   */
  beginSweep({ sent = false } = {}) {
    this.sweeps++
    if (this.#front.length > this.#back.length) {
      for (const write of this.#back) this.#front.push(write)
      this.#back = this.#front
    } else {
      this.#back.unshift([...this.#front])
    }
    this.#front = new Queue()
    if (sent) this.#putSentBefore(this.#back)
    this.#session++ // what was written over is not sent any more
    this.#toSweep = this.#back.length
    return this.sweeps
  }

  /**
   * Goes on with a sweep; what comes meanwhile is not a part of it.
   *
   * @param {number} most how many writes at most; a batch goes as a whole
   * @param {(write: Waiting) => boolean} keep is called with each write; if it returns false the
   *   outbox lets go of it
   */
  sweep(most, keep) {
    /** @type {Waiting | undefined} */
    let write
    for (; this.isSweeping && (most > 0 || areTogether(write, this.#back.first)); most--) {
      this.#toSweep--
      write = this.#back.shift()
      if (write === undefined || !this.#isLast(write)) continue
      if (keep(write)) this.#front.push(write)
      else this.#waiting.delete(write.key)
    }
  }

  /** Ends a sweep early: what it has not come to goes on waiting. */
  endSweep() {
    this.#toSweep = 0
  }

  // -- the stream ---------------------------------------------------------------------------------

  /** A new stream is open to the relay: all that waits is to be sent. */
  goOnline() {
    this.goOffline()
    this.isOnline = true
    this.#session++
    this.#number = this.#requeued = 0
  }

  /** The stream is gone: what was not acknowledged waits. */
  goOffline() {
    this.isOnline = false
    this.#putSentBefore(this.#front)
    this.#sent.reset()
    this.#sentBytes = 0
  }

  /** @param {Queue<Waiting>} queue */
  #putSentBefore(queue) {
    const sent = [...this.#sent].filter(({ number }) => number > this.#requeued)
    const writes = sent.flatMap((each) => each.writes)
    queue.unshift(writes.filter((write) => this.#isLast(write)))
    this.#requeued = this.#number
  }

  /** The next message to send; null if there is none, or too much is on its way. */
  nextMessage() {
    if (!this.isOnline || this.isSweeping || this.#sentBytes >= WINDOW_BYTES) return null
    /** @type {Waiting[]} */
    const writes = []
    const texts = []
    let size = 0
    let first = this.#shift()
    let second = this.#shift()
    const isBatch = areTogether(first, second)
    while (first !== undefined) {
      const text = encodeEntry(first.key, first.entry)
      writes.push(first)
      texts.push(text)
      size += utf8Length(text)
      first.isSeen = true
      const last = first
      first = second
      second = this.#shift()
      if (isBatch ? !areTogether(last, first) : size >= CHUNK_BYTES || areTogether(first, second)) {
        break
      }
    }
    this.#front.unshift([first, second].filter((write) => write !== undefined))
    if (writes.length === 0) return null
    this.#number++
    this.#sent.push({ number: this.#number, size, writes })
    this.#sentBytes += size
    return encodeEntries(texts)
  }

  /** Takes the next write to send out of the queue. */
  #shift() {
    for (;;) {
      const write = this.#front.shift() ?? this.#back.shift()
      if (write === undefined || write.session === this.#session || this.#isLast(write)) return write
    }
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
      for (const write of sent.writes) {
        if (this.#isLast(write)) this.#waiting.delete(write.key)
        taken.push([write.key, write.entry.stamp])
      }
    }
    return taken
  }
}

/**
 * Whether two writes are of one batch.
 *
 * @param {Waiting | undefined} one
 * @param {Waiting | undefined} other
 */
export function areTogether(one, other) {
  if (one === undefined || other === undefined) return false
  return compareStamps(one.entry.stamp, other.entry.stamp) === 0
}
