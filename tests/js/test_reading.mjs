// Own writes of one that may only read are taken back, some in each turn.

/** @import { Port } from "../../distmap/web/js/port.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { STEP_WRITES } from "../../distmap/web/js/absence.js"
import { HybridClock } from "../../distmap/web/js/clock.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { Peer } from "../../distmap/web/js/peer.js"
import { NOW_MS, Wall } from "./support.mjs"

const COUNT = 2 * STEP_WRITES + 500

/** One peer, and a port that notes what it is told. */
function fixture() {
  const wall = new Wall()
  /** @type {any[]} */
  const sent = []
  /** @type {string[]} */
  const refused = []
  /** @type {string[]} */
  const updated = []
  /** @type {string[]} */
  const taken = []
  /** @type {string[]} */
  const ready = []
  let works = 0
  const nothing = () => {}
  /** @type {Port} */
  const port = {
    send: (payload) => void sent.push(JSON.parse(payload)),
    beginSync: nothing,
    serve: nothing,
    updated: nothing,
    taken: (writes) => void taken.push(...writes.map(([key]) => key)),
    restamped: nothing,
    becameReady: (how) => void ready.push(how),
    peersChanged: nothing,
    heardDigest: nothing,
    superseded: nothing,
    refused: (writes, updates) => {
      refused.push(...writes.map(([key]) => key))
      updated.push(...updates.map(({ key }) => key))
    },
    workSoon: () => void works++,
  }
  const replica = new Replica(new HybridClock(wall.read, "me"))
  const peer = new Peer(replica, port, wall.read)
  /** @param {string[]} keys of one batch */
  const write = (...keys) => {
    const stamp = replica.clock.tick()
    for (const key of keys) peer.wrote(replica.rewrite(key, '"mine"', stamp))
    return keys
  }
  return {
    wall,
    replica,
    peer,
    refused,
    updated,
    taken,
    ready,
    write,
    writeEach: (length = COUNT) => Array.from({ length }, (_, at) => write(`k${at}`)[0]),
    /** Another peer's entry comes. */
    others: (/** @type {string} */ key, /** @type {number} */ ms) => {
      peer.receive({ event: "set", key, value: "theirs", stamp: [ms, 0, "x"] })
      return replica.entries.get(key)
    },
    welcome: (/** @type {string} */ access) => {
      peer.opened()
      const details = { version: [1, 0], peer: "7", time_ms: NOW_MS, members: 2, access }
      peer.receive(["welcome", details])
    },
    /** The keys of the entries that were sent since the last call, in their order. */
    sent: () =>
      sent
        .splice(0)
        .filter((each) => !Array.isArray(each))
        .flatMap((each) => (each.entries ?? [each]).map((/** @type {any} */ { key }) => key)),
    /** How often it has asked for a sync since the last call. */
    asked: () => sent.splice(0).filter((each) => Array.isArray(each) && each[0] === "sync").length,
    /** The keys that were taken back since the last call, in their order. */
    back: () => refused.splice(0),
    /** Takes one turn, if the peer has asked for any; whether it has. */
    turn: () => {
      const isAsked = works > 0
      works = 0
      if (isAsked) peer.work()
      return isAsked
    },
    /** Takes all turns; what was taken back in each that took something back. */
    work: () => {
      const turns = []
      while (works > 0) {
        works = 0
        peer.work()
        turns.push(refused.splice(0))
      }
      return turns.filter(({ length }) => length > 0)
    },
  }
}

test("some in each turn, and what they had replaced comes back", () => {
  const { replica, peer, others, writeEach, welcome, back, work, sent, updated } = fixture()
  const early = others("k3", NOW_MS - 9)
  const late = others("k2222", NOW_MS - 9)
  const keys = writeEach()
  welcome("read")
  assert.deepEqual([back(), peer.isBusy], [keys.slice(0, STEP_WRITES), true])
  assert.equal(replica.entries.get("k3"), early)
  assert.equal(replica.entries.get("k2222")?.value, '"mine"')
  assert.deepEqual(work(), [
    keys.slice(STEP_WRITES, 2 * STEP_WRITES),
    keys.slice(2 * STEP_WRITES),
  ])
  assert.deepEqual(
    [...replica.entries],
    [
      ["k3", early],
      ["k2222", late],
    ],
  )
  assert.deepEqual([updated, sent(), peer.outbox.size, peer.isBusy], [keys, [], 0, false])
})

