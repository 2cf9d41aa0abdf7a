// Writes that wait until it is known what others did with their keys.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Aside } from "../../distmap/web/js/aside.js"
import { compareStamps } from "../../distmap/web/js/clock.js"
import { isBurial } from "../../distmap/web/js/entries.js"
import { Outbox } from "../../distmap/web/js/outbox.js"
import { NOW_MS, newReplica, take } from "./support.mjs"

/** A replica that has "a" of another peer, its outbox, and what is set aside. */
function fixture() {
  const replica = newReplica()
  const outbox = new Outbox()
  const aside = new Aside(replica, outbox)
  const theirs = {
    stamp: { ms: NOW_MS - 9, counter: 0, writer: "w" },
    value: '"theirs"',
    extras: null,
  }
  replica.merge("a", theirs)
  /**
   * @param {string} key
   * @param {unknown} value null deletes
   */
  const write = (key, value) => {
    const update = value === null ? replica.delete(key) : replica.set(key, value)
    assert.ok(update)
    outbox.add(key, update.entry, aside.written(key, update.old?.stamp))
    return update.entry
  }
  /** Everything that waits; what changed. */
  const setAside = () => take(outbox).flatMap((each) => aside.put(each) ?? [])
  return { replica, outbox, theirs, write, aside, setAside }
}

test("set aside, writes are out of the replica; what others wrote there stays", () => {
  const { replica, theirs, write, setAside } = fixture()
  const entry = write("a", 1)
  write("b", 1)
  const later = { ...theirs, stamp: { ...theirs.stamp, ms: NOW_MS + 5 } }
  replica.merge("b", later)
  const updates = setAside()
  assert.deepEqual(updates, [{ key: "a", entry: { ...entry, value: null }, old: entry }])
  assert.deepEqual([...replica.entries], [["b", later]])
})

test("offered where nobody has changed the key, and nowhere else", () => {
  const { replica, outbox, theirs, write, aside, setAside } = fixture()
  write("a", "mine")
  const lost = write("b", "mine")
  write("new", "mine")
  const through = write("through", "mine")
  setAside()
  replica.merge("a", theirs)
  replica.merge("b", theirs)
  replica.merge("through", through)
  const end = aside.end(1000)
  assert.deepEqual(
    end.offered.map(({ key, entry }) => [key, entry.value]),
    [
      ["a", '"mine"'],
      ["new", '"mine"'],
    ],
  )
  assert.deepEqual(end.taken, [["through", through.stamp]])
  assert.deepEqual(end.superseded, [["b", lost]])
  assert.deepEqual(
    take(outbox).map(({ key, base }) => [key, base]),
    [
      ["a", theirs.stamp],
      ["new", undefined],
    ],
  )
})

test("a delete of what is gone is superseded", () => {
  const { write, aside, setAside } = fixture()
  const entry = write("a", null)
  assert.equal(setAside().length, 1)
  assert.deepEqual(aside.end(1000), { offered: [], taken: [], superseded: [["a", entry]] })
})

test("a later write of a key keeps the base of the first", () => {
  const { replica, theirs, write, aside, setAside } = fixture()
  write("a", 1)
  setAside()
  write("a", 2)
  setAside()
  replica.merge("a", theirs)
  const { offered } = aside.end(1000)
  assert.deepEqual(
    offered.map(({ entry }) => entry.value),
    ["2"],
  )
})

test("a key that is written again meanwhile is left alone", () => {
  const { outbox, write, aside, setAside } = fixture()
  write("a", 1)
  setAside()
  const again = write("a", 2)
  assert.deepEqual(aside.end(1000), { offered: [], taken: [], superseded: [] })
  assert.equal(outbox.get("a")?.entry, again)
})

test("nobody is there to ask: what is set aside goes on before all later writes", () => {
  const { replica, outbox, theirs, write, aside, setAside } = fixture()
  const first = write("a", 1)
  write("b", 1)
  write("c", 1)
  setAside()
  replica.merge("a", theirs)
  write("b", 2)
  const keys = []
  while (aside.size) keys.push(...aside.restore(1).map(({ key }) => key))
  assert.deepEqual(keys, ["c", "a"])
  assert.equal(replica.entries.get("a"), first)
  assert.deepEqual(outbox.unsent, ["a", "c", "b"])
})

test("a batch is settled as a whole", () => {
  const { replica, outbox, aside, setAside } = fixture()
  for (const keys of ["xyz", "pq"]) {
    const stamp = replica.clock.tick()
    for (const key of keys) outbox.add(key, replica.rewrite(key, "1", stamp).entry)
  }
  setAside()
  assert.deepEqual(
    aside.end(1).offered.map(({ key }) => key),
    ["x", "y", "z"],
  )
  assert.equal(new Set(["x", "y", "z"].map((key) => replica.entries.get(key)?.stamp)).size, 1)
  assert.equal(aside.restore(1).length, 2)
  assert.deepEqual(outbox.unsent, ["p", "q", "x", "y", "z"])
})

/** Writes a new key and a known one; both are buried while they wait, and set aside. */
function buried() {
  const { replica, outbox, write, aside } = fixture()
  replica.forget("a")
  const stamp = { ms: NOW_MS - 5000, counter: 0, writer: "x" }
  replica.merge("known", { stamp, value: "1", extras: null })
  const writes = new Map(["new", "known"].map((key) => [key, write(key, 2)]))
  for (const [key, entry] of writes) {
    replica.merge(key, { ...entry, value: null })
    assert.ok(isBurial(replica.entries.get(key), entry))
  }
  write("kept", 2)
  outbox.beginSweep({ sent: true })
  outbox.sweep(Infinity, (each) => !writes.has(each.key) || aside.put(each) !== null)
  assert.deepEqual([outbox.unsent, aside.size], [["kept"], 2])
  return { replica, outbox, aside, writes }
}

test("what was buried is offered again if it was new", () => {
  const { replica, outbox, aside, writes } = buried()
  const { offered, taken, superseded } = aside.end(1000)
  assert.deepEqual(
    offered.map(({ key, entry }) => [key, entry.value]),
    [["new", "2"]],
  )
  const before = writes.get("new")
  assert.ok(before && compareStamps(offered[0].entry.stamp, before.stamp) > 0)
  assert.deepEqual([taken, superseded], [[], [["known", writes.get("known")]]])
  assert.deepEqual(Object.fromEntries(replica.items()), { new: "2", kept: "2" })
  assert.deepEqual(outbox.unsent, ["kept", "new"])
})

test("what was buried goes on if nobody is left to ask, with a stamp that wins", () => {
  const { replica, outbox, aside, writes } = buried()
  const updates = aside.restore(1000)
  assert.deepEqual(
    updates.map(({ key }) => key),
    ["known", "new"],
  )
  for (const { key, entry, old } of updates) {
    const before = writes.get(key)
    assert.ok(before && compareStamps(entry.stamp, before.stamp) > 0)
    assert.deepEqual(old, { ...before, value: null })
  }
  assert.deepEqual([...outbox.unsent].sort(), ["kept", "known", "new"])
  assert.equal(aside.size, 0)
  assert.deepEqual(Object.fromEntries(replica.items()), { kept: "2", new: "2", known: "2" })
})
