// What a clock that was far ahead has stamped is put right, step by step.

import assert from "node:assert/strict"
import { test } from "node:test"

import { MAX_AHEAD_MS } from "../../distmap/web/js/clock.js"
import { Correction } from "../../distmap/web/js/correction.js"
import { Outbox } from "../../distmap/web/js/outbox.js"
import { NOW_MS, Wall, newReplica } from "./support.mjs"

const HOUR_MS = 3_600_000

/** A replica whose clock is an hour ahead, and what its correction tells. */
function fixture() {
  const wall = new Wall()
  wall.ms += HOUR_MS
  const replica = newReplica("me", wall)
  const outbox = new Outbox()
  /** @type {string[]} */
  const told = []
  const port = /** @type {any} */ ({
    restamped: (/** @type {any[]} */ updates) => told.push(...updates.map(({ key }) => `+${key}`)),
    updated: (/** @type {any[]} */ updates) => told.push(...updates.map(({ key }) => `-${key}`)),
  })
  const correction = new Correction(replica, outbox, port, new Set(["me"]))
  /** @param {string} key */
  const write = (key) => {
    const update = replica.set(key, 1)
    correction.wrote(update)
    outbox.add(key, update.entry, update.old?.stamp)
    return update.entry
  }
  const begin = () => {
    wall.ms = NOW_MS
    assert.ok(replica.clock.correct(0))
    correction.begin()
  }
  /**
   * @param {string} key
   * @param {number} ms
   */
  const merge = (key, ms) =>
    replica.merge(key, { stamp: { ms, counter: 0, writer: "w" }, value: "0", extras: null })
  return { wall, replica, outbox, told, correction, write, begin, merge }
}

test("what is written from now on is later than all that is here", () => {
  const { replica, correction, begin, merge, write } = fixture()
  merge("ahead", NOW_MS + HOUR_MS)
  merge("near", NOW_MS + MAX_AHEAD_MS - 1000)
  begin()
  assert.ok(correction.work())
  assert.equal(write("b").stamp.ms, NOW_MS + MAX_AHEAD_MS - 1000)
  assert.deepEqual([...replica.entries.keys()], ["near", "b"])
  assert.equal(correction.toFetch, true)
})

test("a large map takes several steps, and each looks at so many entries", () => {
  const { replica, outbox, told, correction, write, begin } = fixture()
  for (let n = 0; n < 3500; n++) write(`k${n}`)
  begin()
  let steps = 1
  let most = 0
  for (; !correction.work(); steps++) {
    most = Math.max(most, told.length)
    told.length = 0
    if (steps === 1) write("k7")
    if (steps === 2) write("new")
    assert.ok(steps < 20)
  }
  assert.ok(steps >= 7)
  assert.ok(most <= 1000)
  const stamps = outbox.unsent.map((key) => replica.entries.get(key)?.stamp.counter ?? 0)
  assert.equal(outbox.size, 3501)
  assert.equal(new Set(stamps).size, 3501)
  assert.ok([...replica.entries.values()].every(({ stamp }) => stamp.ms === NOW_MS))
  assert.equal(replica.held.size, 0)
})

test("what was sent is written again in its order, also where the keys came in another", () => {
  const { replica, outbox, correction, begin, merge } = fixture()
  const keys = Array.from({ length: 2500 }, (_, at) => `k${at}`)
  for (const key of keys.toReversed()) merge(key, NOW_MS - 1)
  for (let at = 0; at < keys.length; at += 5) {
    const stamp = replica.clock.tick()
    for (const key of keys.slice(at, at + 5)) outbox.add(key, replica.rewrite(key, "1", stamp).entry)
  }
  outbox.goOnline()
  while (outbox.nextMessage() !== null);
  outbox.acknowledge(1000)
  begin()
  while (!correction.work());
  assert.deepEqual(
    outbox.unsent.map((key) => Math.floor(Number(key.slice(1)) / 5)),
    keys.map((_, at) => Math.floor(at / 5)),
  )
  const counters = keys.map((key) => replica.entries.get(key)?.stamp.counter ?? 0)
  assert.deepEqual(
    counters,
    counters.toSorted((one, other) => one - other),
  )
  assert.equal(new Set(counters).size, keys.length / 5)
})

test("a key that is written meanwhile", () => {
  const { replica, outbox, correction, write, begin, merge } = fixture()
  for (let n = 0; n < 1500; n++) merge(`k${n}`, NOW_MS)
  merge("theirs", NOW_MS + HOUR_MS)
  write("mine")
  begin()
  assert.equal(correction.work(), false)
  for (const key of ["theirs", "mine"]) assert.equal(write(key).stamp.ms, NOW_MS)
  while (!correction.work());
  assert.deepEqual(
    [...replica.held].map(([key]) => key),
    ["theirs"],
    "as with the others; nobody has seen the other",
  )
  assert.deepEqual(new Set(outbox.unsent), new Set(["theirs", "mine"]))
})

test("a second correction begins again", () => {
  const { wall, replica, correction, write, begin } = fixture()
  for (let n = 0; n < 2500; n++) write(`k${n}`)
  begin()
  correction.work()
  correction.work()
  wall.ms = NOW_MS - HOUR_MS
  assert.ok(replica.clock.correct(0))
  correction.begin()
  while (!correction.work());
  assert.ok([...replica.entries.values()].every(({ stamp }) => stamp.ms === NOW_MS - HOUR_MS))
})
