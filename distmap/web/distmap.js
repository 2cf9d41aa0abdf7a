// A key-value map that browsers, Node.js and Python programs share, through a relay that keeps no
// state.
//
//   import { connect, DistributedMap } from "/distmap.js"
//
//   const connection = connect()
//   const fruits = new DistributedMap(connection, "/fruits")
//   await fruits.ready()
//   await fruits.set("apple", 3)

/** @import { Connection } from "./js/connection.js" */
/** @import { SocketConstructor } from "./js/connector.js" */
/** @import { Source } from "./js/fetching.js" */
import { WebSocketConnector, relayUrl } from "./js/connector.js"
import { openConnection } from "./js/credentials.js"
import * as errors from "./js/errors.js"
import { systemScheduler } from "./js/scheduler.js"

export { Connection } from "./js/connection.js"
export { DistributedMap } from "./js/map.js"
export { errors }

/**
 * Begins to connect to a relay, and reconnects until the connection is closed.
 *
 * @param {string | URL} [url] the relay's, `ws://` or `wss://`; without it, the host of the page
 * @param {object} [options]
 * @param {Source} [options.credentials] what to show to a relay that lets not everybody in: a
 *   string; or what is called before each connection, and when the relay asks anew, and returns one,
 *   or a promise of one. If it fails, that is tried again as a connection would be
 * @param {SocketConstructor} [options.WebSocket] where there is none, as in Node.js 20: that of
 *   npm's ws
 * @param {number} [options.retentionSeconds] how long the maps on this connection keep tombstones
 *   (30 days); the same for all peers of a map
 * @returns {Connection} at once
 * @throws {errors.InvalidValue} it is no such URL, or there is no WebSocket
 * @throws {errors.InvalidType} the credentials are none of these
 */
export function connect(url, options = {}) {
  const { WebSocket = globalThis.WebSocket, credentials, retentionSeconds } = options
  if (typeof WebSocket !== "function") {
    throw new errors.InvalidValue(
      "there is no WebSocket here: pass one, as connect(url, { WebSocket })",
    )
  }
  const scheduler = systemScheduler()
  const connector = new WebSocketConnector(
    relayUrl(url, globalThis.location?.href),
    WebSocket,
    scheduler,
  )
  const retentionMs = retentionSeconds === undefined ? undefined : 1000 * retentionSeconds
  return openConnection(connector, scheduler, random, credentials, { retentionMs })
}

/** A number from 0 to 1; ids are made of it, so it is a good one. */
function random() {
  return crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32
}
