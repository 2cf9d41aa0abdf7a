// What of the live page needs no browser: how things are written, and which keys are shown.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Entries, FLASH_MS } from "../../distmap/web/page/entries.js"
import * as format from "../../distmap/web/page/format.js"
import { seeded } from "./support.mjs"

test("sizes and ages", () => {
  const sizes = [0, 999, 1000, 12_345, 99_949, 99_951, 999_499, 999_500, 5e6, 7e9, 8e12]
  assert.deepEqual(sizes.map(format.size), [
    ...["0 B", "999 B", "1.0 kB", "12.3 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "5.0 MB"],
    ...["7.0 GB", "8000 GB"],
  ])
  const ages = [-5000, 0, 1999, 2000, 59_999, 60_000, 3_599_999, 3_600_000, 172_800_000]
  assert.deepEqual(ages.map(format.age), [
    ...["now", "now", "now", "2 s", "59 s", "1 min", "59 min", "1 h", "2 d"],
  ])
})

test("a value on one line, and in the editor, is JSON again", () => {
  assert.equal(format.line({ a: [1, { b: [] }], c: {} }), '{"a": [1, {"b": []}], "c": {}}')
  assert.equal(format.line("a\n b [ \n ]"), '"a\\n b [ \\n ]"')
  const values = [null, -1.5e300, "<b>\u202e\u2028\u0000\u{e0041}👩‍🚀", { "\u200b": ["\ufeff"] }]
  for (const value of values) {
    for (const text of [format.line(value), format.pretty(value)]) {
      assert.deepEqual(JSON.parse(text), value)
      assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u200b\u2028\u202e\ufeff]/)
    }
  }
  assert.equal(format.line("👩‍🚀"), '"👩‍🚀"')
})

test("the parts of a line are the line, whatever it is", () => {
  const line = format.line({ n: [1, -2e9, "a: \\\"b"], ok: true, none: null })
  const kinds = format.tokens(line).filter(({ kind }) => kind !== "mark")
  assert.deepEqual(
    kinds.map(({ kind, text }) => `${kind} ${text}`),
    [
      ...['name "n"', "number 1", "number -2000000000", 'text "a: \\\\\\"b"', 'name "ok"'],
      ...["word true", 'name "none"', "word null"],
    ],
  )
  for (let end = 0; end <= line.length; end++) {
    const text = line.slice(0, end) + "…"
    assert.equal(format.tokens(text).map((each) => each.text).join(""), text)
  }
})

test("keys, with what would not be seen", () => {
  assert.deepEqual(format.parts("a\u202eb\n"), [
    { text: "a", unseen: false },
    { text: "U+202E", unseen: true },
    { text: "b", unseen: false },
    { text: "U+000A", unseen: true },
  ])
  assert.deepEqual(format.parts("👩‍🚀"), [{ text: "👩‍🚀", unseen: false }])
  assert.equal(format.named("x".repeat(50)), `“${"x".repeat(40)}…”`)
  assert.equal(format.named("\u202e"), "“U+202E”")
  assert.equal(format.shorten("a🍎", 2), "a…")
})

test("addresses and words of a shell", () => {
  for (const uri of ["/fruits", "/a b/#?%", "/é/🍎", "%", "'; rm -rf ~ #"]) {
    assert.equal(format.uriOf(format.hashOf(uri)), uri)
  }
  assert.equal(format.hashOf("/a/b:c"), "#/a/b:c")
  assert.equal(format.uriOf("#/100%"), "/100%")
  assert.equal(format.uriOf(""), "")
  assert.equal(format.shellWord("/fruits"), "/fruits")
  assert.equal(format.shellWord("it's; $(x)"), "'it'\\''s; $(x)'")
})

test("a writer has one colour", () => {
  assert.equal(format.hue("Zt8a0QbnVw2x"), format.hue("Zt8a0QbnVw2x"))
  const hues = new Set(Array.from({ length: 200 }, (_, n) => format.hue(`writer${n}`)))
  assert.ok(hues.size > 10)
  for (const each of hues) assert.ok(each >= 0 && each < 360)
})

