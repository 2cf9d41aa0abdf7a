// Makes two replicas equal: a conversation between a newcomer and a donor, as messages in and out.
//
// The newcomer leads. It compares the sums of ever smaller ranges, and in the ranges that differ it
// takes what the donor has and hands over what the donor lacks; an empty side is filled in chunks.
// The donor (sync_donor.js) keeps nothing between two requests. At most WINDOW requests are under
// way.
//
// See Meyer, "Range-Based Set Reconciliation" (2023).

/** @import { Entry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Item, Summary } from "./ranges.js" */
/** @import { Reply } from "./sync_donor.js" */
/** @import { Answer, Done, Hello } from "./sync_wire.js" */
import { HASH_DIGITS } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { Handover } from "./handover.js"
import { mergeAll, mergeAnswer, readSets } from "./merging.js"
import { DIGITS, digitsOf, isEqual } from "./ranges.js"
import {
  FRESH_MS,
  countRepaired,
  cut,
  encodeHello,
  heldTexts,
  holdAll,
  learnFrom,
  trusts,
} from "./sync_donor.js"
import * as wire from "./sync_wire.js"

export { Donor } from "./sync_donor.js"

export const WINDOW = 4
/**
 * A differing range of more entries (both sides together) is divided before it is compared.
 *
 * Dividing costs 16 sums, 330 bytes at most; comparing costs 17 bytes for each entry of this side.
 * So with few differences small ranges pay off, and with many the sums add little to the entries.
 */
export const SPLIT_ABOVE = 32
/** The same where over three quarters of the ranges differ: smaller ones would only cost time. */
export const SPLIT_DENSE_ABOVE = 64
/** Ranges are compared together up to about so many entries (both sides together). */
export const GATHER = 2048
/** Entries that a donor may send over twice what it said it has: nobody is kept busy for ever. */
export const SLACK = 10_000

/** @typedef {(answer: Answer) => Update[]} AnswerHandler */
/** @typedef {(floorMs: number, outdated: boolean) => boolean} Met */

/** The side that asks, and that has the whole union at the end. */
export class Newcomer {
  /** It began with nothing, so it compares nothing: the sums of what comes are made later. */
  blank
  /** The conversation is at its end: the two are equal. */
  done = false
  /** It has met the donor, and compares once goOn() is called. */
  waits = false
  /** How many entries one side lacked that it ought to have had. */
  repaired = 0
  /** What is unknown here and the donor has was not deleted. */
  trustsDonor = false
  #freshMs
  #met
  /** @type {Hello | null} the donor's */
  #hello = null
  #budget = 0
  /** @type {Map<number, AnswerHandler>} */
  #handlers = new Map()
  #finishing = false
  #nextId = 0
  // What is still to do.
  /** @type {string[]} ranges to divide */
  #toSplit = []
  /** @type {[prefix: string, count: number][]} ranges to compare, and how many entries are there */
  #toCompare = []
  /** @type {[prefixes: string[], start: string][]} a part is compared; where to go on */
  #begun = []
  #handover

  /**
   * @param {Replica} replica what it takes into and gives from
   * @param {Met} [met] is called with the donor's floor, and whether it has forgotten deletes that
   *   the replica may not know of, before anything is compared; tells whether that may begin
   */
  constructor(replica, met = () => true) {
    this.blank = replica.entries.size === 0
    this.replica = replica
    this.#handover = new Handover(replica, GATHER, (entry) => this.#countRepaired([entry]))
    this.#freshMs = replica.clock.nowMs() - FRESH_MS
    this.#met = met
  }

  /** The first message. */
  start() {
    return [encodeHello(this.replica, this.blank)]
  }

