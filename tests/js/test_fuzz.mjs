// The cases of tests/corpus, by tests/fuzz: both languages make the same of what a peer may send.
//
// Node is told another folder by CORPUS=…, to compare more than is kept.

/** @import { Limits } from "../../distmap/web/js/frames.js" */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { pathToFileURL } from "node:url"

import { HybridClock } from "../../distmap/web/js/clock.js"
import { decodeEntry, encodeEntry, entryHash } from "../../distmap/web/js/entries.js"
import { RemoteError } from "../../distmap/web/js/errors.js"
import { Replica } from "../../distmap/web/js/lww.js"
import { MuxDemux } from "../../distmap/web/js/mux.js"
import { Peer } from "../../distmap/web/js/peer.js"
import { Donor, Newcomer } from "../../distmap/web/js/sync.js"
import * as values from "../../distmap/web/js/values.js"

const CORPUS = process.env.CORPUS
  ? pathToFileURL(process.env.CORPUS + "/")
  : new URL("../corpus/", import.meta.url)
const NOW_MS = 1_700_000_000_000
const MAX_BYTES = 300

/** @typedef {[who: number, text: string]} Step */

/**
 * Runs all cases of a target, and compares.
 *
 * @param {string} name
 * @param {(steps: Step[]) => unknown} run
 */
function replay(name, run) {
  test(`what is made of the cases of ${name}`, () => {
    const lines = readFileSync(new URL(`${name}.jsonl`, CORPUS), "utf8").trim().split("\n")
    let count = 0
    for (const line of lines) {
      /** @type {{ case: Step[], verdict: unknown }} */
      const kept = JSON.parse(line)
      const steps = asText(kept.case)
      if (steps === null || kept.verdict === null) continue // no text for any WebSocket
      count++
      assert.deepEqual(run(steps), kept.verdict, JSON.stringify(kept.case))
    }
    assert.ok(count > 10)
  })
}

/**
 * The bytes of a case as text; null if they are not UTF-8.
 *
 * @param {Step[]} steps
 * @returns {Step[] | null}
 */
function asText(steps) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  try {
    return steps.map(([who, text]) => [who, decoder.decode(Buffer.from(text, "latin1"))])
  } catch {
    return null
  }
}

/**
 * What a call returns; null if it is refused as the mistake of the other side.
 *
 * @template T
 * @param {() => T} call
 * @returns {T | null}
 */
function orNull(call) {
  try {
    return call()
  } catch (error) {
    if (error instanceof RemoteError) return null
    throw error
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return values.parse(text)
  } catch {
    return undefined
  }
}

/** @type {Limits} */
const SMALL = { frameBytes: 400, streams: 3, metaBytes: 60, idBytes: 16 }

replay("mux", (steps) => {
  const mux = new MuxDemux(SMALL)
  const told = []
  for (const [, text] of steps) {
    for (const [kind, stream, detail] of mux.receive(text)) {
      if (stream === null) told.push([kind, null, kind === "failed" ? null : detail[1].slice(0, 8)])
      else told.push([kind, stream.id, kind === "error" ? detail[1] : null])
    }
  }
  for (const line of mux.take().join("").split("\n").slice(0, -1)) {
    told.push(["sent", ...JSON.parse(line).slice(0, 2)])
  }
  return told
})

replay("entries", (steps) =>
  steps.map(([, text]) =>
    orNull(() => {
      const [key, entry] = decodeEntry(parse(text), MAX_BYTES)
      return [encodeEntry(key, entry), entryHash(key, entry)]
    }),
  ),
)

replay("values", (steps) =>
  steps.map(([, text]) => {
    try {
      return values.canonical(text, MAX_BYTES)
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error
      return null
    }
  }),
)

/**
 * As make_replica() in tests/fuzz/replicas.py.
 *
 * @param {string} writer
 * @param {number} first
 * @param {number} end
 * @param {number} deleted
 * @param {{ ms: number }} wall
 */