test("a batch goes as a whole", () => {
  const { write, writeEach, welcome, back, work } = fixture()
  const keys = writeEach(STEP_WRITES - 2)
  const batch = write("x", "y", "z")
  const last = write("last")
  welcome("read")
  assert.deepEqual([back(), work()], [[...keys, ...batch], [last]])
})

test("it is ready when all is taken back", () => {
  const { peer, replica, ready, writeEach, welcome, work } = fixture()
  writeEach()
  welcome("read")
  peer.receive(["alone"])
  assert.deepEqual(ready, [])
  work()
  assert.deepEqual([ready, replica.entries.size], [["alone"], 0])
})

test("what another peer writes meanwhile stays", () => {
  const { replica, others, writeEach, welcome, back, work, updated } = fixture()
  const keys = writeEach()
  welcome("read")
  back()
  const wanted = [
    ["k3", others("k3", NOW_MS + 5)],
    ["k2222", others("k2222", NOW_MS + 5)],
  ]
  updated.length = 0
  assert.deepEqual(work().flat(), keys.slice(STEP_WRITES))
  assert.deepEqual([...replica.entries].toSorted(), wanted.toSorted())
  assert.ok(!updated.includes("k2222"))
})

test("the connection is lost meanwhile: it goes on", () => {
  const { replica, peer, others, writeEach, welcome, back, work } = fixture()
  const theirs = others("k2222", NOW_MS - 9)
  const keys = writeEach()
  welcome("read")
  peer.lost()
  assert.deepEqual([...back(), ...work().flat()], keys)
  assert.deepEqual([[...replica.entries], peer.isBusy], [[["k2222", theirs]], false])
})

test("it may only read again", () => {
  const { replica, peer, others, writeEach, welcome, back, work } = fixture()
  const theirs = others("k2222", NOW_MS - 9)
  const keys = writeEach()
  welcome("read")
  peer.lost()
  welcome("read")
  assert.deepEqual(back(), keys.slice(0, 2 * STEP_WRITES))
  assert.deepEqual(work(), [keys.slice(2 * STEP_WRITES)])
  assert.deepEqual([...replica.entries], [["k2222", theirs]])
})

test("it may write after all: what is left is sent, once and in its order", () => {
  const { replica, peer, writeEach, welcome, back, work, sent, taken } = fixture()
  const keys = writeEach()
  const left = keys.slice(STEP_WRITES)
  welcome("read")
  peer.lost()
  welcome("write")
  assert.deepEqual(back(), keys.slice(0, STEP_WRITES))
  assert.deepEqual(work(), [])
  assert.deepEqual([sent(), [...replica.entries.keys()]], [left, left])
  peer.receive(["ack", 100, NOW_MS])
  assert.deepEqual([taken, peer.outbox.size, peer.isBusy], [left, 0, false])
})

test("what was sent already is sent again only once", () => {
  const { peer, write, writeEach, welcome, back, turn, work, sent } = fixture()
  welcome("write")
  const keys = writeEach()
  while (peer.outbox.unsent.length) peer.sendWrites()
  assert.deepEqual(sent(), keys)
  peer.receive(["refused", 1])
  peer.receive(["refused", 1])
  assert.deepEqual([back(), peer.isBusy], [[], true], "in turns of their own")
  write("late")
  peer.sendWrites()
  assert.deepEqual(sent(), [], "nothing is sent meanwhile")
  assert.ok(turn())
  peer.lost()
  welcome("write")
  assert.deepEqual([back(), work()], [keys.slice(0, STEP_WRITES), []])
  assert.deepEqual(sent(), [...keys.slice(STEP_WRITES), "late"])
})

