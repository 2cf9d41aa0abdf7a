// Real JavaScript clients that come, write and go, in Node.js: node soak.mjs PORT SEED MAPS
//
// Commands come as lines of JSON. The same in Python is ../soak_peers.py. npm's ws is that of the
// tests: make soak installs it.
import { createRequire } from "node:module"
import { createInterface } from "node:readline"
import { DistributedMap, connect } from "../../distmap/web/distmap.js"

const WebSocket = createRequire(new URL("../../tests/js/", import.meta.url))("ws")
const [port, seed, maps] = process.argv.slice(2).map(Number)
const PEERS = 2
const KEYS = 200
const WRITE_MS = 200
const CHANGE_MS = 2000

/** Numbers from 0 to 1, the same at each run (mulberry32). */
let state = seed
function random() {
  state = (state + 0x6d2b79f5) | 0
  let t = Math.imul(state ^ (state >>> 15), 1 | state)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const below = (count) => Math.floor(random() * count)

const counts = { joins: 0, writes: 0, errors: 0 }
const quietly = (promise, what) =>
  promise.then(
    () => void (counts[what] += 1),
    () => {},
  )
console.error = () => void (counts.errors += 1)

function open(number) {
  const map = new DistributedMap(
    connect(`ws://127.0.0.1:${port}/`, { WebSocket }),
    `/full-${number}`,
  )
  quietly(map.ready(), "joins")
  return map
}

const all = Array.from({ length: maps }, (_, number) =>
  Array.from({ length: PEERS }, () => open(number)),
)

const timers = [
  setInterval(() => {
    const map = all[below(maps)][below(PEERS)]
    const key = `key-${below(KEYS)}`
    if (random() < 0.1 && map.has(key)) quietly(map.delete(key), "writes")
    else quietly(map.set(key, "x".repeat(below(100))), "writes")
  }, WRITE_MS),
  setInterval(() => {
    const [number, at] = [below(maps), below(PEERS)]
    all[number][at].connection.close()
    all[number][at] = open(number)
  }, CHANGE_MS),
]

const commands = {
  count: () => counts,
  quiet() {
    timers.forEach(clearInterval)
    return {}
  },
  contents: () =>
    all.map((peers) =>
      peers.map((map) => (map.status === "ready" ? Object.fromEntries(map.entries()) : null)),
    ),
  end() {
    for (const map of all.flat()) map.connection.close()
    return {}
  },
}

const lines = createInterface({ input: process.stdin })
lines.on("line", (line) => {
  process.stdout.write(`${JSON.stringify(commands[JSON.parse(line).do]())}\n`)
})
lines.on("close", () => process.exit())
