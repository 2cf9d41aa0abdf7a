// The donor's side of a sync: it answers each request from its replica alone.
//
// Nothing is kept between two requests, so a newcomer can leave at any time and go on with another
// donor. See sync.js for the conversation.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { AskEntries, Done, Hello } from "./sync_wire.js" */
import { ENTRY_BYTES, encodeColumns } from "./columns.js"
import { encodeEntry } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { byStamp } from "./holding.js"
import { Burials, mergeAll } from "./merging.js"
import { digitsOf } from "./ranges.js"
import * as wire from "./sync_wire.js"
import { CHUNK_BYTES } from "./sync_wire.js"
import { utf8Length } from "./text.js"

/**
 * An entry younger than this may be on its way: that a side lacks it tells of no divergence. Nor does a
 * tombstone of which so little of the retention is left: one side may have forgotten it.
 */
export const FRESH_MS = 5000

/**
 * Messages to send, and what changed in the replica.
 *
 * @typedef {[messages: string[], updates: Update[]]} Reply
 */

/** The side that has the state. */
export class Donor {
  /** The conversation is at its end. */
  done = false
  /**
   * Entries from the future that the newcomer has just brought: for the others too.
   *
   * @type {string[]}
   */
  news = []
  #replica
  #reader
  /** @type {Hello | null} the newcomer's */
  #hello = null
  #trustsNewcomer = false

  /**
   * @param {Replica} replica what it gives from and takes into
   * @param {boolean} [reader] the newcomer may only read: nothing is taken of it
   */
  constructor(replica, reader = false) {
    this.#replica = replica
    this.#reader = reader
  }

