// A map's seat on a connection: opens its channel on each session, holds the syncs, keeps time.

/** @import { Connection } from "./connection.js" */
/** @import { KeyedEntry } from "./entries.js" */
/** @import { Listener } from "./listener.js" */
/** @import { Replica, Update } from "./lww.js" */
/** @import { Written } from "./outbox.js" */
/** @import { Summary } from "./ranges.js" */
/** @import { Timer } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
/** @import { MuxStream } from "./states.js" */
import { AccessRefused, RemoteError, StreamError } from "./errors.js"
import { Peer, VERSION } from "./peer.js"
import { State } from "./states.js"
import { OFFLINE, SYNCING } from "./status.js"
import { Syncs } from "./syncs.js"
import { Reopenings } from "./tries.js"
import { Watching } from "./watching.js"

/** The seat of one map. */
export class Seat {
  #connection
  #scheduler
  #listener
  /** @type {Session | null} */
  #session = null
  /** @type {MuxStream | null} */
  #stream = null
  #syncs
  #watching
  /** @type {Timer | null} */
  #releaseTimer = null
  /** @type {Timer | null} */
  #reopenTimer = null
  #sendScheduled = false
  /** @type {Timer | null} */
  #workTimer = null
  #reopenings
  /** @type {boolean | null} whether the relay has opened the map on this session */
  letIn = null
  #takesBack = false
  #started = false
  #closed = false
  #left = Promise.resolve()

  /**
   * @param {Connection} connection rides on it
   * @param {string} uri of the map
   * @param {Replica} replica the map's entries
   * @param {Listener} listener the map
   */
  constructor(connection, uri, replica, listener) {
    this.uri = uri
    this.replica = replica
    const { scheduler, random } = connection
    this.#connection = connection
    this.#scheduler = scheduler
    this.#listener = listener
    this.peer = new Peer(replica, this, scheduler.nowMs)
    this.#syncs = new Syncs(this.peer, uri, scheduler, random)
    this.#reopenings = new Reopenings(random)
    this.#watching = new Watching(this.peer, scheduler, random, (peer) => this.#repairFrom(peer))
  }

  // -- the map's side -----------------------------------------------------------------------------

  /** The map has what it begins with: opens the channel. */
  start() {
    this.#started = true
    if (!this.#closed) this.#open()
  }

  /**
   * The map wrote: it leaves at the end of the turn, with all else written in it.
   *
   * @param {Update} update
   */
  wrote(update) {
    this.peer.wrote(update)
    if (this.#stream === null || this.#sendScheduled) return
    this.#sendScheduled = true
    this.#scheduler.endOfTurn(() => {
      this.#sendScheduled = false
      this.peer.sendWrites()
      this.#session?.flush()
    })
  }

  /** Throws AccessRefused if this peer is known to be one that may only read. */
  checkWritable() {
    if (this.peer.reading.only) throw this.#refusal()
  }