test("what the relay refuses all of a sudden is fetched, with one sync", () => {
  const { peer, replica, others, writeEach, welcome, turn, work, asked } = fixture()
  welcome("write")
  others("k3", NOW_MS - 9)
  writeEach()
  while (peer.outbox.unsent.length) peer.sendWrites()
  assert.equal(asked(), 0)
  peer.receive(["refused", 1])
  assert.ok(turn())
  peer.receive(["refused", 2])
  assert.equal(asked(), 0, "not before all is taken back")
  work()
  assert.deepEqual([replica.entries.size, asked()], [0, 1])
  peer.receive(["refused", 3])
  work()
  assert.equal(asked(), 0, "there was nothing left")
})

test("nothing is fetched without need", () => {
  const { peer, writeEach, welcome, work, asked } = fixture()
  writeEach()
  welcome("read")
  work()
  assert.equal(asked(), 0, "it remembers what was replaced before it was told")
  for (const access of ["write", "read"]) {
    peer.lost()
    welcome("write")
    writeEach()
    peer.sendWrites()
    peer.receive(["refused", 1])
    peer.lost()
    welcome(access)
    work()
    assert.equal(asked(), 0, "a reconnect brings a sync")
  }
})

test("what the relay acknowledges meanwhile is not taken back", () => {
  const { peer, replica, writeEach, welcome, back, turn, work } = fixture()
  welcome("write")
  const keys = writeEach()
  while (peer.outbox.unsent.length) peer.sendWrites()
  peer.receive(["refused", 1])
  assert.ok(turn())
  peer.receive(["ack", 100, NOW_MS])
  assert.deepEqual([back(), work()], [keys.slice(0, STEP_WRITES), []])
  assert.deepEqual([...replica.entries.keys()], keys.slice(STEP_WRITES))
  assert.ok(!peer.isBusy)
})

test("one that has nothing to take back has nothing to do", () => {
  const { peer, welcome, back, turn } = fixture()
  welcome("read")
  assert.deepEqual([back(), peer.isBusy, turn()], [[], false, false])
})

test("a clock is put right first", () => {
  const { wall, replica, writeEach, welcome, back, work, sent } = fixture()
  wall.ms = NOW_MS + 3_600_000
  const keys = writeEach()
  welcome("read")
  assert.deepEqual([...back(), ...work().flat()], keys)
  assert.deepEqual([sent(), replica.entries.size], [[], 0])
})

/** Writes so much that its stamps are of long ago, and meets a donor: all of it is set aside. */
function setAside() {
  const one = fixture()
  const { wall, peer, writeEach, welcome, sent } = one
  wall.ms = NOW_MS - 100 * 86_400_000
  const keys = writeEach()
  wall.ms = NOW_MS
  welcome("write")
  peer.receive(["donor", "3"])
  const newcomer = peer.begin()
  newcomer.start()
  newcomer.receive({
    event: "hello",
    version: [1, 0],
    count: 0,
    sum: 0,
    floor_ms: NOW_MS - 50 * 86_400_000,
  })
  while (one.turn());
  assert.deepEqual([sent(), peer.outbox.size, peer.absence.isOpen], [[], 0, true])
  peer.lost()
  return { ...one, keys }
}

test("what is set aside goes too", () => {
  const { peer, keys, write, welcome, back, work } = setAside()
  const waits = write("waits")
  welcome("read")
  assert.ok(peer.isBusy)
  peer.lost()
  assert.deepEqual([...back(), ...work().flat()], [...waits, ...keys])
  assert.ok(!peer.absence.isOpen && !peer.isBusy)
})

test("what is set aside is kept for one that may write after all", () => {
  const { peer, keys, welcome, back, turn, work, sent } = setAside()
  welcome("read")
  peer.lost()
  assert.ok(turn())
  const gone = back()
  welcome("write")
  assert.deepEqual([back(), sent(), work(), peer.isBusy], [[], [], [], false])
  peer.receive(["alone"])
  assert.deepEqual([work(), sent()], [[], keys.slice(gone.length)])
})
