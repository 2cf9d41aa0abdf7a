// Old entries that come while a peer syncs are taken after it, some in each turn.

import assert from "node:assert/strict"
import { test } from "node:test"

import { HybridClock } from "../../distmap/web/js/clock.js"
import { STEP_ENTRIES } from "../../distmap/web/js/doubts.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { Peer } from "../../distmap/web/js/peer.js"
import { NOW_MS, Wall } from "./support.mjs"

const COUNT = 2 * STEP_ENTRIES + 500
const LONG_AGO_MS = NOW_MS - 365 * 86_400_000

/** One peer that has been welcomed, and notes what it tells. */
function fixture() {
  const wall = new Wall()
  /** @type {string[]} */
  const updated = []
  /** @type {string[]} */
  const ready = []
  let works = 0
  const told = {
    updated: (/** @type {any[]} */ updates) => void updated.push(...updates.map(({ key }) => key)),
    becameReady: (/** @type {string} */ how) => void ready.push(how),
    workSoon: () => void works++,
  }
  /** @type {any} */
  const port = new Proxy(told, { get: (known, name) => Reflect.get(known, name) ?? (() => {}) })
  const replica = new Replica(new HybridClock(wall.read, "me"))
  const peer = new Peer(replica, port, wall.read)
  const welcome = () => {
    peer.opened()
    peer.receive(["welcome", { version: [1, 0], peer: "7", time_ms: NOW_MS, members: 2 }])
  }
  welcome()
  return {
    replica,
    peer,
    updated,
    ready,
    welcome,
    /** Another peer tells of so many keys. */
    others: (/** @type {number} */ count, ms = LONG_AGO_MS, value = "old") => {
      for (let at = 0; at < count; at++) {
        peer.receive({ event: "set", key: `k${at}`, value, stamp: [ms, at, "x"] })
      }
    },
    /** Takes all turns; how many entries were taken in each. */
    turns: () => {
      const taken = []
      while (works > 0) {
        works = 0
        const before = replica.entries.size
        peer.work()
        taken.push(replica.entries.size - before)
      }
      return taken
    },
  }
}

test("some in each turn, and it is not ready before the end", () => {
  const { replica, peer, updated, ready, others, turns } = fixture()
  others(COUNT)
  assert.equal(replica.entries.size, 0)
  peer.synced()
  assert.deepEqual([replica.entries.size, peer.isBusy, ready], [STEP_ENTRIES, true, []])
  assert.deepEqual(turns(), [STEP_ENTRIES, 500])
  assert.deepEqual([peer.isBusy, ready], [false, ["peer"]])
  assert.deepEqual(updated, Array.from({ length: COUNT }, (_, at) => `k${at}`))
})

test("few are taken at once", () => {
  const { replica, peer, ready, others, turns } = fixture()
  others(3)
  peer.synced()
  assert.deepEqual([replica.entries.size, ready, turns()], [3, ["peer"], []])
})

test("what the donor knows to be deleted is not", () => {
  const { replica, peer, others, turns } = fixture()
  others(COUNT)
  replica.adoptFloor(LONG_AGO_MS + 1)
  peer.synced()
  turns()
  assert.deepEqual([replica.entries.size, replica.refused], [0, COUNT])
})

test("what is written meanwhile stays", () => {
  const { replica, peer, others, turns } = fixture()
  others(COUNT)
  peer.synced()
  others(COUNT, NOW_MS - 5, "new")
  turns()
  assert.equal(replica.entries.size, COUNT)
  assert.ok([...replica.entries.values()].every(({ value }) => value === '"new"'))
})

test("the connection is lost before it is ready: nothing was decided yet", () => {
  const { replica, peer, others, welcome, turns } = fixture()
  others(COUNT)
  peer.lost()
  welcome()
  peer.synced()
  assert.deepEqual([turns(), replica.entries.size], [[], 0])
})

/** The connection was lost while doubtful entries were taken, and is back; one more has come. */
function backMeanwhile() {
  const { replica, peer, ready, others, welcome, turns } = fixture()
  others(COUNT)
  peer.synced()
  peer.lost()
  welcome()
  peer.receive({ event: "set", key: "late", value: 1, stamp: [1, 0, "x"] })
  return { replica, peer, ready, turns }
}

test("the connection is lost meanwhile: it goes on, and what comes then waits again", () => {
  const { replica, peer, ready, turns } = backMeanwhile()
  assert.deepEqual(turns(), [500], "one step with the welcome, one in a turn of its own")
  assert.deepEqual([replica.entries.size, ready], [COUNT, []])
  peer.synced()
  assert.deepEqual([replica.entries.size, ready], [COUNT + 1, ["peer"]])
})

test("it is ready again meanwhile", () => {
  const { replica, peer, ready, turns } = backMeanwhile()
  peer.synced()
  turns()
  assert.deepEqual([replica.entries.size, ready], [COUNT + 1, ["peer"]])
})
