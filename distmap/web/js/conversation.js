// What both sides of a sync have in common: the stream, the time-out, and one message a turn.

/** @import { StreamError } from "./errors.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
/** @import { MuxStream } from "./states.js" */
/** @import { Newcomer } from "./sync.js" */
/** @import { Refusing, Serving, Syncing } from "./syncing.js" */
import { LimitExceeded, LocalProtocolError, RemoteError } from "./errors.js"
import { Queue } from "./queue.js"
import { utf8Length } from "./text.js"

/** A donor that says nothing for so long is replaced; a newcomer likewise is left. */
export const STALL_SECONDS = 10
export const PATIENCE_SECONDS = 60
/** After the patience a conversation ends if fewer bytes a second get through, on the average. */
export const LEAST_RATE_BYTES = 1000
/**
 * Messages that wait for their turn; who keeps to the window has no more than 5 under way.
 */
export const MAX_INBOX = 16
/** Keys that are hashed in one turn before a sync begins. */
export const FOLD_KEYS = 1000
/** What the relay says when both ends are joined. */
export const OPEN = "[stream-server]:open"

/**
 * What the two sides of a sync need of their map.
 *
 * @typedef {object} Party
 * @property {string} uri
 * @property {Replica} replica
 * @property {Scheduler} scheduler
 * @property {boolean} isBusy whether something takes several turns that has to be over before anything
 *   is compared
 * @property {() => Newcomer} newConversation this peer's part as a newcomer
 * @property {(updates: Update[]) => void} merged the donor's entries took their place
 * @property {(updates: Update[]) => void} learned the newcomer's did: they are news to the others
 *   too
 * @property {(texts: string[]) => void} told the newcomer brought entries from the future: they are
 *   news to the others too
 * @property {(syncing: Syncing) => void} syncDone this newcomer has everything
 * @property {(syncing: Syncing, reason: string) => void} syncFailed this newcomer needs another
 *   donor
 * @property {(serving: Serving | Refusing) => void} servingEnded this donor has nothing left to
 *   do
 */

/** One side of a sync, whichever. */
export class Conversation {
  /** @type {Queue<unknown>} */
  inbox = new Queue()
  stopped = false
  #session
  #joined = false
  #begun = false
  /** @type {Timer | null} */
  #turn = null
  #beganMs
  /** What counts of that which was sent: over a slow line one way may be all. */
  #sentBytes = 0
  /** @type {Timer} */
  #stall
  /** @type {MuxStream | null} */
  #stream

  /**
   * @param {Party} party
   * @param {Session} session
   * @param {string} route
   */
  constructor(party, session, route) {
    this.party = party
    this.#session = session
    this.#beganMs = party.scheduler.nowMs()
    this.#stall = this.#startStall()
    this.#stream = session.open(route, this)
  }

  /** Whether the next step compares. */
  get needsSums() {
    return true
  }

  /** Whether there is something to do that no message brings. */
  get waits() {
    return false
  }

  /** Handles a message of the inbox, if there is one. */
  step() {}

  /** @param {string} _reason */
  fail(_reason) {}

  /** Ends the conversation; a second call does nothing. */
  stop() {
    if (this.stopped) return
    this.stopped = true
    this.#session.uplink.leave(this)
    this.#turn?.cancel()
    this.#stall.cancel()
    const stream = this.#stream
    this.#stream = null
    if (stream !== null) this.#session.closeStream(stream)
  }

  /** @param {unknown} payload */
  streamData(payload) {
    if (this.stopped) return
    this.#restartStall()
    if (this.#trickles()) {
      this.fail("too slow")
      return
    }
    if (!this.#joined) {
      this.#joined = payload === OPEN
      if (this.#joined) this.#takeTurn()
      return
    }
    this.inbox.push(payload)
    if (this.inbox.length > MAX_INBOX) {
      this.#refuse(new LimitExceeded(`more than ${MAX_INBOX} messages at a time`))
    } else if (this.#turn === null) this.#takeTurn()
  }

  /** @param {StreamError | null} error */
  streamClosed(error) {
    this.#stream = null
    if (!this.stopped) this.fail(error?.message ?? "the stream was closed")
  }

  /** @param {string[]} messages */
  send(messages) {
    if (this.#stream === null) return
    for (const message of messages) {
      this.#session.send(this.#stream, message)
      if (this.counts(message)) this.#sentBytes += utf8Length(message)
    }
  }

  /**
   * Whether a message that is sent is part of what gets through.
   *
   * @param {string} _message
   */
  counts(_message) {
    return true
  }

  /**
   * Tells the other side why this one leaves.
   *
   * @param {string} message
   * @param {string} code
   */
  refuse(message, code) {
    if (this.#stream !== null) this.#session.error(this.#stream, message, code)
  }

  /** There is room for an answer, for which this has waited. */
  goOn() {
    this.#restartStall() // it is not the other side that took long
    this.#turn?.cancel()
    this.#takeTurn(true)
  }

  /**
   * Handles one message, once the tree of sums is up to date and there is room for an answer; the
   * rest in later turns.
   */
  #takeTurn(hasRoom = false) {
    this.#turn = null
    if (this.#begun && this.inbox.length === 0 && !this.waits) return
    const { isBusy, replica } = this.party
    if (isBusy || (this.needsSums && !replica.fold(FOLD_KEYS))) {
      this.#restartStall() // it is not the other side that takes long
      this.#takeTurnSoon()
      return
    }
    if (!hasRoom && !this.#session.uplink.enter(this)) return
    this.#begun = true
    try {
      this.step()
    } catch (error) {
      if (!(error instanceof RemoteError || error instanceof LocalProtocolError)) throw error
      this.#refuse(error)
      return
    }
    if (!this.stopped) this.#takeTurnSoon() // also if nothing waits: more may come in this turn
  }

  /**
   * Ends the conversation, and tells the other side why.
   *
   * @param {RemoteError | LocalProtocolError} error
   */
  #refuse(error) {
    const stream = this.#stream
    this.#stream = null
    if (!this.stopped) this.fail(error.message)
    if (stream !== null) this.#session.error(stream, error.message, error.code)
  }

  #takeTurnSoon() {
    this.#turn = this.party.scheduler.soon(() => this.#takeTurn())
  }

  /** Whether the other side says just enough not to be silent. */
  #trickles() {
    const seconds = (this.party.scheduler.nowMs() - this.#beganMs) / 1000
    const bytes = this.#sentBytes + (this.#stream?.receivedBytes ?? 0)
    return seconds > PATIENCE_SECONDS && bytes < seconds * LEAST_RATE_BYTES
  }

  #restartStall() {
    this.#stall.cancel()
    this.#stall = this.#startStall()
  }

  #startStall() {
    return this.party.scheduler.later(STALL_SECONDS, () => this.#stalled())
  }

  #stalled() {
    // While this waits for room, the silence is this side's.
    if (this.#session.uplink.has(this)) this.#stall = this.#startStall()
    else this.fail(`silent for ${STALL_SECONDS} s`)
  }
}
