// The machines of the simulator that run the JavaScript client, and what it finds around it there:
// time, chance, sockets, the events of a page, and a store.

/** @import { Watched } from "./simulated_maps.mjs" */
import { modules, tell } from "./simulated_log.mjs"
import { Disks, MemoryStore } from "./stores.mjs"
import { seeded } from "./support.mjs"

const { Connection } = modules.connection
const { WebSocketConnector } = modules.connector

const LONGEST_SECONDS = 2 ** 31 / 1000 // of setTimeout()
const STORE_MOST_SECONDS = 0.05

/** @type {Map<string, Machine>} by name */
export const machines = new Map()
/** @type {Map<string, Disks>} by name */
export const disks = new Map()
/** @type {Machine[]} whose command is carried out, if there is one */
export const current = []

/** @typedef {() => void} Listener */

// What tells a page that the network is there again.
Object.assign(globalThis, {
  addEventListener(/** @type {string} */ name, /** @type {Listener} */ listener) {
    if (name === "online") current[0].listeners.add(listener)
  },
  removeEventListener(/** @type {string} */ _name, /** @type {Listener} */ listener) {
    for (const machine of machines.values()) machine.listeners.delete(listener)
  },
})

// -- sockets ---------------------------------------------------------------------------------------

/** A page's WebSocket. */
class Socket {
  readyState = 0
  /** @type {((event: any) => void) | null} */
  onopen = null
  /** @type {((event: any) => void) | null} */
  onmessage = null
  /** @type {((event: any) => void) | null} */
  onerror = null
  /** @type {((event: any) => void) | null} */
  onclose = null

  constructor() {
    this.machine = current[0]
    this.id = this.machine.sockets.size
    this.machine.sockets.set(this.id, this)
    tell("connect", this.id)
  }

  /** @param {string} data */
  send(data) {
    tell("send", this.id, data)
  }

  /**
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code = 1005, reason = "") {
    if (this.readyState === 0) this.drop()
    else if (this.readyState === 1) tell("close", this.id, code, reason)
    this.readyState = Math.max(this.readyState, 2)
  }

  drop() {
    if (this.readyState < 3) tell("abandon", this.id)
    this.readyState = 3
  }

  opened() {
    this.readyState = 1
    this.onopen?.({})
  }

  lost() {
    const wasOpen = this.readyState > 0
    this.readyState = 3
    if (!wasOpen) this.onerror?.({})
    this.onclose?.({ code: 1006, reason: "" })
  }
}

/** That of npm's ws. */
class NodeSocket extends Socket {
  terminate() {
    this.drop()
  }
}

/** A store whose answers take their time: a crash comes between two of them. */
class SlowStore extends MemoryStore {
  /** @param {Machine} machine */
  constructor(machine) {
    super(machine.disks)
    this.machine = machine
  }

  /** @override */
  turn() {
    const { machine } = this
    return new Promise((resolve) => {
      machine.later(STORE_MOST_SECONDS * machine.random(), () => resolve(undefined), "store")
    })
  }
}

// -- machines --------------------------------------------------------------------------------------

/**
 * @typedef {object} MachineOptions
 * @property {number} seed of its chance
 * @property {number} retentionMs
 * @property {boolean} isPage it has a page's WebSocket; else that of npm's ws
 * @property {string | null} disk what its maps are kept on, if they are
 */

/** One machine with a client on it. */
export class Machine {
  nowMs = 0
  /** @type {Map<number, () => void>} */
  timers = new Map()
  /** @type {Map<number, Socket>} */
  sockets = new Map()
  /** @type {Map<number, Watched>} the maps that are, or were, open */
  maps = new Map()
  /** @type {Set<() => void>} who wants to know when the network is there again */
  listeners = new Set()
  /** @type {any} */
  connection = null
  #lastTimer = 0
  #status = ""

  /** @param {MachineOptions} options */
  constructor({ seed, retentionMs, isPage, disk }) {
    this.random = seeded(seed)
    this.retentionMs = retentionMs
    this.WebSocket = isPage ? Socket : NodeSocket
    this.disks = diskOf(disk)
    this.persist = disk === null ? false : new SlowStore(this)
  }

  /**
   * @param {number} seconds
   * @param {() => void} call
   * @param {string} [whose] the store's go on when the client is closed
   */
  later(seconds, call, whose = "client") {
    if (!(seconds <= LONGEST_SECONDS)) throw new Error(`a timer of ${seconds} seconds`)
    const id = ++this.#lastTimer
    this.timers.set(id, call)
    tell("later", id, Math.max(0, seconds), whose)
    return {
      cancel: () => {
        if (this.timers.delete(id)) tell("cancel", id)
      },
    }
  }

  connect() {
    const scheduler = {
      nowMs: () => this.nowMs,
      later: this.later.bind(this),
      soon: (/** @type {() => void} */ call) => this.later(0, call),
      endOfTurn: queueMicrotask,
    }
    const connector = new WebSocketConnector("ws://relay.test/", this.WebSocket, scheduler)
    const { random, retentionMs } = this
    this.connection = new Connection(connector, scheduler, random, { retentionMs })
  }

  report() {
    for (const map of this.maps.values()) map.report()
    const status = this.connection.status
    if (status !== this.#status) tell("connection", status)
    this.#status = status
  }
}

/** @param {string | null} name */
function diskOf(name) {
  const disk = disks.get(name ?? "") ?? new Disks()
  if (name !== null) disks.set(name, disk)
  return disk
}
