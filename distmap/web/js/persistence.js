// Keeps a copy of a map in a store, so that a page that is loaded again goes on from it.
//
// It is read once, before the map talks to the relay. From then on it is written behind: what
// changed in one turn, or while the last transaction was under way, is saved together. Whatever goes
// wrong with the store, the map goes on without it.

/** @import { Listener } from "./listener.js" */
/** @import { Peer } from "./peer.js" */
/** @import { Scheduler, Timer } from "./scheduler.js" */
/** @import { Copy, Store } from "./store.js" */
import { Journal } from "./journal.js"
import { RETENTION_STEPS } from "./knowledge.js"
import { Saving } from "./saving.js"

/** No copy was asked for. */
export const OFF = "off"
/** It is being read. */
export const LOADING = "loading"
export const ON = "on"
/** The map goes on without. */
export const FAILED = "failed"

/** How long a store may take to open, and to save what is left when a map is closed. */
export const STORE_SECONDS = 10
/** The copy of one map. */
export class Persistence {
  state = LOADING
  #store
  #name
  #scheduler
  #told
  /** @type {Peer | null} */
  #peer = null
  #journal = new Journal(() => this.#wake())
  /** @type {Copy | null} */
  #copy = null
  /** @type {Saving | null} once the copy is read */
  #saving = null
  /** @type {Timer | null} */
  #timer = null
  #isWanted = false
  #isRunning = false
  #isClosed = false
  /** @type {((isSaved: boolean) => void)[]} of who waits for what is saved next */
  #waiting = []
  /** @type {((isSaved: boolean) => void)[]} of who waits for what is being saved */
  #served = []
  /** @type {Promise<void>} */
  #loaded = Promise.resolve()

  /**
   * @param {Store} store
   * @param {string} name of the copy
   * @param {Scheduler} scheduler
   * @param {(state: string, problem: Error | null) => void} told is called when the state changes
   */
  constructor(store, name, scheduler, told) {
    this.#store = store
    this.#name = name
    this.#scheduler = scheduler
    this.#told = told
  }

  // -- the map's side -----------------------------------------------------------------------------

  /**
   * Begins to read the copy.
   *
   * @param {Peer} peer whose replica and outbox it is of
   * @returns {Promise<void>} fulfilled when the map can go on: with the copy, or without
   */
  load(peer) {
    this.#peer = peer
    peer.replica.journal = this.#journal
    this.#loaded = this.#load(peer)
    return this.#loaded
  }

  /**
   * This program wrote a key.
   *
   * @param {string} key
   */
  wrote(key) {
    if (this.state !== FAILED) this.#journal.wrote(key, this.#peer?.outbox.get(key))
  }

  /**
   * Listens in: what becomes of own writes is to be saved too.
   *
   * @param {Listener} listener the map
   * @returns {Listener}
   */
  listenTo(listener) {
    return {
      ...listener,
      taken: (writes) => {
        listener.taken(writes)
        if (this.state === FAILED) return
        for (const [key] of writes) this.#journal.taken(key)
      },
      restamped: (updates) => {
        listener.restamped(updates)
        for (const { key } of updates) this.wrote(key)
      },
      refused: (error, writes, updates) => {
        listener.refused(error, writes, updates)
        for (const [key] of writes) this.wrote(key)
      },
      superseded: (writes) => {
        listener.superseded(writes)
        for (const [key] of writes) this.wrote(key)
      },
      becameReady: (how) => {
        this.#wake() // there may be things that only a peer in touch saves
        listener.becameReady(how)
      },
    }
  }

  /**
   * Fulfilled when all that this program wrote up to now is in the store: true; or false, if it
   * cannot be.
   *
   * @returns {Promise<boolean>}
   */
  saved() {
    if (this.state === FAILED || this.#isClosed) return Promise.resolve(false)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#wake()
    })
  }

  /** Saves what is left, and lets go of the store. */
  async close() {
    await this.#loaded
    await new Promise((resolve) => {
      const timer = this.#scheduler.later(STORE_SECONDS, () => resolve(false))
      this.saved().then((isSaved) => {
        timer.cancel()
        resolve(isSaved)
      })
    })
    this.#isClosed = true
    this.#release()
  }

  /** Deletes the copy; the map goes on without. */
  async erase() {
    await this.#loaded
    this.#fail(new Error("the copy was erased"), true)
    await this.#store.erase(this.#name)
  }

  // -- reading ------------------------------------------------------------------------------------

  /** @param {Peer} peer */
  async #load(peer) {
    try {
      const copy = await this.#open()
      this.#copy = copy
      const saving = new Saving(copy, peer, this.#journal, () => this.#turn())
      await saving.load()
      if (saving.damaged) this.#warn(`${saving.damaged} damaged records were left out`)
      if (this.state === FAILED) return
      this.#saving = saving
      this.#setState(ON, null)
      // The copy is told, as often as it matters, that the map is still in touch.
      const seconds = peer.replica.retentionMs / RETENTION_STEPS / 1000
      this.#touch(Math.max(1, Math.min(seconds, 3600)))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** @returns {Promise<void>} */
  #turn() {
    return new Promise((resolve) => void this.#scheduler.soon(resolve))
  }

  /** @returns {Promise<Copy>} */
  #open() {
    return new Promise((resolve, reject) => {
      let isLate = false
      const timer = this.#scheduler.later(STORE_SECONDS, () => {
        isLate = true
        reject(new Error(`it did not open within ${STORE_SECONDS} seconds`))
      })
      const opened = (async () => this.#store.open(this.#name, (problem) => this.#fail(problem)))()
      opened.then(
        (copy) => {
          if (isLate) copy.close()
          else resolve(copy)
        },
        (error) => reject(error),
      )
      opened.catch(() => {}).then(() => timer.cancel())
    })
  }

  // -- writing ------------------------------------------------------------------------------------

  /** @param {number} seconds */
  #touch(seconds) {
    this.#wake()
    this.#timer = this.#scheduler.later(seconds, () => this.#touch(seconds))
  }

  #wake() {
    this.#isWanted = true
    if (this.#isRunning || this.#saving === null) return
    this.#isRunning = true
    this.#scheduler.endOfTurn(() => void this.#run())
  }

  async #run() {
    while (this.#isWanted && this.#saving !== null) {
      this.#isWanted = false
      this.#served = this.#waiting
      this.#waiting = []
      try {
        await this.#saving.save()
      } catch (error) {
        this.#fail(error)
      }
      for (const resolve of this.#served) resolve(true)
    }
    this.#isRunning = false
  }

  // -- the end ------------------------------------------------------------------------------------

  /**
   * @param {unknown} error
   * @param {boolean} [isExpected]
   */
  #fail(error, isExpected = false) {
    if (this.state === FAILED || this.#isClosed) return
    const problem = error instanceof Error ? error : new Error(String(error))
    this.#release()
    if (!isExpected) this.#warn(`the map goes on without it: ${problem.message || problem.name}`)
    this.#setState(FAILED, problem)
  }

  #release() {
    if (this.#peer !== null) this.#peer.replica.journal = null
    this.#timer?.cancel()
    this.#saving = null
    this.#copy?.close()
    this.#copy = null
    for (const resolve of [...this.#served, ...this.#waiting]) resolve(false)
    this.#served = this.#waiting = []
  }

  /**
   * @param {string} state
   * @param {Error | null} problem
   */
  #setState(state, problem) {
    this.state = state
    this.#told(state, problem)
  }

  /** @param {string} text */
  #warn(text) {
    console.warn(`distmap: the saved copy of ${this.#name}: ${text}`)
  }
}
