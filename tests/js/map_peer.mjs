// A program with maps of the JavaScript client, for tests/test_javascript.py.
//
//   node map_peer.mjs <url> [<credentials>]
//
// stdin brings one command a line, [name, map, …]; stdout gets one answer a line, [name, map, …].
// Each map has a connection of its own. It ends by itself when all are closed and stdin is.

import { createInterface } from "node:readline"
import WebSocket from "ws"

import { DistributedMap, connect } from "../../distmap/web/distmap.js"

const [url, credentials] = process.argv.slice(2)

/** The global WebSocket of newer Node.js, or npm's; counts what it carries. */
class Counted extends WebSocket {
  static bytes = 0
  /** @type {Set<Counted>} */
  static open = new Set()
  /** The network is down. */
  static away = false

  /** @param {string} address */
  constructor(address) {
    super(Counted.away ? "ws://127.0.0.1:1/" : address)
    this.on("error", () => {})
    Counted.open.add(this)
    this.on("message", (data) => void (Counted.bytes += String(data).length))
    this.on("close", () => Counted.open.delete(this))
  }

  /**
   * @override
   * @param {string} data
   */
  send(data) {
    Counted.bytes += data.length
    super.send(data)
  }
}

/** @type {Map<string, DistributedMap>} */
const maps = new Map()

/** @param {unknown[]} what */
const answer = (...what) => process.stdout.write(JSON.stringify(what) + "\n")

/** @param {{ key: string, value?: unknown }} change */
const pairOf = ({ key, value = "gone" }) => /** @type {const} */ ([key, value])

/** @type {Record<string, (name: string, ...args: any[]) => unknown>} */
const commands = {
  async open(name, uri, retentionSeconds) {
    const connection = connect(url, { WebSocket: Counted, credentials, retentionSeconds })
    const map = new DistributedMap(connection, uri)
    maps.set(name, map)
    map.on("set", (value, key) => answer("heard", name, "set", key, value))
    map.on("delete", (value, key) => answer("heard", name, "delete", key, value))
    map.on("status", (status) => answer("status", name, status))
    await map.ready()
    answer("open", name, map.synced)
  },
  refused(name, key, value) {
    try {
      of(name).set(key, value)
    } catch (error) {
      answer("refused", name, /** @type {any} */ (error).code, of(name).access)
    }
  },
  async set(name, key, value) {
    await of(name).set(key, value)
    answer("set", name, key)
  },
  lists(name) {
    of(name).observeBatch((changes) => {
      if (!changes[0].local) answer("list", name, Object.fromEntries(changes.map(pairOf)))
    })
    answer("lists", name)
  },
  async update(name, pairs, gone) {
    await of(name).batch(() => {
      of(name).update(pairs)
      for (const key of gone) of(name).delete(key)
    })
    answer("update", name)
  },
  async write(name, prefix, count) {
    const writes = Array.from({ length: count }, (_, n) => of(name).set(`${prefix}${n}`, { n }))
    await Promise.all(writes)
    answer("write", name, count)
  },
  async delete(name, key) {
    answer("delete", name, key, await of(name).delete(key))
  },
  dump(name) {
    const map = of(name)
    answer("dump", name, [...map], map.status, map.peers, map.refused, map.divergences)
  },
  bytes(name) {
    answer("bytes", name, Counted.bytes)
    Counted.bytes = 0
  },
  cut(name) {
    cutAll()
    answer("cut", name)
  },
  leave(name) {
    Counted.away = true
    cutAll()
    answer("leave", name)
  },
  return(name) {
    Counted.away = false
    for (const { connection } of maps.values()) connection.wake()
    answer("return", name)
  },
  async close(name) {
    await of(name).connection.close()
    answer("close", name)
  },
}

/** Without a goodbye, as when the network is gone. */
function cutAll() {
  for (const socket of Counted.open) socket.terminate()
}

/** @param {string} name */
function of(name) {
  const map = maps.get(name)
  if (map === undefined) throw new Error(`no map ${name}`)
  return map
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, ...args] = JSON.parse(line)
  commands[command](.../** @type {[string]} */ (args))
})
