// The map that peers share.

/** @import { Change } from "./changes.js" */
/** @import { Connection } from "./connection.js" */
/** @import { Stamp } from "./clock.js" */
/** @import { Handler } from "./events.js" */
/** @import { Update } from "./lww.js" */
/** @import { Store } from "./store.js" */
import { Writer } from "./batches.js"
import { HybridClock } from "./clock.js"
import { HASH_DIGITS } from "./entries.js"
import { call } from "./events.js"
import { Life } from "./life.js"
import { Replica } from "./lww.js"
import { Observers } from "./observers.js"
import { DEFAULT_URI, checkMaxValueBytes, checkUri, newWriter, storeOf } from "./options.js"
import { OFF, Persistence } from "./persistence.js"
import { Seat } from "./seat.js"
import { MAX_VALUE_BYTES, decode } from "./values.js"
import { Writes } from "./writes.js"

/**
 * A map that all peers of one URI share; distmap.d.ts describes it for its users.
 *
 * Each peer holds a full copy. Reading is local; a write is here at once and goes to the others. Of
 * two writes of one key the later one stays, in all copies. Values are JSON; each reading gives a
 * new object.
 */
export class DistributedMap {
  #events = new Observers()
  #life
  #replica
  #writer
  #seat
  /** @type {Persistence | null} */
  #persistence = null