  #refusal() {
    return new AccessRefused(`you may read ${this.uri}, and not write to it`)
  }

  /** Leaves the channel, and tells the map; a second call does nothing. */
  close() {
    if (this.#closed) return this.#left
    this.#closed = true
    this.peer.sendWrites(Infinity)
    this.#releaseTimer?.cancel()
    this.#workTimer?.cancel()
    this.#stopReopening()
    this.#connection.detach(this)
    this.#endTalk()
    const stream = this.#stream
    this.#stream = null
    if (stream !== null) this.#session?.closeStream(stream)
    this.#session?.flush()
    this.#left = this.#listener.left()
    this.#connection.waitFor(this.#left)
    return this.#left
  }

  // -- the connection's side ----------------------------------------------------------------------

  /** @param {Session} session */
  sessionOpened(session) {
    this.#session = session
    this.#open()
  }

  /** @param {Error} problem */
  sessionLost(problem) {
    this.#session = this.letIn = null
    this.#stopReopening()
    this.#listener.statusChanged(OFFLINE, problem)
  }

  /** It may be opened now. */
  reopen() {
    if (this.#reopenTimer === null) return
    this.#stopReopening()
    this.#open()
  }

  /** Asks the relay what it must answer; false if there is no channel. */
  ask() {
    return this.peer.time.ask()
  }

  #open() {
    this.#reopenTimer = this.letIn = null
    this.#takesBack = false
    if (!this.#started || !this.#session?.alive) return
    const route = `${this.uri}/channel`
    this.#stream = this.#session.open({ route, version: VERSION }, this, { id: route })
    this.peer.opened()
    this.#listener.statusChanged(SYNCING, null)
  }

  // -- the channel's stream -----------------------------------------------------------------------

  /** @param {unknown} payload */
  streamData(payload) {
    if (this.#stream === null) return
    try {
      this.peer.receive(payload)
      if (this.letIn === null) {
        this.letIn = true
        this.#reopenings.letIn()
        this.#connection.judged()
      }
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error
      console.warn(`distmap: the channel of ${this.uri} failed: ${error.message}`)
      this.#session?.error(this.#stream, error.message, error.code)
    }
    this.#scheduleRelease()
  }

  /** @param {StreamError | null} error */
  streamClosed(error) {
    this.#stream = null
    this.peer.lost()
    this.#endTalk()
    if (this.#closed || !this.#session?.alive) return
    const isRefused = error?.code === AccessRefused.code
    const problem = isRefused
      ? new AccessRefused(error.message)
      : (error ?? new StreamError("the relay closed the channel", "closed"))
    this.letIn = isRefused ? false : null
    const [delay, isKnown] = this.#reopenings.ended(problem)
    if (!isKnown) {
      const { code, message } = problem
      console.warn(`distmap: the relay ended the channel of ${this.uri} (${code}): ${message}`)
    }
    this.#reopenTimer = this.#scheduler.later(delay, () => this.#open())
    this.#listener.statusChanged(OFFLINE, problem)
    this.#connection.judged()
  }

  #stopReopening() {
    this.#reopenings.reset()
    this.#reopenTimer?.cancel()
    this.#reopenTimer = null
  }

  // -- what the peer asks for: see Port in peer.js ------------------------------------------------

  /** @param {string} payload */
  send(payload) {
    // The relay may have closed it in the message that is handled just now.
    if (this.#stream === null || this.#stream.state === State.CLOSED) return
    this.#session?.send(this.#stream, payload)
  }

  /** @param {Update[]} updates */
  updated(updates) {
    this.#listener.updated(updates)
  }

  /** @param {Written[]} writes */
  taken(writes) {
    this.#listener.taken(writes)
  }

  /**
   * @param {KeyedEntry[]} writes
   * @param {Update[]} updates
   */
  refused(writes, updates) {
    // Who looks at no promise would not hear of it.
    if (!this.#takesBack) {
      console.warn(`distmap: writes to ${this.uri} are taken back: it may only be read`)
    }
    this.#takesBack = true
    this.#listener.refused(this.#refusal(), writes, updates)
  }

  /** @param {Update[]} updates */
  restamped(updates) {
    this.#listener.restamped(updates)
  }

  /** @param {string} how */
  becameReady(how) {
    this.#reopenings.reset()
    this.#watching.start()
    this.#listener.becameReady(how)
  }

  /** @param {number} peers */
  peersChanged(peers) {
    this.#listener.peersChanged(peers)
  }

  /** @param {string} donor */
  beginSync(donor) {
    if (this.#session !== null) this.#syncs.begin(this.#session, donor)
  }

  /**
   * @param {string} client
   * @param {boolean} reader
   */
  serve(client, reader) {
    if (this.#session !== null) this.#syncs.serve(this.#session, client, reader)
  }

  workSoon() {
    if (this.#closed) return
    this.#workTimer ??= this.#scheduler.soon(() => {
      this.#workTimer = null
      this.peer.work()
    })
  }

  /**
   * @param {string} peer
   * @param {Summary} digest
   */
  heardDigest(peer, digest) {
    this.#watching.heard(peer, digest)
  }

  /** @param {KeyedEntry[]} writes */
  superseded(writes) {
    this.#listener.superseded(writes)
  }

  /** @param {string} peer */
  #repairFrom(peer) {
    if (this.#stream !== null && this.#session !== null) {
      this.#syncs.begin(this.#session, peer, true)
    }
  }

  /** How often this replica was found to differ from another, and was repaired. */
  get divergences() {
    return this.#syncs.repairs
  }

  #endTalk() {
    this.#watching.stop()
    this.#syncs.stop()
  }

  // -- entries from the future --------------------------------------------------------------------

  #scheduleRelease() {
    const waitMs = this.replica.releaseInMs()
    if (waitMs === null || this.#closed) return
    // A wrong clock could ask for years; look again once an hour at most.
    const seconds = Math.min(waitMs / 1000 + 0.001, 3600)
    this.#releaseTimer?.cancel()
    this.#releaseTimer = this.#scheduler.later(seconds, () => {
      this.#releaseTimer = null
      this.peer.release()
      this.#scheduleRelease()
    })
  }
}
