// Whole peers that were away for longer than tombstones are kept.

import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"

import { Network } from "./memory.mjs"

const RETENTION_SECONDS = 100

beforeEach(() => {
  mock.method(console, "warn", () => {})
  mock.method(console, "error", () => {})
})
afterEach(() => mock.restoreAll())

/** Two maps that are equal, of which one then leaves; the relay stays up for the other. */
async function apart() {
  const network = new Network()
  const options = { retentionMs: 1000 * RETENTION_SECONDS }
  const home = network.open("/fruits", options)
  await network.pass(1)
  const away = network.open("/fruits", options)
  await network.pass(1)
  for (let n = 0; n < 10; n++) home.set(`k${n}`, "old")
  await network.pass(1)
  network.isUp = false
  network.last.drop()
  await network.pass(1)
  const comeBack = async () => {
    network.isUp = true
    away.connection.wake()
    await network.pass(5)
    assert.equal(away.status, "ready")
  }
  return { network, home, away, comeBack }
}

/** @param {Iterable<[string, unknown]>} map */
const keysOf = (map) => Array.from(map, ([key]) => key).sort()

test("what was deleted and forgotten stays deleted, whoever asks whom", async () => {
  for (const homeLeaves of [false, true]) {
    const { network, home, away, comeBack } = await apart()
    for (let n = 0; n < 5; n++) home.delete(`k${n}`)
    await network.pass(2.5 * RETENTION_SECONDS)
    const wanted = ["k5", "k6", "k7", "k8", "k9"]
    if (homeLeaves) {
      // The stale one is the donor now.
      network.last.drop()
      await network.pass(1)
      await comeBack()
      home.connection.wake()
      await network.pass(5)
    } else {
      await comeBack()
    }
    assert.deepEqual([keysOf(home), keysOf(away)], [wanted, wanted])
    assert.deepEqual([home.synced, away.synced], ["alone", "peer"])
  }
})

test("a newcomer that learns from a stale one alone is put right later", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  await network.pass(2.5 * RETENTION_SECONDS)
  network.last.drop()
  await network.pass(1)
  await comeBack()
  assert.equal(away.has("k0"), true)
  const late = network.open("/fruits", { retentionMs: 1000 * RETENTION_SECONDS })
  await network.pass(1)
  assert.equal(late.has("k0"), true)
  home.connection.wake()
  await network.pass(60)
  for (const map of [home, away, late]) {
    assert.equal(map.status, "ready")
    assert.equal(map.has("k0"), false)
    assert.equal(map.size, 9)
  }
})

test("a shorter absence sets nothing aside", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  await network.pass(1)
  const kept = away.set("k0", "mine")
  /** @type {unknown[]} */
  const told = []
  away.observe((change) => told.push([change.key, change.value]))
  await network.pass(RETENTION_SECONDS / 2)
  await comeBack()
  await kept
  assert.deepEqual([home.get("k0"), told], ["mine", []])
})

test("a long absence in which nothing was forgotten keeps all, and offers all", async () => {
  const { network, home, away, comeBack } = await apart()
  const mine = away.set("mine", 1)
  home.set("theirs", 1)
  await network.pass(3 * RETENTION_SECONDS)
  await comeBack()
  await mine
  assert.deepEqual(keysOf(home), keysOf(away))
  assert.equal(home.size, 12)
})

test("the donor leaves before it has told all: own writes are taken back", async () => {
  const { network, home, away, comeBack } = await apart()
  home.delete("k0")
  const written = away.set("k1", "mine")
  await network.pass(2.5 * RETENTION_SECONDS)
  let gone = false
  away.observe(({ key, deleted }) => {
    if (key !== "k1" || !deleted || gone) return
    gone = true
    home.connection.close()
  })
  await comeBack()
  await network.pass(20)
  await written
  assert.ok(gone)
  assert.deepEqual([away.status, away.peers, away.get("k1")], ["ready", 0, "mine"])
})
