// Puts right what a clock that was far ahead has stamped, and what it has let in.
//
// What nobody has seen is stamped anew. What was sent, others hold back until its time: so does this
// peer, and writes it once more with a good stamp. What others wrote is held back as well; what that
// had replaced is fetched from them.
//
// All of it takes as many steps as there are entries to look at. Until it is over nothing is sent and
// nothing compared, and what is written is stamped anew too.

/** @import { Entry, KeyedEntry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Outbox, Waiting } from "./outbox.js" */
/** @import { Port } from "./port.js" */
import { Restamper } from "./clock.js"
import { byStamp } from "./holding.js"

/** Entries that are looked at in one step. */
const STEP_ENTRIES = 1000
/** Entries that are held in one step: for each, all that are held are looked at. */
const STEP_HELD = 100

/** The corrections of one peer. */
export class Correction {
  /** One has begun and is not over. */
  isOn = false
  /** What others have is to be fetched, once it is over. */
  toFetch = false
  #replica
  #outbox
  #port
  #writers
  /** @type {Iterator<void>} */
  #steps = [][Symbol.iterator]()

  /**
   * @param {Replica} replica its entries
   * @param {Outbox} outbox its writes that wait
   * @param {Port} port where to act
   * @param {Set<string>} writers the ids that its own writes are stamped with
   */
  constructor(replica, outbox, port, writers) {
    this.#replica = replica
    this.#outbox = outbox
    this.#port = port
    this.#writers = writers
  }

  /** The clock was set back; one that is under way begins again. */
  begin() {
    this.isOn = this.#replica.clock.isCorrecting = true
    this.#steps = this.#run()
  }

  /**
   * Takes a step.
   *
   * @returns {boolean} whether nothing is left to do
   */
  work() {
    if (this.isOn && this.#steps.next().done) {
      this.isOn = this.#replica.clock.isCorrecting = false
    }
    return !this.isOn
  }

  /**
   * This peer wrote a key: if that replaced an entry from the future, others hold it back.
   *
   * @param {Update} update
   */
  wrote({ key, old }) {
    if (!this.isOn || old === undefined || this.#outbox.isUnsent(key, old)) return
    if (this.#replica.clock.isAhead(old.stamp)) this.#replica.held.add(key, old)
  }

  // -- step by step -------------------------------------------------------------------------------

  *#run() {
    const { clock, entries } = this.#replica
    /** @type {KeyedEntry[][]} of each step, by stamp at its end */
    const ahead = [[]]
    let looked = 0
    // What is written here is later than all that is not from the future.
    for (const [key, entry] of entries) {
      if (looked > 0 && looked % STEP_ENTRIES === 0) {
        ahead.at(-1)?.sort(byStamp)
        ahead.push([])
        yield* this.#pause()
      }
      looked++
      const now = entries.get(key) ?? entry // the pause may have been long
      if (!clock.isAhead(now.stamp)) clock.observe(now.stamp)
      else if (!this.#outbox.isUnsent(key, now)) ahead.at(-1)?.push([key, now])
    }
    ahead.at(-1)?.sort(byStamp)
    yield* this.#stampAnew()
    yield* this.#hold(ahead)
  }

  *#pause() {
    this.toFetch = true // what comes meanwhile may lose to what is from the future
    yield
  }

  *#stampAnew() {
    const { clock, entries } = this.#replica
    const stamps = new Restamper(clock)
    this.#outbox.beginSweep()
    while (this.#outbox.isSweeping) {
      /** @type {Waiting[]} */
      const writes = []
      this.#outbox.sweep(STEP_ENTRIES, (write) => {
        // Another peer, whose clock is as wrong, may have overwritten it.
        if (!write.isSeen && this.#isOwn(entries.get(write.key))) writes.push(write)
        return true
      })
      const keys = writes.map(({ key }) => key)
      const updates = this.#replica.restamp(keys, stamps)
      updates.forEach(({ entry }, at) => (writes[at].entry = entry))
      this.#port.restamped(updates)
      if (this.#outbox.isSweeping) yield* this.#pause()
    }
  }

  /** @param {KeyedEntry[][]} ahead */
  *#hold(ahead) {
    const stamps = new Restamper(this.#replica.clock)
    /** @type {KeyedEntry[]} */
    let items = []
    // By stamp: in the order they were written, those of a batch together.
    for (const item of merged(ahead)) {
      if (items.length >= STEP_HELD && byStamp(item, items[items.length - 1]) !== 0) {
        this.#holdSome(items, stamps)
        items = []
        yield* this.#pause()
      }
      items.push(item)
    }
    this.#holdSome(items, stamps)
  }

  /**
   * @param {KeyedEntry[]} items
   * @param {Restamper} stamps
   */
  #holdSome(items, stamps) {
    /** @type {Update[]} */
    const gone = []
    for (const [key, entry] of items) {
      if (this.#replica.entries.get(key) !== entry) continue // stamped anew just now, or written over
      this.toFetch = true
      this.#replica.hold(key)
      if (this.#isOwn(entry)) {
        const update = this.#replica.rewrite(key, entry.value, stamps.anew(entry.stamp))
        this.#outbox.add(key, update.entry)
        this.#port.restamped([update])
      } else {
        gone.push({ key, entry: { ...entry, value: null }, old: entry })
      }
    }
    if (gone.length) this.#port.updated(gone)
  }

  /** @param {Entry | undefined} entry */
  #isOwn(entry) {
    return entry !== undefined && this.#writers.has(entry.stamp.writer)
  }
}

/**
 * Many lists as one, each of them in the order of its stamps; no further than is asked for.
 *
 * @param {KeyedEntry[][]} lists
 * @returns {Generator<KeyedEntry, void>}
 */
function* merged(lists) {
  if (lists.length < 2) return yield* lists[0] ?? []
  const ones = merged(lists.slice(0, lists.length >> 1))
  const others = merged(lists.slice(lists.length >> 1))
  let one = ones.next()
  let other = others.next()
  while (!one.done || !other.done) {
    if (other.done || (!one.done && byStamp(one.value, other.value) <= 0)) {
      yield /** @type {KeyedEntry} */ (one.value)
      one = ones.next()
    } else {
      yield other.value
      other = others.next()
    }
  }
}
