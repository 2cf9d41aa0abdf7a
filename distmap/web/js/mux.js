// mux-demux without I/O: many streams of JSON values over one connection.
//
// Text goes into receive() and events come out; calls such as send() put text into a queue that
// take() empties. The rules of a stream's life stand in states.js.

/** @import { Frame, Limits } from "./frames.js" */
/** @import { MuxEvent } from "./states.js" */
import { LimitExceeded, LocalProtocolError, RemoteProtocolError } from "./errors.js"
import * as frames from "./frames.js"
import { DEFAULT_LIMITS, FrameDecoder } from "./frames.js"
import {
  Kind,
  Move,
  MuxStream,
  State,
  StreamIds,
  TRANSITIONS,
  firstState,
  readNew,
} from "./states.js"
import { isOver } from "./text.js"

/** One side of a multiplexed connection. */
export class MuxDemux {
  /** @type {Map<string, MuxStream>} */
  streams = new Map()
  closing = false
  #limits
  #decoder
  #ids
  /** @type {string[]} */
  #out = []
  #failed = false

  /**
   * @param {Limits} [limits] what is taken from the other side
   * @param {string} [idPrefix] begins the ids of the streams that this side opens; the two sides of
   *   a connection on which both open streams need different ones
   */
  constructor(limits = DEFAULT_LIMITS, idPrefix = "") {
    this.#limits = limits
    this.#decoder = new FrameDecoder(limits)
    this.#ids = new StreamIds(idPrefix, limits.idBytes)
  }

  // -- out ----------------------------------------------------------------------------------------

  /** Whether take() has something. */
  get hasOutput() {
    return this.#out.length > 0
  }

  /** Empties the queue of frames to send, oldest first. */
  take() {
    const out = this.#out
    this.#out = []
    return out
  }

  /**
   * Opens a stream.
   *
   * @param {unknown} meta a JSON value that tells the other side what the stream is for
   * @param {object} [options]
   * @param {boolean} [options.writable] whether this side may send on it
   * @param {boolean} [options.readable] whether the other side may
   * @param {boolean} [options.halfOpen] whether one side's end leaves the other side sending
   * @param {string} [options.id] an id of the caller's choice, if it can be had; else one is made
   * @returns {MuxStream}
   * @throws {LocalProtocolError} the connection is closing, or neither side could send
   */
  open(meta, { writable = true, readable = true, halfOpen = false, id } = {}) {
    if (this.closing) {
      throw new LocalProtocolError("the connection is closing: no stream can be opened")
    }
    if (!writable && !readable) {
      throw new LocalProtocolError("a stream must be writable or readable")
    }
    const opts = {
      writable: readable,
      readable: writable,
      ...(halfOpen && { allowHalfOpen: true }),
    }
    const payload = JSON.stringify({ meta, opts })
    const newId = this.#ids.make(id, this.streams)
    const stream = new MuxStream(newId, meta, firstState(writable, readable), halfOpen)
    this.#put(stream, frames.NEW, payload)
    this.streams.set(stream.id, stream)
    return stream
  }

  /**
   * Queues one payload.
   *
   * @param {MuxStream} stream
   * @param {string} payload JSON text without a newline
   * @throws {LocalProtocolError} this side has ended the stream or may not send on it
   */
  send(stream, payload) {
    stream.after(Move.SEND_DATA)
    this.#put(stream, frames.DATA, payload)
  }

  /**
   * Ends this side's sending; without halfOpen that closes the stream.
   *
   * @param {MuxStream} stream
   * @returns {MuxEvent[]}
   * @throws {LocalProtocolError} it has ended already
   */
  end(stream) {
    const state = stream.after(Move.SEND_END)
    this.#put(stream, frames.END)
    if (state === State.CLOSED || !stream.halfOpen) return this.#close(stream)
    stream.state = state
    return []
  }

  /**
   * Tells the other side of an error, and closes the stream.
   *
   * @param {MuxStream} stream
   * @param {string} message
   * @param {string} code
   * @returns {MuxEvent[]}
   * @throws {LocalProtocolError} it is closed already
   */
  error(stream, message, code) {
    stream.after(Move.SEND_ERROR)
    this.#put(stream, frames.ERROR, frames.encodeFault(message, code))
    return this.#close(stream)
  }

  /**
   * Closes a stream at once, in both directions; a second call does nothing.
   *
   * @param {MuxStream} stream
   * @returns {MuxEvent[]}
   */
  close(stream) {
    return stream.state === State.CLOSED ? [] : this.#close(stream)
  }

  /**
   * Asks the other side to stop sending on a stream, or to go on.
   *
   * @param {MuxStream} stream
   * @param {boolean} paused
   */
  pause(stream, paused) {
    if (stream.state !== State.CLOSED) this.#put(stream, paused ? frames.PAUSE : frames.RESUME)
  }

