// Sorts many keys in turns that are not long.

/** So many are sorted, or merged, in one turn. */
export const TURN_KEYS = 4096

/**
 * Keys in their order, that of their UTF-16 code units.
 *
 * @param {string[]} keys
 * @param {() => Promise<void>} turn waits for the next turn
 * @returns {Promise<string[]>}
 */
export async function sorted(keys, turn) {
  let runs = [keys.slice(0, TURN_KEYS).sort()]
  for (let at = TURN_KEYS; at < keys.length; at += TURN_KEYS) {
    await turn()
    runs.push(keys.slice(at, at + TURN_KEYS).sort())
  }
  while (runs.length > 1) {
    const longer = []
    for (let at = 0; at < runs.length; at += 2) {
      longer.push(await merge(runs[at], runs[at + 1] ?? [], turn))
    }
    runs = longer
  }
  return runs[0]
}

/**
 * @param {string[]} one
 * @param {string[]} other
 * @param {() => Promise<void>} turn
 */
async function merge(one, other, turn) {
  /** @type {string[]} */
  const both = []
  let [a, b] = [0, 0]
  while (a < one.length && b < other.length) {
    both.push(one[a] < other[b] ? one[a++] : other[b++])
    if (both.length % TURN_KEYS === 0) await turn()
  }
  return both.concat(one.slice(a), other.slice(b))
}
