// What the simulator's JavaScript programs do, in its order, and the client that they run.

import { openModules } from "./opened.mjs"

/** The client's modules, with the bugs to plant that the command line names. */
export const modules = await openModules(JSON.parse(process.argv[2] ?? "[]"))

/** @type {unknown[][]} */
let log = []

/**
 * Something was done.
 *
 * @param {unknown[]} what
 */
export function tell(...what) {
  log.push(what)
}

/** Hands over all that was done. */
export function takeLog() {
  const taken = log
  log = []
  return taken
}

/**
 * What is done within a call, and its result; if it throws, all was done outside of it.
 *
 * @param {() => any} call
 * @returns {[inner: unknown[][], result: any]}
 */
export function logOf(call) {
  const outer = takeLog()
  try {
    const result = call()
    return [takeLog(), result]
  } finally {
    log = [...outer, ...log]
  }
}

/** @param {unknown} what */
export function textOf(what) {
  return what instanceof Error ? what.stack : String(what)
}

console.error = (...what) => tell("logged", what.map(textOf).join(" "))
console.warn = (...what) => tell("warned", what.map(textOf).join(" "))
process.on("uncaughtException", (error) => tell("threw", textOf(error)))
