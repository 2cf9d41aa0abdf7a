// The syncs of one map: as the newcomer with one donor at a time, as the donor of several.

/** @import { Update } from "./lww.js" */
/** @import { Peer } from "./peer.js" */
/** @import { Scheduler } from "./scheduler.js" */
/** @import { Session } from "./session.js" */
import { Refusing, Serving, Syncing } from "./syncing.js"

/** Newcomers that this peer serves at a time; the relay sends it fewer. */
export const MAX_SERVING = 16
/**
 * Newcomers that it tells so at a time; no more can wait for it at a relay that keeps to the rules.
 */
export const MAX_REFUSING = 64

/** What is under way. */
export class Syncs {
  /** @type {Set<Serving>} */
  serving = new Set()
  /** @type {Set<Refusing>} */
  refusing = new Set()
  /** How often this replica was found to differ from another, and was repaired. */
  repairs = 0
  #peer
  #random
  /** @type {Syncing | null} */
  #syncing = null
  // This peer had the state before: what it gets is news to the others too.
  #news = false
  #repair = false

  /**
   * @param {Peer} peer whose syncs they are
   * @param {string} uri of the map
   * @param {Scheduler} scheduler for the timers
   * @param {() => number} random gives a number from 0 to 1; names the conversations
   */
  constructor(peer, uri, scheduler, random) {
    this.uri = uri
    this.scheduler = scheduler
    this.#peer = peer
    this.#random = random
  }

  get replica() {
    return this.#peer.replica
  }

  get isBusy() {
    return this.#peer.isBusy
  }

  // -- beginning and ending -----------------------------------------------------------------------

  /**
   * Opens a stream to a donor. A sync that is under way goes on instead of a repair, and ends for
   * anything else.
   *
   * @param {Session} session
   * @param {string} donor
   * @param {boolean} [repair]
   */
  begin(session, donor, repair = false) {
    if (this.#syncing !== null && repair) return
    this.#syncing?.stop()
    this.#repair = repair
    this.#news = this.replica.inTouch
    const name = Math.floor(this.#random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
    this.#syncing = new Syncing(this, session, donor, `${this.#peer.id}.${name}`)
  }

  /**
   * Takes the stream of a newcomer, or tells it that there are too many.
   *
   * @param {Session} session
   * @param {string} client
   * @param {boolean} [reader] that may only read
   */
  serve(session, client, reader = false) {
    if (this.serving.size < MAX_SERVING) {
      this.serving.add(new Serving(this, session, this.#peer.id, client, reader))
    } else if (this.refusing.size < MAX_REFUSING) {
      this.refusing.add(new Refusing(this, session, this.#peer.id, client))
    }
  }

  /** Ends all. */
  stop() {
    this.#syncing?.stop()
    this.#syncing = null
    for (const each of [...this.serving, ...this.refusing]) each.stop()
    this.serving.clear()
    this.refusing.clear()
  }

  // -- what the conversations ask and tell: see Party in conversation.js ---------------------------

  newConversation() {
    return this.#peer.begin()
  }

  /** @param {Update[]} updates */
  merged(updates) {
    if (updates.length === 0) return
    if (this.#news) this.#peer.learned(updates)
    else this.#peer.updated(updates)
  }

  /** @param {Update[]} updates */
  learned(updates) {
    if (updates.length) this.#peer.learned(updates)
  }

  /** @param {string[]} texts */
  told(texts) {
    this.#peer.tellAll(texts)
  }

  /** @param {Syncing} syncing */
  syncDone(syncing) {
    if (this.#syncing !== syncing) return
    this.#syncing = null
    if (!this.#repair) {
      this.#peer.synced()
      return
    }
    const { donor, repaired } = syncing
    if (repaired === 0) return
    this.repairs++
    console.error(
      `distmap: ${this.uri} had diverged from peer ${donor}: ${repaired} entries were repaired`,
    )
  }

  /**
   * @param {Syncing} syncing
   * @param {string} reason
   */
  syncFailed(syncing, reason) {
    if (this.#syncing !== syncing) return
    this.#syncing = null
    console.warn(`distmap: the donor ${syncing.donor} of ${this.uri} failed: ${reason}`)
    if (!this.#repair) this.#peer.syncFailed(syncing.donor)
  }

  /** @param {Serving | Refusing} serving */
  servingEnded(serving) {
    if (serving instanceof Serving) this.serving.delete(serving)
    else this.refusing.delete(serving)
  }
}
