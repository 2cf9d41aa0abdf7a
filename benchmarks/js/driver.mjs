// What a peer of a benchmark does, whatever system it is of; the commands of ../driver.py.
// node driver.mjs SYSTEM
import { createInterface } from "node:readline"
import { load } from "./systems.mjs"

const VALUE = "x".repeat(58) // 60 bytes of JSON
const FILL_AT_ONCE = 500
const LIMIT_MS = 300_000

const now = () => Number(process.hrtime.bigint()) / 1e9 // the clock of Python's time.monotonic()
const turn = () => new Promise((resolve) => setImmediate(resolve))
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)
const keys = (start, end) =>
  Array.from({ length: end - start }, (_, at) => [`key-${start + at}`, VALUE])

const open = await load(process.argv[2])
const replicas = []

const commands = {
  async open({ url, replicas: count = 1 }) {
    for (let at = 0; at < count; at++) {
      const replica = open(url)
      replicas.push(replica)
      await replica.ready
    }
    return {}
  },

  async fill({ count }) {
    const [replica] = replicas
    for (let start = 0; start < count; start += FILL_AT_ONCE) {
      replica.setAll(keys(start, Math.min(start + FILL_AT_ONCE, count)))
      await turn()
      await room(replica, 1 << 20)
    }
    await room(replica, 0)
    await replica.drained?.()
    return {}
  },

  async write({ count, at_once: atOnce }) {
    const [replica] = replicas
    const began = now()
    for (let start = 0; start < count; start += atOnce) {
      if (atOnce === 1) replica.set(`key-${start}`, VALUE)
      else replica.setAll(keys(start, Math.min(start + atOnce, count)))
      await turn()
      await room(replica, 1 << 20)
    }
    return { began, seconds: now() - began }
  },

  async take({ count }) {
    const all = replicas.map((replica) => {
      let seen = 0
      return new Promise((resolve) => {
        replica.onSet(() => {
          seen += 1
          if (seen === count) resolve()
        })
      })
    })
    say({})
    await Promise.all(all)
    return { ended: now() }
  },

  async pace({ rate, count }) {
    const began = now()
    for (let number = 0; number < count; number++) {
      await sleep(Math.max(0, (began + number / rate - now()) * 1000))
      replicas[0].set(`key-${number % 100}`, String(process.hrtime.bigint()).padStart(58, "0"))
    }
    return {}
  },

  async listen({ count }) {
    const agesMs = []
    const done = new Promise((resolve) => {
      replicas[0].onSet((value) => {
        agesMs.push(Number(process.hrtime.bigint() - BigInt(value)) / 1e6)
        if (agesMs.length === count) resolve()
      })
    })
    say({})
    await done
    return { ages_ms: agesMs }
  },

  async join({ url, count }) {
    const began = now()
    const replica = open(url, true) // patient: it is known that there is somebody
    const seconds = await new Promise((resolve) => {
      const look = () => {
        if (replica.size() >= count) resolve(now() - began)
      }
      replica.onNews(look)
      look()
    })
    return { seconds, peak_mib: process.resourceUsage().maxRSS / 1024 }
  },
}

/** Waits while more than so many bytes wait for the socket. */
async function room(replica, bytes) {
  while (replica.buffered() > bytes) await sleep(1)
}

const limit = setTimeout(() => process.exit(1), LIMIT_MS)
limit.unref()
const lines = createInterface({ input: process.stdin })
lines.on("line", async (line) => {
  const { do: name, ...options } = JSON.parse(line)
  try {
    say(await commands[name](options))
  } catch (error) {
    say({ failed: `${error}` })
  }
})
lines.on("close", () => process.exit())
