// Conversations of a newcomer and a donor: in the end both have the union.

/** @import { Update } from "../../distmap/web/js/lww.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { HybridClock } from "../../distmap/web/js/clock.js"
import { encodeEntry, isSame, wins } from "../../distmap/web/js/entries.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { Donor, Newcomer, SLACK, WINDOW } from "../../distmap/web/js/sync.js"
import {
  CHUNK_BYTES,
  VERSION,
  decodeAnswer,
  decodeRequest,
} from "../../distmap/web/js/sync_wire.js"
import { NOW_MS, Wall, newReplica, pick, refused, seeded } from "./support.mjs"

/**
 * Lets two sides talk until they are done.
 *
 * @param {Newcomer} newcomer
 * @param {Donor} donor
 * @param {object} [options]
 * @param {number} [options.atMost] so many messages are delivered
 * @param {() => number} [options.random] decides which side reads next
 * @param {() => void} [options.between] is called before each message
 */
function converse(newcomer, donor, { atMost = Infinity, random, between = () => {} } = {}) {
  const traffic = {
    messages: 0,
    bytes: 0,
    biggest: 0,
    /** @type {Update[]} */
    brought: [],
    /** @type {Update[]} */
    given: [],
  }
  const up = newcomer.start()
  /** @type {string[]} */
  const down = []
  while ((up.length || down.length) && traffic.messages < atMost) {
    between()
    const upwards = up.length > 0 && (!down.length || !random || random() < 0.5)
    const text = /** @type {string} */ ((upwards ? up : down).shift())
    traffic.messages++
    traffic.bytes += Buffer.byteLength(text)
    traffic.biggest = Math.max(traffic.biggest, Buffer.byteLength(text))
    assert.ok(up.length <= WINDOW + 1)
    const [messages, updates] = (upwards ? donor : newcomer).receive(JSON.parse(text))
    ;(upwards ? down : up).push(...messages)
    ;(upwards ? traffic.brought : traffic.given).push(...updates)
  }
  return traffic
}

/** @param {Replica} replica */
function dump(replica) {
  return Array.from(replica.entries, ([key, entry]) => encodeEntry(key, entry)).sort()
}

/**
 * @param {Replica} a
 * @param {Replica} b
 */
function assertEqual(a, b) {
  assert.deepEqual(a.digest(), b.digest())
  assert.deepEqual(dump(a), dump(b))
  assert.equal(a.live, b.live)
}

/**
 * Two replicas that differ in some keys.
 *
 * @param {number} common
 * @param {number} differing
 * @param {() => number} random
 */
function pair(common, differing, random) {
  const wall = new Wall()
  const a = newReplica("a", wall)
  const b = newReplica("b", wall)
  for (let n = 0; n < common; n++) {
    const { key, entry } = a.set(`common ${n}`, n)
    b.merge(key, entry)
  }
  for (let n = 0; n < differing; n++) {
    const replica = pick(random, [a, b])
    const key = random() < 0.5 ? `common ${Math.floor(random() * common)}` : `own ${n}`
    wall.ms += random() < 0.5 ? 0 : 1
    if (random() < 0.3) replica.delete(key)
    else replica.set(key, { n, text: "é".repeat(Math.floor(random() * 30)) })
  }
  return { a, b, wall }
}

test("two replicas are equal afterwards, whatever differed", () => {
  const random = seeded(52)
  for (const [common, differing] of [
    [0, 0],
    [0, 1],
    [0, 200],
    [5, 5],
    [100, 0],
    [100, 3],
    [300, 300],
    [3000, 40],
    [3000, 3000],
    [6000, 2],
  ]) {
    const { a, b } = pair(common, differing, random)
    const model = new Map(a.entries)
    for (const [key, entry] of b.entries) {
      if (wins(key, entry, model.get(key))) model.set(key, entry)
    }
    const before = new Map(b.entries)
    const newcomer = new Newcomer(a)
    const { brought } = converse(newcomer, new Donor(b), { random })
    assert.ok(newcomer.done)
    assertEqual(a, b)
    assert.equal(a.entries.size, model.size)
    for (const [key, entry] of model) assert.ok(isSame(a.entries.get(key), entry))
    for (const { key, entry, old } of brought) {
      assert.ok(isSame(old, before.get(key)))
      assert.ok(isSame(entry, b.entries.get(key)))
    }
  }
})

