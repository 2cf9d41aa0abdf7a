// The states of a mux-demux stream: one table says who may do what, and when.

/** @import { Limits } from "./frames.js" */
import { LocalProtocolError, RemoteProtocolError } from "./errors.js"
import * as frames from "./frames.js"
import { utf8Length } from "./text.js"

/** The state of one stream, as this side sees it. */
export const State = /** @type {const} */ ({
  OPEN: "open", // both sides may send
  RECEIVING: "receiving", // this side has ended, or never could send
  SENDING: "sending", // the other side has ended, or never could send
  CLOSED: "closed", // both are done; the stream is forgotten
})

/** @typedef {typeof State[keyof typeof State]} StateName */

/** What can happen to a stream: by this side, or (received) by the other. */
export const Move = /** @type {const} */ ({
  SEND_DATA: "send data",
  SEND_END: "send end",
  SEND_ERROR: "send error",
  SEND_CLOSE: "send close",
  RECEIVE_DATA: "receive data",
  RECEIVE_END: "receive end",
  RECEIVE_ERROR: "receive error",
  RECEIVE_CLOSE: "receive close",
})

/** @typedef {typeof Move[keyof typeof Move]} MoveName */

/**
 * A move that is not in the table is a protocol error: local misuse for send, the other side's
 * fault for receive.
 *
 * @type {Record<StateName, Partial<Record<MoveName, StateName>>>}
 */
export const TRANSITIONS = {
  [State.OPEN]: {
    [Move.SEND_DATA]: State.OPEN,
    [Move.SEND_END]: State.RECEIVING,
    [Move.SEND_ERROR]: State.CLOSED,
    [Move.SEND_CLOSE]: State.CLOSED,
    [Move.RECEIVE_DATA]: State.OPEN,
    [Move.RECEIVE_END]: State.SENDING,
    [Move.RECEIVE_ERROR]: State.CLOSED,
    [Move.RECEIVE_CLOSE]: State.CLOSED,
  },
  [State.RECEIVING]: {
    [Move.SEND_ERROR]: State.CLOSED,
    [Move.SEND_CLOSE]: State.CLOSED,
    [Move.RECEIVE_DATA]: State.RECEIVING,
    [Move.RECEIVE_END]: State.CLOSED,
    [Move.RECEIVE_ERROR]: State.CLOSED,
    [Move.RECEIVE_CLOSE]: State.CLOSED,
  },
  [State.SENDING]: {
    [Move.SEND_DATA]: State.SENDING,
    [Move.SEND_END]: State.CLOSED,
    [Move.SEND_ERROR]: State.CLOSED,
    [Move.SEND_CLOSE]: State.CLOSED,
    [Move.RECEIVE_ERROR]: State.CLOSED,
    [Move.RECEIVE_CLOSE]: State.CLOSED,
  },
  [State.CLOSED]: {},
}

/**
 * The state of a new stream; CLOSED if nobody could send on it.
 *
 * @param {boolean} canSend
 * @param {boolean} canReceive
 * @returns {StateName}
 */
export function firstState(canSend, canReceive) {
  if (canSend) return canReceive ? State.OPEN : State.SENDING
  return canReceive ? State.RECEIVING : State.CLOSED
}

/**
 * What is to open a stream.
 *
 * @typedef {object} Opening
 * @property {unknown} meta
 * @property {StateName} state
 * @property {boolean} halfOpen
 * @property {[message: string, code: string] | null} refusal why it is not opened
 */

/**
 * Reads what is to open a stream.
 *
 * @param {unknown} payload of the frame
 * @param {Limits} limits on the meta, and how many streams there may be
 * @param {boolean} isFull whether so many are open
 * @param {boolean} closing whether none is opened any more
 * @returns {Opening}
 */
