// Who sends much sends in turn, as the network takes it; a donor's answers do.

import assert from "node:assert/strict"
import { test } from "node:test"

import { OPEN, STALL_SECONDS } from "../../distmap/web/js/conversation.js"
import { MESSAGE_CHARS } from "../../distmap/web/js/frames.js"
import { Session } from "../../distmap/web/js/session.js"
import { CHUNK_BYTES } from "../../distmap/web/js/sync_wire.js"
import { Serving } from "../../distmap/web/js/syncing.js"
import { LOOK_SECONDS, PATIENCE_SECONDS, Uplink } from "../../distmap/web/js/uplink.js"
import { Clock, newReplica } from "./support.mjs"

/** Guests who send as much as leaves in a turn. */
function fixture() {
  const clock = new Clock()
  const network = { bufferedBytes: 0 }
  const uplink = new Uplink(clock, () => network.bufferedBytes)
  let sent = ""
  /** @param {string} name */
  const guest = (name, chars = MESSAGE_CHARS) => {
    const one = {
      enter: () => uplink.enter(one) && (one.goOn(), true),
      goOn: () => {
        sent += name
        uplink.gathered(chars)
      },
    }
    return one
  }
  /** Who has sent since the last call. */
  const told = () => {
    const names = sent
    sent = ""
    return names
  }
  /** The turn ends, and another one comes: who sends in it. */
  const flush = async () => {
    uplink.flushed()
    await clock.advance()
    return told()
  }
  return { clock, network, uplink, guest, told, flush }
}

test("one after the other, as much as a message in a turn", async () => {
  const { clock, uplink, guest, told, flush } = fixture()
  const [a, b, c] = ["a", "b", "c"].map((name) => guest(name, MESSAGE_CHARS / 2))
  assert.deepEqual([a.enter(), b.enter(), c.enter(), a.enter()], [true, true, false, false])
  assert.deepEqual([uplink.has(a), uplink.has(b), c.enter()], [true, false, false])
  assert.deepEqual([told(), await flush(), await flush()], ["ab", "ca", ""])
  assert.equal(clock.pending, 0)
})

test("a program that writes much in each turn keeps nobody from sending", async () => {
  const { uplink, guest, flush } = fixture()
  const told = []
  for (const name of "abc") {
    uplink.gathered(MESSAGE_CHARS)
    assert.equal(guest(name).enter(), false)
  }
  for (let turn = 0; turn < 4; turn++) {
    const sent = flush()
    uplink.gathered(4 * MESSAGE_CHARS)
    told.push(await sent)
  }
  assert.deepEqual(told, ["a", "b", "c", ""])
})

test("a slow network is asked now and then, and when something comes", async () => {
  const { clock, network, uplink, guest, told, flush } = fixture()
  network.bufferedBytes = MESSAGE_CHARS
  const guests = ["a", "b", "c", "d"].map((name) => guest(name))
  for (const each of guests) assert.equal(each.enter(), false)
  assert.equal(await flush(), "")
  network.bufferedBytes = 0
  await clock.advance(LOOK_SECONDS)
  assert.deepEqual([told(), await flush()], ["a", "b"])
  network.bufferedBytes = MESSAGE_CHARS
  assert.equal(await flush(), "")
  uplink.heard()
  await clock.advance()
  assert.equal(told(), "", "it has not taken anything yet")
  network.bufferedBytes = 0
  uplink.heard()
  assert.equal(told(), "c", "at once, before anybody fills the network again")
  assert.deepEqual([await flush(), clock.pending], ["d", 0])
})

test("if the network is never free they go on all the same, but slowly", async () => {
  const { clock, network, guest, told } = fixture()
  network.bufferedBytes = MESSAGE_CHARS
  for (const name of "abc") guest(name).enter()
  const turns = []
  for (let at = 0; at < 4; at++) {
    await clock.advance(PATIENCE_SECONDS + 2 * LOOK_SECONDS)
    turns.push(told())
  }
  assert.deepEqual(turns, ["a", "b", "c", ""])
  assert.equal(clock.pending, 0)
})

