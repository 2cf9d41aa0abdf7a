// One side of a mux-demux connection by the npm package, for tests/test_mux_npm.py.
//
//   node mux_peer.js listen          takes one TCP connection, on a free port that it reports
//   node mux_peer.js connect <port>  makes one
//   ... deaf                         with no listener for the streams that the other side opens
//
// stdin brings one command a line, {"do": …, "stream": id, …}; stdout gets one report a line,
// {"event": …, "stream": id, …}. It ends when stdin does.

import { createServer, connect } from "node:net"
import { createInterface } from "node:readline"
import MuxDemux from "mux-demux"

const [, , mode, ...rest] = process.argv
const streams = new Map()

const report = (event, fields) => process.stdout.write(JSON.stringify({ event, ...fields }) + "\n")

function follow(stream) {
  const id = stream.id
  streams.set(id, stream)
  stream.on("data", (value) => report("data", { stream: id, value }))
  stream.on("end", () => report("end", { stream: id }))
  stream.on("close", () => report("close", { stream: id }))
  stream.on("drain", () => report("drain", { stream: id }))
  stream.on("error", ({ message, code }) => report("error", { stream: id, message, code }))
  return id
}

function serve(stream) {
  const { meta, readable, writable } = stream
  report("stream", { stream: follow(stream), meta, readable, writable })
}

const mux = MuxDemux(rest.includes("deaf") ? undefined : serve)
mux.on("unknown", (id) => report("unknown", { stream: id }))
mux.on("error", (error) => report("broken", { message: String(error.message) }))

// Counts up to `to` for as long as the other side wants more, one number a turn of the loop.
function count(stream, to) {
  let next = 0
  const step = () => {
    if (next === to) return report("counted", { stream: stream.id })
    if (stream.write(next++)) setImmediate(step)
    else {
      stream.once("drain", step)
      report("stopped", { stream: stream.id, written: next })
    }
  }
  step()
}

const commands = {
  open: ({ kind, meta, opts }) => report("opened", { stream: follow(mux[kind](meta, opts)) }),
  write: ({ values }, stream) => values.forEach((value) => stream.write(value)),
  count: ({ to }, stream) => count(stream, to),
  end: (_, stream) => stream.end(),
  pause: (_, stream) => stream.pause(),
  resume: (_, stream) => stream.resume(),
  error: ({ error }, stream) => stream.error(error),
  // As a program does it that has caught an error and passes it on.
  throw: ({ message, fields }, stream) => stream.error(Object.assign(new Error(message), fields)),
  destroy: (_, stream) => stream.destroy(),
  close: () => mux.close(() => report("closed")),
}

function carry(socket) {
  socket.setEncoding("utf8")
  socket.on("close", () => report("disconnected"))
  socket.on("error", () => {})
  socket.pipe(mux).pipe(socket)
  report("connected")
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line)
    commands[command.do](command, streams.get(command.stream))
  })
  .on("close", () => process.exit())

if (mode === "listen") {
  const server = createServer((socket) => {
    server.close()
    carry(socket)
  })
  server.listen(0, "127.0.0.1", () => report("listening", { port: server.address().port }))
} else {
  carry(connect(Number(rest[0]), "127.0.0.1"))
}
