// What several of the tests share.

/** @import { Update } from "../../distmap/web/js/lww.js" */
/** @import { Outbox, Waiting } from "../../distmap/web/js/outbox.js" */
/** @import { Scheduler } from "../../distmap/web/js/scheduler.js" */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"

import { HybridClock, Restamper } from "../../distmap/web/js/clock.js"
import { DistMapError } from "../../distmap/web/js/errors.js"
import { Replica } from "../../distmap/web/js/lww.js"

export const NOW_MS = 1_760_000_000_000

/**
 * What stands in a file of tests/vectors.
 *
 * @param {string} name
 * @returns {any}
 */
export function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"))
}

/** A wall clock that stands still until it is set. */
export class Wall {
  ms = NOW_MS
  read = () => this.ms
}

/**
 * An empty replica, at NOW_MS unless it has a wall clock.
 *
 * @param {string} [writer]
 * @param {Wall} [wall]
 * @param {number} [maxValueBytes]
 */
export function newReplica(writer = "me", wall = new Wall(), maxValueBytes = undefined) {
  // The entries of the tests are of any time: their tombstones stay.
  return new Replica(new HybridClock(wall.read, writer), maxValueBytes, 2 ** 52)
}

/**
 * Takes writes out of an outbox.
 *
 * @param {Outbox} outbox
 * @param {number} [belowMs] only those that nobody has seen and whose stamp is below a time; without
 *   it all, also those that were sent
 * @returns {Waiting[]}
 */
export function take(outbox, belowMs) {
  /** @type {Waiting[]} */
  const writes = []
  outbox.beginSweep({ sent: belowMs === undefined })
  outbox.sweep(Infinity, (write) => {
    if (belowMs !== undefined && (write.isSeen || write.entry.stamp.ms >= belowMs)) return true
    writes.push(write)
    return false
  })
  return writes
}

/**
 * Gives all writes that nobody has seen new stamps.
 *
 * @param {Replica} replica
 * @param {Outbox} outbox
 */
export function stampAnew(replica, outbox) {
  const stamps = new Restamper(replica.clock)
  /** @type {Update[]} */
  const updates = []
  outbox.beginSweep()
  outbox.sweep(Infinity, (write) => {
    if (write.isSeen) return true
    const [update] = replica.restamp([write.key], stamps)
    write.entry = update.entry
    return updates.push(update) > 0
  })
  return updates
}

/**
 * Numbers from 0 to 1, the same at each run (mulberry32).
 *
 * @param {number} seed
 */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * One of some things.
 *
 * @template T
 * @param {() => number} random
 * @param {readonly T[]} from
 * @returns {T}
 */
export function pick(random, from) {
  return from[Math.floor(random() * from.length)]
}

/**
 * Time that passes when the test says so.
 *
 * @implements {Scheduler}
 */
export class Clock {
  /** @type {{ at: number, call: () => void }[]} */
  #calls = []
  #ms = NOW_MS

  /** What is to be called, ends of turns left out. */
  get pending() {
    return this.#calls.length
  }

  nowMs = () => this.#ms

  /**
   * @param {number} seconds
   * @param {() => void} call
   */
  later = (seconds, call) => {
    const timer = { at: this.#ms + 1000 * seconds, call }
    this.#calls.push(timer)
    return { cancel: () => void (this.#calls = this.#calls.filter((each) => each !== timer)) }
  }

  /** @param {() => void} call */
  soon = (call) => this.later(0, call)

  /** @param {() => void} call */
  endOfTurn = (call) => queueMicrotask(call)

  /**
   * Lets time pass, and calls what is due.
   *
   * @param {number} [seconds]
   */
  async advance(seconds = 0) {
    const until = this.#ms + 1000 * seconds
    for (;;) {
      await settle()
      const next = this.#calls.reduce((a, b) => (b.at < a.at ? b : a), { at: Infinity, call() {} })
      if (next.at > until) break
      this.#calls = this.#calls.filter((each) => each !== next)
      this.#ms = Math.max(this.#ms, next.at)
      next.call()
    }
    this.#ms = until
  }
}

/** Waits until nothing is left to do but to wait. */
export function settle() {
  return new Promise((resolve) => void setImmediate(() => resolve(undefined)))
}

/**
 * Fails unless a call throws an error of this code.
 *
 * @param {() => unknown} call
 * @param {string} code
 * @param {string} [about]
 */
export function refused(call, code, about) {
  assert.throws(call, (error) => error instanceof DistMapError && error.code === code, about)
}
