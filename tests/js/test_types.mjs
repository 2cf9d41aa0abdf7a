// distmap.d.ts, as programs use it. The compiler checks this file; to run it is to check the names.

import assert from "node:assert/strict"
import { test } from "node:test"
import WebSocket from "ws"

import * as api from "../../distmap/web/distmap.js"
import { Connection, DistributedMap, connect, errors } from "../../distmap/web/distmap.js"
import * as connections from "../../distmap/web/js/connection.js"
import * as allErrors from "../../distmap/web/js/errors.js"
import * as maps from "../../distmap/web/js/map.js"
import * as stores from "../../distmap/web/js/store.js"

/** @typedef {{ price: number, colours: string[] }} Fruit */

test("a program of types", async () => {
  const options = { WebSocket, retentionSeconds: 60, credentials: async () => "ticket" }
  const connection = connect("ws://127.0.0.1:9/", options)
  /** @type {DistributedMap<Fruit>} */
  const fruits = new DistributedMap(connection, "/fruits", { maxValueBytes: 1000 })
  const off = fruits.on("set", (fruit, key, map) => [fruit.price, key.length, map.size])
  fruits.on("ready", (map) => map.get("apple")?.colours[0])
  fruits.on("status", (status, problem) => status === "offline" && problem?.code)
  fruits.on("persisted", (state, problem) => state === "failed" && problem?.message)
  fruits.observe((change) => change.value?.price === change.oldValue?.price && change.timeMs)
  connection.on("offline", (problem) => {
    if (problem instanceof errors.ConnectionProblem) assert.equal(problem.closeCode, null)
  })
  /** @type {Promise<void>} */
  const renewed = connection.renew()
  renewed.catch((error) => error instanceof errors.AccessRefused)
  fruits.set("apple", { price: 3, colours: ["red"] })
  fruits.observeBatch((changes) => changes.map(({ value, key }) => [value?.price, key.length]))
  fruits.batch(() => fruits.update({ fig: { price: 1, colours: [] } }))
  fruits.update(new Map([["fig", { price: 2, colours: ["blue"] }]]))
  fruits.update(Array.from(fruits))
  // @ts-expect-error a price is a number
  fruits.update({ fig: { price: "1", colours: [] } })
  assert.throws(() => fruits.batch(async () => {}), errors.InvalidType)
  fruits.delete("fig")
  const lines = Array.from(fruits, ([key, { price }]) => `${key}: ${price.toFixed(2)}`)
  assert.deepEqual(lines, ["apple: 3.00"])
  off()
  // @ts-expect-error a price is a number
  fruits.set("pear", { price: "3", colours: [] })
  // @ts-expect-error there is no such event
  assert.throws(() => fruits.on("sett", () => {}))
  /** @type {boolean} */
  const deleted = await Promise.race([fruits.delete("apple"), false])
  assert.equal(deleted, false)
  assert.equal(fruits.access, null)
  assert.deepEqual([fruits.persisted, await fruits.saved()], ["off", false])
  await connection.close()
  assert.equal(fruits.status, "closed")
})

test("what is declared is there, and nothing else", async () => {
  assert.deepEqual(Object.keys(api).sort(), ["Connection", "DistributedMap", "connect", "errors"])
  assert.deepEqual(Object.keys(errors).sort(), Object.keys(allErrors).sort())
  const hidden = new Set([
    ...["relay", "attach", "detach", "waitFor", "members", "judged", "hurry", "comeBack"],
    ...["attemptOpened", "attemptReceived", "attemptFailed"],
  ])
  const declared = /** @type {[Function, string[]][]} */ ([
    [Connection, ["bytesReceived", "bytesSent", "close", "off", "on", "problem", "renew", "status", "wake"]],
    [
      DistributedMap,
      [
        ...[
          "access",
          "close",
          "delete",
          "digest",
          "divergences",
          "entries",
          "forEach",
          "get",
          "has",
          "keys",
          "nowMs",
          "observe",
        ],
        ...["batch", "observeBatch", "update"],
        ...["off", "on", "peers", "problem", "ready", "refused", "set", "size", "stamp", "status", "synced"],
        ...["eraseCopy", "persisted", "saved"],
        "values",
      ],
    ],
  ])
  for (const [type, names] of declared) {
    const found = Object.getOwnPropertyNames(type.prototype).filter((name) => !hidden.has(name))
    assert.deepEqual(found.sort(), ["constructor", ...names].sort())
  }
  for (const [name, type] of Object.entries(allErrors)) {
    const error = new type("why")
    assert.ok(error instanceof errors.DistMapError && error instanceof Error)
    assert.deepEqual([error.name, error.message, typeof error.code], [name, "why", "string"])
  }
})

// What is declared of a member is what the modules have. (Types of parameters are not compared.)
/** @typedef {{ [K in keyof Connection]: unknown }} DeclaredConnection */
/** @typedef {{ [K in keyof DistributedMap]: unknown }} DeclaredMap */
/** @type {(connection: connections.Connection, map: maps.DistributedMap) => unknown[]} */
export const checked = (connection, map) => {
  /** @type {DeclaredConnection} */
  const declaredConnection = connection
  /** @type {DeclaredMap} */
  const declaredMap = map
  return [declaredConnection, declaredMap]
}

// A store of a user is one of ours, and the other way round.
/** @typedef {import("../../distmap/web/distmap.js").Store} DeclaredStore */
/** @type {(ours: stores.Store, declared: DeclaredStore) => unknown[]} */
export const checkedStores = (ours, declared) => {
  /** @type {DeclaredStore} */
  const declaredStore = ours
  /** @type {stores.Store} */
  const ourStore = declared
  return [declaredStore, ourStore]
}
