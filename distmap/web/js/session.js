// One live connection: a MuxDemux between a transport and the owners of its streams.
//
// What is written during one turn leaves together, at the end of that turn.

/** @import { Limits } from "./frames.js" */
/** @import { Scheduler } from "./scheduler.js" */
/** @import { MuxEvent, MuxStream } from "./states.js" */
import { StreamError } from "./errors.js"
import { DEFAULT_LIMITS, gather } from "./frames.js"
import { MuxDemux } from "./mux.js"
import { systemScheduler } from "./scheduler.js"
import { Kind, State } from "./states.js"
import { utf8Length } from "./text.js"
import { Uplink } from "./uplink.js"

export const PROTOCOL_ERROR = 1002

/**
 * Carries messages to the other side.
 *
 * @typedef {object} Transport
 * @property {(message: string) => void} send
 * @property {(code: number, reason: string) => void} close the codes are those of WebSocket (RFC
 *   6455, 7.4)
 * @property {number} [bufferedBytes] how much was sent that the network has not taken yet
 */

/**
 * Is told what happens to a stream. That the other side will send no more, and that it asks to stop
 * or to go on, need not be heard.
 *
 * @typedef {object} StreamOwner
 * @property {(payload: unknown) => void} streamData
 * @property {() => void} [streamEnded]
 * @property {(paused: boolean) => void} [streamPaused]
 * @property {(error: StreamError | null) => void} streamClosed comes once, with the error that
 *   ended the stream, if any
 */

/**
 * @typedef {object} SessionOptions
 * @property {Scheduler} [scheduler] that of the program if it is missing
 * @property {(stream: MuxStream) => StreamOwner | null} [opened] is called with each stream that
 *   the other side opens, and returns its owner; null refuses it
 * @property {Limits} [limits] what is taken from the other side
 * @property {string} [idPrefix] see MuxDemux
 * @property {(sizeBytes: number) => void} [sent] is called with the bytes of each message that was
 *   sent
 */

/** The streams of one connection. */
export class Session {
  alive = true
  #transport
  #mux
  #endOfTurn
  #opened
  #sent
  #scheduled = false

  /**
   * @param {Transport} transport takes the messages
   * @param {SessionOptions} [options]
   */
  constructor(transport, options = {}) {
    const { scheduler = systemScheduler(), limits = DEFAULT_LIMITS, idPrefix = "" } = options
    this.#transport = transport
    this.#endOfTurn = scheduler.endOfTurn
    this.uplink = new Uplink(scheduler, () => transport.bufferedBytes ?? 0)
    this.#opened = options.opened ?? (() => null)
    this.#sent = options.sent ?? (() => {})
    this.#mux = new MuxDemux(limits, idPrefix)
  }

  // -- out ----------------------------------------------------------------------------------------

  /**
   * Opens a stream; the options are those of MuxDemux.open().
   *
   * @param {unknown} meta
   * @param {StreamOwner} owner
   * @param {Parameters<MuxDemux["open"]>[1]} [options]
   */
  open(meta, owner, options) {
    const stream = this.#mux.open(meta, options)
    stream.owner = owner
    this.#schedule()
    return stream
  }

  /**
   * Sends a payload: JSON text.
   *
   * @param {MuxStream} stream
   * @param {string} payload
   * @throws {LocalProtocolError} this side cannot send on the stream any more
   */
  send(stream, payload) {
    this.#mux.send(stream, payload)
    this.uplink.gathered(payload.length)
    this.#schedule()
  }

  /**
   * Ends this side's sending.
   *
   * @param {MuxStream} stream
   * @throws {LocalProtocolError} it has ended already
   */
  end(stream) {
    this.#handle(this.#mux.end(stream))
    this.#schedule()
  }

  /**
   * Tells the other side of an error and closes the stream.
   *
   * @param {MuxStream} stream
   * @param {string} message
   * @param {string} code
   */
  error(stream, message, code) {
    if (stream.state === State.CLOSED) return
    this.#handle(this.#mux.error(stream, message, code))
    this.#schedule()
  }

  /**
   * Closes a stream at once; a second call does nothing.
   *
   * @param {MuxStream} stream
   */
  closeStream(stream) {
    this.#handle(this.#mux.close(stream))
    this.#schedule()
  }

  /** Sends what has gathered, at once. */
  flush() {
    if (!this.alive) return
    for (const message of gather(this.#mux.take())) {
      this.#sent(utf8Length(message))
      this.#transport.send(message)
    }
    this.uplink.flushed()
  }

  #schedule() {
    if (this.#scheduled || !this.alive) return
    this.#scheduled = true
    this.#endOfTurn(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  // -- in -----------------------------------------------------------------------------------------

  /**
   * Takes a message of the other side.
   *
   * @param {string} message
   */
  receive(message) {
    this.uplink.heard()
    this.#handle(this.#mux.receive(message))
    if (this.#mux.hasOutput) this.#schedule()
  }

  /** The connection is gone: tells the owners of all streams. */
  lost() {
    this.alive = false
    this.uplink.close()
    this.#handle(this.#mux.disconnect())
  }

  /** @param {MuxEvent[]} events */
  #handle(events) {
    for (const [kind, stream, detail] of events) {
      if (stream === null) {
        // A frame for an unknown stream is normal when both sides close at one time.
        if (kind === Kind.FAILED) this.#fail(detail.message)
        continue
      }
      /** @type {StreamOwner | null} */
      const owner = stream.owner
      if (kind === Kind.OPENED) this.#receiveOpened(stream)
      else if (owner === null) continue
      else if (kind === Kind.DATA) owner.streamData(detail)
      else if (kind === Kind.ENDED) owner.streamEnded?.()
      else if (kind === Kind.ERROR) stream.fault = new StreamError(detail[0], detail[1])
      else if (kind === Kind.CLOSED) {
        stream.owner = null
        owner.streamClosed(stream.fault)
      } else owner.streamPaused?.(kind === Kind.PAUSED)
    }
  }

  /** @param {MuxStream} stream */
  #receiveOpened(stream) {
    const owner = this.#opened(stream)
    if (owner === null) this.error(stream, "nobody takes streams at this end", "no-listener")
    // Of a stream that is closed by now too: what came before the close has yet to come.
    else stream.owner = owner
  }

  /** @param {string} reason */
  #fail(reason) {
    console.warn(`distmap: the other side broke the protocol: ${reason}`)
    this.flush()
    this.#transport.close(PROTOCOL_ERROR, reason)
    this.lost()
  }
}
