// The connection that comes back: waits, wakes, notices silence, and leaves nothing behind.

import assert from "node:assert/strict"
import { afterEach, beforeEach, test } from "node:test"

import { WebSocketConnector, relayUrl } from "../../distmap/web/js/connector.js"
import { Backoff } from "../../distmap/web/js/backoff.js"
import { ANSWER_SECONDS, QUIET_SECONDS, WAKE_SECONDS } from "../../distmap/web/js/heartbeat.js"
import { connect } from "../../distmap/web/distmap.js"
import { Connection } from "../../distmap/web/js/connection.js"
import { onWake } from "../../distmap/web/js/wake.js"
import { DistributedMap } from "../../distmap/web/js/map.js"
import { Network } from "./memory.mjs"
import { Clock, refused, seeded } from "./support.mjs"

/** @type {Network} */
let network
beforeEach(() => void (network = new Network()))
afterEach(async () => {
  network.stop()
  await network.pass(60)
})

/** @param {import("../../distmap/web/js/connection.js").Connection} connection */
function heard(connection) {
  /** @type {unknown[]} */
  const events = []
  connection.on("open", () => events.push("open"))
  connection.on("offline", (problem) => events.push(problem.code))
  connection.on("close", () => events.push("close"))
  return events
}

test("it opens, is lost, comes back, and is closed", async () => {
  const connection = network.connect()
  const events = heard(connection)
  assert.equal(connection.status, "connecting")
  await network.pass()
  assert.equal(connection.status, "open")
  network.stop()
  assert.equal(connection.status, "offline")
  assert.equal(/** @type {any} */ (connection.problem).code, "connection-lost")
  await network.pass(30)
  const tries = events.filter((each) => each === "connection-lost").length
  assert.ok(tries > 3 && tries < 30, `${tries}`)
  network.start()
  await network.pass(10)
  assert.equal(connection.status, "open")
  assert.equal(connection.problem, null)
  const closing = connection.close()
  assert.equal(connection.status, "closed")
  await network.pass()
  await closing
  assert.equal(events.at(-1), "close")
  assert.equal(network.clock.pending, 0)
  await connection.close()
  refused(() => connection.attach(/** @type {any} */ ({})), "connection-closed")
})

test("it counts bytes, also over reconnects", async () => {
  const connection = network.connect()
  assert.deepEqual([connection.bytesReceived, connection.bytesSent], [0, 0])
  const map = new DistributedMap(connection, "/fruits")
  await network.pass(1)
  const { bytesReceived, bytesSent } = connection
  assert.ok(bytesReceived > 50 && bytesSent > 50, `${bytesReceived} ${bytesSent}`)
  map.set("é", "🍎".repeat(1000))
  await network.pass()
  const more = connection.bytesSent - bytesSent
  assert.ok(more > 4000 && more < 4300, `${more}`)
  network.stop()
  network.start()
  await network.pass(30)
  assert.equal(map.status, "ready")
  assert.ok(connection.bytesReceived > 1.5 * bytesReceived)
})

test("the wait grows, with jitter, up to its bound", () => {
  const random = seeded(2)
  const backoff = new Backoff(random)
  const longest = Array.from({ length: 8 }, () => 0)
  for (let round = 0; round < 200; round++) {
    backoff.reset()
    for (let n = 0; n < 8; n++) longest[n] = Math.max(longest[n], backoff.nextSeconds())
  }
  for (const [n, most] of [0.5, 1, 2, 4, 8, 10, 10, 10].entries()) {
    assert.ok(longest[n] <= most && longest[n] > 0.9 * most)
  }
})

test("it comes back when the relay said it should, and else by its own wait", async () => {
  FakeSocket.made = []
  const clock = new Clock()
  const connector = new WebSocketConnector("ws://a/", FakeSocket, clock)
  const connection = new Connection(connector, clock, () => 0.5)
  const open = async () => {
    await clock.advance()
    const socket = /** @type {FakeSocket} */ (FakeSocket.made.at(-1))
    socket.onopen({})
    return socket
  }
  const first = await open()
  first.onclose({ code: 1012, reason: "the relay is going down; retry_ms=20000" })
  await clock.advance(19.99)
  assert.equal(FakeSocket.made.length, 1)
  await clock.advance(0.01)
  assert.equal(FakeSocket.made.length, 2)
  const second = await open()
  second.onclose({ code: 1012, reason: "the relay is going down; retry_ms=600000" })
  await clock.advance(0.25)
  assert.equal(FakeSocket.made.length, 3)
  const third = await open()
  third.onclose({ code: 1012, reason: "the relay is going down; retry_ms=60000" })
  connection.wake()
  await clock.advance()
  assert.equal(FakeSocket.made.length, 4)
  connection.close()
  assert.equal(clock.pending, 0)
})

