// One peer of a map's network: its replica, its outbox, and what it says to the relay and to the
// other peers. Without I/O: what is to be done goes out through a Port.

/** @import { Details } from "./channel_wire.js" */
/** @import { Stamp } from "./clock.js" */
/** @import { Entry } from "./entries.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Port } from "./port.js" */
import { ALONE, Absence, BY_PEER } from "./absence.js"
import { decodeControl, decodeSaid, encodeMessages, isName } from "./channel_wire.js"
import { Doubts } from "./doubts.js"
import { encodeEntry, wins } from "./entries.js"
import { RemoteProtocolError } from "./errors.js"
import { Outbox } from "./outbox.js"
import { mergeAll } from "./merging.js"
import { Reader, Reading } from "./reading.js"
import { Newcomer } from "./sync.js"
import { Timekeeper } from "./timekeeping.js"

/** Of the channel protocol: major and minor. */
export const VERSION = [1, 0]
export { ALONE, BY_PEER }
/** Messages of own writes, of about 64 KiB each if many wait, that are sent in one turn. */
const TURN_MESSAGES = 4

/** The state of one map, and its side of the channel. */
export class Peer {
  outbox = new Outbox()
  /** The name of this peer on the channel. */
  id = ""
  /** How many others there are. */
  peers = 0
  #port
  #open = false
  #online = false
  /** Whether something takes several turns; nothing is compared meanwhile. */
  isBusy = false
  /**
   * How it became ready; it is told so once this is not busy.
   *
   * @type {string | null}
   */
  #how = null

  /**
   * @param {Replica} replica the entries
   * @param {Port} port where to act
   * @param {() => number} nowMs the local clock, to estimate the offset to the relay's
   */
  constructor(replica, port, nowMs) {
    this.replica = replica
    this.reading = new Reading(replica, this.outbox, port)
    this.time = new Timekeeper(replica, this.outbox, port, nowMs)
    this.absence = new Absence(replica, this.outbox, port)
    this.doubts = new Doubts(replica, port)
    this.#port = port
    replica.inTouch = false
  }

  // -- the channel's stream -----------------------------------------------------------------------

  /** The stream was opened; nothing is sent before the relay's welcome. */
  opened() {
    this.#open = true
    if (!this.absence.wasInTouch) this.replica.knownMs = 0
    this.time.opened()
  }

  /** The stream, or the connection, is gone. */
  lost() {
    this.replica.loseTouch()
    this.#open = this.#online = false
    this.doubts.lost()
    this.#how = null
    this.time.lost()
    this.reading.lost()
    this.absence.lost()
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
  #receiveControl(message) {
    const control = decodeControl(message)
    if (control === null) return // of a newer relay
    if (!this.#open) return // a handler has left the map meanwhile
    if (!this.#online && control[0] !== "welcome") {
      throw new RemoteProtocolError("the relay sent something before its welcome")
    }
    if (control[0] === "welcome") this.#welcome(control[1])
    else if (control[0] === "members") this.#setPeers(control[1] - 1)
    else if (control[0] === "ack") this.#receiveAck(control[1], control[2])
    else if (control[0] === "donor") this.#port.beginSync(control[1])
    else if (control[0] === "alone") this.#becomeReady(ALONE)
    else if (control[0] === "client") {
      if (isName(control[1])) this.#port.serve(control[1], false)
    } else if (control[0] === "reader") {
      if (isName(control[1])) this.#port.serve(control[1], true)
    } else if (control[0] === "refused") {
      this.reading.refused()
      this.absence.giveUp()
      this.isBusy = true
      this.#port.workSoon()
    } else {
      this.time.answered(control[1], control[2])
      this.work()
      this.release()
    }
  }

  /** @param {Details} details */
  #welcome({ version: [major], peer, time_ms: timeMs, members, access }) {
    if (major !== VERSION[0]) throw new RemoteProtocolError(`the relay speaks version ${major}`)
    if (this.#online) throw new RemoteProtocolError("a second welcome")
    this.id = peer
    this.time.welcomed(timeMs)
    this.#toldAccess(access)
    this.release()
    if (!this.#open) return // a handler of what was released has left the map
    this.#online = this.time.online = true
    if (!this.absence.hasToAsk) this.outbox.goOnline()
    this.work()
    this.#setPeers(members - 1)
  }

  /** @param {unknown} access */
  #toldAccess(access) {
    this.reading.told(access)
    if (this.reading.only) this.absence.giveUp()
    else this.absence.keep()
  }

  /**
   * @param {number} number
   * @param {number} timeMs
   */
  #receiveAck(number, timeMs) {
    const taken = this.outbox.acknowledge(number)
    this.replica.arrived(taken.map(([key]) => key))
    this.#port.taken(taken)
    this.sendWrites()
    this.time.acknowledged(timeMs)
  }

