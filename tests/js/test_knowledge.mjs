// What a replica knows of deletes: what is trusted, what a sync teaches, and when gaps are over.

/** @import { Gap } from "../../distmap/web/js/knowledge.js" */
import assert from "node:assert/strict"
import { test } from "node:test"

import { HybridClock } from "../../distmap/web/js/clock.js"
import { FOREVER, Knowledge, MAX_GAPS, isGaps } from "../../distmap/web/js/knowledge.js"
import { Wall } from "./support.mjs"

const NOW_MS = 1_000_000
const RETENTION_MS = 1000

function fixture() {
  const wall = new Wall()
  wall.ms = NOW_MS
  return { wall, knowledge: new Knowledge(new HybridClock(wall.read, "w"), RETENTION_MS) }
}

test("who is trusted", () => {
  const { knowledge } = fixture()
  knowledge.forgotMs = 50
  /** @type {[number | null, Gap[], boolean][]} */
  const cases = [
    [null, [], true],
    [50, [], false],
    [51, [], true],
    [null, [[49, 50]], false],
    [null, [[50, 60]], false],
    [null, [[51, 60]], true],
    [null, [[10, 49]], true],
    [null, [[10, 20], [40, 60]], false],
    [50, [[10, 20]], false],
  ] // prettier-ignore
  for (const [knownMs, gaps, wanted] of cases) {
    assert.equal(knowledge.trusts(knownMs, gaps), wanted, JSON.stringify([knownMs, gaps]))
  }
})

test("who has forgotten nothing trusts all", () => {
  assert.ok(fixture().knowledge.trusts(0, [[0, NOW_MS]]))
})

test("out of touch and back", () => {
  const { knowledge, wall } = fixture()
  knowledge.loseTouch()
  assert.deepEqual([knowledge.knownMs, knowledge.inTouch], [NOW_MS, false])
  wall.ms += RETENTION_MS
  assert.ok(!knowledge.wasAwayLong)
  assert.ok(!knowledge.mayForget)
  knowledge.loseTouch()
  assert.equal(knowledge.knownMs, NOW_MS, "it had lost touch already")
  knowledge.getInTouch()
  assert.equal(knowledge.knownMs, null)
  assert.deepEqual(knowledge.gaps, [[NOW_MS, NOW_MS + RETENTION_MS]])
  assert.ok(knowledge.mayForget, "it was not away for longer than deletes are kept")
  knowledge.loseTouch()
  wall.ms += RETENTION_MS + 1
  assert.ok(knowledge.wasAwayLong)
  knowledge.getInTouch()
  assert.deepEqual(knowledge.gaps, [[NOW_MS + RETENTION_MS, NOW_MS + 2 * RETENTION_MS + 1]])
  assert.ok(!knowledge.mayForget)
})

test("who never was in touch knows nothing", () => {
  const { knowledge } = fixture()
  knowledge.inTouch = false
  knowledge.loseTouch()
  assert.equal(knowledge.knownMs, 0)
  knowledge.getInTouch()
  assert.deepEqual(knowledge.gaps, [[0, NOW_MS]])
})

test("no time is no gap", () => {
  const { knowledge } = fixture()
  knowledge.loseTouch()
  knowledge.getInTouch()
  assert.deepEqual(knowledge.gaps, [])
})

test("a gap is over one retention after its end", () => {
  const { knowledge, wall } = fixture()
  knowledge.gaps = [
    [1, 2],
    [NOW_MS - 10, NOW_MS],
  ]
  knowledge.expireGaps()
  assert.deepEqual(knowledge.gaps, [[NOW_MS - 10, NOW_MS]])
  wall.ms += RETENTION_MS
  knowledge.expireGaps()
  assert.equal(knowledge.gaps.length, 1)
  wall.ms += 1
  knowledge.expireGaps()
  assert.deepEqual(knowledge.gaps, [])
})

test("the longest are remembered", () => {
  const { knowledge } = fixture()
  const gaps = Array.from(
    { length: MAX_GAPS + 3 },
    (_, at) => /** @type {Gap} */ ([100 * at, 100 * at + 10 + at]),
  )
  knowledge.knownMs = 0
  knowledge.learn(null, gaps)
  assert.deepEqual(knowledge.gaps, gaps.slice(3))
})

/**
 * Whether what became known after a time, and by the next, was not heard of.
 *
 * @param {Gap[]} gaps
 * @param {number | null} knownMs
 * @param {number} ms
 */
function covers(gaps, knownMs, ms) {
  const endless = knownMs === null ? [] : [[knownMs, FOREVER]]
  return [...gaps, ...endless].some(([sinceMs, untilMs]) => sinceMs <= ms && ms < untilMs)
}

test("a sync leaves what neither side knows", () => {
  /** @type {[Gap[], number | null][]} */
  const sides = [
    [[], null],
    [[], 0],
    [[], 7],
    [[[2, 5]], null],
    [[[0, 3], [4, 9]], null],
    [[[1, 2], [3, 8]], 6],
    [[[0, 20]], 30],
    [[[5, 5], [9, 3]], 12], // no time at all
  ] // prettier-ignore
  for (const [mine, mineMs] of sides) {
    for (const [theirs, theirsMs] of sides) {
      const { knowledge } = fixture()
      knowledge.gaps = mine
      knowledge.knownMs = mineMs
      knowledge.learn(theirsMs, theirs)
      const what = JSON.stringify([mine, mineMs, theirs, theirsMs])
      for (let ms = 0; ms < 40; ms++) {
        const both = covers(mine, mineMs, ms) && covers(theirs, theirsMs, ms)
        assert.equal(covers(knowledge.gaps, knowledge.knownMs, ms), both, `${what} at ${ms}`)
      }
      const begins = knowledge.gaps.map(([sinceMs]) => sinceMs)
      assert.deepEqual(
        begins,
        begins.toSorted((one, other) => one - other),
        what,
      )
    }
  }
})

test("the floor of another", () => {
  const { knowledge, wall } = fixture()
  knowledge.adoptFloor(NOW_MS)
  assert.equal(knowledge.floorMs, NOW_MS - RETENTION_MS, "as far as it can be true")
  assert.equal(knowledge.forgotMs, NOW_MS)
  wall.ms += 1
  knowledge.adoptFloor(5)
  assert.equal(knowledge.forgotMs, NOW_MS, "it was no higher")
  knowledge.forgetFloor()
  assert.deepEqual([knowledge.floorMs, knowledge.forgotMs], [0, 0])
})

test("what can be gaps", () => {
  assert.ok(isGaps([]))
  assert.ok(isGaps(Array(MAX_GAPS).fill([0, 1])))
  const junk = [null, {}, "", [0, 1], [[0]], [[0, 1, 2]], [[0, -1]], [[0, 0.5]], [["0", 1]]]
  for (const each of [...junk, [[0, 2 ** 53]], Array(MAX_GAPS + 1).fill([0, 1])]) {
    assert.ok(!isGaps(each), JSON.stringify(each))
  }
})
