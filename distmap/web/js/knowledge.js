// What a replica knows of deletes: which it may have forgotten, and which it has not heard of.
//
// Who comes back and finds nobody does not hear what was deleted meanwhile; who begins alone does
// not know what was deleted before. They go on all the same, and remember that time as a gap. A
// sync leaves the gaps that both sides have.

/** @import { HybridClock } from "./clock.js" */
/** @import { Due } from "./tombstones.js" */

/**
 * From when, and until when, in milliseconds of the relay's time.
 *
 * @typedef {[sinceMs: number, untilMs: number]} Gap
 */

/** How long a tombstone is kept, by default: 30 days. */
export const RETENTION_MS = 30 * 86_400_000
/**
 * Tombstones are collected together, in steps of this part of the retention (an hour in 30 days),
 * so that replicas collect the same ones at about the same time.
 */
export const RETENTION_STEPS = 720
/** So many are remembered, the longest: each time that all lose the relay may leave one. */
export const MAX_GAPS = 8
export const FOREVER = Number.MAX_SAFE_INTEGER

/** What one replica knows of deletes. */
export class Knowledge {
  /**
   * Tombstones below it may have been collected, here or where this replica was synced from: an
   * unknown entry from below it may be one that was deleted.
   */
  floorMs = 0
  /**
   * Until when deletes that are forgotten here may have become known to the others; a stamp can be
   * older than that, where the writer was offline.
   */
  forgotMs = 0
  /**
   * Until when this replica knows of all deletes; null while it hears of all.
   *
   * @type {number | null}
   */
  knownMs = null
  /** @type {Gap[]} when, before that, deletes may have become known that it has not heard of */
  gaps = []
  /** It was synced, and hears all news. */
  inTouch = true
  /** Since when all that was here then is known to the others. */
  joinedMs = 0

  /**
   * @param {HybridClock} clock of this replica
   * @param {number} retentionMs how long a tombstone is kept; the same for all peers of a map
   */
  constructor(clock, retentionMs) {
    this.clock = clock
    this.retentionMs = retentionMs
  }

  /**
   * Whether somebody who has these knows of the deletes that are forgotten here.
   *
   * @param {number | null} knownMs
   * @param {Gap[]} [gaps]
   */
  trusts(knownMs, gaps = []) {
    return isTrusted(this.forgotMs, knownMs, gaps)
  }

  /** Whether tombstones may be collected: others may need those of who was away for long. */
  get mayForget() {
    const isLong = this.gaps.some(([sinceMs, untilMs]) => untilMs - sinceMs > this.retentionMs)
    return this.inTouch && this.knownMs === null && !isLong
  }

  /** See RETENTION_STEPS. */
  get stepMs() {
    return Math.max(1, Math.floor(this.retentionMs / RETENTION_STEPS))
  }

  /** Tombstones with a stamp from before are collected. */
  get forgetBeforeMs() {
    return Math.floor((this.clock.latestMs() - this.retentionMs) / this.stepMs) * this.stepMs
  }

  /**
   * A tombstone is collected.
   *
   * @param {Due} tombstone
   */
  forgets({ ms, sinceMs }) {
    this.floorMs = Math.max(this.floorMs, ms + 1)
    this.forgotMs = Math.max(this.forgotMs, this.joinedMs, sinceMs)
  }

  /**
   * Takes over the floor of the other side of a sync, as far as it can be true.
   *
   * @param {number} floorMs
   */
  adoptFloor(floorMs) {
    const latestMs = this.clock.latestMs()
    const adopted = Math.min(floorMs, latestMs - this.retentionMs)
    if (adopted <= this.floorMs) return
    this.floorMs = adopted
    this.forgotMs = Math.max(this.forgotMs, latestMs)
  }

  /** Somebody else knows better what was deleted: what comes from there is taken. */
  forgetFloor() {
    this.floorMs = 0
    this.forgotMs = 0
  }

  /**
   * At the end of a sync with somebody who has these: what neither has heard of is left.
   *
   * @param {number | null} knownMs
   * @param {Gap[]} gaps
   */
  learn(knownMs, gaps) {
    Object.assign(this, common(this.gaps, this.knownMs, gaps, knownMs))
  }