  /**
   * The connection is gone: closes all streams; nothing is sent any more.
   *
   * @returns {MuxEvent[]}
   */
  disconnect() {
    this.#failed = this.closing = true
    const events = [...this.streams.values()].flatMap((stream) => this.#close(stream))
    this.#out = []
    return events
  }

  // -- in -----------------------------------------------------------------------------------------

  /**
   * Takes text from the other side.
   *
   * @param {string} text
   * @returns {MuxEvent[]} what happened, in order; after a FAILED event nothing more is taken
   */
  receive(text) {
    if (this.#failed) return []
    let [decoded, fault, sizesBytes] = this.#decoder.feed(text)
    /** @type {MuxEvent[]} */
    const events = []
    try {
      decoded.forEach((frame, at) => this.#receiveFrame(frame, sizesBytes[at], events))
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      fault = error
    }
    if (fault !== null) {
      this.#failed = true
      events.push([Kind.FAILED, null, fault])
    }
    return events
  }

  /**
   * @param {Frame} frame
   * @param {number} sizeBytes
   * @param {MuxEvent[]} events
   */
  #receiveFrame([id, event, payload], sizeBytes, events) {
    const stream = this.streams.get(id)
    if (event === frames.NEW) {
      this.#receiveNew(id, stream, payload, events)
    } else if (stream === undefined) {
      // Normal when both sides close at one time; a close needs no word at all.
      if (event !== frames.CLOSE) events.push([Kind.UNKNOWN, null, [id, event]])
    } else if (event === frames.DATA) {
      stream.receivedBytes += sizeBytes
      this.#receiveData(stream, payload, events)
    } else if (event === frames.END) {
      this.#receiveEnd(stream, events)
    } else if (event === frames.CLOSE) {
      events.push(...this.#close(stream))
    } else if (event === frames.ERROR) {
      this.#receiveError(stream, payload, events)
    } else if (event === frames.PAUSE || event === frames.RESUME) {
      const paused = event === frames.PAUSE
      if (stream.sendPaused === paused) return
      stream.sendPaused = paused
      events.push([paused ? Kind.PAUSED : Kind.RESUMED, stream])
    } else {
      this.#fault(stream, `unknown event ${JSON.stringify(event.slice(0, 32))}`, events)
    }
  }

  /**
   * @param {string} id
   * @param {MuxStream | undefined} known
   * @param {unknown} payload
   * @param {MuxEvent[]} events
   */
  #receiveNew(id, known, payload, events) {
    const { idBytes, streams } = this.#limits
    if (isOver(id, idBytes)) throw new LimitExceeded(`a stream id is over ${idBytes} bytes`)
    if (known !== undefined) {
      throw new RemoteProtocolError("a stream was opened with the id of one that is open")
    }
    const isFull = this.streams.size >= streams
    const { meta, state, halfOpen, refusal } = readNew(payload, this.#limits, isFull, this.closing)
    const stream = new MuxStream(id, meta, state, halfOpen)
    if (refusal !== null) {
      this.#put(stream, frames.ERROR, frames.encodeFault(...refusal))
      this.#put(stream, frames.CLOSE)
      return
    }
    this.streams.set(id, stream)
    events.push([Kind.OPENED, stream, meta])
  }

  /**
   * @param {MuxStream} stream
   * @param {unknown} payload
   * @param {MuxEvent[]} events
   */
  #receiveData(stream, payload, events) {
    if (payload === undefined) {
      this.#fault(stream, "data without a payload", events)
    } else if (TRANSITIONS[stream.state][Move.RECEIVE_DATA] === undefined) {
      this.#fault(stream, "data after the end of the stream", events)
    } else {
      events.push([Kind.DATA, stream, payload])
    }
  }

  /**
   * @param {MuxStream} stream
   * @param {MuxEvent[]} events
   */
  #receiveEnd(stream, events) {
    const state = TRANSITIONS[stream.state][Move.RECEIVE_END]
    if (state === undefined) {
      if (stream.halfOpen) this.#fault(stream, "ended twice", events)
      // npm: the reader of a one-way stream wants no more
      else events.push(...this.#close(stream))
      return
    }
    events.push([Kind.ENDED, stream])
    if (state === State.CLOSED || !stream.halfOpen) {
      if (state !== State.CLOSED) this.#put(stream, frames.END)
      events.push(...this.#close(stream))
    } else {
      stream.state = state
    }
  }

  /**
   * @param {MuxStream} stream
   * @param {unknown} payload
   * @param {MuxEvent[]} events
   */
  #receiveError(stream, payload, events) {
    let detail
    try {
      detail = frames.decodeFault(payload)
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      this.#fault(stream, error.message, events)
      return
    }
    events.push([Kind.ERROR, stream, detail], ...this.#close(stream))
  }

  // -- helpers ------------------------------------------------------------------------------------

  /**
   * @param {MuxStream} stream
   * @param {string} event
   * @param {string} [payload]
   */
  #put(stream, event, payload) {
    this.#out.push(frames.encodeFrame(stream.id, event, payload))
  }

  /**
   * @param {MuxStream} stream
   * @returns {MuxEvent[]}
   */
  #close(stream) {
    stream.state = State.CLOSED
    this.streams.delete(stream.id)
    this.#put(stream, frames.CLOSE)
    return [[Kind.CLOSED, stream]]
  }

  /**
   * The other side broke the rules of one stream: that stream ends, no other.
   *
   * @param {MuxStream} stream
   * @param {string} message
   * @param {MuxEvent[]} events
   */
  #fault(stream, message, events) {
    this.#put(stream, frames.ERROR, frames.encodeFault(message, "protocol"))
    events.push([Kind.ERROR, stream, [message, "protocol"]], ...this.#close(stream))
  }
}
