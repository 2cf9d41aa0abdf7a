// A page in Chromium that keeps a copy of a map: the first save of all of it, one write, and a reload.
// node copies.mjs SITE; prints what each visit found as a line of JSON.
import { launch } from "../../tests/js/chromium.mjs"

const VISITS = 2
const browser = await launch()
try {
  const page = await (await browser.newContext()).newPage()
  for (let visit = 0; visit < VISITS; visit++) {
    await page.goto(process.argv[2])
    console.log(JSON.stringify(await page.evaluate(look)))
  }
} finally {
  await browser.close()
}

/** What a visit finds, in the page. */
async function look() {
  const { DistributedMap, connect } = await import("/distmap.js")
  const turns = { longest_ms: 0, at: performance.now() }
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => {
    const now = performance.now()
    turns.longest_ms = Math.max(turns.longest_ms, now - turns.at)
    turns.at = now
    port2.postMessage(null)
  }
  port2.postMessage(null)

  let began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const map = new DistributedMap(connect(), "/bench", { persist: true })
  await new Promise((resolve) => map.on("persisted", resolve))
  const found = { loaded: map.size, load_seconds: seconds() }
  await map.ready()
  began = performance.now()
  if (!(await map.saved())) throw new Error("it is not saved")
  found.entries = map.size
  found.save_seconds = seconds()
  found.longest_ms = turns.longest_ms
  port1.close()
  began = performance.now()
  void map.set("key-7", "again")
  await map.saved()
  found.write_ms = 1000 * seconds()
  return found
}
