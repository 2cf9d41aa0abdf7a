// The streams of a sync: who is slow or silent is left, and nothing is said on a closed stream.

/** @import { Party } from "../../distmap/web/js/conversation.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import {
  LEAST_RATE_BYTES,
  MAX_INBOX,
  OPEN,
  PATIENCE_SECONDS,
  STALL_SECONDS,
} from "../../distmap/web/js/conversation.js"
import { Session } from "../../distmap/web/js/session.js"
import { Newcomer } from "../../distmap/web/js/sync.js"
import { Serving, Syncing } from "../../distmap/web/js/syncing.js"
import { MAX_REFUSING, MAX_SERVING, Syncs } from "../../distmap/web/js/syncs.js"
import { Clock, newReplica } from "./support.mjs"

const HELLO = { event: "hello", version: [1, 0], count: 1_000_000, sum: 7 }

/** A party that notes what it is told, and a session whose messages go nowhere. */
function fixture() {
  const clock = new Clock()
  const replica = newReplica()
  /** @type {any[]} */
  const told = []
  /** @param {string} what */
  const note =
    (what) =>
    (/** @type {any[]} */ ...detail) =>
      void told.push([what, ...detail])
  /** @type {Party} */
  const party = {
    uri: "/fruits",
    replica,
    scheduler: clock,
    isBusy: false,
    newConversation: () => new Newcomer(replica),
    merged: () => {},
    learned: () => {},
    told: (texts) => void (texts.length && told.push(["told", ...texts])),
    syncDone: note("done"),
    syncFailed: (_, reason) => void told.push(["failed", reason]),
    servingEnded: note("ended"),
  }
  /** @type {string[]} */
  const sent = []
  const transport = { send: (/** @type {string} */ text) => void sent.push(text), close() {} }
  const session = new Session(transport, { scheduler: clock })
  /**
   * A message of the other side, on the only stream there is.
   *
   * @param {unknown} message
   */
  const hear = (message) => {
    session.flush()
    const [id] = JSON.parse(sent[0].split("\n")[0])
    session.receive(`${JSON.stringify([id, "data", message])}\n`)
  }
  return { clock, replica, party, session, told, sent, hear }
}

/**
 * The next chunk of a donor that has no end.
 *
 * @param {number} n
 * @param {number} size
 */
function chunk(n, size) {
  const stamp = [n, 0, "w"]
  const entry = { event: "set", key: `k${n}`, value: "x".repeat(size), stamp }
  return { event: "entries", id: n, entries: [entry], next: n.toString(16).padStart(13, "0") }
}

test("a donor that trickles is left after the patience, one that is slow is not", async () => {
  for (const [size, wanted] of /** @type {[number, any[]][]} */ ([
    [10, [["failed", "too slow"]]],
    [LEAST_RATE_BYTES * 5, []],
  ])) {
    const { clock, party, session, told, hear } = fixture()
    const syncing = new Syncing(party, session, "3", "me.1")
    hear(OPEN)
    await clock.advance()
    hear(HELLO)
    let n = 0
    for (; 5 * n < PATIENCE_SECONDS; n++) {
      await clock.advance(5)
      assert.deepEqual(told, [], `${5 * n} s`)
      hear(chunk(n + 1, size))
    }
    await clock.advance(5)
    hear(chunk(n + 1, size))
    assert.deepEqual(told, wanted)
    syncing.stop()
    assert.equal(clock.pending, 0)
  }
})

test("a newcomer that trickles is left too", async () => {
  const { clock, party, session, told } = fixture()
  const serving = new Serving(party, session, "3", "4.1")
  serving.streamData(OPEN)
  await clock.advance()
  serving.streamData(HELLO)
  for (let n = 0; n < 14 && told.length === 0; n++) {
    await clock.advance(5)
    serving.streamData({ event: "ask-sums", id: n, prefixes: [""] })
  }
  assert.deepEqual(told, [["ended", serving]])
  assert.equal(clock.nowMs() > 1000 * PATIENCE_SECONDS, true)
  assert.equal(clock.pending, 0)
})

test("a donor that trickles is left also by who asks it with many hashes", async () => {
  const { clock, replica, party, session, told, sent } = fixture()
  for (let n = 0; n < 1500; n++) replica.set(`k${n}`, n)
  replica.digest()
  const syncing = new Syncing(party, session, "3", "me.1")
  syncing.streamData(OPEN)
  syncing.streamData({ ...HELLO, count: 500 })
  await clock.advance()
  let asked = 0
  for (let n = 1; n < 20 && told.length === 0; n++) {
    await clock.advance(5)
    const messages = sent.splice(0).join("").split("\n").filter(Boolean)
    for (const [, event, request] of messages.map((text) => JSON.parse(text))) {
      if (event !== "data") continue
      asked += JSON.stringify(request).length
      const { id, prefixes = [] } = request
      const sums = { event: "sums", id, sums: Array(prefixes.length).fill(Array(32).fill(1)) }
      if (request.event === "ask-sums") syncing.streamData(sums)
      else if (request.event === "ask-entries") syncing.streamData({ ...chunk(n, 10), id })
    }
  }
  assert.deepEqual(told, [["failed", "too slow"]])
  assert.ok(asked > 60 * LEAST_RATE_BYTES)
})

