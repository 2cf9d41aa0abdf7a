// Streams over one connection: their lives, and what breaks the rules.

import assert from "node:assert/strict"
import { test } from "node:test"

import { MuxDemux } from "../../distmap/web/js/mux.js"
import { Kind, MuxStream, State, TRANSITIONS } from "../../distmap/web/js/states.js"
import { pick, refused, seeded } from "./support.mjs"

/** Two sides; events of the other side come out of carry(). */
function connected() {
  const here = new MuxDemux(undefined, "here")
  const there = new MuxDemux(undefined, "there")
  /**
   * @param {MuxDemux} from
   * @param {MuxDemux} to
   */
  const carry = (from, to) =>
    to.receive(from.take().join("")).map(([kind, stream, detail]) => [kind, stream?.id, detail])
  return { here, there, toThere: () => carry(here, there), toHere: () => carry(there, here) }
}

/**
 * A side on which the other one has opened a stream `a`.
 *
 * @param {object} opts
 */
function opened(opts = { writable: true, readable: true }) {
  const mux = new MuxDemux()
  mux.receive(JSON.stringify(["a", "new", { meta: null, opts }]) + "\n")
  const stream = /** @type {MuxStream} */ (mux.streams.get("a"))
  return {
    mux,
    stream,
    /** @param {unknown[]} frames */
    say: (...frames) => {
      const events = mux.receive(frames.map((frame) => JSON.stringify(frame) + "\n").join(""))
      return events.map(([kind, , detail]) => (detail === undefined ? kind : [kind, detail]))
    },
    told: () => mux.take().map((text) => JSON.parse(text).slice(1)),
  }
}

test("data goes both ways, and an end ends both", () => {
  const { here, there, toThere, toHere } = connected()
  const mine = here.open({ n: [1] }, { id: "wanted" })
  here.send(mine, '{"x":1}')
  assert.deepEqual(toThere(), [
    [Kind.OPENED, "wanted", { n: [1] }],
    [Kind.DATA, "wanted", { x: 1 }],
  ])
  const theirs = /** @type {MuxStream} */ (there.streams.get("wanted"))
  there.send(theirs, "null")
  assert.deepEqual(toHere(), [[Kind.DATA, "wanted", null]])
  here.end(mine)
  assert.deepEqual(toThere(), [
    [Kind.ENDED, "wanted", undefined],
    [Kind.CLOSED, "wanted", undefined],
  ])
  assert.deepEqual(toHere(), [[Kind.UNKNOWN, undefined, ["wanted", "end"]]])
  assert.deepEqual([here.streams.size, there.streams.size], [0, 0])
})

test("half open, each side ends for itself", () => {
  const { here, there, toThere, toHere } = connected()
  const mine = here.open("m", { halfOpen: true })
  here.end(mine)
  assert.deepEqual(
    toThere().map(([kind]) => kind),
    [Kind.OPENED, Kind.ENDED],
  )
  refused(() => here.send(mine, "1"), "local-protocol")
  const theirs = /** @type {MuxStream} */ (there.streams.get(mine.id))
  there.send(theirs, "1")
  there.end(theirs)
  assert.deepEqual(
    toHere().map(([kind]) => kind),
    [Kind.DATA, Kind.ENDED, Kind.CLOSED],
  )
})

test("options are told from the other side's view", () => {
  const { here, there, toThere } = connected()
  const writer = here.open(1, { readable: false })
  const reader = here.open(2, { writable: false })
  toThere()
  assert.deepEqual([writer.state, reader.state], [State.SENDING, State.RECEIVING])
  assert.equal(there.streams.get(writer.id)?.state, State.RECEIVING)
  assert.equal(there.streams.get(reader.id)?.state, State.SENDING)
  refused(() => here.send(reader, "1"), "local-protocol")
  refused(() => here.open(3, { writable: false, readable: false }), "local-protocol")
})

test("ids never come twice", () => {
  const { here, toThere } = connected()
  const ids = ["x", "x", undefined, "y.7", "x".repeat(117), "constructor", "__proto__"].map(
    (id) => {
      const stream = here.open(null, id === undefined ? {} : { id })
      toThere()
      here.close(stream)
      return stream.id
    },
  )
  assert.deepEqual(ids, ["x", "x.1", "here.2", "y.7.3", "here.4", "constructor", "__proto__"])
})

test("errors, pauses and closes are told once", () => {
  const { here, there, toThere, toHere } = connected()
  const mine = here.open(null)
  toThere()
  const theirs = /** @type {MuxStream} */ (there.streams.get(mine.id))
  there.pause(theirs, true)
  there.pause(theirs, true)
  assert.deepEqual(toHere(), [[Kind.PAUSED, mine.id, undefined]])
  assert.ok(mine.sendPaused)
  there.pause(theirs, false)
  there.error(theirs, "no more", "busy")
  assert.deepEqual(toHere(), [
    [Kind.RESUMED, mine.id, undefined],
    [Kind.ERROR, mine.id, ["no more", "busy"]],
    [Kind.CLOSED, mine.id, undefined],
  ])
  assert.deepEqual(toThere(), [])
  refused(() => there.error(theirs, "again", "x"), "local-protocol")
  assert.deepEqual(there.close(theirs), [])
})

