// When a page had better look after its connection at once.

/**
 * Calls when the network comes back, or when the page is looked at again: its timers, and perhaps
 * the whole machine, may have been asleep. In Node.js there is nothing of the kind.
 *
 * @param {() => void} call
 * @returns {() => void} what ends that
 */
export function onWake(call) {
  const page = globalThis.document
  const program = "addEventListener" in globalThis ? globalThis : undefined
  const seen = () => void (page.visibilityState === "visible" && call())
  /** @type {[EventTarget | undefined, string, () => void][]} */
  const sources = [
    [program, "online", call],
    [program, "pageshow", call],
    [page, "visibilitychange", seen],
    [page, "resume", call],
  ]
  for (const [target, name, listener] of sources) target?.addEventListener(name, listener)
  return () => {
    for (const [target, name, listener] of sources) target?.removeEventListener(name, listener)
  }
}
