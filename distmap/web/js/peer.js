// One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
// other peers. Without I/O: what is to be done goes out through a Port.

/** @import { Stamp } from "./clock.js" */
/** @import { Entry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Port } from "./port.js" */
import { Absence } from "./absence.js"
import { encodeEntry, isObject, wins } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { OffsetEstimator } from "./offset.js"
import { Outbox, encodeMessages } from "./outbox.js"
import { Newcomer, mergeAll } from "./sync.js"

/** Of the channel protocol: major and minor. */
export const VERSION = [1, 0]
export const BY_PEER = "peer"
export const ALONE = "alone"
/** If an acknowledgement names a time so far from the estimated one, the relay is asked. */
export const SUSPICIOUS_MS = 10_000

/** The state of one map, and its side of the channel. */
export class Peer {
  outbox = new Outbox()
  /** The name of this peer on the channel. */
  id = ""
  /** How many others there are. */
  peers = 0
  /** Whether it has the network's state and hears of what changes. */
  inTouch = false
  /** @type {Set<string>} ids of writers: this replica's, and those whose unsent writes it took */
  #writers
  #port
  #nowMs
  #openedMs = 0
  #online = false
  #offset = new OffsetEstimator()
  #askedTime = false
  /** @type {Absence | null} */
  #absence = null
  /** @type {number | null} when this replica was last in touch, by the relay's time */
  #syncedMs = null

  /**
   * @param {Replica} replica the entries
   * @param {Port} port where to act
   * @param {() => number} nowMs the local clock, to estimate the offset to the relay's
   */
  constructor(replica, port, nowMs) {
    this.replica = replica
    this.#writers = new Set([replica.clock.writer])
    this.#port = port
    this.#nowMs = nowMs
  }

  // -- a copy that was saved ----------------------------------------------------------------------

  /** When this replica was last in touch, by the relay's time; null if it never was. */
  get syncedMs() {
    if (!this.inTouch) return this.#syncedMs
    const { heardMs } = this.replica.clock // no jump of the local clock moves it
    return heardMs === null ? null : Math.floor(heardMs)
  }

  /**
   * Goes on from a saved copy; comes before the first stream.
   *
   * @param {number | null} syncedMs when the copy was last in touch
   */
  resume(syncedMs) {
    this.#syncedMs = syncedMs
  }

  /**
   * Takes over a write that the relay had not taken when the program was ended.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {Stamp} [base] of what it replaced
   */
  adopt(key, entry, base) {
    this.#writers.add(entry.stamp.writer)
    this.replica.restore(key, entry)
    if (wins(key, entry, this.outbox.get(key)?.entry)) this.outbox.add(key, entry, base)
  }

  // -- the channel's stream -----------------------------------------------------------------------

  /** The stream was opened; nothing is sent before the relay's welcome. */
  opened() {
    this.#openedMs = this.#nowMs()
    this.#offset.forget()
  }

  /** The stream, or the connection, is gone. */
  lost() {
    if (this.inTouch) this.#syncedMs = this.replica.clock.nowMs()
    this.#online = this.inTouch = this.#askedTime = false
    this.outbox.goOffline()
    this.#setPeers(0)
  }

  /**
   * Takes a payload of the channel: of the relay, or of another peer.
   *
   * @param {unknown} payload
   * @throws {RemoteProtocolError} the relay sent something that it never would; what another peer
   *   sent is never an error here: what cannot be taken is counted in `replica.refused`
   */
  receive(payload) {
    if (Array.isArray(payload)) this.#receiveControl(payload)
    else this.#receiveEntries(payload)
  }