test("a newcomer that does not wait for answers is left", async () => {
  const { party, session, told, clock } = fixture()
  const serving = new Serving(party, session, "3", "4.1")
  serving.streamData(OPEN)
  await clock.advance()
  for (let n = 0; n < MAX_INBOX; n++) serving.streamData(HELLO)
  assert.deepEqual(told, [])
  for (let n = 0; n < 100; n++) serving.streamData(HELLO)
  assert.deepEqual(told, [["ended", serving]])
  assert.ok(serving.inbox.length <= MAX_INBOX + 1)
  assert.equal(clock.pending, 0)
})

test("a message too deep for JSON.stringify() ends the conversation, and no more", async () => {
  const { party, session, told, clock } = fixture()
  const serving = new Serving(party, session, "3", "4.1")
  serving.streamData(OPEN)
  await clock.advance()
  serving.streamData(JSON.parse("[".repeat(100_000) + "]".repeat(100_000)))
  assert.deepEqual(told, [["ended", serving]])
  assert.ok(session.alive)
})

test("so many are refused at a time", () => {
  const { session, replica, clock } = fixture()
  const peer = /** @type {any} */ ({ id: "7", replica })
  const syncs = new Syncs(peer, "/fruits", clock, () => 0.5)
  for (let n = 0; n < MAX_SERVING + 10 * MAX_REFUSING; n++) syncs.serve(session, `x.${n}`)
  assert.deepEqual([syncs.serving.size, syncs.refusing.size], [MAX_SERVING, MAX_REFUSING])
  for (const each of syncs.refusing) each.fail("")
  assert.deepEqual([syncs.serving.size, syncs.refusing.size], [MAX_SERVING, 0])
  syncs.stop()
  assert.deepEqual([syncs.serving.size, clock.pending], [0, 0])
})

test("a slow line: most goes one way, and only that way", async () => {
  const handing = fixture()
  for (let n = 0; n < 40; n++) handing.replica.set(`k${n}`, "x".repeat(60_000))
  handing.replica.digest()
  const syncing = new Syncing(handing.party, handing.session, "3", "me.1")
  syncing.streamData(OPEN)
  syncing.streamData({ ...HELLO, count: 0, sum: 0 })
  await handing.clock.advance()
  for (let id = 1; id <= 14; id++) {
    await handing.clock.advance(6)
    syncing.streamData({ event: "taken", id })
  }
  assert.deepEqual(handing.told, [])
  syncing.stop()

  const giving = fixture()
  for (let n = 0; n < 40; n++) giving.replica.set(`k${n}`, "x".repeat(60_000))
  giving.replica.digest()
  const serving = new Serving(giving.party, giving.session, "3", "4.1")
  serving.streamData(OPEN)
  serving.streamData({ ...HELLO, count: 0, sum: 0 })
  for (let id = 1; id <= 14; id++) {
    await giving.clock.advance(6)
    serving.streamData({ event: "ask-entries", id, prefixes: [""] })
  }
  assert.deepEqual(giving.told, [])
  serving.stop()
})

test("who says nothing is left", async () => {
  const { clock, party, session, told } = fixture()
  const syncing = new Syncing(party, session, "3", "me.1")
  await clock.advance(STALL_SECONDS - 1)
  assert.deepEqual(told, [])
  await clock.advance(1)
  assert.deepEqual(told, [["failed", `silent for ${STALL_SECONDS} s`]])
  syncing.streamData(HELLO)
  syncing.stop()
  assert.equal(told.length, 1)
})

test("what is held at the newcomer's is told to the others before the answer", async () => {
  const { clock, party, replica, session, told, sent } = fixture()
  const serving = new Serving(party, session, "3", "4.1")
  serving.streamData(OPEN)
  serving.streamData({ ...HELLO, count: 0 })
  const ms = replica.clock.nowMs() + 100_000
  const entry = { event: "set", key: "later", value: 1, stamp: [ms, 0, "w"] }
  let answered = false
  const { told: tell } = party
  party.told = (texts) => {
    session.flush()
    if (texts.length) answered = sent.join("").includes('"done"')
    tell(texts)
  }
  serving.streamData({ event: "done", held: [entry] })
  serving.streamData({ event: "ask-sums", id: 1, prefixes: [] })
  await clock.advance()
  assert.deepEqual(
    told.map(([what, text]) => [what, JSON.parse(text)]),
    [["told", entry]],
    "once",
  )
  assert.equal(answered, false)
  assert.ok(sent.join("").includes('"done"'))
  serving.stop()
})