  /** Until when this replica knows of all deletes, also if the program ended now; null if of none. */
  get syncedMs() {
    return this.knownMs ?? (this.inTouch ? this.clock.earliestMs() : null)
  }

  /** Whether deletes may be forgotten that were made since it lost touch. */
  get wasAwayLong() {
    const { knownMs } = this
    return knownMs !== null && this.clock.latestMs() - knownMs > this.retentionMs
  }

  /** What is here is known to the others from now on. */
  joined() {
    this.joinedMs = this.clock.latestMs()
  }

  /** From now on it does not hear of all deletes. */
  loseTouch() {
    this.knownMs ??= this.inTouch ? this.clock.earliestMs() : 0
    this.inTouch = false
  }

  /** From now on it hears of all deletes; what it has not heard of is a gap. */
  getInTouch() {
    this.inTouch = true
    if (this.knownMs !== null) {
      this.gaps = longest([...this.gaps, [this.knownMs, this.clock.latestMs()]])
      this.knownMs = null
    }
    this.expireGaps()
  }

  /**
   * Forgets gaps that ended one retention ago: whoever knows what became known in one, and was not
   * here since, has been away for so long that it is the one to be judged.
   */
  expireGaps() {
    const oldestMs = this.clock.earliestMs() - this.retentionMs
    this.gaps = this.gaps.filter(([, untilMs]) => untilMs >= oldestMs)
  }
}

/**
 * Whether somebody knows of the deletes that another has forgotten.
 *
 * @param {number} forgotMs until when those became known
 * @param {number | null} knownMs
 * @param {Gap[]} gaps
 */
export function isTrusted(forgotMs, knownMs, gaps) {
  if (forgotMs === 0) return true
  // Who forgot a delete after the end of a gap was here by then, and has told what it knew.
  if (gaps.some(([sinceMs, untilMs]) => sinceMs <= forgotMs && forgotMs <= untilMs)) return false
  return knownMs === null || knownMs > forgotMs
}

/**
 * What neither of two sides has heard of.
 *
 * @param {Gap[]} gaps of the one side
 * @param {number | null} knownMs where its gap begins that has no end yet, if it has one
 * @param {Gap[]} others of the other side
 * @param {number | null} othersKnownMs
 * @returns {{ gaps: Gap[], knownMs: number | null }}
 */
export function common(gaps, knownMs, others, othersKnownMs) {
  const theirs = withEndless(others, othersKnownMs)
  const found = withEndless(gaps, knownMs).flatMap(([since, until]) =>
    theirs.map(([a, b]) => /** @type {Gap} */ ([Math.max(since, a), Math.min(until, b)])),
  )
  const endless = found.filter(([, untilMs]) => untilMs === FOREVER).map(([sinceMs]) => sinceMs)
  return {
    gaps: longest(found.filter(([, untilMs]) => untilMs !== FOREVER)),
    knownMs: endless.length ? Math.max(...endless) : null,
  }
}

/**
 * @param {Gap[]} gaps
 * @param {number | null} knownMs
 * @returns {Gap[]}
 */
function withEndless(gaps, knownMs) {
  return knownMs === null ? gaps : [...gaps, [knownMs, FOREVER]]
}

/**
 * @param {Gap[]} gaps
 * @returns {Gap[]}
 */
function longest(gaps) {
  /** @type {Gap[]} */
  const kept = []
  for (const gap of [...gaps].sort((one, other) => one[0] - one[1] - (other[0] - other[1]))) {
    const isWithin = kept.some(([sinceMs, untilMs]) => sinceMs <= gap[0] && gap[1] <= untilMs)
    if (gap[0] < gap[1] && !isWithin) kept.push(gap)
  }
  return kept.slice(0, MAX_GAPS).sort((one, other) => one[0] - other[0])
}

/** @param {unknown} value */
export function isGaps(value) {
  const isTime = (/** @type {unknown} */ ms) => Number.isSafeInteger(ms) && Number(ms) >= 0
  const isGap = (/** @type {unknown} */ gap) =>
    Array.isArray(gap) && gap.length === 2 && gap.every(isTime)
  return Array.isArray(value) && value.length <= MAX_GAPS && value.every(isGap)
}
