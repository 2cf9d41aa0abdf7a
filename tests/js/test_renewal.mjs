// Connection.renew(), and what becomes of what is refused.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { DistributedMap } from "../../distmap/web/js/map.js"
import { JUDGE_SECONDS } from "../../distmap/web/js/renewal.js"
import { Network } from "./memory.mjs"
import { refused } from "./support.mjs"

/** @type {Network} */
let network
/** @type {any} */
let shown
let asked = 0
/** @type {string[]} */
let warnings
const warn = console.warn

beforeEach(() => {
  network = new Network()
  shown = "wrong"
  asked = 0
  warnings = []
  console.warn = (/** @type {unknown[]} */ ...what) => void warnings.push(what.join(" "))
})
afterEach(async () => {
  console.warn = warn
  network.stop()
  await network.pass(60)
})

function connect() {
  return network.connect(undefined, () => {
    asked++
    return typeof shown === "function" ? shown() : shown
  })
}

/** @param {string} [uri] */
async function open(uri = "/fruits") {
  const map = new DistributedMap(connect(), uri)
  await network.pass()
  return map
}

/**
 * How it ends.
 *
 * @param {Promise<unknown>} promise
 */
async function outcome(promise) {
  const settled = promise.then(() => "open", (error) => error.code)
  return Promise.race([settled, new Promise((resolve) => setImmediate(resolve, "waits"))])
}

test("what was refused is open at once; what is open stays open", async () => {
  const map = await open()
  assert.equal(/** @type {any} */ (map.problem).code, "refused")
  map.set("apple", 3)
  shown = "me"
  const renewed = map.connection.renew()
  await network.pass()
  assert.equal(await outcome(renewed), "open")
  assert.deepEqual([map.status, map.access, asked], ["ready", "write", 2])
  /** @type {string[]} */
  const statuses = []
  map.on("status", (status) => statuses.push(status))
  const again = map.connection.renew()
  await network.pass()
  assert.deepEqual([await outcome(again), statuses], ["open", []])
})

test("less than before, and nothing at all", async () => {
  shown = "me"
  const map = await open()
  const { connection } = map
  for (const [next, wanted, access] of [
    ["read", "open", "read"],
    ["wrong", "refused", "read"],
    ["me", "open", "write"],
  ]) {
    shown = next
    const renewed = connection.renew()
    await network.pass()
    assert.deepEqual([await outcome(renewed), map.access], [wanted, access])
  }
  shown = null // which only a new connection can be
  const links = network.last
  const renewed = connection.renew()
  await network.pass(2)
  assert.deepEqual([await outcome(renewed), map.status], ["open", "ready"])
  assert.notEqual(network.last, links)
  assert.deepEqual(network.last.shown, [])
})

test("called twice: both have the last", async () => {
  const map = await open()
  let late = (/** @type {string} */ _) => {}
  shown = () => new Promise((resolve) => (late = resolve))
  const first = map.connection.renew()
  shown = "me"
  const second = map.connection.renew()
  late("wrong")
  await network.pass()
  assert.deepEqual(await Promise.all([outcome(first), outcome(second)]), ["open", "open"])
  assert.equal(map.status, "ready")
})

test("the source fails: what was shown holds, and nothing is tried behind one's back", async () => {
  shown = "me"
  const map = await open()
  shown = () => Promise.reject(new Error("no login"))
  const renewed = map.connection.renew()
  await network.pass(60)
  assert.equal(await outcome(renewed), "credentials-failed")
  assert.deepEqual([map.status, asked], ["ready", 2])
})

test("offline: tried at once, and done when it is open", async () => {
  shown = "me"
  const map = await open()
  network.stop()
  await network.pass(60)
  const renewed = map.connection.renew()
  await network.pass(3)
  assert.equal(await outcome(renewed), "waits")
  network.start()
  const again = map.connection.renew()
  await network.pass()
  assert.deepEqual([await outcome(renewed), await outcome(again)], ["open", "open"])
})

test("while it connects: what was fetched by then may be old", async () => {
  const connection = connect()
  const map = new DistributedMap(connection, "/fruits")
  shown = "me"
  const renewed = connection.renew()
  await network.pass()
  assert.equal(await outcome(renewed), "open")
  assert.equal(map.status, "ready")
})

test("a relay that does not say is not waited for for ever", async () => {
  const map = await open()
  shown = "think"
  const renewed = map.connection.renew()
  await network.pass(JUDGE_SECONDS - 1)
  assert.equal(await outcome(renewed), "waits")
  await network.pass(1.1)
  assert.equal(await outcome(renewed), "credentials-failed")
})

test("closed, and without any", async () => {
  const connection = connect()
  await network.pass()
  shown = () => new Promise(() => {})
  const renewed = connection.renew()
  const closing = connection.close()
  await network.pass()
  await closing
  assert.equal(await outcome(renewed), "connection-closed")
  refused(() => connection.renew(), "connection-closed")
  refused(() => network.connect().renew(), "no-credentials")
  assert.equal(network.clock.pending, 1) // the other's attempt
})

test("what is refused is tried again, ever more rarely", async () => {
  const connection = connect()
  const map = new DistributedMap(connection, "/fruits")
  await network.pass(3600)
  const tries = network.last.received.join("").split('"new",{"meta":{"route":"/fruits/').length
  assert.ok(tries > 5 && tries < 30, String(tries))
  assert.deepEqual([asked, map.status], [1, "offline"])
  const told = "distmap: the relay ended the channel of /fruits (refused): you may not do this"
  assert.deepEqual(warnings, [told])
})

test("writes that are taken back are told once, though nobody looks", async () => {
  shown = "read"
  const map = new DistributedMap(connect(), "/fruits")
  for (let number = 0; number < 2000; number++) map.set(`key ${number}`, number)
  await network.pass(5)
  assert.equal(map.size, 0)
  assert.deepEqual(warnings, ["distmap: writes to /fruits are taken back: it may only be read"])
})
