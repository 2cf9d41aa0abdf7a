// tests/vectors: what the Python and the JavaScript implementation must agree on.

/** @import { Limits } from "../../distmap/web/js/frames.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { HybridClock, MAX_AHEAD_MS, compareStamps } from "../../distmap/web/js/clock.js"
import { MAX_SETS, encodeColumns, isColumns, readColumns } from "../../distmap/web/js/columns.js"
import {
  decodeEntry,
  encodeEntry,
  entryHash,
  hash52,
  wins,
} from "../../distmap/web/js/entries.js"
import { DEFAULT_LIMITS, FrameDecoder, decodeNew } from "../../distmap/web/js/frames.js"
import { mergeAll } from "../../distmap/web/js/merging.js"
import { RangeTree, positionText } from "../../distmap/web/js/ranges.js"
import { Reader } from "../../distmap/web/js/reading.js"
import * as values from "../../distmap/web/js/values.js"
import { NOW_MS, Wall, newReplica, refused, seeded, vectors } from "./support.mjs"

/**
 * Decodes UTF-8 as a WebSocket would not: a byte that is wrong becomes a lone surrogate, which a
 * reader of text must refuse all the same.
 */
class Utf8 {
  /** @type {number[]} */
  #rest = []

  /** @param {Iterable<number>} bytes */
  decode(bytes) {
    let text = ""
    const all = [...this.#rest, ...bytes]
    this.#rest = []
    for (let at = 0; at < all.length;) {
      const size = all[at] < 0x80 ? 1 : all[at] < 0xe0 ? 2 : all[at] < 0xf0 ? 3 : 4
      const part = all.slice(at, at + size)
      if (part.length < size && all[at] >= 0xc0 && part.slice(1).every((b) => b >> 6 === 2)) {
        this.#rest = part
        break
      }
      try {
        text += new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
          Uint8Array.from(part),
        )
        at += size
      } catch {
        text += String.fromCharCode(0xdc00 + all[at++])
      }
    }
    return text
  }
}

/**
 * A part of a chunk in the vectors, as bytes.
 *
 * @param {any} part
 */
function bytesOf(part) {
  if (typeof part === "string") return Buffer.from(part)
  return "hex" in part ? Buffer.from(part.hex, "hex") : Buffer.from(part.repeat.repeat(part.times))
}

/**
 * @param {Buffer[]} chunks
 * @param {Limits} limits
 */
function feedAll(chunks, limits) {
  const utf8 = new Utf8()
  const decoder = new FrameDecoder(limits)
  const found = []
  for (const chunk of chunks) {
    const [frames, fault] = decoder.feed(utf8.decode(chunk))
    found.push(...frames)
    if (fault !== null) return { found, error: fault.code }
  }
  return { found, error: null }
}

test("frames", async (t) => {
  const { cases } = vectors("frames")
  assert.ok(cases.length > 80)
  for (const each of cases) {
    await t.test(each.name, () => {
      const chunks = each.chunks.map((/** @type {any[]} */ c) => Buffer.concat(c.map(bytesOf)))
      const found = each.frames.map((/** @type {any[]} */ [id, event, payload]) => {
        if (payload === undefined) return [id, event]
        if (typeof payload === "string") return [id, event, JSON.parse(payload)]
        const { repeat, times, then = "" } = payload
        return [id, event, JSON.parse(repeat.repeat(times) + then.repeat(times))]
      })
      const expected = { found, error: each.error }
      const frameBytes = each.limits?.frame_bytes ?? DEFAULT_LIMITS.frameBytes
      const limits = { ...DEFAULT_LIMITS, frameBytes }
      assert.deepEqual(feedAll(chunks, limits), expected)
      // However it is cut, it is the same stream.
      const whole = Buffer.concat(chunks)
      assert.deepEqual(feedAll([whole], limits), expected)
      const bytes = Array.from(whole, (byte) => Buffer.of(byte))
      assert.deepEqual(feedAll(bytes, limits), expected)
    })
  }
})

test("the metas of streams", () => {
  const { metas } = vectors("frames")
  for (const { name, meta, error } of metas) {
    const text = Buffer.concat(meta.map(bytesOf)).toString()
    const opened = () => decodeNew(JSON.parse(`{"meta":${text},"opts":{"writable":true}}`), 4096)[0]
    if (error === null) assert.deepEqual(opened(), JSON.parse(text), name)
    else refused(opened, error, name)
  }
})

/** @param {string} bits */
function fromBits(bits) {
  return Buffer.from(bits, "hex").readDoubleBE()
}