test("who leaves is not told, and nothing is left to do", async () => {
  const { clock, uplink, guest, told, flush } = fixture()
  const [a, b, c] = ["a", "b", "c"].map((name) => guest(name))
  for (const each of [a, b, c]) each.enter()
  uplink.leave(b)
  assert.deepEqual([told(), await flush(), await flush()], ["a", "c", ""])
  a.enter()
  b.enter()
  uplink.leave(b)
  assert.equal(clock.pending, 0)
  b.enter()
  uplink.close()
  uplink.close()
  assert.deepEqual([clock.pending, await flush(), told()], [0, "a", ""])
})

const NEWCOMERS = 12
const ASKED = 4

/** A donor whose network takes as much as it is told to, and newcomers that ask for much. */
function donor() {
  const clock = new Clock()
  const replica = newReplica()
  for (let at = 0; at < 2000; at++) replica.set(`key${at}`, "x".repeat(600))
  replica.digest()
  let most = 0
  /** @type {string[]} */
  const answers = []
  const transport = {
    bufferedBytes: 0,
    send(/** @type {string} */ message) {
      this.bufferedBytes += message.length
      most = Math.max(most, this.bufferedBytes)
      for (const line of message.trim().split("\n")) {
        const [stream, event] = JSON.parse(line)
        if (event === "data") answers.push(stream)
      }
    },
    close() {},
  }
  const session = new Session(transport, { scheduler: clock })
  /** @type {any[]} */
  const ended = []
  /** @type {any} */
  const party = {
    uri: "/fruits",
    replica,
    scheduler: clock,
    isBusy: false,
    learned: () => {},
    told: () => {},
    servingEnded: (/** @type {any} */ one) => void ended.push(one),
  }
  const servings = Array.from({ length: NEWCOMERS }, (_, at) => {
    const serving = new Serving(party, session, "3", `x.${at}`)
    serving.streamData(OPEN)
    serving.streamData({ event: "hello", version: [1, 1], count: 0, sum: 0 })
    for (let id = 0; id < ASKED; id++) {
      const asked = { event: "ask-entries", id, prefixes: [id.toString(16)], start: "" }
      serving.streamData({ ...asked, hashes: [], columns: true })
    }
    return serving
  })
  /** The network takes so much. */
  const take = async (/** @type {number} */ bytes) => {
    transport.bufferedBytes = Math.max(0, transport.bufferedBytes - bytes)
    await clock.advance(LOOK_SECONDS)
  }
  return { clock, party, session, servings, answers, ended, take, most: () => most }
}

test("what a donor has in the buffer of a slow network is bounded, and all get as much", async () => {
  const { servings, answers, take, most } = donor()
  let turns = 0
  while (answers.length < NEWCOMERS * (1 + ASKED)) {
    await take(16384)
    assert.ok(turns++ < 1000)
    const counts = new Map()
    for (const stream of answers) counts.set(stream, (counts.get(stream) ?? 0) + 1)
    const all = [...counts.values()]
    if (all.length === NEWCOMERS) assert.ok(Math.max(...all) - Math.min(...all) <= 1)
  }
  // What the network may have, what is gathered, and the message that is over.
  assert.ok(most() < 2 * MESSAGE_CHARS + 2 * CHUNK_BYTES, `${most()}`)
  assert.ok(turns * 16384 > 3 * most(), "much more was asked for")
  for (const serving of servings) serving.stop()
})

test("who waits for the network is not silent, and goes with the connection", async () => {
  const { clock, session, answers, ended, take } = donor()
  await take(0)
  const told = answers.length
  await clock.advance(STALL_SECONDS + 1)
  assert.deepEqual(ended, [])
  assert.ok(answers.length <= told + 3)
  session.lost()
  assert.equal(ended.length, NEWCOMERS)
  assert.equal(clock.pending, 0)
})

test("one ends while it waits, and another is busy when it is its turn", async () => {
  const { clock, party, session, servings, answers, ended, take } = donor()
  await take(0)
  const waits = servings.filter((each) => session.uplink.has(each))
  assert.ok(waits.length > 5)
  waits[0].stop()
  assert.ok(!session.uplink.has(waits[0]))
  party.isBusy = true
  const told = answers.length
  waits[1].goOn()
  assert.equal(answers.length, told)
  party.isBusy = false
  while (answers.length < (NEWCOMERS - 1) * (1 + ASKED)) await take(2 ** 20)
  assert.deepEqual(ended, [])
  for (const serving of servings) serving.stop()
  assert.equal(clock.pending, 0)
})
