// What a map hears of its seat: types only.

/** @import { KeyedEntry } from "./entries.js" */
/** @import { AccessRefused } from "./errors.js" */
/** @import { Update } from "./lww.js" */
/** @import { Written } from "./outbox.js" */

/**
 * What a map wants to hear of its seat.
 *
 * @typedef {object} Listener
 * @property {(updates: Update[]) => void} updated other peers' entries took their place
 * @property {(writes: Written[]) => void} taken the relay has taken these own writes
 * @property {(error: AccessRefused, writes: KeyedEntry[], updates: Update[]) => void} refused own
 *   writes were taken back: the map may only be read
 * @property {(updates: Update[]) => void} restamped own writes have new stamps
 * @property {(writes: KeyedEntry[]) => void} superseded own writes of long ago were not offered
 *   again
 * @property {(how: string) => void} becameReady the map has the network's state
 * @property {(peers: number) => void} peersChanged the number of other peers has changed
 * @property {(status: string, problem: Error | null) => void} statusChanged there is a connection,
 *   or there is none
 * @property {() => Promise<void>} left the seat is given up, by the map or because the connection is
 *   closed; fulfilled when nothing is left of the map
 */

export {}
