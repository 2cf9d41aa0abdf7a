// The time of a program: what Twisted's reactor is in Python. Tests pass in another.

/** @typedef {{ cancel(): void }} Timer */

/**
 * @typedef {object} Scheduler
 * @property {() => number} nowMs the wall clock, in milliseconds since 1970
 * @property {(seconds: number, call: () => void) => Timer} later
 * @property {(call: () => void) => Timer} soon calls in a turn of its own, so that what waits, such
 *   as the page's own work, comes first
 * @property {(call: () => void) => void} endOfTurn calls once what runs now is done
 */

/**
 * The scheduler of this program.
 *
 * @returns {Scheduler}
 */
export function systemScheduler() {
  const soon = makeSoon()
  return {
    nowMs: Date.now,
    later(seconds, call) {
      const id = setTimeout(call, 1000 * seconds)
      return { cancel: () => clearTimeout(id) }
    },
    soon(call) {
      let cancelled = false
      soon(() => cancelled || call())
      return { cancel: () => void (cancelled = true) }
    },
    // A microtask comes after the whole burst of a handler and of the promises that it resolved,
    // but before the next event, and also while the page is being closed.
    endOfTurn: (call) => queueMicrotask(call),
  }
}

/**
 * Browsers make a page in the background wait a second or more for each setTimeout().
 *
 * @returns {(call: () => void) => void}
 */
function makeSoon() {
  if (typeof setImmediate === "function") return setImmediate
  /** @type {(() => void)[]} */
  const calls = []
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => calls.shift()?.()
  return (call) => {
    calls.push(call)
    port2.postMessage(null)
  }
}