  /** @param {unknown} message */
  #receiveEntries(message) {
    let said
    try {
      said = decodeSaid(message)
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error
      this.replica.refused++
      return
    }
    if (said === null) return // of a newer peer
    if ("entries" in said) this.#take(said.entries)
    else this.#port.heardDigest(said.peer, said.digest)
  }

  /** @param {unknown[]} entries */
  #take(entries) {
    const held = this.replica.held.size
    this.updated(mergeAll(this.replica, entries, { doubtful: this.doubts.aside }))
    // Before it is believed that the others are ahead, and not this behind.
    if (this.replica.held.size > held) this.time.ask()
  }

  /**
   * Others' entries took their place.
   *
   * @param {Update[]} updates
   */
  updated(updates) {
    if (updates.length) this.#port.updated(updates)
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
  wrote(update) {
    const { key, entry, old } = update
    this.time.correction.wrote(update)
    this.reading.wrote(update)
    this.outbox.add(key, entry, this.absence.written(key, old?.stamp))
  }

  /**
   * Sends what waits in the outbox, as far as the window allows.
   *
   * @param {number} [most] how many messages at most; the rest is sent in later turns
   */
  sendWrites(most = TURN_MESSAGES) {
    if (this.time.correction.isOn || this.reading.isTakingBack) return
    while (this.#online) {
      const message = this.outbox.nextMessage()
      if (message === null) return
      this.#port.send(message)
      if (--most > 0) continue
      this.#port.workSoon()
      return
    }
  }

  /**
   * Takes over a write that the relay had not taken when the program was ended, from a saved copy.
   *
   * @param {string} key
   * @param {Entry} entry
   * @param {Stamp} [base] of what it replaced
   */
  adopt(key, entry, base) {
    this.time.writers.add(entry.stamp.writer)
    this.replica.restore(key, entry)
    if (wins(key, entry, this.outbox.get(key)?.entry)) this.outbox.add(key, entry, base)
  }

  // -- syncs --------------------------------------------------------------------------------------

  /** The conversation with the donor is at its end. */
  synced() {
    this.replica.joined()
    this.#port.send('["ready"]')
    this.#becomeReady(BY_PEER)
  }

  /** A conversation with a donor. */
  begin() {
    if (this.reading.only) return new Reader(this.replica)
    return new Newcomer(this.replica, (floorMs, outdated) => this.#met(floorMs, outdated))
  }

  /**
   * A donor told its floor.
   *
   * @param {number} floorMs
   * @param {boolean} outdated
   * @returns {boolean} whether nothing has to be set aside before the two compare
   */
  #met(floorMs, outdated) {
    this.absence.met(floorMs, outdated)
    this.work()
    return !this.isBusy
  }

  /** @param {string} how */
  #becomeReady(how) {
    this.replica.getInTouch()
    this.doubts.settle()
    const asked = !this.outbox.isOnline
    if (asked) this.outbox.goOnline()
    this.absence.over(how, asked)
    this.#how = how
    this.work()
  }

  /**
   * Goes on with what takes several turns, and tells that this peer is ready if it waits for that
   * only.
   */
  work() {
    const parts = [this.time, this.reading, this.doubts, this.absence]
    this.isBusy = !parts.every((part) => part.work())
    this.sendWrites()
    if (this.isBusy) {
      this.#port.workSoon()
    } else if (this.#how !== null) {
      const how = this.#how
      this.#how = null
      this.#port.becameReady(how)
    }
  }

  /** Now and then, while ready: asks for the time, and forgets gaps. */
  lookUp() {
    this.time.ask()
    this.replica.expireGaps()
  }

  /**
   * The donor died, stalled or broke the protocol: asks the relay for another.
   *
   * @param {string} donor
   */
  syncFailed(donor) {
    if (this.#online) this.#port.send(JSON.stringify(["sync", donor]))
  }

  /** Tells the others the digest of this replica. */
  tellDigest() {
    if (!this.#online || this.reading.only) return
    const [count, sum] = this.replica.digest()
    this.outbox.countOther()
    this.#port.send(JSON.stringify({ event: "digest", peer: this.id, count, sum }))
  }

  /**
   * A newcomer brought entries: they are news to the others too.
   *
   * @param {Update[]} updates
   */
  learned(updates) {
    this.updated(updates)
    this.tellAll(updates.map(({ key, entry }) => encodeEntry(key, entry)))
  }

  /**
   * Passes entries on to the others, whoever wrote them.
   *
   * @param {string[]} texts
   */
  tellAll(texts) {
    for (const message of encodeMessages(texts)) {
      if (!this.#online || this.reading.only) return
      this.outbox.countOther()
      this.#port.send(message)
    }
  }

  // -- time ---------------------------------------------------------------------------------------

  /** Takes the entries from the future whose time has come. */
  release() {
    this.updated(this.replica.release())
    if (this.#online && this.replica.held.takeFetch(this.replica.clock.latestMs())) {
      this.#port.send(JSON.stringify(["sync", null]))
    }
  }
}
