// The maps of the simulator's JavaScript programs: see simulated.mjs.

/** @import { Machine } from "./simulated_machines.mjs" */
import { logOf, modules, tell } from "./simulated_log.mjs"

const { DistributedMap } = modules.map

/** A map under watch: whatever happens in it is told in its order. */
export class Watched {
  #number
  #replica
  #seat
  #state = ""

  /**
   * @param {Machine} machine
   * @param {number} number
   * @param {string} uri
   */
  constructor(machine, number, uri) {
    const { persist } = machine
    this.map = new DistributedMap(machine.connection, uri, { persist })
    this.#number = number
    this.#replica = this.map._replica
    this.#seat = this.map._seat
    this.#watchReplica()
    this.#watchPeer()
    this.#watchSeat()
    this.#watchMap()
    this.tell("status", this.map.status, "")
  }

  /**
   * @param {string} what
   * @param {unknown[]} details
   */
  tell(what, ...details) {
    tell(what, this.#number, ...details)
  }

  #watchReplica() {
    const replica = this.#replica
    before(replica, "_remove", (key) => this.tell("remove", key))
    after(replica, "_place", (_, key, entry) => this.tell("place", key, entryOf(entry)))
    this.#nest(replica, "restamp", (_, keys) => keys)
    this.#nest(replica, "rewrite", (_, key) => key)
    this.#nest(replica, "forget", (_, key) => key)
    this.#nest(replica, "hold", (_, key) => key)
  }

  #watchPeer() {
    const { peer } = this.#seat
    before(peer.time.correction, "begin", () => this.tell("correct"))
    this.#nest(peer, "adopt", (_, key, { stamp }, base) => [key, stamp, base ?? null])
    const receive = peer.receive.bind(peer)
    this.#nest(peer, "receive", (_, payload) => String(payload?.event))
    const receiveEntries = peer.receive
    // Of the relay, or of others.
    peer.receive = (/** @type {unknown} */ payload) =>
      Array.isArray(payload) ? receive(payload) : receiveEntries(payload)
    after(peer.outbox, "nextMessage", (message) => {
      if (message === null) return
      const { entries, ...entry } = JSON.parse(message)
      const sent = (entries ?? [entry]).map((/** @type {any} */ each) => [each.key, ...each.stamp])
      this.tell("sends", sent, this.#waiting(), peer.outbox.unsent)
    })
  }

  #waiting() {
    const { outbox } = this.#seat.peer
    return Array.from(outbox._waiting.keys(), (key) => {
      const { ms, counter, writer } = outbox.get(key).entry.stamp
      return [key, ms, counter, writer]
    })
  }

  #watchSeat() {
    before(this.#seat, "beginSync", (donor) => {
      this.report()
      this.tell("beginSync", donor)
    })
    before(this.#seat, "becameReady", (how) => {
      this.report()
      this.tell("becameReady", how)
    })
  }

  #watchMap() {
    const { map } = this
    map.on("status", (/** @type {string} */ status, /** @type {any} */ problem) =>
      this.tell("status", status, problem?.code ?? ""),
    )
    map.on("ready", () => this.tell("ready"))
    map.on("superseded", (/** @type {any} */ value, /** @type {string} */ key) =>
      this.tell("superseded", key, value),
    )
    map.observeBatch(() => this.tell("changes"))
    map.observe((/** @type {any} */ { key, value = null, oldValue = null, deleted }) =>
      this.tell("change", key, value, oldValue, deleted),
    )
    map.ready().then(
      () => this.tell("firstReady"),
      (/** @type {any} */ error) => this.tell("neverReady", error.code),
    )
  }

  /**
   * What is told within a call is told as a part of it.
   *
   * @param {any} owner
   * @param {string} name
   * @param {(result: any, ...args: any[]) => unknown} describe
   */
  #nest(owner, name, describe) {
    const original = owner[name].bind(owner)
    owner[name] = (/** @type {any[]} */ ...args) => {
      const [inner, result] = logOf(() => original(...args))
      this.tell(name, inner, describe(result, ...args))
      return result
    }
  }

  /** Tells how things are, if they have changed. */
  report() {
    const { peer, _syncs: syncs } = this.#seat
    const { clock, held, knownMs, mayForget = knownMs === null } = this.#replica
    const state = {
      peers: this.map.peers,
      peer: peer.id,
      waiting: this.#waiting(),
      writes: this.map._life._writes._waiting.size,
      syncing: syncs._syncing !== null,
      serving: syncs.serving.size,
      knownMs,
      mayForget,
      correcting: peer.time.correction.isOn,
      clock: [clock.offsetMs, clock.heardMs, clock._ms, clock._counter],
      held: [...held].map(itemOf),
    }
    const text = JSON.stringify(state)
    if (text !== this.#state) this.tell("state", state)
    this.#state = text
  }

  /**
   * @param {Promise<unknown>} promise of a write
   * @param {number | null} write its number; null if nobody waits
   */
  wait(promise, write) {
    if (write === null) return
    promise.then(
      (result) => {
        this.report()
        this.tell("taken", write, result ?? null)
      },
      (error) => this.tell("refused", write, error.code),
    )
  }

  /** @param {number} count of writes up to now */
  async tellWhenSaved(count) {
    if (await this.map.saved()) this.tell("saved", count)
  }

  digest() {
    const summary = this.#replica.digest()
    this.tell("digest", ...summary, this.map.digest(), this.map.size, [...this.map])
  }
}

/**
 * @param {any} owner
 * @param {string} name
 * @param {(...args: any[]) => void} call
 */
function before(owner, name, call) {
  const original = owner[name].bind(owner)
  owner[name] = (/** @type {any[]} */ ...args) => {
    call(...args)
    return original(...args)
  }
}

/**
 * @param {any} owner
 * @param {string} name
 * @param {(result: any, ...args: any[]) => void} call
 */
function after(owner, name, call) {
  const original = owner[name].bind(owner)
  owner[name] = (/** @type {any[]} */ ...args) => {
    const result = original(...args)
    call(result, ...args)
    return result
  }
}

/** @param {any} entry */
function entryOf({ stamp: { ms, counter, writer }, value, extras }) {
  return [ms, counter, writer, value, extras]
}

/** @param {[string, any]} item */
function itemOf([key, entry]) {
  return [key, ...entryOf(entry)]
}
