// The machines of the simulator that run the JavaScript client: see tests/simulation/node_process.py.
//
//   node simulated.mjs '[["entries", "order > 0", "order >= 0"]]'
//
// stdin brings one command a line, [name, machine, nowMs, …]; it is carried out until nothing is left
// to do, and stdout gets one line: all that was done, [[what, …], …], in its order. Time, chance and
// sockets come from outside, so the same commands have the same answers.

import { readSync, writeSync } from "node:fs"

import { modules, takeLog, tell, textOf } from "./simulated_log.mjs"
import { Machine, current, disks, machines } from "./simulated_machines.mjs"
import { Watched } from "./simulated_maps.mjs"

// -- commands --------------------------------------------------------------------------------------

/** @type {Record<string, (machine: Machine, ...args: any[]) => unknown>} */
const commands = {
  connect: (machine) => machine.connect(),
  closeConnection: (machine) => {
    const { connection } = machine
    connection.close().then(
      () => tell("closed"),
      (/** @type {unknown} */ error) => tell("threw", textOf(error)),
    )
  },
  online: (machine) => {
    for (const listener of [...machine.listeners]) listener()
  },
  fire: (machine, id) => {
    const call = machine.timers.get(id)
    machine.timers.delete(id)
    if (call === undefined) throw new Error(`no timer ${id}`)
    call()
  },
  opened: (machine, id) => machine.sockets.get(id)?.opened(),
  received: (machine, id, data) => machine.sockets.get(id)?.onmessage?.({ data }),
  lost: (machine, id) => machine.sockets.get(id)?.lost(),
  open: (machine, number, uri) => machine.maps.set(number, new Watched(machine, number, uri)),
  set: (machine, number, write, key, value) => {
    const watched = of(machine, number)
    watched.wait(watched.map.set(key, value), write)
  },
  delete: (machine, number, write, key) => {
    const watched = of(machine, number)
    watched.wait(watched.map.delete(key), write)
  },
  batch: (machine, number, write, writes) => {
    const watched = of(machine, number)
    const promise = watched.map.batch(() => {
      for (const [each, key, ...value] of writes) {
        watched.wait(value.length ? watched.map.set(key, value[0]) : watched.map.delete(key), each)
      }
    })
    watched.wait(promise, write)
  },
  whenSaved: (machine, number, count) => void of(machine, number).tellWhenSaved(count),
  close: (machine, number) => void of(machine, number).map.close(),
  digest: (machine, number) => of(machine, number).digest(),
}

/**
 * @param {Machine} machine
 * @param {number} number
 */
function of(machine, number) {
  return /** @type {Watched} */ (machine.maps.get(number))
}

/**
 * Begins another network.
 *
 * @param {Record<string, number>} sizes of the code, as "outbox.WINDOW_BYTES"
 */
function begin(sizes) {
  machines.clear()
  disks.clear()
  for (const [path, size] of Object.entries(sizes)) {
    const [module, name] = path.split(".")
    modules[module]._set[name](size)
  }
}

/** @param {[name: string, ...args: any[]]} command */
function carryOut([name, ...args]) {
  if (name === "begin") {
    begin(args[0])
    return
  }
  const [id, nowMs, ...rest] = args
  if (name === "machine") machines.set(id, new Machine(rest[0]))
  const machine = /** @type {Machine} */ (machines.get(id))
  machine.nowMs = nowMs
  if (name === "crash") {
    machines.delete(id)
  } else if (name !== "machine") {
    current[0] = machine
    commands[name](machine, ...rest)
  }
}

// -- the pipe --------------------------------------------------------------------------------------

const chunk = Buffer.alloc(65_536)
let rest = ""
const decoder = new TextDecoder()

/** The next line; null at the end. */
function readLine() {
  let end
  while ((end = rest.indexOf("\n")) < 0) {
    const size = readSync(0, chunk)
    if (size === 0) return null
    rest += decoder.decode(chunk.subarray(0, size), { stream: true })
  }
  const line = rest.slice(0, end)
  rest = rest.slice(end + 1)
  return line
}

/** @param {string} text */
function write(text) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
}

/** Resolves when no microtask is left. */
function drained() {
  return new Promise((resolve) => void setImmediate(() => resolve(undefined)))
}

for (let line = readLine(); line !== null; line = readLine()) {
  try {
    carryOut(JSON.parse(line))
  } catch (error) {
    tell("threw", textOf(error))
  }
  await drained()
  current.pop()?.report()
  write(JSON.stringify(takeLog()) + "\n")
}