function makeReplica(writer, first, end, deleted, wall = { ms: NOW_MS }) {
  const replica = new Replica(new HybridClock(() => wall.ms, writer))
  for (let number = first; number < end; number++) {
    const stamp = { ms: NOW_MS - 1000 + number, counter: 0, writer: `w${number % 3}` }
    const value = number < deleted ? null : String(number)
    replica.merge(`k${number}`, { stamp, value, extras: null })
  }
  replica.digest()
  return replica
}

/**
 * @param {Replica} replica
 * @param {unknown} said
 */
function outcome(replica, said) {
  return [said, replica.digest(), replica.refused, replica.held.size]
}

/**
 * A message without the order of what is in it, which is nobody's business.
 *
 * @param {string} message
 */
function brief(message) {
  const bytes = Buffer.from(message)
  const sum = bytes.reduce((a, b) => a + b, 0)
  return [bytes.subarray(0, 24).toString(), bytes.length, sum]
}

/**
 * @param {{ receive: (message: unknown) => [string[], unknown[]], done: boolean }} side
 * @param {string[]} texts
 * @param {boolean} stops once it is done
 */
function converse(side, texts, stops) {
  const said = []
  for (const text of texts) {
    const messages = orNull(() => side.receive(parse(text))[0])
    said.push(messages && messages.map(brief))
    if (messages === null || (stops && side.done)) break
  }
  return said
}

replay("donor", (steps) => {
  const replica = makeReplica("old", 0, 12, 2)
  const texts = steps.map(([, text]) => text)
  return outcome(replica, converse(new Donor(replica), texts, false))
})

replay("newcomer", (steps) => {
  const replicas = [
    makeReplica("new", 6, 60, 9),
    makeReplica("new", 0, 0, 0),
    makeReplica("new", 0, 12, 2),
  ]
  return replicas.map((replica, kind) => {
    const newcomer = new Newcomer(replica)
    const hello = newcomer.start().map(brief)
    const texts = steps.filter(([who]) => who === kind).map(([, text]) => text)
    return outcome(replica, [hello, ...converse(newcomer, texts, true)])
  })
})

replay("peer", (steps) => {
  const wall = { ms: NOW_MS }
  const replica = makeReplica("me", 0, 12, 2, wall)
  const nothing = () => {}
  let hasWork = false
  const port = {
    send: nothing,
    workSoon: () => void (hasWork = true),
    beginSync: nothing,
    serve: nothing,
    updated: nothing,
    taken: nothing,
    restamped: nothing,
    refused: nothing,
    becameReady: nothing,
    peersChanged: nothing,
    heardDigest: nothing,
    superseded: nothing,
  }
  const peer = new Peer(replica, port, () => wall.ms)
  for (const number of [0, 1, 2]) peer.wrote(replica.set(`own${number}`, number))
  let errors = 0
  let isOpen = false
  for (const [who, text] of steps) {
    const act = text.slice(0, 1)
    if (who === 0) {
      if (!isOpen) continue
      const taken = orNull(() => {
        peer.receive(parse(text))
        return true
      })
      if (!taken) {
        errors++
        isOpen = false
        peer.lost()
      }
    } else if (act === "o" && !isOpen) {
      isOpen = true
      peer.opened()
    } else if (act === "l" && isOpen) {
      isOpen = false
      peer.lost()
    } else if (act === "w") {
      peer.wrote(replica.set("own0", errors))
      peer.sendWrites()
    } else if (act === "t") {
      wall.ms += 10_000 * Buffer.byteLength(text)
      peer.release()
      peer.lookUp()
    } else if (act === "d") {
      peer.tellDigest()
    } else if (act === "c" && isOpen) {
      peer.synced()
    }
    while (hasWork) {
      hasWork = false
      peer.work()
    }
  }
  return [errors, replica.digest(), replica.refused, replica.held.size, peer.peers]
})
