// Keys and values as a program hands them over; test_vectors.mjs has what both languages agree on.

import assert from "node:assert/strict"
import { test } from "node:test"
import { runInNewContext } from "node:vm"

import * as values from "../../distmap/web/js/values.js"
import { refused } from "./support.mjs"

test("a value is its canonical text", () => {
  assert.equal(
    values.encode({ b: 1, a: [null, true, "x"], "": -0 }),
    '{"":0,"a":[null,true,"x"],"b":1}',
  )
  assert.equal(values.encode(Object.assign(Object.create(null), { x: 1 })), '{"x":1}')
  assert.equal(values.encode(runInNewContext("({ x: [1] })")), '{"x":[1]}')
  const shared = [1]
  assert.equal(values.encode([shared, shared]), "[[1],[1]]")
})

test("names that objects inherit are names like others", () => {
  const value = JSON.parse('{"__proto__":{"x":1},"constructor":2,"toString":3,"hasOwnProperty":4}')
  const text = values.encode(value)
  assert.equal(text, '{"__proto__":{"x":1},"constructor":2,"hasOwnProperty":4,"toString":3}')
  assert.deepEqual(Object.keys(values.decode(text)), [
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
  ])
})

test("what JSON does not have is refused, and so is what it would leave out", () => {
  const bad = [
    undefined,
    () => 1,
    Symbol("s"),
    1n,
    new Date(),
    new Map(),
    new Set(),
    /x/,
    new (class {})(),
  ]
  bad.push(new Uint8Array(1), new String("x"), new Number(1), Promise.resolve(), new Error("x"))
  for (const value of bad) {
    refused(() => values.encode(value), "invalid-type")
    refused(() => values.encode([value]), "invalid-type")
    refused(() => values.encode({ x: { y: value } }), "invalid-type")
  }
  refused(() => values.encode(new Array(3)), "invalid-type", "holes")
  refused(() => values.encode({ toJSON: () => 1 }), "invalid-type")
})

test("a value that contains itself is too deep", () => {
  /** @type {any} */
  const value = { list: [] }
  value.list.push(value)
  refused(() => values.encode(value), "invalid-value")
})

test("what is checked is what is written", () => {
  let reads = 0
  const value = {
    get x() {
      return reads++ === 0 ? 1 : undefined
    },
  }
  assert.equal(values.encode(value), '{"x":1}')
})

test("bounds of numbers, sizes and keys", () => {
  for (const number of [NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e20]) {
    refused(() => values.encode(number), "invalid-value")
  }
  assert.equal(values.encode(2 ** 53 - 1), "9007199254740991")
  assert.equal(values.encode(1e21), "1e+21")
  assert.equal(values.encode("é", 4), '"é"')
  refused(() => values.encode("é", 3), "invalid-value")
  refused(() => values.encode("\ud800"), "invalid-value")
  refused(() => values.encode({ "\ud800": 1 }), "invalid-value")
  for (const key of [1, null, undefined, {}, ["a"], Symbol("a"), new String("a")]) {
    refused(() => values.checkKey(key), "invalid-type")
  }
})

test("a lone surrogate is found behind an escape", () => {
  refused(() => values.parse('"\\ud83c"'), "invalid-value")
  refused(() => values.parse('{"\\udf4e":1}'), "invalid-value")
  refused(() => values.parse('["\\ud83c","\\udf4e"]'), "invalid-value")
  assert.equal(values.parse('"\\ud83c\\udf4e"'), "🍎")
  assert.equal(values.parse('"\\\\ud83c"'), "\\ud83c")
  assert.deepEqual(
    Object.keys(/** @type {object} */ (values.parse('{"__proto__":"\\ud83c\\udf4e"}'))),
    ["__proto__"],
  )
})
