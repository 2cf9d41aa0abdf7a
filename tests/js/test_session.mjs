// A session: one message a turn, and owners that are told what happens to their streams.

/** @import { MuxStream } from "../../distmap/web/js/states.js" */
import assert from "node:assert/strict"
import { mock, test } from "node:test"

import { MESSAGE_CHARS } from "../../distmap/web/js/frames.js"
import { Session } from "../../distmap/web/js/session.js"
import { settle } from "./support.mjs"

/** Notes what it is told. */
class Owner {
  /** @type {unknown[]} */
  heard = []
  act = () => {}
  streamData = (/** @type {unknown} */ payload) => this.#note(["data", payload])
  streamEnded = () => this.#note("ended")
  streamPaused = (/** @type {boolean} */ paused) => this.#note(paused ? "paused" : "resumed")
  streamClosed = (/** @type {Error & { code?: string } | null} */ error) =>
    this.#note(error === null ? "closed" : ["closed", error.message, error.code])

  /** @param {unknown} what */
  #note(what) {
    this.heard.push(what)
    this.act()
  }
}

/** Two sessions, one message a turn apart. */
function pair() {
  /** @type {string[][]} */
  const wires = [[], []]
  /** @type {unknown[]} */
  const closed = []
  /** @type {Owner[]} */
  const owners = []
  /** @type {MuxStream[]} */
  const streams = []
  /** @param {number} at */
  const transport = (at) => ({
    send: (/** @type {string} */ message) => {
      wires[at].push(message)
      setImmediate(() => (at ? here : there).receive(message))
    },
    close: (/** @type {number} */ code, /** @type {string} */ reason) =>
      void closed.push(code, reason),
  })
  const here = new Session(transport(0), { idPrefix: "here" })
  const there = new Session(transport(1), {
    idPrefix: "there",
    opened: (stream) => {
      streams.push(stream)
      owners.push(new Owner())
      return owners[owners.length - 1]
    },
  })
  const pass = async () => {
    for (let turn = 0; turn < 10; turn++) await settle()
  }
  return { here, there, wires, closed, owners, streams, pass }
}

test("what is written in one turn leaves together, in messages that are bounded", async () => {
  const { here, wires, owners, pass } = pair()
  const owner = new Owner()
  const stream = here.open("a", owner)
  for (let n = 0; n < 5; n++) here.send(stream, `${n}`)
  assert.equal(wires[0].length, 0)
  await pass()
  assert.equal(wires[0].length, 1)
  assert.deepEqual(owners[0].heard.length, 5)
  const payload = JSON.stringify("x".repeat(MESSAGE_CHARS / 2))
  for (let n = 0; n < 5; n++) here.send(stream, payload)
  here.flush()
  assert.equal(wires[0].length, 4)
  await pass()
  assert.equal(owners[0].heard.length, 10)
})

test("data, ends, pauses and errors come to the owners", async () => {
  const { here, there, owners, streams, pass } = pair()
  const owner = new Owner()
  const stream = here.open("a", owner, { halfOpen: true })
  here.send(stream, '{"n":1}')
  here.end(stream)
  await pass()
  assert.deepEqual(owners[0].heard, [["data", { n: 1 }], "ended"])
  there.error(streams[0], "no more", "busy")
  there.error(streams[0], "again", "busy")
  await pass()
  assert.deepEqual(owner.heard, [["closed", "no more", "busy"]])
  const next = new Owner()
  const second = here.open("b", next)
  await pass()
  here.closeStream(second)
  here.closeStream(second)
  await pass()
  assert.deepEqual(next.heard, ["closed"])
  assert.deepEqual(owners[1].heard, ["closed"])
})

test("an owner may close what it is told of", async () => {
  const { here, there, streams, pass } = pair()
  const owner = new Owner()
  const stream = here.open("a", owner)
  await pass()
  owner.act = () => here.closeStream(stream)
  there.send(streams[0], "1")
  there.send(streams[0], "2")
  await pass()
  assert.deepEqual(owner.heard, [["data", 1], "closed"])
})

test("streams that nobody takes are refused", async () => {
  const { here, there, pass } = pair()
  const owner = new Owner()
  there.open("a", owner)
  await pass()
  assert.deepEqual(owner.heard, [["closed", "nobody takes streams at this end", "no-listener"]])
  assert.ok(here.alive)
})

test("the connection is lost", async () => {
  const { here, wires, pass } = pair()
  const owners = [new Owner(), new Owner()]
  const streams = owners.map((owner) => here.open("m", owner))
  await pass()
  here.send(streams[0], "1")
  owners[0].act = () => here.closeStream(streams[1])
  here.lost()
  await pass()
  assert.deepEqual(
    owners.map((owner) => owner.heard),
    [["closed"], ["closed"]],
  )
  assert.equal(wires[0].length, 1)
  assert.throws(() => here.open("x", owners[0]), { code: "local-protocol" })
})

test("the other side breaks the protocol", (t) => {
  t.after(() => mock.restoreAll())
  mock.method(console, "warn", () => {})
  const { here, closed } = pair()
  const owner = new Owner()
  here.open("m", owner)
  here.receive("nonsense\n")
  assert.equal(closed[0], 1002)
  assert.match(String(closed[1]), /^a frame is malformed/)
  assert.deepEqual(owner.heard, ["closed"])
  assert.equal(here.alive, false)
})
