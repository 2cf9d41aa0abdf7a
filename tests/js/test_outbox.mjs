// What waits for the relay, what is under way, and what is sent again.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Outbox, WINDOW_BYTES } from "../../distmap/web/js/outbox.js"
import { CHUNK_BYTES } from "../../distmap/web/js/sync_wire.js"
import { newReplica, pick, seeded, stampAnew, take } from "./support.mjs"

function fixture() {
  const replica = newReplica()
  const outbox = new Outbox()
  /**
   * @param {string} key
   * @param {unknown} value
   */
  const write = (key, value) => {
    const { entry, old } = replica.set(key, value)
    outbox.add(key, entry, old?.stamp)
    return entry
  }
  /** @returns {{ key: string, value: unknown }[][]} */
  const sent = () => {
    const messages = []
    for (let text = outbox.nextMessage(); text !== null; text = outbox.nextMessage()) {
      const message = JSON.parse(text)
      messages.push(message.event === "entries" ? message.entries : [message])
    }
    return messages
  }
  const keys = () => sent().map((message) => message.map(({ key, value }) => [key, value]))
  return { replica, outbox, write, sent, keys }
}

test("offline only the last write of a key is kept", () => {
  const { outbox, write, keys } = fixture()
  write("a", 1)
  write("__proto__", 1)
  write("a", 2)
  assert.equal(outbox.nextMessage(), null)
  assert.deepEqual(outbox.unsent, ["__proto__", "a"])
  outbox.goOnline()
  assert.deepEqual(keys(), [
    [
      ["__proto__", 1],
      ["a", 2],
    ],
  ])
  assert.deepEqual(outbox.unsent, [])
})

test("online every write is sent in order", () => {
  const { outbox, write, keys } = fixture()
  outbox.goOnline()
  write("a", 1)
  write("a", 2)
  assert.deepEqual(keys(), [
    [
      ["a", 1],
      ["a", 2],
    ],
  ])
  write("b", 1)
  assert.deepEqual(keys(), [[["b", 1]]])
})

test("acknowledgements are cumulative, and count other messages too", () => {
  const { outbox, write, sent } = fixture()
  outbox.goOnline()
  const stamps = [1, 2, 3].map((n) => {
    const { stamp } = write(`k${n}`, n)
    sent()
    if (n === 2) outbox.countOther()
    return stamp
  })
  assert.deepEqual(outbox.acknowledge(0), [])
  assert.deepEqual(outbox.acknowledge(3), [
    ["k1", stamps[0]],
    ["k2", stamps[1]],
  ])
  assert.equal(outbox.size, 1)
  assert.deepEqual(outbox.acknowledge(4), [["k3", stamps[2]]])
  assert.deepEqual(outbox.acknowledge(9), [])
  assert.equal(outbox.size, 0)
})

test("what was not acknowledged is sent again", () => {
  const { outbox, write, keys } = fixture()
  outbox.goOnline()
  write("a", 1)
  write("b", 1)
  keys()
  write("c", 1)
  outbox.goOffline()
  write("a", 2)
  assert.deepEqual(outbox.acknowledge(1), [], "of the stream before")
  outbox.goOnline()
  assert.deepEqual(keys(), [
    [
      ["b", 1],
      ["c", 1],
      ["a", 2],
    ],
  ])
})

test("messages are cut, and so much is under way at a time", () => {
  const { outbox, write, sent } = fixture()
  outbox.goOnline()
  for (let n = 0; n < 40; n++) write(`k${n}`, "é".repeat(20_000))
  const first = sent()
  assert.ok(first.length >= WINDOW_BYTES / (CHUNK_BYTES + 40_100))
  for (const message of first) assert.equal(message.length, 2)
  const more = []
  for (let number = first.length; outbox.size; number++) {
    outbox.acknowledge(number)
    more.push(...sent())
  }
  assert.equal(first.length + more.length, 20)
})

test("a key that is written without end does not grow the queue", () => {
  const { outbox, write, sent } = fixture()
  outbox.goOnline()
  for (let n = 0; n < 5000; n++) write("k", n)
  const writes = sent().flat()
  assert.ok(writes.length < 1100)
  assert.equal(writes.at(-1)?.value, 4999)
})

test("unsent writes with new stamps go out with these alone", () => {
  const { replica, outbox, write, sent } = fixture()
  outbox.goOnline()
  write("a", 1)
  sent()
  write("a", 2)
  write("b", 1)
  const updates = stampAnew(replica, outbox)
  const writes = sent().flat()
  assert.deepEqual(
    writes.map((each) => /** @type {any} */ (each).stamp[1]),
    updates.map(({ entry }) => entry.stamp.counter),
  )
})

test("taken out, writes tell what each replaced when its key began to wait", () => {
  const { replica, outbox, write } = fixture()
  const base = replica.set("a", 0).entry.stamp
  write("a", 1)
  const last = write("a", 2)
  const other = write("b", 1)
  assert.deepEqual(
    take(outbox).map(({ key, entry, base: first }) => [key, entry, first]),
    [
      ["a", last, base],
      ["b", other, undefined],
    ],
  )
  assert.equal(outbox.size, 0)
  outbox.goOnline()
  assert.equal(outbox.nextMessage(), null)
})

test("of the writes that nobody has seen those below a time are taken out", () => {
  const { outbox } = fixture()
  /**
   * @param {string} key
   * @param {number} ms
   */
  const add = (key, ms) =>
    outbox.add(key, { stamp: { ms, counter: 0, writer: "me" }, value: "1", extras: null })
  outbox.goOnline()
  add("seen", 1)
  outbox.nextMessage()
  add("old", 9)
  add("young", 10)
  assert.deepEqual(
    take(outbox, 10).map(({ key, base }) => [key, base]),
    [["old", undefined]],
  )
  assert.equal(outbox.isOlder(10), false)
  assert.deepEqual(outbox.unsent, ["young"])
  assert.equal(JSON.parse(outbox.nextMessage() ?? "").key, "young")
  assert.equal(outbox.nextMessage(), null)
  assert.equal(outbox.size, 2)
  assert.deepEqual(
    take(outbox).map(({ key }) => key),
    ["seen", "young"],
  )
})

test("whatever happens, the last write of each key gets through", () => {
  const random = seeded(20)
  for (let round = 0; round < 60; round++) {
    const { outbox, write } = fixture()
    const model = new Map()
    const relay = new Map()
    let online = false
    let received = 0
    for (let step = 0; step < 150; step++) {
      const what = random()
      if (what < 0.5) {
        const key = pick(random, ["a", "b", "c", "__proto__"])
        write(key, step)
        model.set(key, step)
      } else if (what < 0.6) {
        online = !online
        received = 0
        if (online) outbox.goOnline()
        else outbox.goOffline()
      } else if (what < 0.8 && online) {
        const text = outbox.nextMessage()
        if (text === null) continue
        received++
        const message = JSON.parse(text)
        for (const { key, value } of message.entries ?? [message]) relay.set(key, value)
      } else if (online) {
        outbox.acknowledge(received)
      }
    }
    outbox.goOnline()
    for (let text = outbox.nextMessage(); text !== null; text = outbox.nextMessage()) {
      const message = JSON.parse(text)
      for (const { key, value } of message.entries ?? [message]) relay.set(key, value)
    }
    outbox.acknowledge(Infinity)
    assert.equal(outbox.size, 0)
    assert.deepEqual(relay, model)
  }
})
