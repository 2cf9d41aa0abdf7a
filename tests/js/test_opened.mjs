// The modules as the simulator opens them.

import assert from "node:assert/strict"
import { test } from "node:test"

import { openModules, opened } from "./opened.mjs"

test("what a module keeps to itself can be seen and set, for its importers too", async () => {
  const modules = await openModules([])
  const { clock, entries, outbox } = modules
  assert.ok(new outbox.Outbox()._waiting instanceof Map)
  const one = { stamp: { ms: 1, counter: 0, writer: "a" }, value: "1", extras: null }
  const other = { ...one, stamp: { ...one.stamp, ms: 2 } }
  assert.equal(entries.wins("k", other, one), true)
  clock._set.compareStamps(() => -1)
  assert.equal(entries.wins("k", other, one), false)
  outbox._set.WINDOW_BYTES(500)
  assert.equal(outbox.WINDOW_BYTES, 500)
})

test("a bug is planted in the one place where it is to be", async () => {
  const before = "if (order !== 0) return order > 0"
  const one = { stamp: { ms: 1, counter: 0, writer: "a" }, value: "1", extras: null }
  const { entries } = await openModules([["entries", before, "return false"]])
  assert.equal(entries.wins("k", { ...one, value: null }, one), false)
  await assert.rejects(openModules([["entries", "return", ""]]), /times in the module: return/)
  await assert.rejects(openModules([["entries", "nothing of the kind", ""]]), /0 times/)
})

test("names that would clash are refused", () => {
  const source = "class A {\n  #x = 1\n}\n\nclass B extends A {\n  #x = 2\n}\n"
  assert.throws(() => opened(source), /B and A both have a private x/)
  assert.match(opened(source.replace("#x = 2", "#y = 2")), /_x = 1/)
})