export function readNew(payload, limits, isFull, closing) {
  /** @type {Opening} */
  const opening = { meta: null, state: State.OPEN, halfOpen: false, refusal: null }
  if (isFull) return { ...opening, refusal: [`more than ${limits.streams} streams`, "limit"] }
  if (closing) return { ...opening, refusal: ["the connection is closing", "closing"] }
  try {
    const [meta, options] = frames.decodeNew(payload, limits.metaBytes)
    const state = firstState(options.writable, options.readable)
    const isUseless = state === State.CLOSED
    const refusal = isUseless ? ["a stream that nobody can send on", "protocol"] : null
    return /** @type {Opening} */ ({ meta, state, halfOpen: options.allowHalfOpen, refusal })
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error
    return { ...opening, refusal: [error.message, error.code] }
  }
}

/** What MuxDemux.receive() reports; the detail of the event depends on it. */
export const Kind = /** @type {const} */ ({
  OPENED: "opened", // the other side opened a stream; detail: its meta
  DATA: "data", // detail: the payload
  ENDED: "ended", // the other side will send no more
  PAUSED: "paused", // the other side asks to stop sending
  RESUMED: "resumed", // and to go on
  ERROR: "error", // detail: [message, code]
  CLOSED: "closed", // the stream is gone; comes once for each stream
  UNKNOWN: "unknown", // a frame for no open stream; detail: [id, event]; no stream
  FAILED: "failed", // the connection must end; detail: RemoteProtocolError; no stream
})

/** @typedef {typeof Kind[keyof typeof Kind]} KindName */
/** @typedef {[kind: KindName, stream: MuxStream | null, detail?: any]} MuxEvent */

const MADE_ID = /\.[0-9]+$/
const NUMBER_BYTES = 12 // of a made id

/**
 * Makes the ids of the streams that one side opens; none comes twice on one connection.
 *
 * What the other side sent to a stream before it heard of the close would otherwise reach the next
 * stream of that id. Only wanted ids are remembered: the number in a made one never comes again,
 * and a wanted one that looks made gets a number as well.
 */
export class StreamIds {
  #prefix
  #maxBytes
  #made = 0
  /** @type {Set<string>} */
  #used = new Set()

  /**
   * @param {string} prefix begins those that nobody wanted
   * @param {number} maxBytes the longest id that the other side takes; a wanted one that is longer,
   *   with a number or without, gives way to a made one
   */
  constructor(prefix, maxBytes) {
    this.#prefix = prefix
    this.#maxBytes = maxBytes
  }

  /**
   * The wanted id if it can be had, else one with a number, that is not taken.
   *
   * @param {string | undefined} wanted
   * @param {{ has(id: string): boolean }} taken
   */
  make(wanted, taken) {
    if (wanted !== undefined && utf8Length(wanted) > this.#maxBytes - NUMBER_BYTES) {
      wanted = undefined
    }
    if (wanted !== undefined) {
      if (!taken.has(wanted) && !this.#used.has(wanted) && !MADE_ID.test(wanted)) {
        this.#used.add(wanted)
        return wanted
      }
    }
    for (;;) {
      const id = `${wanted || this.#prefix}.${++this.#made}`
      if (!taken.has(id)) return id
    }
  }
}

/** One stream of a MuxDemux. */
export class MuxStream {
  /** The other side asked this one to stop sending. */
  sendPaused = false
  /** How large all frames with data were that came. */
  receivedBytes = 0
  /** @type {any} for the adapter that holds the stream */
  owner = null
  /** @type {any} for the adapter: the error that came before the close */
  fault = null

  /**
   * @param {string} id chosen by the side that opened it
   * @param {unknown} meta what it was opened with
   * @param {StateName} state
   * @param {boolean} halfOpen whether one side's end leaves the other side sending
   */
  constructor(id, meta, state, halfOpen) {
    this.id = id
    this.meta = meta
    this.state = state
    this.halfOpen = halfOpen
  }

  /**
   * The state that a move of this side leads to.
   *
   * @param {MoveName} move
   * @returns {StateName}
   * @throws {LocalProtocolError} the state does not allow it
   */
  after(move) {
    const state = TRANSITIONS[this.state][move]
    if (state !== undefined) return state
    throw new LocalProtocolError(`cannot ${move} on a stream that is ${this.state}`)
  }
}