  /**
   * Answers a message of the newcomer.
   *
   * @param {unknown} message
   * @returns {Reply} the answers, and what the newcomer brought that was news here: the caller
   *   tells it to the other peers before it sends the answers
   * @throws {RemoteProtocolError | VersionMismatch} the conversation cannot go on
   */
  receive(message) {
    const request = wire.decodeRequest(message)
    const replica = this.#replica
    this.news = []
    if (request.event === "hello") {
      this.#hello = request
      this.#trustsNewcomer = trusts(replica, request)
      return [[encodeHello(replica)], []]
    }
    if (this.#hello === null) throw new RemoteProtocolError("a sync begins with hello")
    switch (request.event) {
      case "push": {
        if (this.#reader) return [[wire.taken(request.id, [])], []]
        const burials = new Burials()
        // More may be forgotten meanwhile; and a floor that was taken over hides when that was.
        const trusted = this.#trustsNewcomer && trusts(replica, this.#hello)
        const updates = mergeAll(replica, request.entries, { trusted, burials })
        const buried = Array.from(burials.take(), (item) => encodeEntry(...item))
        return [[wire.taken(request.id, buried)], updates]
      }
      case "ask-sums": {
        const sums = request.prefixes.map((prefix) => replica.tree.children(prefix).flat())
        return [[wire.sums(request.id, sums)], []]
      }
      case "ask-entries":
        return [[this.#entries(request)], []]
      default:
        return this.#finish(request, this.#hello)
    }
  }

  /**
   * @param {Done} request
   * @param {Hello} hello
   * @returns {Reply}
   */
  #finish(request, hello) {
    this.done = true
    const replica = this.#replica
    if (this.#reader) return [[wire.done(heldTexts(replica))], []]
    learnFrom(replica, hello)
    const held = heldTexts(replica)
    const [updates, news] = holdAll(replica, request.held)
    this.news = news
    return [[wire.done(held)], updates]
  }

  /**
   * A chunk; what it takes to gather it is bounded by the chunk and the hashes asked with.
   *
   * @param {AskEntries} request
   */
  #entries({ id, prefixes, start, hashes, columns }) {
    const disordered = prefixes.some(
      (prefix, at) => at > 0 && (prefix <= prefixes[at - 1] || prefix.startsWith(prefixes[at - 1])),
    )
    if (disordered) throw new RemoteProtocolError("ranges out of order, or one within another")
    const unmet = new Set(hashes)
    /** @type {string[]} */
    const texts = []
    /** @type {KeyedEntry[]} */
    const sets = []
    const { tree, entries } = this.#replica
    /** @param {string | null} next */
    const answer = (next) =>
      wire.entries(id, texts, next, [...unmet], sets.length ? encodeColumns(sets) : null)
    let size = 0
    let last = -1
    for (const prefix of prefixes) {
      for (const { place, key, hash } of tree.items(prefix, start)) {
        // Keys of one position stay together, or the next chunk could begin where this one did.
        if (size >= CHUNK_BYTES && place !== last) return answer(digitsOf(place))
        last = place
        if (unmet.delete(hash)) continue
        const entry = /** @type {Entry} */ (entries.get(key))
        if (columns && entry.value !== null && entry.extras === null) {
          sets.push([key, entry])
          size += ENTRY_BYTES + utf8Length(JSON.stringify(key)) + utf8Length(entry.value)
        } else {
          const text = encodeEntry(key, entry)
          texts.push(text)
          size += utf8Length(text)
        }
      }
    }
    return answer(null)
  }
}

/**
 * The message that opens the conversation, from either side.
 *
 * @param {Replica} replica
 * @param {boolean} [blank] says that there is nothing
 */
export function encodeHello(replica, blank = false) {
  const { floorMs, knownMs, gaps } = replica
  return wire.hello(blank ? [0, 0] : replica.digest(), floorMs, knownMs, gaps)
}

/**
 * Whether a replica trusts the side that greeted: see Knowledge.trusts().
 *
 * @param {Replica} replica
 * @param {Hello} hello
 */
export function trusts(replica, { known_ms: knownMs, gaps }) {
  return replica.trusts(knownMs, gaps)
}

/**
 * How many of some entries that a side lacked tell that copies had diverged: those that are neither on
 * their way, from `freshMs` on, nor tombstones that one may have forgotten before the other.
 *
 * @param {number} freshMs
 * @param {number} retentionMs
 * @param {Entry[]} entries
 */
export function countRepaired(freshMs, retentionMs, entries) {
  return entries.filter(({ stamp, value }) => {
    const oldMs = value === null ? freshMs + 2 * FRESH_MS - retentionMs : 0
    return stamp.ms >= oldMs && stamp.ms < freshMs
  }).length
}

/**
 * At the end of a sync: takes over the floor, and what the other side knows.
 *
 * @param {Replica} replica
 * @param {Hello} hello
 */
export function learnFrom(replica, { floor_ms: floorMs, known_ms: knownMs, gaps }) {
  replica.adoptFloor(floorMs)
  replica.learn(knownMs, gaps)
}

/**
 * The entries that a replica holds back, those that are due first, up to a chunk.
 *
 * @param {Replica} replica
 */
export function heldTexts(replica) {
  return cut([...replica.held].sort(byStamp))
}

/**
 * Takes entries that the other side holds back.
 *
 * @param {Replica} replica
 * @param {unknown[]} entries
 * @returns {[updates: Update[], news: string[]]} what changed here, where their time has come; and
 *   the entries that are held here from now
 */
export function holdAll(replica, entries) {
  const before = new Set(Array.from(replica.held, ([, entry]) => entry))
  const updates = mergeAll(replica, entries)
  const news = [...replica.held].filter(([, entry]) => !before.has(entry))
  return [updates, news.map((item) => encodeEntry(...item))]
}

/**
 * Takes as many entries as fill a chunk, and encodes them.
 *
 * @param {Iterable<KeyedEntry>} items
 * @returns {string[]}
 */
export function cut(items) {
  const texts = []
  let size = 0
  for (const [key, entry] of items) {
    const text = encodeEntry(key, entry)
    texts.push(text)
    size += utf8Length(text)
    if (size >= CHUNK_BYTES) break
  }
  return texts
}