test("closed while it connects, and while it waits", async () => {
  const early = network.connect()
  await early.close()
  network.stop()
  const waiting = network.connect()
  await network.pass()
  assert.equal(waiting.status, "offline")
  await waiting.close()
  assert.equal(network.clock.pending, 0)
})

test("a wake after the end does nothing", async () => {
  network.stop()
  const connection = network.connect()
  await network.pass()
  await connection.close()
  network.start()
  connection.wake()
  assert.equal(network.clock.pending, 0)
  assert.equal(network.relay.links.size, 0)
})

test("closed though the relay does not answer", async () => {
  const connection = network.connect()
  await network.pass()
  network.last.silent = true
  let closed = false
  connection.close().then(() => void (closed = true))
  await network.pass(1.9)
  assert.equal(closed, false)
  await network.pass(0.2)
  assert.equal(closed, true)
  assert.equal(network.clock.pending, 0)
})

test("a silent connection is dropped, a quiet one is not", async () => {
  const map = network.open()
  const { connection } = map
  await network.pass(100)
  assert.equal(connection.status, "open")
  const link = network.last
  assert.ok(link.received.join("").includes('["time",'))
  link.silent = true
  await network.pass(QUIET_SECONDS + ANSWER_SECONDS + 16)
  assert.notEqual(network.last, link)
  assert.equal(link.isOpen, false)
  assert.equal(map.status, "ready")
})

test("without a map there is nobody to ask, and no connection is dropped", async () => {
  const connection = network.connect()
  await network.pass(200)
  assert.equal(connection.status, "open")
})

test("a wake ends the wait, and finds out soon whether the connection is alive", async () => {
  const map = network.open()
  const { connection } = map
  network.stop()
  await network.pass(50)
  network.start()
  connection.wake()
  connection.wake()
  await network.pass()
  assert.equal(connection.status, "open")
  assert.equal(network.relay.links.size, 1)
  connection.wake()
  await network.pass(WAKE_SECONDS + 1)
  assert.equal(connection.status, "open")
  const link = network.last
  link.silent = true
  await network.pass(1)
  connection.wake()
  await network.pass(WAKE_SECONDS)
  assert.equal(link.isOpen, false)
})

test("a page tells when to wake", () => {
  const names = /** @type {const} */ (["addEventListener", "removeEventListener", "document"])
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name))
  const program = new EventTarget()
  const page = Object.assign(new EventTarget(), { visibilityState: "hidden" })
  try {
    Object.assign(globalThis, {
      addEventListener: program.addEventListener.bind(program),
      removeEventListener: program.removeEventListener.bind(program),
      document: page,
    })
    let calls = 0
    const stop = onWake(() => void calls++)
    program.dispatchEvent(new Event("online"))
    program.dispatchEvent(new Event("pageshow"))
    page.dispatchEvent(new Event("visibilitychange"))
    assert.equal(calls, 2)
    page.visibilityState = "visible"
    page.dispatchEvent(new Event("visibilitychange"))
    assert.equal(calls, 3)
    stop()
    program.dispatchEvent(new Event("online"))
    page.dispatchEvent(new Event("visibilitychange"))
    assert.equal(calls, 3)
  } finally {
    names.forEach((name, at) => {
      const descriptor = before[at]
      if (descriptor === undefined) Reflect.deleteProperty(globalThis, name)
      else Object.defineProperty(globalThis, name, descriptor)
    })
  }
})

test("a member that closes another when it is told", async () => {
  const connection = network.connect()
  const maps = ["/a", "/b"].map((uri) => new DistributedMap(connection, uri))
  maps[0].on("status", () => maps[1].close())
  await network.pass()
  assert.deepEqual(
    maps.map((map) => map.status),
    ["ready", "closed"],
  )
})

test("the relay breaks the protocol", async (t) => {
  t.mock.method(console, "warn", () => {})
  const map = network.open()
  await network.pass()
  network.last.attempt.attemptReceived("nonsense\n")
  assert.equal(network.last.received.length > 0, true)
  await network.pass(2)
  assert.equal(map.status, "ready")
  assert.equal(map.connection.status, "open")
})

test("URLs", () => {
  const page = "https://example.org/shop/index.html#x"
  const good = /** @type {[string | URL | undefined, string | undefined, string][]} */ ([
    ["ws://a", undefined, "ws://a/"],
    ["WSS://a:9/b?c=1#d", undefined, "wss://a:9/b?c=1"],
    ["http://a:8080/", undefined, "ws://a:8080/"],
    [new URL("https://a/x"), undefined, "wss://a/x"],
    [undefined, page, "wss://example.org/"],
    ["relay", page, "wss://example.org/shop/relay"],
    ["/relay", page, "wss://example.org/relay"],
    ["//other/", page, "wss://other/"],
  ])
  for (const [url, from, wanted] of good) assert.equal(relayUrl(url, from), wanted)
  for (const url of ["", "relay", "ftp://a/", "file:///x", "ws://", "ws://a:99999/", undefined]) {
    refused(() => relayUrl(url, undefined), "invalid-value", url)
  }
  refused(() => connect("ws://a/", { WebSocket: /** @type {any} */ (1) }), "invalid-value")
})

