// Asks a source for credentials.

/** @import { Scheduler } from "./scheduler.js" */
import { CredentialsFailed } from "./errors.js"
import { isOver, isWellFormed } from "./text.js"

/** How long a source has. */
export const FETCH_SECONDS = 30
export const MAX_CREDENTIALS_BYTES = 16 * 1024

/**
 * A string, or what gives one: at once, or by a promise; null or undefined for nothing.
 *
 * @typedef {string | (() => string | null | undefined | Promise<string | null | undefined>)} Source
 */

/**
 * Asks a source; one of the two is called, in a later turn, unless it is cancelled.
 *
 * @param {Source} source
 * @param {Scheduler} scheduler
 * @param {(shown: string | null) => void} done it gave this
 * @param {(problem: CredentialsFailed) => void} failed
 * @returns {{ cancel(): boolean }} true if it was not over
 */
export function fetchFrom(source, scheduler, done, failed) {
  let isOver = false
  const end = () => {
    const was = isOver
    isOver = true
    timer.cancel()
    return !was
  }
  /** @param {string} why */
  const fail = (why) => {
    if (end()) failed(new CredentialsFailed(`there are no credentials: ${why}`))
  }
  const timer = scheduler.later(FETCH_SECONDS, () => fail(`nothing came within ${FETCH_SECONDS} s`))
  ask(source).then(
    (shown) => {
      if (end()) done(shown)
    },
    (error) => {
      if (!isOver) console.warn("distmap: the credentials failed:", error)
      fail(String(error))
    },
  )
  return { cancel: end }
}

/**
 * @param {Source} source
 * @returns {Promise<string | null>}
 */
async function ask(source) {
  const shown = (typeof source === "function" ? await source() : source) ?? null
  if (shown === null) return null
  if (typeof shown !== "string" || !isWellFormed(shown)) throw new TypeError("they are no string")
  if (isOver(JSON.stringify(shown), MAX_CREDENTIALS_BYTES)) {
    throw new RangeError(`they are ${MAX_CREDENTIALS_BYTES} bytes at most`)
  }
  return shown
}