  /**
   * Takes a message of the donor.
   *
   * @param {unknown} message
   * @returns {Reply} what to send, and what changed here
   * @throws {RemoteProtocolError | VersionMismatch} the conversation cannot go on
   */
  receive(message) {
    const answer = wire.decodeAnswer(message)
    if (answer.event === "hello") {
      return [this.receiveHello(answer), []]
    } else if (answer.event === "done") {
      return [[], this.#receiveDone(answer)]
    } else {
      const handler = this.#handlers.get(answer.id)
      if (handler === undefined) throw new RemoteProtocolError("an answer to no question")
      this.#handlers.delete(answer.id)
      const updates = handler(answer)
      return [this.#ask(), updates]
    }
  }

  /**
   * The donor greets.
   *
   * @param {Hello} hello
   * @returns {string[]} what to send
   */
  receiveHello(hello) {
    if (this.#hello !== null) throw new RemoteProtocolError("a second hello")
    this.#hello = hello
    const { count, floor_ms: floorMs } = hello
    this.trustsDonor = trusts(this.replica, hello)
    const { knownMs } = this.replica
    const outdated = knownMs !== null && floorMs > knownMs
    this.waits = !this.#met(floorMs, outdated)
    if (!outdated) this.replica.adoptFloor(floorMs)
    this.#budget = 2 * count + SLACK
    return this.waits ? [] : this.goOn()
  }

  /** Begins to compare; returns what to send. */
  goOn() {
    const { count, sum } = /** @type {Hello} */ (this.#hello)
    this.waits = false
    const mine = this.blank ? /** @type {Summary} */ ([0, 0]) : this.replica.digest()
    this.judge("", mine, [count, sum], SPLIT_ABOVE)
    return this.#ask()
  }

  /**
   * @param {Done} done
   * @returns {Update[]}
   */
  #receiveDone({ held }) {
    const hello = this.#hello
    if (!this.#finishing || hello === null) {
      throw new RemoteProtocolError("the donor was done too early")
    }
    this.done = true
    const replica = this.replica
    learnFrom(replica, hello)
    return holdAll(replica, held)[0]
  }

  /**
   * Decides what to do about a range.
   *
   * @param {string} prefix
   * @param {Summary} mine
   * @param {Summary} theirs
   * @param {number} most a range of more entries than that is divided
   */
  judge(prefix, mine, theirs, most) {
    if (isEqual(mine, theirs)) return
    const count = mine[0] + theirs[0]
    const divisible = prefix.length < HASH_DIGITS
    if (theirs[0] === 0) {
      this.#handover.addRange(prefix)
    } else if (mine[0] === 0 && count > GATHER && divisible) {
      // In parts, so that several chunks can be under way.
      const part = Math.floor(count / DIGITS.length)
      for (const digit of DIGITS) this.#toCompare.push([prefix + digit, part])
    } else if (mine[0] && count > most && divisible) {
      this.#toSplit.push(prefix)
    } else {
      this.#toCompare.push([prefix, count])
    }
  }

  /** Sends as many requests as the window has room for. */
  #ask() {
    const out = []
    while (this.#handlers.size < WINDOW) {
      const request = this.#nextRequest()
      if (request === null) break
      out.push(request)
    }
    if (this.#handlers.size === 0 && !this.#finishing) {
      this.#finishing = true
      out.push(wire.done(heldTexts(this.replica)))
    }
    return out
  }

  #nextRequest() {
    // Dividing comes last, and deepest ranges first: that bounds how much is still to do.
    if (!this.#handover.isEmpty) return this.#push()
    const begun = this.#begun.pop()
    if (begun !== undefined) return this.#compare(...begun)
    if (this.#toCompare.length) return this.#compare(this.#gather(), "")
    if (this.#toSplit.length) return this.#askSums()
    return null
  }

  /**
   * Numbers a request, whose answer the handler takes.
   *
   * @param {AnswerHandler} handler
   */
  #expect(handler) {
    this.#handlers.set(++this.#nextId, handler)
    return this.#nextId
  }

  // -- dividing -----------------------------------------------------------------------------------

  #askSums() {
    const prefixes = this.#toSplit.splice(-wire.MAX_PREFIXES)
    const id = this.#expect((answer) => this.#receiveSums(prefixes, answer))
    return wire.askSums(id, prefixes)
  }

  /**
   * @param {string[]} prefixes
   * @param {Answer} answer
   * @returns {Update[]}
   */
  #receiveSums(prefixes, answer) {
    if (answer.event !== "sums" || answer.sums.length !== prefixes.length) {
      throw new RemoteProtocolError("not the sums that were asked for")
    }
    prefixes.forEach((prefix, at) => {
      const numbers = answer.sums[at]
      const mine = this.replica.tree.children(prefix)
      /** @type {Summary[]} */
      const theirs = mine.map((_, part) => [numbers[2 * part], numbers[2 * part + 1]])
      const differing = mine.filter((ours, part) => !isEqual(ours, theirs[part])).length
      const most = differing > (DIGITS.length * 3) / 4 ? SPLIT_DENSE_ABOVE : SPLIT_ABOVE
      mine.forEach((ours, part) => this.judge(prefix + DIGITS[part], ours, theirs[part], most))
    })
    return []
  }

  // -- comparing ----------------------------------------------------------------------------------

  /** Takes ranges that are compared together. */
  #gather() {
    const prefixes = []
    let count = 0
    while (this.#toCompare.length && count < GATHER && prefixes.length < wire.MAX_PREFIXES) {
      const [prefix, more] = this.#toCompare.splice(-1)[0]
      prefixes.push(prefix)
      count += more
    }
    return prefixes.sort()
  }