/** What a WebSocket does, by hand. */
class FakeSocket {
  /** @type {FakeSocket[]} */
  static made = []
  readyState = 0
  /** @type {any} */ onopen = null
  /** @type {any} */ onmessage = null
  /** @type {any} */ onerror = null
  /** @type {any} */ onclose = null
  /** @type {unknown[]} */
  did = []

  /** @param {string} url */
  constructor(url) {
    if (url.includes("insecure")) throw new Error("SecurityError")
    FakeSocket.made.push(this)
  }

  /** @param {string} data */
  send(data) {
    this.did.push(data)
  }

  /** @param {unknown[]} args */
  close(...args) {
    this.did.push(["close", ...args])
  }
}

/** @param {string} [url] */
async function attempt(url = "ws://a/") {
  const clock = new Clock()
  /** @type {unknown[]} */
  const told = []
  /** @type {Error[]} */
  const problems = []
  /** @type {import("../../distmap/web/js/session.js").Transport[]} */
  const transports = []
  const abandon = new WebSocketConnector(url, FakeSocket, clock).connect({
    attemptOpened: (transport) => void (told.push("opened"), transports.push(transport)),
    attemptReceived: (message) => {
      if (message === "bad") throw new Error("a defect")
      told.push(message)
    },
    attemptFailed: (problem) => {
      problems.push(problem)
      told.push([/** @type {any} */ (problem).code, problem.message])
    },
  })
  assert.deepEqual(told, [])
  await clock.advance()
  const socket = /** @type {FakeSocket} */ (FakeSocket.made.at(-1))
  return { clock, told, problems, transports, abandon, socket }
}

test("a socket that opens, talks and is closed", async () => {
  const { clock, told, transports, socket } = await attempt()
  transports[0]?.send("too early")
  socket.readyState = 1
  socket.onopen({})
  socket.onmessage({ data: "hello" })
  transports[0].send("hi")
  transports[0].close(1000, "")
  transports[0].close(1002, "é".repeat(200))
  socket.onclose({ code: 1012, reason: "the relay is going down" })
  assert.deepEqual(told, [
    "opened",
    "hello",
    ["connection-lost", "the connection was closed with 1012: the relay is going down"],
  ])
  assert.deepEqual(socket.did.slice(0, 2), ["hi", ["close", 1000, ""]])
  assert.deepEqual(socket.did[2], ["close", 4002, "é".repeat(40)])
  assert.equal(clock.pending, 0)
})

test("a relay that goes says when to come back", async () => {
  const { told, problems, socket } = await attempt()
  socket.onopen({})
  socket.onclose({ code: 1012, reason: "the relay is going down; retry_ms=1500" })
  assert.equal(told.length, 2)
  assert.equal(/** @type {any} */ (problems[0]).retrySeconds, 1.5)
})

test("a socket that does not open", async () => {
  const refusedOne = await attempt()
  refusedOne.socket.onerror({ message: "ECONNREFUSED" })
  refusedOne.socket.onclose({ code: 1006, reason: "" })
  assert.deepEqual(refusedOne.told, [["cannot-connect", "cannot connect: ECONNREFUSED"]])
  const odd = await attempt()
  odd.socket.onerror({})
  await odd.clock.advance()
  assert.deepEqual(odd.told, [["cannot-connect", "cannot connect"]])
  assert.equal(odd.clock.pending, 0)
  const silent = await attempt()
  await silent.clock.advance(11)
  assert.deepEqual(
    silent.told.map((each) => /** @type {any} */ (each)[0]),
    ["handshake-timeout"],
  )
  assert.deepEqual(silent.socket.did, [["close"]])
  const { told } = await attempt("ws://insecure/")
  assert.deepEqual(told, [["cannot-connect", "cannot connect: Error: SecurityError"]])
})

test("a socket that is abandoned says no more", async () => {
  const { abandon, socket, told, clock } = await attempt()
  abandon(new Error("given up"))
  abandon(new Error("again"))
  assert.deepEqual(told, [[undefined, "given up"]])
  assert.deepEqual([socket.onopen, socket.onmessage, socket.onclose], [null, null, null])
  assert.equal(clock.pending, 0)
})

test("binary messages, and defects, cost the connection", async (t) => {
  const errors = t.mock.method(console, "error", () => {})
  const { socket, told } = await attempt()
  socket.readyState = 1
  socket.onopen({})
  socket.onmessage({ data: new ArrayBuffer(1) })
  assert.deepEqual(socket.did, [["close", 4003, "frames are text"]])
  socket.onmessage({ data: "bad" })
  assert.deepEqual(told.at(-1), ["connection-lost", "a defect of distmap"])
  assert.equal(errors.mock.callCount(), 1)
})
