// The wire format of mux-demux: JSON lines, each [id, event, payload].
//
// This module holds the event names, the limits and the codec, and nothing else; docs/protocol.md
// is the normative text. Unlike in Python, whose relay passes payloads on as bytes, a payload that
// came is the value that JSON.parse() made of it; one to send is JSON text.

import { InvalidValue, LimitExceeded, RemoteProtocolError } from "./errors.js"
import { isObject } from "./entries.js"
import { isOver, isWellFormed, stringify, utf8Length } from "./text.js"
import { parse } from "./values.js"

export const NEW = "new"
export const DATA = "data"
export const END = "end"
export const CLOSE = "close"
export const ERROR = "error"
export const PAUSE = "pause"
export const RESUME = "resume"

/** What is gathered for one recipient is cut into messages of about this size. */
export const MESSAGE_CHARS = 256 * 1024

/**
 * The payload of an event that has none is undefined, which JSON does not have.
 *
 * @typedef {[id: string, event: string, payload?: unknown]} Frame
 */

/**
 * What one side of a connection takes from the other; going over it is a protocol error.
 *
 * @typedef {object} Limits
 * @property {number} frameBytes one frame, without its newline
 * @property {number} streams streams open at one time
 * @property {number} metaBytes the meta that opens a stream
 * @property {number} idBytes a stream id
 */

/** @type {Limits} */
export const DEFAULT_LIMITS = Object.freeze({
  frameBytes: 1024 * 1024,
  streams: 1024,
  metaBytes: 4096,
  idBytes: 128,
})

/**
 * Encodes one frame with its newline.
 *
 * @param {string} id of the stream
 * @param {string} event
 * @param {string} [payload] JSON text without a newline, or empty for an event that has no payload
 */
export function encodeFrame(id, event, payload = "") {
  return `[${JSON.stringify(id)},"${event}"${payload && "," + payload}]\n`
}

/**
 * Decodes one frame, without its newline.
 *
 * @param {string} line
 * @returns {Frame}
 * @throws {RemoteProtocolError} it is not a JSON array of two strings and at most one payload
 */
export function decodeFrame(line) {
  let frame
  try {
    frame = parse(line)
  } catch (error) {
    if (error instanceof InvalidValue) throw malformed(error.message)
    throw error
  }
  if (!Array.isArray(frame) || frame.length < 2 || frame.length > 3) {
    throw malformed("not an array of two or three")
  }
  if (typeof frame[0] !== "string" || typeof frame[1] !== "string") {
    throw malformed("its id and event are strings")
  }
  return /** @type {Frame} */ (frame)
}

/** @param {string} reason */
function malformed(reason) {
  return new RemoteProtocolError(`a frame is malformed: ${reason}`)
}

/**
 * How a stream was opened, told from the receiver's side; what is missing is false.
 *
 * @typedef {object} Options
 * @property {boolean} writable
 * @property {boolean} readable
 * @property {boolean} allowHalfOpen
 */

/**
 * Decodes what opens a stream: its meta and its options.
 *
 * @param {unknown} payload
 * @param {number} metaBytes
 * @returns {[meta: unknown, options: Options]}
 * @throws {RemoteProtocolError} a part is missing or of the wrong type, or the meta has what another
 *   language cannot read: a number that no double can hold, or half a surrogate pair
 * @throws {LimitExceeded} the meta is over metaBytes
 */
export function decodeNew(payload, metaBytes) {
  if (!isObject(payload) || !isObject(payload.opts)) throw malformedOptions()
  const meta = Object.hasOwn(payload, "meta") ? payload.meta : null
  const text = stringify(meta, checkShared)
  if (text === null) throw malformedOptions()
  if (isOver(text, metaBytes)) {
    throw new LimitExceeded(`the meta of a stream is over ${metaBytes} bytes`)
  }
  const { writable = false, readable = false, allowHalfOpen = false } = payload.opts
  if (!isBoolean(writable) || !isBoolean(readable) || !isBoolean(allowHalfOpen)) {
    throw malformedOptions()
  }
  return [meta, { writable, readable, allowHalfOpen }]
}

/**
 * JSON.parse() makes Infinity of 1e999, and takes half a surrogate pair.
 *
 * @param {string} name
 * @param {unknown} value
 */
function checkShared(name, value) {
  const isInfinite = typeof value === "number" && !Number.isFinite(value)
  const isHalf = !isWellFormed(name) || (typeof value === "string" && !isWellFormed(value))
  if (isInfinite || isHalf) throw malformedOptions()
  return value
}

function malformedOptions() {
  return new RemoteProtocolError("malformed options of a new stream")
}

/**
 * @param {unknown} value
 * @returns {value is boolean}
 */
function isBoolean(value) {
  return typeof value === "boolean"
}

/**
 * Decodes the payload of an error, which is a text or an object.
 *
 * @param {unknown} payload
 * @returns {[message: string, code: string]}
 * @throws {RemoteProtocolError} it is neither
 */
export function decodeFault(payload) {
  if (typeof payload === "string") return [payload, "error"]
  // JSON.stringify(new Error("lost")) is "{}": npm sends just that.
  const { message = "", code = "error" } = isObject(payload) ? payload : { message: 0 }
  if (typeof message !== "string" || !(typeof code === "string" || Number.isSafeInteger(code))) {
    throw new RemoteProtocolError("malformed payload of an error")
  }
  return [message, String(code)]
}

/**
 * Encodes the payload of an error.
 *
 * @param {string} message
 * @param {string} code
 */
export function encodeFault(message, code) {
  return JSON.stringify({ message, code })
}

/** Cuts a text into frames; a frame may be cut over any number of chunks. */
export class FrameDecoder {
  #limits
  #partial = ""

  /** @param {Limits} [limits] */
  constructor(limits = DEFAULT_LIMITS) {
    this.#limits = limits
  }

  /**
   * Takes the next chunk.
   *
   * @param {string} text
   * @returns {[frames: Frame[], fault: RemoteProtocolError | null, sizesBytes: number[]]} the frames
   *   that it completes, and the error that ends the connection, if any: the frames that came before
   *   the fault are valid and are to be handled first; and how large each of the frames is
   */
  feed(text) {
    /** @type {Frame[]} */
    const frames = []
    /** @type {number[]} */
    const sizesBytes = []
    let start = 0
    try {
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
        const line = this.#partial + text.slice(start, end)
        this.#partial = ""
        start = end + 1
        this.#check(line)
        if (/^[ \t\r]*$/.test(line)) continue
        frames.push(decodeFrame(line))
        sizesBytes.push(utf8Length(line))
      }
      this.#partial += text.slice(start)
      this.#check(this.#partial)
    } catch (error) {
      if (error instanceof RemoteProtocolError) return [frames, error, sizesBytes]
      throw error
    }
    return [frames, null, sizesBytes]
  }

  /** @param {string} line */
  #check(line) {
    const limit = this.#limits.frameBytes
    if (isOver(line, limit)) throw new LimitExceeded(`a frame is over ${limit} bytes`)
  }
}

/**
 * Joins encoded frames to messages that are not much over MESSAGE_CHARS.
 *
 * @param {string[]} parts
 * @returns {string[]}
 */
export function gather(parts) {
  const messages = []
  let message = ""
  for (const part of parts) {
    message += part
    if (message.length >= MESSAGE_CHARS) {
      messages.push(message)
      message = ""
    }
  }
  return message === "" ? messages : [...messages, message]
}