test("one side is empty", () => {
  for (const newcomerHas of [true, false]) {
    const { a } = pair(5000, 0, seeded(1))
    const b = newReplica("b")
    const [one, two] = newcomerHas ? [a, b] : [b, a]
    const traffic = converse(new Newcomer(one), new Donor(two))
    assertEqual(a, b)
    assert.ok(traffic.messages > 8 && traffic.biggest < CHUNK_BYTES + 10_000)
    assert.equal((newcomerHas ? traffic.brought : traffic.given).length, 5000)
  }
})

test("version 1.0 knew no columns", () => {
  for (const old of ["newcomer", "donor", ""]) {
    const { a, b } = pair(0, 0, seeded(4))
    for (let n = 0; n < 1500; n++) b.set(`k${n}`, { n })
    b.delete("k7")
    const newcomer = new Newcomer(a)
    const donor = new Donor(b)
    let answers = 0
    const questions = newcomer.start()
    for (let text = questions.shift(); text !== undefined; text = questions.shift()) {
      const asked = old === "" ? text : text.replace(',"columns":true', "")
      for (const answer of donor.receive(JSON.parse(asked))[0]) {
        if (answer.includes('"columns":{')) answers++
        questions.push(...newcomer.receive(JSON.parse(answer))[0])
      }
    }
    assert.ok(newcomer.done)
    assertEqual(a, b)
    assert.equal(answers > 0, old === "")
  }
})

test("few differences among many keys cost little", () => {
  const { a, b, wall } = pair(20_000, 0, seeded(3))
  wall.ms++
  for (let n = 0; n < 10; n++) (n % 2 ? a : b).set(`common ${n * 1999}`, "changed")
  const { bytes, brought, given } = converse(new Newcomer(a), new Donor(b))
  assertEqual(a, b)
  assert.deepEqual([brought.length, given.length], [5, 5])
  assert.ok(bytes < 40_000, `${bytes} bytes`)
})

test("large values come in chunks", () => {
  const a = newReplica("a")
  for (let n = 0; n < 30; n++) a.set(`k${n}`, "x".repeat(n % 3 ? 30_000 : 200_000))
  const b = newReplica("b")
  const { biggest } = converse(new Newcomer(b), new Donor(a))
  assertEqual(a, b)
  assert.ok(biggest < CHUNK_BYTES + 201_000)
})

test("abandoned anywhere, and gone on with another donor", () => {
  const random = seeded(7)
  for (let atMost = 0; atMost < 40; atMost += 3) {
    const { a, b } = pair(500, 200, random)
    converse(new Newcomer(a), new Donor(b), { atMost, random })
    converse(new Newcomer(a), new Donor(b), { random })
    assertEqual(a, b)
  }
})

test("while both go on writing nothing is lost, and a second conversation makes them equal", () => {
  const random = seeded(9)
  for (let round = 0; round < 20; round++) {
    const { a, b, wall } = pair(400, 150, random)
    const between = () => {
      wall.ms++
      const replica = pick(random, [a, b])
      if (random() < 0.3) replica.delete(`common ${Math.floor(random() * 400)}`)
      else replica.set(`new ${Math.floor(random() * 50)}`, random())
    }
    const newcomer = new Newcomer(a)
    converse(newcomer, new Donor(b), { random, between })
    assert.ok(newcomer.done)
    converse(new Newcomer(a), new Donor(b), { random })
    assertEqual(a, b)
  }
})

