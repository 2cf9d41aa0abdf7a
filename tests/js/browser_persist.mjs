// Tabs that keep a copy of a map: reloaded, crashed, two of them, and the browser started anew.

import assert from "node:assert/strict"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

import {
  CONNECTION_FAILED,
  ask,
  contentOf,
  launchWithProfile,
  openMap,
  openTab,
  serveModules,
  until,
  watch,
} from "./chromium.mjs"

const PERSIST = { persist: true }
const profile = await mkdtemp(join(tmpdir(), "profile-"))
let context = await launchWithProfile(profile)
let problems = await watch(context)
problems.allowed.push(CONNECTION_FAILED)

/** @param {object} [options] */
async function open(options = PERSIST) {
  const page = await openTab(context)
  await serveModules(page)
  await openMap(page, "/fruits", options)
  return page
}

/** @param {import("playwright-core").Page} page */
async function reload(page) {
  await page.reload()
  await openMap(page, "/fruits", PERSIST)
  await until(page, "map.persisted !== 'loading'")
  assert.equal(await page.evaluate("map.persisted"), "on")
}

// A reload, without a relay to ask: the copy is there, and the writes that nobody has.
let page = await open()
await page.evaluate("map.ready()")
assert.equal(await page.evaluate("map.get('apple')"), 3) // Python's
await page.evaluate("map.set('__proto__', '<b>')")
await page.evaluate("map.saved()")
await ask("stop relay")
await until(page, "map.status === 'offline'")
await page.evaluate("void map.set('reloaded', 1); map.saved()")
await reload(page)
const REST = [["apple", 3], ["reloaded", 1]]
assert.deepEqual(await contentOf(page), [["__proto__", "<b>"], ...REST])
assert.deepEqual(await page.evaluate("[map.synced, map.status]"), [null, "offline"])

// A crash of the tab, and an abrupt end of it.
await page.evaluate("void map.delete('__proto__'); void map.set('crashed', 2); map.saved()")
const crashed = page.waitForEvent("crash")
await page.goto("chrome://crash").catch(() => {})
await crashed
await page.close()
page = await open()
await until(page, "map.persisted === 'on'")
await page.evaluate("void map.set('closed', 3); map.saved()")
await page.close()

// Two tabs at once, and then the whole browser ends.
page = await open()
const other = await open()
await until(page, "map.persisted === 'on'")
await until(other, "map.persisted === 'on'")
await page.evaluate("void map.set('both', 'page'); void map.set('page', 4); map.saved()")
await other.evaluate("void map.set('both', 'other'); void map.set('other', 5); map.saved()")
await page.evaluate("void map.set('page', 6); map.saved()")
problems.assertNone()
await context.close()

context = await launchWithProfile(profile)
problems = await watch(context)
problems.allowed.push(CONNECTION_FAILED)
page = await open()
await until(page, "map.persisted === 'on'")
const wanted = [
  ["apple", 3],
  ["both", "other"],
  ["closed", 3],
  ["crashed", 2],
  ["other", 5],
  ["page", 6],
  ["reloaded", 1],
]
assert.deepEqual(await contentOf(page), wanted)

// The unsent writes arrive.
await ask("start relay")
await page.evaluate("map.ready()")
assert.deepEqual(await ask("changes"), [
  ["__proto__", null],
  ["both", "other"],
  ["closed", 3],
  ["crashed", 2],
  ["other", 5],
  ["page", 6],
  ["reloaded", 1],
])
assert.deepEqual(await ask("dump"), wanted)

// A large map is loaded in many turns of the tab.
await page.evaluate("Promise.all(Array.from({ length: 20000 }, (_, n) => map.set(`k${n}`, [n])))")
await page.evaluate("map.saved()")
await ask("stop relay")
await page.reload()
const turns = await page.evaluate(async (address) => {
  const { connect, DistributedMap } = await import(address)
  const map = new DistributedMap(connect(), "/fruits", { persist: true })
  const { port1, port2 } = new MessageChannel()
  let turns = 0
  port1.onmessage = () => {
    turns++
    port2.postMessage(null)
  }
  port2.postMessage(null)
  await new Promise((resolve) => map.on("persisted", resolve))
  port1.close()
  Object.assign(globalThis, { map })
  return [turns, map.size, map.persisted]
}, "/distmap.js")
assert.ok(turns[0] > 40, `${turns[0]} turns`)
assert.deepEqual(turns.slice(1), [20_007, "on"])

// It is erased in one tab; the map goes on in both, without a copy.
const second = await open()
await until(second, "map.persisted === 'on'")
await page.evaluate("map.eraseCopy()")
await until(second, "map.persisted === 'failed'")
for (const each of [page, second]) {
  assert.deepEqual(await each.evaluate("[map.persisted, map.size]"), ["failed", 20_007])
}
assert.deepEqual(await page.evaluate("indexedDB.databases()"), [])
problems.assertNone()
assert.equal(problems.warnings.length, 1, String(problems.warnings))
await ask("start relay")
await page.evaluate("map.connection.close()")
await context.close()
