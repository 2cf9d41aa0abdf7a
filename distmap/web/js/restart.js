// How a relay ends a connection, and when to come back: the reason of its close frame says so.

import { ConnectionLost, Unauthorized } from "./errors.js"

const SERVICE_RESTART = 1012
const TRY_AGAIN_LATER = 1013
/** Nothing was shown in time that lets this connection in anywhere. */
export const UNAUTHORIZED = 4401
/** What a client takes for a time to wait; a longer one is no word of a relay. */
export const MAX_RETRY_MS = 120_000

/**
 * What the relay said of when to come back.
 *
 * @param {number} code of the close frame
 * @param {string} reason its text
 * @returns {number | null} null if it said nothing, or nothing that makes sense
 */
export function retrySeconds(code, reason) {
  if (code !== SERVICE_RESTART && code !== TRY_AGAIN_LATER) return null
  const found = /(?:^|[ ;])retry_ms=([0-9]{1,6})$/.exec(reason)
  if (found === null || Number(found[1]) > MAX_RETRY_MS) return null
  return Number(found[1]) / 1000
}

/**
 * Why there is no connection any more, from a close frame that came.
 *
 * @param {number} code of the close frame
 * @param {string} reason its text
 * @param {string} [why] what else is known, if it has no text
 */
export function lost(code, reason, why = "") {
  const Lost = code === UNAUTHORIZED ? Unauthorized : ConnectionLost
  const problem = new Lost(`the connection was closed with ${code}${reason ? `: ${reason}` : why}`)
  problem.closeCode = code
  problem.retrySeconds = retrySeconds(code, reason)
  return problem
}
