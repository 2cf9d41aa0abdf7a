// What a client shows, when it asks for it, and peers that may only read.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { HybridClock } from "../../distmap/web/js/clock.js"
import { FETCH_SECONDS, MAX_CREDENTIALS_BYTES } from "../../distmap/web/js/fetching.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { Donor } from "../../distmap/web/js/sync_donor.js"
import { Network } from "./memory.mjs"
import { Wall, refused } from "./support.mjs"

/** @type {Network} */
let network
beforeEach(() => void (network = new Network()))
afterEach(async () => {
  network.stop()
  await network.pass(60)
})

/** @param {any} thing */
const codeOf = (thing) => thing.problem?.code

test("a string, a function and a promise; maps open right behind", async () => {
  for (const source of ["me", () => "me", async () => "me"]) {
    const map = network.open("/fruits", undefined, source)
    await network.pass()
    assert.equal(map.status, "ready")
    const [message] = network.last.received
    const streams = message.trim().split("\n").map((line) => JSON.parse(line))
    assert.deepEqual(
      streams.map(([, event, payload]) => [event, payload.meta?.route ?? payload]),
      [["new", "credentials"], ["data", "me"], ["new", "/fruits/channel"]],
    )
    await Promise.all([map.connection.close(), network.pass()])
  }
})

test("nothing to show opens no stream", async () => {
  const map = network.open("/fruits", undefined, () => null)
  await network.pass()
  assert.equal(map.status, "ready")
  assert.equal(network.last.credentials, null)
})

test("asked at each reconnect", async () => {
  let count = 0
  const map = network.open("/fruits", undefined, () => `me ${++count}`)
  for (const wanted of [1, 2, 3]) {
    await network.pass(15)
    assert.equal(map.status, "ready")
    assert.deepEqual(network.last.shown, [`me ${wanted}`])
    network.last.drop()
  }
})

test("a failure is told and tried again", async () => {
  for (const wrong of [
    () => 5,
    () => "\ud800",
    () => "x".repeat(MAX_CREDENTIALS_BYTES),
    () => Promise.reject(new Error("no login")),
    () => {
      throw new Error("no login")
    },
  ]) {
    let source = /** @type {any} */ (wrong)
    const map = network.open("/fruits", undefined, () => source())
    await network.pass()
    assert.equal(map.connection.status, "offline")
    assert.equal(codeOf(map.connection), "credentials-failed")
    assert.equal(codeOf(map), "credentials-failed")
    source = () => "me"
    await network.pass(15)
    assert.equal(map.status, "ready")
  }
})

test("a source that never answers", async () => {
  let answer = (/** @type {string} */ _) => {}
  const connection = network.connect(undefined, () => new Promise((resolve) => (answer = resolve)))
  await network.pass(FETCH_SECONDS - 1)
  assert.equal(connection.status, "connecting")
  await network.pass(1.1)
  assert.equal(codeOf(connection), "credentials-failed")
  const closing = connection.close()
  answer("too late")
  await network.pass()
  await closing
  assert.equal(network.relay.links.size, 0)
  assert.equal(network.clock.pending, 0)
})

test("closed while it waits", async () => {
  const connection = network.connect(undefined, () => new Promise(() => {}))
  await network.pass()
  const closing = connection.close()
  await network.pass()
  await closing
  assert.equal(network.clock.pending, 0)
})

test("what is no source", () => {
  refused(() => network.connect(undefined, /** @type {any} */ (5)), "invalid-type")
})

test("asked anew in band, until there is an answer", async () => {
  /** @type {any[]} */
  const answers = ["second", 5, 5, "first"]
  const map = network.open("/fruits", undefined, () => answers.pop())
  await network.pass()
  const link = network.last
  assert.ok(link.credentials)
  link.mux.send(link.credentials, '["renew"]')
  link.mux.send(link.credentials, '["renew"]')
  link.mux.send(link.credentials, '["something newer"]')
  await network.pass(30)
  assert.deepEqual([link.shown, answers], [["first", "second"], []])
  assert.equal(map.status, "ready")
})

test("a reader takes, and gives nothing", async () => {
  const writer = network.open()
  await network.pass()
  writer.set("apple", 1)
  const reader = network.open("/fruits", undefined, "read")
  /** @type {any[]} */
  const told = []
  reader.observe(({ key, value, local }) => told.push([key, value, local]))
  const early = [reader.set("apple", 99), reader.set("pear", 2)]
  const outcomes = Promise.allSettled(early)
  assert.deepEqual([...reader], [["apple", 99], ["pear", 2]])
  await network.pass(1)
  for (const each of await outcomes) {
    assert.equal(each.status, "rejected")
    assert.equal(each.reason.code, "refused")
  }
  assert.deepEqual([...reader], [["apple", 1]])
  assert.equal(reader.digest(), writer.digest())
  assert.deepEqual([reader.access, writer.access], ["read", "write"])
  assert.deepEqual(told.slice(2), [["apple", undefined, false], ["pear", undefined, false]])
  for (const write of [
    () => reader.set("apple", 2),
    () => reader.delete("apple"),
    () => reader.update({ apple: 2 }),
    () => reader.batch(() => void reader.set("apple", 2)),
  ]) {
    refused(write, "refused")
  }
  assert.deepEqual([...reader], [["apple", 1]])
  writer.set("plum", 3)
  await network.pass(40)
  assert.equal(reader.digest(), writer.digest())
  const received = network.last.received.join("")
  assert.ok(!received.includes("digest") && !received.includes("push"), received)
})

test("a reader drops what the network has not", async () => {
  const answers = ["read", "write"]
  const shared = network.open("/fruits", undefined, () => /** @type {string} */ (answers.pop()))
  await network.pass()
  for (let number = 0; number < 200; number++) shared.set(`key ${number}`, number)
  await network.pass()
  network.last.drop()
  const other = network.open()
  other.set("key 5", "another")
  other.set("new", true)
  await network.pass(15)
  assert.equal(shared.access, "read")
  assert.deepEqual(Object.fromEntries(shared), { "key 5": "another", new: true })
  assert.equal(shared.digest(), other.digest())
})

test("a donor takes nothing of a reader", () => {
  const wall = new Wall()
  const replica = new Replica(new HybridClock(wall.read, "me"))
  replica.set("apple", 1)
  const donor = new Donor(replica, true)
  const floors = { floor_ms: wall.ms, known_ms: 1 }
  donor.receive({ event: "hello", version: [1, 0], count: 1, sum: 5, ...floors })
  const forged = { event: "set", key: "apple", value: 666, stamp: [wall.ms + 1, 0, "x"] }
  const [[taken], updates] = donor.receive({ event: "push", id: 1, entries: [forged] })
  assert.deepEqual([JSON.parse(taken).event, updates], ["taken", []])
  const ahead = { ...forged, stamp: [wall.ms + 10 ** 9, 0, "x"] }
  donor.receive({ event: "done", held: [forged, ahead] })
  assert.deepEqual([donor.done, donor.news, replica.held.size], [true, [], 0])
  assert.deepEqual([replica.floorMs, replica.knownMs], [0, null])
  assert.equal(replica.live, 1)
  assert.ok(!JSON.stringify([...replica.entries]).includes("666"))
})