/** @param {any} each a text of the vectors, which may be given as repeated pieces or as bytes */
function textOf({ text, parts, hex }) {
  if (hex !== undefined) return new Utf8().decode(Buffer.from(hex, "hex"))
  return text ?? parts.map((/** @type {[string, number]} */ [s, n]) => s.repeat(n)).join("")
}

test("values", () => {
  const v = vectors("values")
  assert.ok(v.numbers.length > 400 && v.refused_numbers.length > 30)
  for (const [bits, text] of v.numbers) {
    const number = fromBits(bits)
    assert.equal(values.encode(number), text, bits)
    assert.equal(values.canonical(text), text)
    assert.equal(values.decode(text), number === 0 ? 0 : number)
  }
  for (const bits of v.refused_numbers) {
    refused(() => values.encode(fromBits(bits)), "invalid-value", bits)
  }
  for (const each of v.accepted) {
    const text = textOf(each)
    const wanted = each.canonical ?? text
    assert.equal(values.canonical(text), wanted)
    assert.equal(values.encode(values.decode(wanted)), wanted)
  }
  for (const each of v.refused) {
    refused(() => values.canonical(textOf(each)), v.refused_code, JSON.stringify(each))
  }
  for (const each of v.keys) {
    const key = textOf(each)
    if (each.code === null) assert.equal(values.checkKey(key), key)
    else refused(() => values.checkKey(key), each.code)
  }
  assert.deepEqual(v.limits, {
    key_bytes: values.MAX_KEY_BYTES,
    value_bytes: values.MAX_VALUE_BYTES,
    depth: values.MAX_DEPTH,
    integer: values.MAX_INTEGER,
  })
})

/** @param {[number, number, string]} wire */
function stampOf([ms, counter, writer]) {
  return { ms, counter, writer }
}

test("stamps", () => {
  const v = vectors("stamps")
  const stamps = v.ordered.map(stampOf)
  for (let a = 0; a < stamps.length; a++) {
    for (let b = 0; b < stamps.length; b++) {
      assert.equal(Math.sign(compareStamps(stamps[a], stamps[b])), Math.sign(a - b))
    }
  }
  assert.equal(v.max_ahead_ms, MAX_AHEAD_MS)
  const wall = new Wall()
  const clock = new HybridClock(wall.read, v.clock.writer)
  for (const step of v.clock.steps) {
    wall.ms = step.wall_ms
    switch (step.do) {
      case "tick": {
        const stamp = clock.tick(step.after ? stampOf(step.after) : undefined)
        assert.deepEqual([stamp.ms, stamp.counter, stamp.writer], step.gives)
        break
      }
      case "observe":
        clock.observe(stampOf(step.stamp))
        break
      case "is_ahead":
        assert.equal(clock.isAhead(stampOf(step.stamp)), step.gives)
        break
      case "correct":
        assert.equal(clock.correct(step.offset_ms), step.gives)
        break
      default:
        assert.fail(`a step that this test does not know: ${step.do}`)
    }
  }
})

/**
 * Those that are JSON, with what they say; the frame that another came in would be no frame.
 * @param {string[]} texts
 * @returns {Generator<[string, any]>}
 */
function* parsed(texts) {
  for (const text of texts) {
    let wire
    try {
      wire = JSON.parse(text)
    } catch {
      continue
    }
    yield [text, wire]
  }
}

test("entries", () => {
  const v = vectors("entries")
  for (const { text, sent, key, position, hash } of v.accepted) {
    const [decodedKey, entry] = decodeEntry(JSON.parse(text))
    assert.equal(decodedKey, key)
    assert.equal(encodeEntry(key, entry), sent)
    assert.equal(positionText(key), position)
    assert.equal(entryHash(key, entry), hash)
    assert.deepEqual(decodeEntry(JSON.parse(sent)), [key, entry])
  }
  for (const [text, wire] of parsed(v.refused)) {
    refused(() => decodeEntry(wire), v.refused_code, text)
  }
  const ordered = v.ordered.map((/** @type {string} */ text) => decodeEntry(JSON.parse(text))[1])
  for (let a = 0; a < ordered.length; a++) {
    for (let b = 0; b < ordered.length; b++) {
      assert.equal(wins("k", ordered[a], ordered[b]), a > b, `${a} and ${b}`)
    }
  }
})

