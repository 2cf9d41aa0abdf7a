// Strings as UTF-8 would have them, and SHA-256 of them.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"

import { sha256 } from "../../distmap/web/js/sha256.js"
import { compareUtf8, isOver, isWellFormed, utf8Length } from "../../distmap/web/js/text.js"
import { pick, seeded } from "./support.mjs"

const PIECES = [
  "",
  "a",
  "\0",
  "\x7f",
  "\x80",
  "é",
  "\u07ff",
  "\u0800",
  "\u2028",
  "\ue000",
  "\uffff",
]
const ASTRAL = ["🍎", "\u{10000}", "\u{10ffff}"]

/** Texts that have been made up. */
function* texts(count = 2000) {
  const random = seeded(8)
  for (let n = 0; n < count; n++) {
    let text = ""
    while (random() < 0.8) text += pick(random, [...PIECES, ...ASTRAL])
    yield text
  }
}

test("the length in UTF-8", () => {
  for (const text of texts()) {
    const bytes = Buffer.byteLength(text)
    assert.equal(utf8Length(text), bytes)
    assert.equal(isOver(text, bytes), false)
    assert.equal(isOver(text, bytes - 1), true)
  }
})

test("the length in UTF-8 of a long text", () => {
  const random = seeded(9)
  for (const piece of [...PIECES, ...ASTRAL, "a🍎", "aé🍎"]) {
    // Pairs begin at all places, so also where a part ends.
    const text = "b".repeat(Math.floor(random() * 3)) + piece.repeat(5000)
    assert.equal(utf8Length(text), Buffer.byteLength(text))
  }
})

test("lone surrogates", () => {
  for (const text of texts(300)) assert.ok(isWellFormed(text))
  for (const text of ["\ud800", "a\udfff", "\udc00\ud800", "🍎\ud83c", "\ud83c🍎"]) {
    assert.ok(!isWellFormed(text))
  }
})

test("the order is that of the bytes", () => {
  const all = [...texts(300)]
  for (const a of all) {
    for (const b of all.slice(0, 60)) {
      const wanted = Buffer.compare(Buffer.from(a), Buffer.from(b))
      assert.equal(Math.sign(compareUtf8(a, b)), wanted, JSON.stringify([a, b]))
    }
  }
})

/** @param {string} text */
function digest(text) {
  return Array.from(sha256(text), (word) => (word >>> 0).toString(16).padStart(8, "0")).join("")
}

test("SHA-256 is that of Node.js", () => {
  const long = ["x".repeat(1_000_000), "é".repeat(400_001), "🍎".repeat(100_000)]
  const edges = Array.from({ length: 260 }, (_, length) => "y".repeat(length))
  for (const text of ["", "abc", ...edges, ...texts(300), ...long, "after a long one"]) {
    assert.equal(digest(text), createHash("sha256").update(text).digest("hex"))
  }
})
