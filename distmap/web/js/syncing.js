// The streams on which two peers sync: conversations of sync.js over the relay.

/** @import { StreamError } from "./errors.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
/** @import { MuxStream } from "./states.js" */
/** @import { Newcomer } from "./sync.js" */
import { LimitExceeded, LocalProtocolError, RemoteError } from "./errors.js"
import { Queue } from "./queue.js"
import { Donor } from "./sync.js"
import { isPush } from "./sync_wire.js"
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

/** What both sides have in common: the stream, the time-out, and one message a turn. */
class Conversation {
  /** @type {Queue<unknown>} */
  inbox = new Queue()
  stopped = false
  #session
  #joined = false
  #begun = false
  /** @type {Timer | null} */
  #turn = null
  #beganMs
  /** What counts of that which was sent: over a slow line that may be all. */
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

  /** Handles one message, once the tree of sums is up to date; the rest in later turns. */
  #takeTurn() {
    this.#turn = null
    if (this.#begun && this.inbox.length === 0 && !this.waits) return
    const { isBusy, replica } = this.party
    if (isBusy || (this.needsSums && !replica.fold(FOLD_KEYS))) {
      this.#restartStall() // it is not the other side that takes long
      this.#takeTurnSoon()
      return
    }
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
    return this.party.scheduler.later(STALL_SECONDS, () =>
      this.fail(`silent for ${STALL_SECONDS} s`),
    )
  }
}

/** This peer as the newcomer. */
export class Syncing extends Conversation {
  #newcomer
  #started = false

  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} donor the member to sync with
   * @param {string} client names this conversation
   */
  constructor(party, session, donor, client) {
    super(party, session, `${party.uri}/proxy/client/${donor}/${client}`)
    this.donor = donor
    this.#newcomer = party.newConversation()
  }

  /** @override */
  get needsSums() {
    return !this.#newcomer.blank
  }

  /** @override */
  get waits() {
    return this.#newcomer.waits
  }

  /** @override */
  step() {
    if (!this.#started) {
      this.#started = true
      this.send(this.#newcomer.start())
    }
    if (this.#newcomer.waits) {
      this.send(this.#newcomer.goOn())
    } else if (this.inbox.length) {
      const [messages, updates] = this.#newcomer.receive(this.inbox.shift())
      this.party.merged(updates)
      this.send(messages)
    }
    if (this.#newcomer.done) {
      this.stop()
      this.party.syncDone(this)
    }
  }

  /**
   * What it asks can be long, and the answers still make no headway.
   *
   * @override
   * @param {string} message
   */
  counts(message) {
    return isPush(message)
  }

  /** See Newcomer. */
  get repaired() {
    return this.#newcomer.repaired
  }

  /**
   * @override
   * @param {string} reason
   */
  fail(reason) {
    this.stop()
    this.party.syncFailed(this, reason)
  }
}

/** This peer as the donor. */
export class Serving extends Conversation {
  #donor

  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} member this peer's name on the channel
   * @param {string} client the conversation that the relay announced
   * @param {boolean} [reader] the newcomer may only read
   */
  constructor(party, session, member, client, reader = false) {
    super(party, session, servingRoute(party, member, client))
    this.#donor = new Donor(party.replica, reader)
  }

  /** @override */
  step() {
    if (!this.inbox.length) return
    const [messages, updates] = this.#donor.receive(this.inbox.shift())
    // Before the answer: the newcomer then knows that nothing it brought can be lost with us.
    this.party.learned(updates)
    this.party.told(this.#donor.news)
    this.send(messages)
  }

  /**
   * @override
   * @param {string} _reason
   */
  fail(_reason) {
    this.stop()
    this.party.servingEnded(this)
  }
}

/** This peer as a donor that serves as many as it can already. */
export class Refusing extends Conversation {
  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} member this peer's name on the channel
   * @param {string} client the conversation that the relay announced
   */
  constructor(party, session, member, client) {
    super(party, session, servingRoute(party, member, client))
  }

  /** @override */
  step() {
    this.refuse("this donor serves enough newcomers", "busy")
  }

  /**
   * @override
   * @param {string} _reason
   */
  fail(_reason) {
    this.stop()
    this.party.servingEnded(this)
  }
}

/**
 * @param {Party} party
 * @param {string} member
 * @param {string} client
 */
function servingRoute({ uri }, member, client) {
  return `${uri}/proxy/server/${member}/client/${client}/${client}`
}