test("held entries and extras come along", () => {
  const donor = newReplica("a")
  const stamp = { ms: NOW_MS + 100_000, counter: 0, writer: "x" }
  donor.merge("later", { stamp, value: "1", extras: null })
  donor.merge("k", { stamp: { ...stamp, ms: 5 }, value: "1", extras: '{"expires":9}' })
  const newcomer = newReplica("b")
  converse(new Newcomer(newcomer), new Donor(donor))
  assert.equal(newcomer.entries.get("k")?.extras, '{"expires":9}')
  assert.equal(newcomer.held.size, 1)
})

test("held entries go both ways, and are news once", () => {
  const donor = newReplica("a")
  const newcomer = newReplica("b")
  const stamp = { ms: NOW_MS + 100_000, counter: 0, writer: "x" }
  donor.merge("both", { stamp, value: "1", extras: null })
  newcomer.merge("both", { stamp, value: "1", extras: null })
  newcomer.merge("mine", { stamp, value: "1", extras: null })
  donor.merge("theirs", { stamp, value: "1", extras: null })
  const side = new Donor(donor)
  converse(new Newcomer(newcomer), side)
  assert.deepEqual(
    side.news.map((text) => JSON.parse(text).key),
    ["mine"],
  )
  for (const replica of [donor, newcomer]) {
    const keys = Array.from(replica.held, ([key]) => key)
    assert.deepEqual(keys.sort(), ["both", "mine", "theirs"])
  }
  side.receive({ event: "done", held: [] })
  assert.deepEqual(side.news, [])
})

test("an entry that one side cannot hold ends nothing", () => {
  const a = newReplica("a")
  const b = newReplica("b", new Wall(), 10)
  a.set("large", "x".repeat(100))
  a.set("small", 1)
  const newcomer = new Newcomer(b)
  converse(newcomer, new Donor(a))
  assert.ok(newcomer.done)
  assert.deepEqual([b.entries.size, b.refused], [1, 1])
})

test("the newcomer is told of a floor that may be over what it knows of", () => {
  const donor = forgetful("a")
  donor.set("k", 1)
  donor.floorMs = 1000
  for (const [knownMs, outdated] of /** @type {[number | null, boolean][]} */ ([
    [999, true],
    [1000, false],
    [null, false],
  ])) {
    const replica = forgetful("b")
    replica.knownMs = knownMs
    /** @type {unknown[]} */
    const met = []
    const newcomer = new Newcomer(replica, (...what) => {
      met.push([...what, replica.floorMs])
      return true
    })
    converse(newcomer, new Donor(donor))
    assert.deepEqual(met, [[1000, outdated, 0]])
    assert.deepEqual([newcomer.done, replica.floorMs, replica.knownMs], [true, 1000, null])
  }
})

const HOUR_MS = 3_600_000

/**
 * An empty replica that keeps tombstones for an hour.
 *
 * @param {string} writer
 * @param {Wall} [wall]
 */
function forgetful(writer, wall = new Wall()) {
  return new Replica(new HybridClock(wall.read, writer), undefined, HOUR_MS)
}

/** One that has forgotten a delete, and one that was away since before it. */
function apart() {
  const wall = new Wall()
  const home = forgetful("home", wall)
  const away = forgetful("away", wall)
  for (const key of ["deleted", "kept"]) {
    const { entry } = home.set(key, 1)
    away.merge(key, entry)
  }
  away.knownMs = NOW_MS
  wall.ms += 1000
  home.delete("deleted")
  wall.ms += 2 * HOUR_MS
  home.digest()
  assert.equal(home.entries.size, 1)
  return { wall, home, away }
}

test("what was deleted and forgotten is buried, whichever side still has it", () => {
  for (const awayIsNewcomer of [true, false]) {
    const { home, away } = apart()
    const [one, two] = awayIsNewcomer ? [away, home] : [home, away]
    const { brought, given } = converse(new Newcomer(one), new Donor(two))
    const updates = awayIsNewcomer ? given : brought
    const [{ key, entry, old }, ...rest] = updates
    assert.deepEqual([key, entry.value, old?.value, rest], ["deleted", null, "1", []])
    assert.deepEqual(entry.stamp, old?.stamp)
    assert.deepEqual([...away.items()], [["kept", "1"]])
    assert.deepEqual([...home.items()], [["kept", "1"]])
    assert.equal(away.knownMs, null, "it knows now what the other knows")
    assertEqual(home, away)
  }
})

