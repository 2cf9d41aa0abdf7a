// When to come back to a relay that goes away: it says so in the reason of the close frame.

const SERVICE_RESTART = 1012
const TRY_AGAIN_LATER = 1013
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