// -- entries --------------------------------------------------------------------------------------

/** @param {[string, unknown][]} [items] */
function newEntries(items = []) {
  const map = new Map(items)
  const entries = new Entries(map)
  entries.load()
  /** @type {(key: string, value: unknown, nowMs: number) => void} */
  const change = (key, value, nowMs) => {
    const oldValue = map.get(key)
    if (value === undefined) map.delete(key)
    else map.set(key, value)
    entries.note({ key, deleted: value === undefined, oldValue }, nowMs)
  }
  return { map, entries, change }
}

test("changes are worked in at the next frame", () => {
  const { entries, change } = newEntries([["b", 1], ["a", 2]])
  assert.deepEqual(entries.shown, ["a", "b"])
  change("c", 3, 0)
  change("aa", 3, 0)
  assert.deepEqual(entries.shown, ["a", "b"])
  assert.equal(entries.settle(0), true)
  assert.deepEqual(entries.shown, ["a", "aa", "b", "c"])
  assert.equal(entries.changedMs("aa"), 0)
  assert.equal(entries.changedMs("a"), undefined)
  assert.equal(entries.settle(FLASH_MS), false)
  assert.equal(entries.changedMs("aa"), undefined)
})

test("what was deleted shows for a moment, with its value", () => {
  const { entries, change } = newEntries([["a", [1]], ["b", 2]])
  change("a", undefined, 0)
  change("b", undefined, 0)
  change("b", 3, 10) // and is back
  assert.equal(entries.settle(20), true)
  assert.deepEqual(entries.shown, ["a", "b"])
  assert.deepEqual([entries.isGone("a"), entries.isGone("b")], [true, false])
  assert.deepEqual([entries.line("a"), entries.line("b")], ["[1]", "3"])
  entries.settle(FLASH_MS)
  assert.deepEqual(entries.shown, ["b"])
  assert.equal(entries.settle(FLASH_MS + 10), false)
  change("new", 1, 5000)
  change("new", undefined, 5001)
  entries.settle(5002)
  assert.deepEqual(entries.shown, ["b", "new"])
  entries.settle(9000)
  assert.deepEqual(entries.shown, ["b"])
})

test("the filter", () => {
  const { entries, change } = newEntries([["Apple", 1], ["pineapple", 2], ["pear", 3]])
  entries.filter = "APPLE"
  assert.deepEqual(entries.shown, ["Apple", "pineapple"])
  change("apples", 1, 0)
  change("plum", 1, 0)
  entries.settle(0)
  assert.deepEqual(entries.shown, ["Apple", "apples", "pineapple"])
  assert.equal(entries.indexOf("apples"), 1)
  assert.equal(entries.indexOf("plum"), -1)
  assert.equal(entries.place("b"), 2)
  entries.filter = ""
  assert.equal(entries.shown.length, 5)
})

test("long values are shortened, and not made anew", () => {
  let reads = 0
  const map = new Map([["k", "x".repeat(100_000)]])
  const read = { keys: () => map.keys(), has: () => true, get: () => (reads++, map.get("k")) }
  const entries = new Entries(read)
  entries.load()
  for (let n = 0; n < 5; n++) assert.ok(entries.line("k").length < 500)
  assert.equal(reads, 1)
  entries.note({ key: "k", deleted: false, oldValue: 1 }, 0)
  entries.line("k")
  assert.equal(reads, 2)
})

test("any changes lead to what a load would show", () => {
  const random = seeded(5)
  const { map, entries, change } = newEntries()
  for (let n = 0; n < 3000; n++) {
    const key = `k${Math.floor(random() * 60)}`
    if (random() < 0.4 && map.has(key)) change(key, undefined, n)
    else change(key, n, n)
    if (random() < 0.1) entries.settle(n)
    if (random() < 0.01) n += 2 * FLASH_MS
  }
  entries.settle(1e9)
  assert.deepEqual(entries.shown, [...map.keys()].sort())
  for (const key of entries.shown) assert.equal(entries.line(key), String(map.get(key)))
})
