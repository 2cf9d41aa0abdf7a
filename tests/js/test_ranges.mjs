// The tree of sums agrees with adding up, however it came about.

import assert from "node:assert/strict"
import { test } from "node:test"

import { hash52, position } from "../../distmap/web/js/entries.js"
import { DIGITS, RangeTree, positionText } from "../../distmap/web/js/ranges.js"
import { pick, seeded } from "./support.mjs"

test("agrees with adding up", () => {
  const random = seeded(16)
  const tree = new RangeTree()
  /** @type {Map<string, number>} */
  const model = new Map()
  for (let step = 0; step < 6000; step++) {
    const key = `k${Math.floor(random() * 1500)}`
    if (random() < 0.3) {
      tree.discard(key)
      model.delete(key)
    } else {
      const hash = hash52(`${step}`)
      tree.put(key, hash)
      model.set(key, hash)
    }
  }
  const placed = Array.from(model, ([key, hash]) => ({ key, path: positionText(key), hash }))
  const items = (/** @type {typeof placed} */ some) =>
    some.map(({ key, hash }) => ({ key, place: position(key), hash }))
  placed.sort((a, b) => (a.path < b.path ? -1 : 1))
  const summary = (/** @type {string} */ prefix) => {
    const chosen = placed.filter((item) => item.path.startsWith(prefix))
    const sum = chosen.reduce((total, { hash }) => total + BigInt(hash), 0n)
    return [chosen.length, Number(sum % 2n ** 52n)]
  }
  const prefixes = ["", ...DIGITS, "00", "a7", "a7f", placed[9].path.slice(0, 4), placed[9].path]
  for (const prefix of prefixes) {
    assert.deepEqual(tree.summary(prefix), summary(prefix))
    const within = placed.filter((item) => item.path.startsWith(prefix))
    assert.deepEqual([...tree.items(prefix)], items(within))
    assert.deepEqual(tree.keys(prefix).sort(), within.map((item) => item.key).sort())
    if (prefix.length < 13) {
      const parts = Array.from(DIGITS, (digit) => summary(prefix + digit))
      assert.deepEqual(tree.children(prefix), parts)
    }
  }
  for (let n = 0; n < 50; n++) {
    const start = pick(random, placed).path.slice(0, Math.floor(random() * 14))
    const after = placed.filter((item) => item.path >= start)
    assert.deepEqual([...tree.items("", start)], items(after))
  }
})
