// What a peer of a map asks of its surroundings.

/** @import { KeyedEntry } from "./entries.js" */
/** @import { Update } from "./lww.js" */
/** @import { Written } from "./outbox.js" */
/** @import { Summary } from "./ranges.js" */

/**
 * What a Peer asks of its surroundings.
 *
 * @typedef {object} Port
 * @property {(payload: string) => void} send send a payload on the channel's stream
 * @property {(donor: string) => void} beginSync open a stream to a donor and hold a conversation as
 *   the newcomer
 * @property {(client: string, reader: boolean) => void} serve take the stream of a newcomer and
 *   hold a conversation as its donor, which takes nothing of one that may only read
 * @property {(updates: Update[]) => void} updated other peers' entries took their place in the
 *   replica
 * @property {(writes: Written[]) => void} taken the relay has taken these own writes
 * @property {(writes: KeyedEntry[], updates: Update[]) => void} refused these own writes were taken
 *   back, since this peer may only read; what that changed
 * @property {(updates: Update[]) => void} restamped own writes that nobody had seen have new stamps
 * @property {(how: string) => void} becameReady the replica has the network's state: by a peer, or
 *   alone
 * @property {(peers: number) => void} peersChanged the number of other peers has changed
 * @property {(peer: string, digest: Summary) => void} heardDigest another peer told the digest of
 *   its replica
 * @property {() => void} workSoon call Peer.work() in a turn of its own, if that is not due already
 * @property {(writes: KeyedEntry[]) => void} superseded these own writes of long ago were not
 *   offered again
 */

export {}
