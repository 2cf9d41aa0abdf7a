// Many keys are sorted as sort() does it, in turns that are not long.

import assert from "node:assert/strict"
import { test } from "node:test"

import { TURN_KEYS, sorted } from "../../distmap/web/js/sorting.js"
import { seeded } from "./support.mjs"

test("sorts as sort() does, and waits in between", async () => {
  const random = seeded(5)
  for (const count of [0, 1, 100, TURN_KEYS, TURN_KEYS + 1, 5 * TURN_KEYS + 7]) {
    const keys = Array.from({ length: count }, () => `${"é🍎\uffff"[Math.floor(random() * 4)]}${random()}`)
    let turns = 0
    const found = await sorted(keys, async () => void turns++)
    assert.deepEqual(found, [...keys].sort())
    assert.equal(turns >= Math.ceil(count / TURN_KEYS) - 1, true)
    assert.equal(turns > 0, count > TURN_KEYS)
  }
})