test("columns", () => {
  const v = vectors("columns")
  const most = v.max_value_bytes
  /** @param {string[]} texts */
  const entriesOf = (texts) => texts.map((text) => decodeEntry(JSON.parse(text), most))
  for (const { entries, text } of v.made) {
    const items = entriesOf(entries)
    assert.equal(encodeColumns(items), text)
    assert.ok(isColumns(JSON.parse(text)))
    assert.deepEqual(readColumns(JSON.parse(text), most), [new Map(items), 0])
  }
  for (const { text, entries, refused: count } of v.read) {
    assert.ok(isColumns(JSON.parse(text)))
    const found = new Map(entriesOf(entries))
    assert.deepEqual(readColumns(JSON.parse(text), most), [found, count], text)
  }
  for (const [text, wire] of parsed(v.refused)) {
    if (isColumns(wire)) refused(() => readColumns(wire, most), v.refused_code, text)
  }
  const keys = Array.from({ length: MAX_SETS }, (_, n) => `k${n}`)
  const [, entry] = decodeEntry({ event: "set", key: "a", value: 1, stamp: [1, 0, "w"] })
  for (const more of [[], ["more"]]) {
    const many = encodeColumns([...keys, ...more].map((key) => [key, entry]))
    assert.equal(isColumns(JSON.parse(many)), more.length === 0)
  }
})

test("ranges", () => {
  const v = vectors("ranges")
  const tree = new RangeTree()
  const check = (/** @type {any} */ wanted) => {
    for (const [prefix, count, sum] of wanted.summaries) {
      assert.deepEqual(tree.summary(prefix), [count, sum], prefix)
      assert.equal(tree.keys(prefix).length, count)
    }
    for (const [prefix, numbers] of wanted.children) {
      assert.deepEqual(tree.children(prefix).flat(), numbers, prefix)
    }
    for (const [prefix, start, keys] of wanted.items) {
      const found = [...tree.items(prefix, start)].map((item) => item.key)
      assert.deepEqual(found.slice(0, keys.length), keys)
      if (keys.length < 12) assert.equal(found.length, keys.length)
    }
  }
  for (let n = 0; n < v.keys; n++) tree.put(`key ${n}`, hash52(`first ${n}`))
  check(v.before)
  for (let n = 0; n < v.keys; n += v.changed_every) tree.put(`key ${n}`, hash52(`second ${n}`))
  for (let n = 0; n < v.keys; n += v.dropped_every) tree.discard(`key ${n}`)
  check(v.after)
})

test("merges, in any order and any number of times", () => {
  const v = vectors("merges")
  assert.equal(v.now_ms, NOW_MS)
  const random = seeded(1)
  for (const each of v.cases) {
    for (let round = 0; round < 10; round++) {
      const replica = newReplica()
      const texts = each.entries.flatMap((/** @type {string} */ text) =>
        random() < 0.3 ? [text, text] : [text],
      )
      if (round > 0) texts.sort(() => random() - 0.5)
      for (const text of texts) replica.merge(...decodeEntry(JSON.parse(text)))
      const kept = Array.from(replica.entries, ([key, entry]) => encodeEntry(key, entry))
      const held = Array.from(replica.held, ([key, entry]) => encodeEntry(key, entry))
      assert.deepEqual(kept.sort(), each.kept, each.name)
      assert.deepEqual(held.sort(), each.held, each.name)
      assert.equal(replica.live, each.live)
      assert.deepEqual(replica.digest(), each.digest)
    }
  }
})

test("readers: what they make of a donor's answer", () => {
  const { own, hello, answers } = vectors("readers")
  for (const { name, missing, answer, left } of answers) {
    const replica = newReplica()
    mergeAll(replica, own)
    const reader = new Reader(replica)
    reader.start()
    const [[asked]] = reader.receive(hello)
    const hashes = new Map(Array.from(replica.entries, ([key, at]) => [key, entryHash(key, at)]))
    assert.deepEqual(JSON.parse(asked).hashes.toSorted(), [...hashes.values()].toSorted())
    const before = new Map(replica.entries)
    const told = missing.map((/** @type {string} */ key) => hashes.get(key))
    const message = { ...answer, id: 1, missing: told }
    if (left === null) {
      refused(() => reader.receive(message), "protocol", name)
      assert.deepEqual([replica.entries, replica.refused], [before, 0], name)
      continue
    }
    const [, updates] = reader.receive(message)
    const live = [...replica.entries].filter(([, { value }]) => value !== null)
    const values = live.map(([key, { value }]) => [key, JSON.parse(String(value))])
    assert.deepEqual(Object.fromEntries(values), left, name)
    const keys = new Set([...before.keys(), ...replica.entries.keys()])
    const changed = [...keys].filter((key) => before.get(key) !== replica.entries.get(key))
    assert.deepEqual(updates.map(({ key }) => key).toSorted(), changed.toSorted(), name)
    for (const { key, old } of updates) assert.equal(old, before.get(key), name)
  }
})
