// The donor's side of a sync: it answers each request from its replica alone.
//
// Nothing is kept between two requests, so a newcomer can leave at any time and go on with another
// donor. See sync.js for the conversation.

/** @import { KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { AskEntries } from "./sync_wire.js" */
import { decodeEntry, encodeEntry } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { byStamp } from "./holding.js"
import * as wire from "./sync_wire.js"
import { CHUNK_BYTES } from "./sync_wire.js"
import { utf8Length } from "./text.js"

/**
 * Messages to send, and what changed in the replica.
 *
 * @typedef {[messages: string[], updates: Update[]]} Reply
 */

/**
 * Merges entries from another peer; one that no map can hold is left out, the rest is taken.
 *
 * @param {Replica} replica
 * @param {Iterable<unknown>} entries
 * @param {boolean} [trusted] see Replica.merge()
 * @returns {Update[]}
 */
export function mergeAll(replica, entries, trusted = false) {
  const updates = []
  for (const each of entries) {
    try {
      const [key, entry] = decodeEntry(each, replica.maxValueBytes)
      const update = replica.merge(key, entry, trusted)
      if (update !== null) updates.push(update)
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      replica.refused++
    }
  }
  return updates
}

/** The side that has the state. */
export class Donor {
  greeted = false
  done = false
  #replica
  #trusted = false

  /** @param {Replica} replica what it gives from and takes into */
  constructor(replica) {
    this.#replica = replica
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
    if (request.event === "hello") {
      wire.checkVersion(request.version)
      this.greeted = true
      // It has forgotten at least the same tombstones: what it has was not deleted.
      this.#trusted = request.floor_ms >= replica.floorMs
      return [[encodeHello(replica)], []]
    }
    if (!this.greeted) throw new RemoteProtocolError("a sync begins with hello")
    switch (request.event) {
      case "push": {
        const updates = mergeAll(replica, request.entries, this.#trusted)
        return [[wire.taken(request.id)], updates]
      }
      case "ask-sums": {
        const sums = request.prefixes.map((prefix) => replica.tree.children(prefix).flat())
        return [[wire.sums(request.id, sums)], []]
      }
      case "ask-entries":
        return [[this.#entries(request)], []]
      default:
        this.done = true
        return [[wire.done(cut([...replica.held].sort(byStamp)))], []]
    }
  }

  /**
   * A chunk; what it takes to gather it is bounded by the chunk and the hashes asked with.
   *
   * @param {AskEntries} request
   */
  #entries({ id, prefixes, start, hashes }) {
    const disordered = prefixes.some(
      (prefix, at) => at > 0 && (prefix <= prefixes[at - 1] || prefix.startsWith(prefixes[at - 1])),
    )
    if (disordered) throw new RemoteProtocolError("ranges out of order, or one within another")
    const unmet = new Set(hashes)
    /** @type {string[]} */
    const texts = []
    let size = 0
    let last = ""
    for (const prefix of prefixes) {
      for (const { path, key, hash } of this.#replica.tree.items(prefix, start)) {
        // Keys of one position stay together, or the next chunk could begin where this one did.
        if (size >= CHUNK_BYTES && path !== last) return wire.entries(id, texts, path, [...unmet])
        last = path
        if (unmet.delete(hash)) continue
        const entry = this.#replica.entries.get(key)
        const text = encodeEntry(key, /** @type {NonNullable<typeof entry>} */ (entry))
        texts.push(text)
        size += utf8Length(text)
      }
    }
    return wire.entries(id, texts, null, [...unmet])
  }
}

/**
 * The message that opens the conversation, from either side.
 *
 * @param {Replica} replica
 * @param {boolean} [blank] says that there is nothing
 */
export function encodeHello(replica, blank = false) {
  return wire.hello(blank ? [0, 0] : replica.digest(), replica.floorMs)
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