test("what is young, or later than the floor, is buried by nobody", () => {
  const { home, away } = apart()
  away.set("young", 1)
  converse(new Newcomer(away), new Donor(home))
  assert.deepEqual([...home.items()].sort(), [
    ["kept", "1"],
    ["young", "1"],
  ])
})

test("who knows of the deletes that are forgotten brings what nobody else has", () => {
  for (const trusted of [true, false]) {
    const { home, away } = apart()
    away.forget("deleted")
    away.rewrite("old", "1")
    const stamp = { ms: NOW_MS + 1, counter: 0, writer: "w" }
    away.forget("old")
    away.merge("old", { stamp, value: "1", extras: null })
    away.knownMs = trusted ? home.forgotMs + 1 : NOW_MS
    converse(new Newcomer(away), new Donor(home))
    assert.equal(home.entries.has("old"), trusted)
    assertEqual(home, away)
  }
})

test("a stale newcomer, and a stale donor that cannot tell it better", () => {
  const { wall, home, away } = apart()
  const other = forgetful("other", wall)
  other.knownMs = NOW_MS + 500
  converse(new Newcomer(other), new Donor(away))
  assert.deepEqual([other.knownMs, away.knownMs], [NOW_MS + 500, NOW_MS + 500])
  assert.equal(other.entries.size, 2)
  converse(new Newcomer(other), new Donor(home))
  assert.deepEqual([other.knownMs, [...other.items()]], [null, [["kept", "1"]]])
})

test("a donor takes over the floor of a newcomer, once it has what that has", () => {
  const { home, away } = apart()
  const donor = new Donor(away)
  const newcomer = new Newcomer(home)
  converse(newcomer, donor, { atMost: 2 })
  assert.equal(away.floorMs, 0)
  converse(new Newcomer(home), donor)
  assert.equal(away.floorMs, home.floorMs)
  assert.ok(away.floorMs > NOW_MS)
})

test("a buried answer that is junk harms nobody", () => {
  const { newcomer, replica } = asking(40)
  const [[push]] = newcomer.receive({
    event: "sums",
    id: 1,
    sums: [Array.from({ length: 32 }, () => 0)],
  })
  const { id } = JSON.parse(push)
  assert.equal(JSON.parse(push).event, "push")
  const buried = [1, { event: "delete" }]
  newcomer.receive({ event: "taken", id, buried })
  assert.deepEqual([replica.refused, replica.live], [2, 40])
})

const HELLO = { event: "hello", version: VERSION, count: 3, sum: 7 }

/**
 * A newcomer with a request under way, and that request.
 *
 * @param {number} [count] so many keys it has
 */
function asking(count = 5) {
  const replica = newReplica("b")
  for (let n = 0; n < count; n++) replica.set(`k${n}`, n)
  const newcomer = new Newcomer(replica)
  newcomer.start()
  const [[text]] = newcomer.receive(HELLO)
  return { newcomer, replica, request: JSON.parse(text) }
}

test("versions", () => {
  for (const side of [new Donor(newReplica()), new Newcomer(newReplica())]) {
    refused(() => side.receive({ ...HELLO, version: [2, 0] }), "version")
    refused(() => side.receive({ event: "hello", version: [2, 0] }), "version")
    refused(() => side.receive({ event: "hello", version: [1, 0] }), "protocol")
    refused(() => side.receive({ event: "hello", version: [2] }), "protocol")
    refused(() => side.receive({ ...HELLO, known_ms: -1 }), "protocol")
    side.receive({ ...HELLO, version: [1, 9], more: {} })
  }
})

