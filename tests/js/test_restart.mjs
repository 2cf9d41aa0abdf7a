// When to come back to a relay that goes away.

import assert from "node:assert/strict"
import { test } from "node:test"

import { retrySeconds } from "../../distmap/web/js/restart.js"
import { vectors } from "./support.mjs"

test("what a relay says is read as in Python", () => {
  for (const [code, reason, seconds] of vectors("restart").close) {
    assert.equal(retrySeconds(code, reason), seconds, `${code} ${reason}`)
  }
})
