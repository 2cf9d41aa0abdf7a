// The donor's side of a sync: it answers each request from its replica alone.
//
// Nothing is kept between two requests, so a newcomer can leave at any time and go on with another
// donor. See sync.js for the conversation.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { AskEntries, Done, Entries } from "./sync_wire.js" */
import { ENTRY_BYTES, encodeColumns, readColumns } from "./columns.js"
import { decodeEntry, encodeEntry } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { byStamp } from "./holding.js"
import { Queue } from "./queue.js"
import * as wire from "./sync_wire.js"
import { CHUNK_BYTES } from "./sync_wire.js"
import { utf8Length } from "./text.js"

/**
 * Messages to send, and what changed in the replica.
 *
 * @typedef {[messages: string[], updates: Update[]]} Reply
 */

/** Tombstones for entries that another peer has and that were deleted long ago. */
export class Burials {
  /** @type {Queue<KeyedEntry>} */
  #entries = new Queue()

  get size() {
    return this.#entries.length
  }

  /**
   * Of the same stamp: it is forgotten wherever the delete is.
   *
   * @param {string} key
   * @param {Entry} entry
   */
  add(key, { stamp }) {
    this.#entries.push([key, { stamp, value: null, extras: null }])
  }

  /**
   * Hands them out.
   *
   * @returns {Generator<KeyedEntry, void>}
   */
  *take() {
    for (let item = this.#entries.shift(); item; item = this.#entries.shift()) yield item
  }
}

/**
 * Merges entries from another peer; one that no map can hold is left out, the rest is taken.
 *
 * @param {Replica} replica takes them
 * @param {Iterable<unknown>} entries
 * @param {object} [how]
 * @param {boolean} [how.trusted] that of Replica.merge()
 * @param {boolean} [how.cautious] that of Replica.merge()
 * @param {Burials} [how.burials] takes what the floor forbids
 * @returns {Update[]}
 */
export function mergeAll(replica, entries, how) {
  const items = []
  for (const each of entries) {
    try {
      items.push(decodeEntry(each, replica.maxValueBytes))
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      replica.refused++
    }
  }
  return merge(replica, items, how)
}

/**
 * Merges what a donor answered.
 *
 * @param {Replica} replica
 * @param {Entries} answer
 * @param {{ trusted: boolean, burials: Burials }} how that of mergeAll()
 * @returns {Update[]}
 * @throws {RemoteProtocolError} its columns do not belong together; nothing is merged then
 */
export function mergeAnswer(replica, { columns, entries }, how) {
  /** @type {Update[]} */
  let updates = []
  if (columns !== null) {
    const [items, refused] = readColumns(columns, replica.maxValueBytes)
    replica.refused += refused
    updates = merge(replica, items, how)
  }
  return updates.concat(mergeAll(replica, entries, how))
}

/**
 * @param {Replica} replica
 * @param {KeyedEntry[]} items
 * @param {{ trusted?: boolean, cautious?: boolean, burials?: Burials }} [how]
 */
function merge(replica, items, { trusted = false, cautious = false, burials } = {}) {
  const how = { trusted, cautious }
  const updates = []
  for (const [key, entry] of items) {
    const update = replica.merge(key, entry, how)
    if (update !== null) updates.push(update)
    else if (!trusted && replica.forbids(key, entry)) burials?.add(key, entry)
  }
  return updates
}

/** The side that has the state. */
export class Donor {
  greeted = false
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
  #floorMs = 0
  /** @type {number | null} */
  #knownMs = null

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
      this.greeted = true
      this.#floorMs = request.floor_ms
      this.#knownMs = request.known_ms
      return [[encodeHello(replica)], []]
    }
    if (!this.greeted) throw new RemoteProtocolError("a sync begins with hello")
    switch (request.event) {
      case "push": {
        if (this.#reader) return [[wire.taken(request.id, [])], []]
        const burials = new Burials()
        const trusted = replica.trusts(this.#knownMs) // the floor may have risen meanwhile
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
        return this.#finish(request)
    }
  }

  /**
   * @param {Done} request
   * @returns {Reply}
   */
  #finish(request) {
    this.done = true
    const replica = this.#replica
    if (this.#reader) return [[wire.done(heldTexts(replica))], []]
    replica.adoptFloor(this.#floorMs)
    replica.knownMs = latestKnownMs(replica.knownMs, this.#knownMs)
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
    /** @param {string | null} next */
    const answer = (next) =>
      wire.entries(id, texts, next, [...unmet], sets.length ? encodeColumns(sets) : null)
    let size = 0
    let last = ""
    for (const prefix of prefixes) {
      for (const { path, key, hash } of this.#replica.tree.items(prefix, start)) {
        // Keys of one position stay together, or the next chunk could begin where this one did.
        if (size >= CHUNK_BYTES && path !== last) return answer(path)
        last = path
        if (unmet.delete(hash)) continue
        const entry = /** @type {Entry} */ (this.#replica.entries.get(key))
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
  return wire.hello(blank ? [0, 0] : replica.digest(), replica.floorMs, replica.knownMs)
}

/**
 * Until when a union of two replicas knows of all deletes; null: of all so far.
 *
 * @param {number | null} one
 * @param {number | null} other
 */
export function latestKnownMs(one, other) {
  return one === null || other === null ? null : Math.max(one, other)
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