  /**
   * @param {Connection} connection from connect()
   * @param {string} [uri] names the map; not empty, 900 bytes at most
   * @param {object} [options]
   * @param {number} [options.maxValueBytes] the longest JSON text of a value; the same for all
   *   peers
   * @param {boolean | Store} [options.persist] whether to keep a copy in IndexedDB, or where else
   * @throws {InvalidType | InvalidValue} the URI is no string, empty or too long, or an option is
   *   out of its bounds
   * @throws {ConnectionClosed} the connection is closed
   */
  constructor(connection, uri = DEFAULT_URI, options = {}) {
    const { maxValueBytes = MAX_VALUE_BYTES, persist = false } = options
    checkUri(uri)
    checkMaxValueBytes(maxValueBytes)
    const store = storeOf(persist)
    const { scheduler, random, retentionMs } = connection
    this.uri = uri
    this.connection = connection
    const clock = new HybridClock(scheduler.nowMs, newWriter(random))
    this.#replica = new Replica(clock, maxValueBytes, retentionMs)
    const writes = new Writes()
    this.#life = new Life(this, uri, this.#events, writes)
    this.#writer = new Writer(
      this.#replica,
      writes,
      (updates) => this.#wrote(updates),
      () => this.#checkWritable(),
    )
    let listener = this.#life.listener()
    if (store !== null) {
      const name = `distmap ${connection.relay} ${uri}`
      const persistence = new Persistence(store, name, scheduler, (state, problem) =>
        this.#events.emit("persisted", state, problem),
      )
      this.#persistence = persistence
      this.#life.leaveCopy = () => persistence.close()
      listener = persistence.listenTo(listener)
    }
    const seat = new Seat(connection, uri, this.#replica, listener)
    this.#seat = seat
    connection.attach(seat)
    if (this.#persistence === null) seat.start()
    else this.#persistence.load(seat.peer).then(() => seat.start())
  }

  // -- reading ------------------------------------------------------------------------------------

  get size() {
    return this.#writer.size
  }

  /**
   * @param {string} key
   * @returns {any} undefined if there is no value
   */
  get(key) {
    const text = this.#writer.text(key)
    return text === null ? undefined : decode(text)
  }

  /** @param {string} key */
  has(key) {
    return this.#writer.text(key) !== null
  }

  /**
   * When a key was set, and by whom.
   *
   * @param {string} key
   * @returns {Stamp | undefined} undefined if it has no value
   */
  stamp(key) {
    const entry = this.#replica.entries.get(key)
    return entry === undefined || entry.value === null ? undefined : { ...entry.stamp }
  }

  /** The relay's time as estimated here, which stamps are told in: milliseconds since 1970. */
  nowMs() {
    return this.#replica.clock.nowMs()
  }

  /** 13 hexadecimal digits that are the same in all equal copies; deletes count too. */
  digest() {
    return this.#replica.digest()[1].toString(16).padStart(HASH_DIGITS, "0")
  }

  /** @returns {Generator<string, void>} */
  *keys() {
    for (const [key] of this.#writer.items()) yield key
  }

  /** @returns {Generator<any, void>} */
  *values() {
    for (const [, text] of this.#writer.items()) yield decode(text)
  }

  /** @returns {Generator<[key: string, value: any], void>} */
  *entries() {
    for (const [key, text] of this.#writer.items()) yield [key, decode(text)]
  }

  [Symbol.iterator]() {
    return this.entries()
  }

  /**
   * @param {(value: any, key: string, map: this) => void} handler
   * @param {unknown} [self]
   */
  forEach(handler, self) {
    for (const [key, value] of this) handler.call(self, value, key, this)
  }

  // -- writing ------------------------------------------------------------------------------------

  /**
   * Sets a value: here at once, then everywhere.
   *
   * @param {string} key
   * @param {unknown} value
   * @returns {Promise<void>} fulfilled once the relay has taken it for the network, also after a
   *   reconnect; rejected with MapClosed if the map is closed before that, with AccessRefused if
   *   the relay says that this peer may only read: the write is taken back
   * @throws {InvalidKey | InvalidValue | InvalidType} no map can hold it
   * @throws {MapClosed | AccessRefused} the map is closed, or known to be one that may only be read
   */
  set(key, value) {
    return this.#writer.set(key, value)
  }

  /**
   * Deletes a key: here at once, then everywhere.
   *
   * @param {string} key
   * @returns {Promise<boolean>} as with set(), true; at once false if there is no such key
   * @throws {InvalidKey | InvalidType} no map can hold such a key
   * @throws {MapClosed} the map is closed
   */
  delete(key) {
    return this.#writer.delete(key)
  }

  /**
   * Sets many keys as one batch: see batch().
   *
   * @param {Iterable<[key: string, value: unknown]> | object} pairs a Map, an iterable of pairs, or
   *   an object
   * @returns {Promise<void>} as with batch()
   * @throws {InvalidKey | InvalidValue | InvalidType} no map can hold one of them, or they are too
   *   much for a batch; nothing is written then
   * @throws {MapClosed} the map is closed
   */
  update(pairs) {
    return this.#writer.update(pairs)
  }

  /**
   * Calls a function whose writes go together: in one message to the others, in one step into each
   * copy. They are written when it returns; reading within it sees them. If it throws, nothing of it
   * is written. A batch within a batch becomes a part of it.
   *
   * @param {() => void} write
   * @returns {Promise<void>} fulfilled once the relay has taken all of it for the network, also after
   *   a reconnect; rejected with MapClosed if the map is closed before that
   * @throws {InvalidType} it is no function, or an async one
   * @throws {MapClosed} the map is closed
   */
  batch(write) {
    return this.#writer.batch(write)
  }

  /** @param {Update[]} updates */
  #wrote(updates) {
    for (const update of updates) {
      this.#seat.wrote(update)
      this.#persistence?.wrote(update.key)
    }
    this.#events.tellOwn(updates)
  }

  #checkWritable() {
    this.#life.checkOpen()
    this.#seat.checkWritable()
  }

  // -- events and status --------------------------------------------------------------------------

  /**
   * Adds a handler; a `ready` handler of a ready map is called at once.
   *
   * @param {string} name
   * @param {Handler} handler
   * @returns {() => void} what takes it back
   */
  on(name, handler) {
    const off = this.#events.on(name, handler)
    if (name === "ready" && this.#life.synced !== null) call(name, handler, [this])
    return off
  }

  /**
   * @param {string} name
   * @param {Handler} handler
   */
  off(name, handler) {
    this.#events.off(name, handler)
  }

  /**
   * Adds a handler of all changes, also this peer's own.
   *
   * @param {(change: Change) => unknown} handler
   * @returns {() => void} what takes it back
   */
  observe(handler) {
    return this.#events.on("change", handler)
  }

  /**
   * Adds a handler of all changes as lists: of what one message, or one batch of this peer, has
   * changed. A single write of this peer is a list of one.
   *
   * @param {(changes: Change[]) => unknown} handler
   * @returns {() => void} what takes it back
   */
  observeBatch(handler) {
    return this.#events.on("changes", handler)
  }

  /**
   * @returns {Promise<this>} fulfilled once the map has the network's state; rejected with
   *   MapClosed if it is closed before that
   */
  ready() {
    return /** @type {Promise<any>} */ (this.#life.ready.promise)
  }

  /** How many others have this map open now. */
  get peers() {
    return this.#seat.peer.peers
  }

  /** What made the map ready: `peer` (synced with one), `alone` (nobody had it), or null. */
  get synced() {
    return this.#life.synced
  }

  /** `read` or `write`, as the relay said last; null before it has said it. */
  get access() {
    return this.#seat.peer.reading.access
  }

  /** `connecting`, `syncing`, `ready`, `offline` or `closed`. */
  get status() {
    return this.#life.status
  }

  /** Why the map is offline; null if it is not. */
  get problem() {
    return this.#life.problem
  }

  /** How often this copy was found to differ from another one; it is repaired by itself. */
  get divergences() {
    return this.#seat.divergences
  }

  /** How many entries of other peers could not be taken, because no map can hold them. */
  get refused() {
    return this.#replica.refused
  }

  /** Leaves the map; the connection stays. May be called again. */
  async close() {
    await this.#seat.close()
    await this.#life.left
  }

  // -- the copy in the browser ----------------------------------------------------------------------

  /** `off`, `loading`, `on`, or `failed`: the map goes on without a copy. */
  get persisted() {
    return this.#persistence?.state ?? OFF
  }

  /**
   * @returns {Promise<boolean>} fulfilled with true once all that this program wrote up to now is in
   *   the copy; with false if there is none
   */
  async saved() {
    return this.#persistence?.saved() ?? false
  }

  /** Deletes the copy, with what the relay has not taken; the map goes on without. */
  async eraseCopy() {
    await this.#persistence?.erase()
  }
}