  /**
   * @param {string[]} prefixes
   * @param {string} start
   */
  #compare(prefixes, start) {
    /** @type {Map<number, Item>} */
    const own = new Map()
    for (const prefix of this.blank ? [] : prefixes) {
      for (const item of this.replica.tree.items(prefix, start)) own.set(item.hash, item)
    }
    const id = this.#expect((answer) => this.#receiveEntries(prefixes, start, own, answer))
    return wire.askEntries(id, prefixes, start, [...own.keys()])
  }

  /**
   * @param {string[]} prefixes
   * @param {string} start
   * @param {Map<number, Item>} own
   * @param {Answer} answer
   * @returns {Update[]}
   */
  #receiveEntries(prefixes, start, own, answer) {
    if (answer.event !== "entries") {
      throw new RemoteProtocolError("not the entries that were asked for")
    }
    const { columns, next: after } = answer
    const count = answer.entries.length + (columns?.keys.length ?? 0)
    if (after !== null && (after <= start || count === 0)) {
      throw new RemoteProtocolError("the donor does not get ahead")
    }
    this.#budget -= count
    if (this.#budget < 0) {
      throw new RemoteProtocolError("many more entries than the donor said it has")
    }
    const sets = readSets(this.replica, answer)
    // Now it is sound: nothing of a faulty answer may take effect.
    if (after !== null) {
      const rest = prefixes.filter((prefix) => prefix >= after.slice(0, prefix.length))
      if (rest.length) this.#begun.push([rest, after])
    }
    const lacked = [...new Set(answer.missing)].flatMap((hash) => own.get(hash) ?? [])
    const before = lacked.filter(({ place }) => after === null || digitsOf(place) < after)
    return this.take(sets, answer.entries, before)
  }

  /**
   * Takes what the donor has sent.
   *
   * @param {Map<string, Entry>} sets
   * @param {unknown[]} others
   * @param {Item[]} lacked what this side had there when it asked, and the donor has not
   * @returns {Update[]}
   */
  take(sets, others, lacked) {
    const hello = this.#hello
    const trusted = hello !== null && this.trustsDonor && trusts(this.replica, hello)
    const { burials } = this.#handover
    const updates = mergeAnswer(this.replica, sets, others, { trusted, burials })
    this.#countRepaired(updates.map(({ entry }) => entry))
    if (lacked.length === 0) return updates
    // What the donor lacks is its to have, unless what it sent has just replaced that.
    const replaced = new Set(updates.map(({ key }) => key))
    for (const { key } of lacked) if (!replaced.has(key)) this.#handover.add(key)
    return updates
  }

  // -- handing over -------------------------------------------------------------------------------

  #push() {
    const texts = cut(this.#handover.take())
    const id = this.#expect((answer) => this.#receiveTaken(answer))
    return wire.push(id, texts)
  }

  /**
   * @param {Answer} answer
   * @returns {Update[]}
   */
  #receiveTaken(answer) {
    if (answer.event !== "taken") {
      throw new RemoteProtocolError("entries were pushed, and not taken")
    }
    return mergeAll(this.replica, answer.buried)
  }

  /** @param {Entry[]} entries that one side lacked */
  #countRepaired(entries) {
    this.repaired += countRepaired(this.#freshMs, this.replica.retentionMs, entries)
  }
}