  /** @param {unknown[]} message */
  #receiveControl([name, first, second]) {
    if (name === "welcome" && isObject(first)) this.#welcome(first)
    else if (name === "members" && isInteger(first)) this.#setPeers(first - 1)
    else if (name === "ack" && isInteger(first)) this.#receiveAck(first, second)
    else if (name === "donor" && typeof first === "string") this.#port.beginSync(first)
    else if (name === "alone") this.#becomeReady(ALONE)
    else if (name === "client" && typeof first === "string") this.#port.serve(first)
    else if (name === "time" && typeof first === "number" && typeof second === "number") {
      this.#askedTime = false
      this.#setOffset(first, second)
    }
    // Anything else is of a newer relay.
  }

  /** @param {Record<string, unknown>} details */
  #welcome({ version, peer, time_ms: timeMs, members }) {
    const major = Array.isArray(version) ? version[0] : null
    if (typeof peer !== "string" || typeof timeMs !== "number" || !isInteger(members)) {
      throw new RemoteProtocolError("the relay sent a malformed welcome")
    }
    if (major !== VERSION[0]) throw new RemoteProtocolError(`the relay speaks version ${major}`)
    this.id = peer
    this.#setOffset(this.#openedMs, timeMs)
    this.#online = true
    if (!this.#wasAwayLong()) {
      this.outbox.goOnline()
      this.sendWrites()
    }
    this.#setPeers(members - 1)
  }

  /**
   * @param {number} number
   * @param {unknown} timeMs
   */
  #receiveAck(number, timeMs) {
    this.#port.taken(this.outbox.acknowledge(number))
    this.sendWrites()
    if (typeof timeMs !== "number") return
    if (Math.abs(this.replica.clock.nowMs() - timeMs) > SUSPICIOUS_MS) this.askTime()
  }

  /**
   * Whether tombstones may be forgotten that this replica has not seen: its writes then wait until
   * it knows what became of their keys.
   */
  #wasAwayLong() {
    if (this.#syncedMs === null) return this.#absence !== null
    return this.replica.clock.nowMs() - this.#syncedMs > this.replica.retentionMs
  }

  /** @param {unknown} message */
  #receiveEntries(message) {
    const event = isObject(message) ? message.event : undefined
    if (!isObject(message) || typeof event !== "string") {
      this.replica.refused++
    } else if (event === "set" || event === "delete") {
      this.#take([message])
    } else if (event === "entries") {
      const { entries = [] } = message
      if (Array.isArray(entries)) this.#take(entries)
      else this.replica.refused++
    } else if (event === "digest") {
      const { peer, count, sum } = message
      if (typeof peer === "string" && isInteger(count) && isInteger(sum)) {
        this.#port.heardDigest(peer, [count, sum])
      }
    }
    // Anything else is of a newer peer.
  }

  /** @param {unknown[]} entries */
  #take(entries) {
    const held = this.replica.held.size
    this.updated(mergeAll(this.replica, entries))
    // Before it is believed that the others are ahead, and not this behind.
    if (this.replica.held.size > held) this.askTime()
  }

  /**
   * Others' entries took their place; while the state is fetched afresh, nobody is told.
   *
   * @param {Update[]} updates
   */
  updated(updates) {
    if (updates.length && this.#absence === null) this.#port.updated(updates)
  }

  /** @param {number} peers */
  #setPeers(peers) {
    if (peers === this.peers) return
    this.peers = peers
    this.#port.peersChanged(peers)
  }

  // -- own writes ---------------------------------------------------------------------------------

  /**
   * This peer wrote; sendWrites() sends it.
   *
   * @param {Update} update
   */
  wrote({ key, entry, old }) {
    this.outbox.add(key, entry, old?.stamp)
  }

  /** Sends what waits in the outbox, as far as the window allows. */
  sendWrites() {
    while (this.#online) {
      const message = this.outbox.nextMessage()
      if (message === null) return
      this.#port.send(message)
    }
  }

  // -- syncs --------------------------------------------------------------------------------------

  /** A conversation with a donor. */
  begin() {
    return new Newcomer(this.replica, this.inTouch ? null : this.#syncedMs)
  }

  /** The donor has forgotten what this replica has not seen: begins again with nothing. */
  discard() {
    if (this.#absence === null) this.#absence = new Absence(this.replica, this.outbox)
    else this.#absence.discardAgain(this.outbox)
    this.#syncedMs = null
    return new Newcomer(this.replica)
  }

  /** The conversation with the donor is at its end. */
  synced() {
    this.#port.send('["ready"]')
    this.#becomeReady(BY_PEER)
    this.#broadcast(Array.from(this.replica.held, (item) => encodeEntry(...item)))
  }

  /** @param {string} how */
  #becomeReady(how) {
    this.inTouch = true
    if (!this.outbox.isOnline) this.outbox.goOnline()
    const absence = this.#absence
    this.#absence = null
    if (absence !== null && how === ALONE && this.peers === 0) {
      absence.restore(this.outbox)
    } else if (absence !== null) {
      const end = absence.end(this.outbox)
      this.#port.restamped(end.offered)
      this.#port.taken(end.taken)
      this.#port.superseded(end.superseded)
      this.#port.updated(end.updates)
    }
    this.sendWrites()
    this.#port.becameReady(how)
  }

  /**
   * The donor died, stalled or broke the protocol: asks the relay for another.
   *
   * @param {string | null} donor null if none did
   */
  syncFailed(donor) {
    if (this.#online) this.#port.send(JSON.stringify(["sync", donor]))
  }

  /** Tells the others the digest of this replica. */
  tellDigest() {
    const [count, sum] = this.replica.digest()
    this.#sendOthers(JSON.stringify({ event: "digest", peer: this.id, count, sum }))
  }

  /**
   * Others brought entries that are news to the rest too.
   *
   * @param {Update[]} updates
   */
  learned(updates) {
    this.updated(updates)
    this.#broadcast(updates.map(({ key, entry }) => encodeEntry(key, entry)))
  }

  /** @param {string[]} texts */
  #broadcast(texts) {
    for (const message of encodeMessages(texts)) this.#sendOthers(message)
  }

  /** @param {string} message */
  #sendOthers(message) {
    if (!this.#online) return
    this.outbox.countOther()
    this.#port.send(message)
  }

  // -- time ---------------------------------------------------------------------------------------

  /**
   * Learns the relay's time; what a wrong clock has done here is put right.
   *
   * @param {number} askedMs
   * @param {number} timeMs
   */
  #setOffset(askedMs, timeMs) {
    this.replica.clock.heardMs = timeMs
    const offsetMs = this.#offset.add(askedMs, this.#nowMs(), timeMs)
    if (offsetMs === null) return
    const { clock } = this.replica
    if (clock.correct(offsetMs)) {
      // It was far ahead. What nobody has seen is stamped anew; what was sent, others hold back
      // until its time: so does this peer, and writes it once more with a good stamp.
      const own = this.outbox.unsent.filter((key) => this.#isOwn(this.replica.entries.get(key)))
      const updates = this.replica.restamp(own)
      this.outbox.replace(updates.map(({ key, entry }) => [key, entry]))
      this.#port.restamped(updates)
      const ahead = this.replica.holdAgain()
      for (const [key, entry] of ahead) if (this.#isOwn(entry)) this.#rewrite(key, entry)
      if (ahead.length) this.syncFailed(null)
    }
    this.release()
  }

  /**
   * Whether an entry is this peer's own: another, whose clock is as wrong, may have overwritten it.
   *
   * @param {Entry | undefined} entry
   */
  #isOwn(entry) {
    return entry !== undefined && this.#writers.has(entry.stamp.writer)
  }

  /**
   * @param {string} key
   * @param {Entry} entry
   */
  #rewrite(key, entry) {
    const update = this.replica.rewrite(key, entry.value)
    this.wrote(update)
    this.#port.restamped([update])
  }

  /**
   * Asks the relay for its time, unless the question is on its way.
   *
   * @returns {boolean} whether an answer is due
   */
  askTime() {
    if (this.#online && !this.#askedTime) {
      this.#askedTime = true
      this.#port.send(JSON.stringify(["time", this.#nowMs()]))
    }
    return this.#online
  }

  /** Takes the entries from the future whose time has come. */
  release() {
    this.updated(this.replica.release())
    if (this.#online && this.replica.held.takeFetch(this.replica.clock.nowMs())) {
      this.syncFailed(null)
    }
  }
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isInteger(value) {
  return Number.isSafeInteger(value)
}
