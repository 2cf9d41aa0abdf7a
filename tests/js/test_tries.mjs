// When a connection or a channel is tried again.

import assert from "node:assert/strict"
import { test } from "node:test"

import {
  AccessRefused,
  CannotConnect,
  ConnectionLost,
  StreamError,
  Unauthorized,
} from "../../distmap/web/js/errors.js"
import { lost } from "../../distmap/web/js/restart.js"
import { Reopenings, Tries } from "../../distmap/web/js/tries.js"

const MINUTES = [10, 20, 40, 80, 160, 300, 300]

test("a connection that is refused waits for minutes", () => {
  const tries = new Tries(() => 1)
  const delays = MINUTES.map(() => {
    tries.opened() // the relay lets it connect, and closes the connection later
    return tries.failed(new Unauthorized("no"))
  })
  assert.deepEqual(delays, MINUTES)
  assert.deepEqual([1, 2].map(() => tries.failed(new CannotConnect("no"))), [0.5, 1])
  assert.equal(tries.failed(new Unauthorized("no")), 10)
  tries.failed(new Unauthorized("no"))
  tries.reset()
  assert.equal(tries.failed(new Unauthorized("no")), 10)
})

test("a channel that is refused too, and that is news once", () => {
  const refusal = new AccessRefused("no")
  const reopenings = new Reopenings(() => 1)
  assert.deepEqual(MINUTES.map(() => reopenings.ended(refusal)), MINUTES.map((s, at) => [s, at > 0]))
  reopenings.reset()
  assert.deepEqual(reopenings.ended(refusal), [10, true])
  reopenings.letIn()
  assert.deepEqual(reopenings.ended(refusal), [20, false])
  reopenings.reset()
  const slow = new StreamError("slow", "slow")
  assert.deepEqual([1, 2, 3, 4, 5].map(() => reopenings.ended(slow)[0]), [1, 2, 4, 8, 10])
})

test("what a close frame means", () => {
  for (const [code, type, name] of /** @type {const} */ ([
    [4401, Unauthorized, "unauthorized"],
    [1012, ConnectionLost, "connection-lost"],
  ])) {
    const problem = lost(code, "why; retry_ms=1500")
    assert.ok(problem instanceof type)
    assert.deepEqual([problem.code, problem.closeCode], [name, code])
    assert.equal(problem.message, `the connection was closed with ${code}: why; retry_ms=1500`)
    assert.equal(problem.retrySeconds, code === 1012 ? 1.5 : null)
  }
  assert.equal(lost(1006, "", ": a cable").message, "the connection was closed with 1006: a cable")
})