test("answers that break the rules end the conversation", () => {
  const entry = { event: "set", key: "x", value: 1, stamp: [1, 0, "w"] }
  const bad = [
    HELLO,
    { event: "done" },
    { event: "taken", id: 99 },
    { event: "taken", id: 1 },
    { event: "sums", id: 1, sums: [] },
    { event: "entries", id: 1, entries: [], next: "1" },
    { event: "entries", id: 1, entries: [entry], next: "" },
    { event: "entries", id: 1, entries: Array(7 + SLACK).fill(entry) },
    { event: "no-such" },
  ]
  for (const message of bad) {
    const { newcomer, request } = asking()
    assert.equal(request.event, "ask-entries")
    refused(() => newcomer.receive(message), "protocol", JSON.stringify(message).slice(0, 80))
  }
  const { newcomer } = asking()
  newcomer.receive({ event: "entries", id: 1, entries: [entry] })
  refused(() => newcomer.receive({ event: "entries", id: 1, entries: [] }), "protocol", "twice")
})

test("missing hashes that nobody asked about are pushed to nobody", () => {
  const { newcomer } = asking()
  const [[text]] = newcomer.receive({ event: "entries", id: 1, entries: [], missing: [1, 2, 3] })
  assert.deepEqual(JSON.parse(text), { event: "done", held: [] })
})

test("questions that break the rules end the conversation", () => {
  const ask = { event: "ask-entries", id: 1, start: "", hashes: [] }
  const bad = [
    { ...ask, prefixes: ["1", "0"] },
    { ...ask, prefixes: ["1", "10"] },
    { ...ask, prefixes: ["1", "1"] },
    { ...ask, prefixes: ["g"] },
    { ...ask, prefixes: ["A"] },
    { ...ask, prefixes: ["0\n"] },
    { ...ask, prefixes: ["0".repeat(14)] },
    { ...ask, prefixes: Array(129).fill("0") },
    { ...ask, prefixes: "0" },
    { ...ask, prefixes: [], id: -1 },
    { ...ask, prefixes: [], id: 1.5 },
    { ...ask, prefixes: [], hashes: [-1] },
    { ...ask, prefixes: [], hashes: Array(8193).fill(1) },
    { event: "ask-sums", id: 1, prefixes: ["0".repeat(13)] },
    { event: "push", id: 1, entries: {} },
    { event: "sums", id: 1, sums: [] },
    { event: "constructor" },
    { event: "__proto__" },
    ...[null, 1, "hello", [], ["hello"], {}, { event: ["hello"] }],
  ]
  for (const message of bad) {
    const donor = new Donor(newReplica())
    donor.receive(HELLO)
    refused(() => donor.receive(message), "protocol", JSON.stringify(message).slice(0, 80))
  }
  refused(() => new Donor(newReplica()).receive({ event: "done" }), "protocol", "no hello")
})

test("columns that do not belong together: nothing is merged", () => {
  const replica = newReplica()
  const newcomer = new Newcomer(replica)
  newcomer.start()
  newcomer.receive({ ...HELLO })
  const plain = { keys: ["a"], values: [1], since_ms: 5, ms: [0], counters: [0] }
  const columns = { ...plain, names: ["w"], writers: [1] }
  const entry = { event: "set", key: "b", value: 1, stamp: [5, 0, "w"] }
  const answer = { event: "entries", id: 1, entries: [entry], columns }
  refused(() => newcomer.receive(answer), "protocol", "a writer without a name")
  assert.equal(replica.entries.size, 0)
})

test("missing fields have their defaults", () => {
  assert.deepEqual(decodeRequest({ event: "ask-entries", id: 1, prefixes: [] }), {
    event: "ask-entries",
    id: 1,
    prefixes: [],
    start: "",
    hashes: [],
    columns: false,
  })
  assert.deepEqual(decodeAnswer({ event: "entries", id: 1, entries: [] }), {
    event: "entries",
    id: 1,
    entries: [],
    next: null,
    missing: [],
    columns: null,
  })
  assert.deepEqual(decodeAnswer({ event: "taken", id: 1 }), { event: "taken", id: 1, buried: [] })
  const hello = { event: "hello", version: [1, 0], count: 1, sum: 2 }
  assert.deepEqual(decodeAnswer(hello), { ...hello, floor_ms: 0, known_ms: null, gaps: [] })
})