test("what breaks the rules of a stream ends that stream", () => {
  const full = { writable: true, readable: true }
  const half = { ...full, allowHalfOpen: true }
  const cases = /** @type {[object, unknown[][]][]} */ ([
    [full, [["a", "data"]]],
    [full, [["a", "no-such-event", 1]]],
    [full, [["a", "constructor"]]],
    [full, [["a", "error", 7]]],
    [full, [["a", "error", { code: [] }]]],
    [
      half,
      [
        ["a", "end"],
        ["a", "data", 1],
      ],
    ],
    [
      half,
      [
        ["a", "end"],
        ["a", "end"],
      ],
    ],
    [{ writable: true }, [["a", "data", 1]]],
  ])
  for (const [opts, frames] of cases) {
    const { mux, say, told } = opened(opts)
    const events = say(...frames)
    assert.equal(events.at(-1), Kind.CLOSED)
    assert.equal(events.at(-2)?.[0], Kind.ERROR, JSON.stringify(frames))
    assert.deepEqual(
      told().map(([event]) => event),
      ["error", "close"],
    )
    assert.equal(mux.streams.size, 0)
    assert.deepEqual(say(["b", "new", { opts: full }]), [[Kind.OPENED, null]])
  }
})

test("the reader of a one-way stream lets go, and ignored frames", () => {
  const { say } = opened({ writable: true })
  assert.deepEqual(say(["a", "end"]), [Kind.CLOSED])
  assert.deepEqual(say(["a", "data", 1], ["a", "close"]), [[Kind.UNKNOWN, ["a", "data"]]])
})

test("what breaks the rules of framing ends the connection", () => {
  for (const line of [
    "x",
    '["a","new",{"opts":{"readable":true}}]',
    `["${"i".repeat(129)}","new",{}]`,
  ]) {
    const { mux, say } = opened()
    const events = mux.receive(`["a","data",1]\n${line}\n["a","data",2]\n`)
    assert.deepEqual(
      events.map(([kind]) => kind),
      [Kind.DATA, Kind.FAILED],
    )
    assert.deepEqual(say(["a", "data", 3]), [])
    // What came before the fault may be answered with a new stream; nobody will hear of it.
    const { id } = mux.open(null)
    assert.ok(mux.disconnect().some(([kind, stream]) => kind === Kind.CLOSED && stream?.id === id))
    refused(() => mux.open(null), "local-protocol")
  }
})

test("openings that are refused", () => {
  const full = { writable: true, readable: true }
  const bad = [undefined, 1, {}, { opts: 1 }, { opts: { writable: 1 } }, { opts: {} }]
  for (const payload of [...bad, { opts: full, meta: "m".repeat(4096) }]) {
    const { mux, say, told } = opened()
    assert.deepEqual(say(["b", "new", payload].slice(0, payload === undefined ? 2 : 3)), [])
    assert.deepEqual(
      told().map(([event]) => event),
      ["error", "close"],
    )
    assert.deepEqual([...mux.streams.keys()], ["a"])
  }
  const mux = new MuxDemux({ frameBytes: 1000, metaBytes: 10, idBytes: 10, streams: 1 })
  const events = mux.receive(
    '["a","new",{"opts":{"writable":true}}]\n["b","new",{"opts":{"writable":true}}]\n',
  )
  assert.equal(events.length, 1)
  assert.equal(JSON.parse(mux.take()[0])[2].code, "limit")
})

test("the connection is gone", () => {
  const { here, toThere } = connected()
  const streams = [here.open(1), here.open(2)]
  toThere()
  here.send(streams[0], "1")
  assert.deepEqual(
    here.disconnect().map(([kind]) => kind),
    [Kind.CLOSED, Kind.CLOSED],
  )
  assert.equal(here.hasOutput, false)
  assert.deepEqual(here.receive('["x","data",1]\n'), [])
})

test("any frames in any order leave no stream in a state that it cannot be in", () => {
  const random = seeded(6)
  const events = ["new", "data", "end", "close", "error", "pause", "resume", "what", "__proto__"]
  const payloads = [undefined, null, 1, "text", {}, { opts: {} }, { message: "m", code: 1 }]
  const opts = [
    { writable: true },
    { readable: true },
    { writable: true, readable: true, allowHalfOpen: true },
  ]
  for (let round = 0; round < 300; round++) {
    const mux = new MuxDemux()
    let closed = 0
    let openedCount = 0
    for (let step = 0; step < 40; step++) {
      const event = pick(random, events)
      const good = event === "new" && random() < 0.9
      const payload = good ? { meta: step, opts: pick(random, opts) } : pick(random, payloads)
      const frame = [pick(random, ["a", "b", "c"]), event]
      const text = JSON.stringify(payload === undefined ? frame : [...frame, payload]) + "\n"
      for (const [kind] of mux.receive(text)) {
        if (kind === Kind.OPENED) openedCount++
        if (kind === Kind.CLOSED) closed++
      }
      for (const stream of mux.streams.values()) {
        assert.notEqual(stream.state, State.CLOSED)
        assert.ok(stream.state in TRANSITIONS)
      }
      assert.equal(mux.streams.size, openedCount - closed)
    }
  }
})

test("a meta too deep for JSON.stringify() is refused, codes of errors may be below 0", () => {
  const { mux, told } = opened()
  const deep = "[".repeat(100_000) + "]".repeat(100_000)
  const opts = '"opts":{"writable":true,"readable":true}'
  assert.deepEqual(mux.receive(`["b","new",{"meta":${deep},${opts}}]\n`), [])
  assert.deepEqual(
    told().map(([event]) => event),
    ["error", "close"],
  )
  const [[kind, , detail]] = mux.receive('["a","error",{"code":-7}]\n')
  assert.deepEqual([kind, detail], [Kind.ERROR, ["", "-7"]])
})
